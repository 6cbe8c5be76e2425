"""The quick reader of Avro: what it takes, what it leaves, and what bounds it."""

import json
from typing import Any

import pytest

from processor.events import avro_names, avro_quick
from processor.events.avro import reader_of
from processor.events.avro_quick import UNTAKEN, QuickRead, quick_event, quick_value
from processor.events.avro_schema import parse_schema
from processor.model.outcomes import Rejected
from tests.properties.segment import every_field, framed

Json = dict[str, Any]
HEAD = [{"name": name, "type": "string"} for name in ("type", "userId")]
MESSAGE = {"type": "track", "userId": "u"}


def an_event(*fields: Json) -> Json:
    """Return the schema of an event with these fields."""
    return {"type": "record", "name": "Event", "fields": [*HEAD, *fields]}


def quick(schema: Json) -> QuickRead | None:
    """Return the quick reader of an event, with all its fields."""
    parsed = parse_schema(schema)
    definition = parsed.named[parsed.type]
    return quick_event(definition, [field["name"] for field in definition["fields"]], parsed.named, None, [])


def body(schema: Json, **values: Any) -> bytes:
    """Return the bytes of an event."""
    return framed(json.dumps(schema), {**MESSAGE, **values})[5:]


@pytest.mark.parametrize(
    "name", ["class", "a'b", 'a"b', "a\nraise SystemExit", "{into}", "\\", "\ud800", "größe", "__import__('os')", ""]
)
def test_no_name_is_code(name: str) -> None:
    """Names of fields are literals, and symbols are not in the source at all."""
    within = {"type": "record", "name": "W", "fields": [{"name": name, "type": "int"}]}
    enum = {"type": "enum", "name": "E", "symbols": [name]}
    fields: dict[str, Any] = {name: "int", "within": within, "symbol": enum}
    read = quick(an_event(*({"name": each, "type": kind} for each, kind in fields.items())))

    assert read is not None
    assert read(b"\2t\2u\4\6\0", 0) == {"type": "t", "userId": "u", name: 2, "within": {name: 3}, "symbol": name}


@pytest.mark.parametrize("depth", [1, 7, 8, 9, 30])
def test_types_may_be_nested_deeper_than_loops_may(depth: int) -> None:
    """Python takes twenty nested loops: what is deeper is a function of its own."""
    kind, value = "int", 1
    for _ in range(depth):
        kind, value = {"type": "array", "items": {"type": "map", "values": kind}}, [{"a": value}]  # type: ignore[assignment]
    schema = an_event({"name": "deep", "type": kind})
    read = quick(schema)

    assert read is not None
    assert read(body(schema, deep=value), 0)["deep"] == value


def test_the_source_grows_with_the_schema_only() -> None:
    """A type that is used twice is written once, so that twenty doublings are no million."""
    kind: Any = "int"
    for number in range(20):
        fields = [{"name": "a", "type": kind}, {"name": "b", "type": f"R{number - 1}" if number else "int"}]
        kind = {"type": "record", "name": f"R{number}", "fields": fields}

    assert quick(an_event({"name": "wide", "type": kind})) is not None


def test_a_schema_that_is_too_large_is_read_thoroughly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a quick reader the thorough one reads all records."""
    schema = an_event({"name": "properties", "type": {"type": "map", "values": ["null", "string"]}})
    value = framed(json.dumps(schema), {**MESSAGE, "properties": {"a": "b", "c": "d\0"}})
    expected = {**MESSAGE, "properties": {"a": "b", "c": "d"}}
    monkeypatch.setattr(avro_quick, "MAX_LINES", 10)

    assert quick(schema) is None
    assert quick_value({"type": "map", "values": "string"}, {}) is None
    assert reader_of(json.dumps(schema))(value) == expected


TREE = {"type": "record", "name": "Tree", "fields": [{"name": "tree", "type": ["null", "Tree"]}]}


@pytest.mark.parametrize("depth", [50, 2_000])
def test_deep_nesting_is_left_to_the_thorough_reader(depth: int) -> None:
    """The quick reader goes no deeper than the thorough one can, whoever calls it."""
    schema = an_event({"name": "properties", "type": TREE})
    value = b"\2t\2u" + depth * b"\2" + b"\0"
    read = quick(schema)

    assert read is not None
    if depth == 50:
        assert read(value, 0)["type"] == "t"
    else:
        with pytest.raises(UNTAKEN):
            read(value, 0)
        assert isinstance(every_field(json.dumps(schema))(bytes(5) + value), Rejected)


@pytest.mark.parametrize("kind", ["null", {"type": "fixed", "name": "F", "size": 0}])
def test_values_without_bytes_are_counted(kind: Any) -> None:
    """A few bytes can stand for any number of nulls."""
    read = quick(an_event({"name": "many", "type": {"type": "array", "items": kind}}))
    count = b"\xc0\x9a\x0c"  # 100,000

    assert read is not None
    assert len(read(b"\2t\2u" + count + b"\0", 0)["many"]) == 100_000
    with pytest.raises(UNTAKEN):
        read(b"\2t\2u" + count + b"\2\0", 0)


def test_blocks_may_state_their_size() -> None:
    """A negative count is followed by the block's size, as Java's and C#'s writers have it."""
    read = quick(an_event({"name": "many", "type": {"type": "array", "items": "int"}}))

    assert read is not None
    assert read(b"\2t\2u\3\4\2\4\0", 0)["many"] == [1, 2]


def test_names_of_maps_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ever new names, or long ones, cost time and no memory."""
    monkeypatch.setattr(avro_names, "_MAX_CACHED", 3)
    keys = avro_names.MemberNames()

    names = [keys[name.encode()] for name in ("a", "b", "c", "d", "a", "x" * 129)]

    assert names == ["a", "b", "c", "d", "a", "x" * 129]
    assert set(keys) == {b"a", b"d"}


def test_fields_of_a_context_that_nobody_reads_are_passed_over() -> None:
    """Whatever they hold, they cost no decoding; all of a context that is read is there."""
    page = {"type": "record", "name": "Page", "fields": [{"name": each, "type": "string"} for each in ("url", "title")]}
    fields = [{"name": "page", "type": ["null", page]}, {"name": "locale", "type": "bytes"}]
    context = {"type": "record", "name": "Context", "fields": fields}
    schema = json.dumps(an_event({"name": "context", "type": context}))
    value = framed(schema, {**MESSAGE, "context": {"page": {"url": "https://a.b", "title": "t"}, "locale": b"\xff"}})

    assert reader_of(schema)(value) == {**MESSAGE, "context": {"page": {"url": "https://a.b"}}}
    assert every_field(schema)(value) == {
        **MESSAGE,
        "context": {"page": {"url": "https://a.b", "title": "t"}, "locale": "/w=="},
    }
