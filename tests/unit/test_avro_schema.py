"""Reading of schemas: what their bytes depend on, and why one cannot be used."""

import json
from pathlib import Path
from typing import Any

import fastavro
import pytest
from fastavro.schema import to_parsing_canonical_form

from processor.events.avro import reader_of
from processor.events.avro_schema import Schema, SchemaError, canonical, parse_schema, written
from processor.events.json_text import parse_json
from processor.model.outcomes import Rejected
from tests.fakes.varint import varint
from tests.properties.segment import SCHEMAS
from tests.properties.shapes import SHAPES, UNION

PREFIX = b"\0\0\0\0\1"
Json = dict[str, Any]


def field(name: str, kind: Any, **more: Any) -> Json:
    """Return a field."""
    return {"name": name, "type": kind, **more}


def a_record(name: str, *fields: Json, **more: Any) -> Json:
    """Return a record."""
    return {"type": "record", "name": name, "fields": list(fields), **more}


def text(value: str) -> bytes:
    """Return a text as Avro writes it."""
    return varint(len(value.encode())) + value.encode()


HEAD = (field("type", "string"), field("userId", "string"))
BODY = PREFIX + text("track") + text("u1")


def read_extra(kind: Any, body: bytes, **more: Any) -> Any:
    """Return what is read of a field of this type."""
    event = reader_of(json.dumps(a_record("Track", *HEAD, field("a", kind, **more))), None)(BODY + body)
    return event["a"] if isinstance(event, dict) else event


def decimal(**attributes: Any) -> Json:
    """Return the type of a decimal."""
    return {"type": "bytes", "logicalType": "decimal", **attributes}


@pytest.mark.parametrize(
    ("kind", "default", "body", "expected"),
    [
        pytest.param({"type": "double"}, 0, bytes(8), 0.0, id="a default of 0 for a double: valid, and refused before"),
        pytest.param(["int", "null"], "null", b"\0\2", 1, id="text for null, as registries' clients take it"),
        pytest.param("string", {"no": "text"}, text("v"), "v", id="a default of another type"),
        pytest.param("bytes", "\u00ff", text("v"), "dg==", id="a default of bytes"),
    ],
)
def test_a_default_is_not_judged(kind: Any, default: Any, body: bytes, expected: Any) -> None:
    """Nobody reads a default of a writer's schema; Java (1.12.2) with `setValidateDefaults(false)` looks at none."""
    assert read_extra(kind, body, default=default) == expected


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        pytest.param(decimal(precision=64, scale=127), text("\x64"), "ZA==", id="Connect 7: NUMBER of Oracle"),
        pytest.param(decimal(precision=10, scale=-2), text("\x64"), "ZA==", id="a negative scale"),
        pytest.param(decimal(precision="x"), text("\x64"), "ZA==", id="a precision that is no number"),
        pytest.param(decimal(precision=True), text("\x64"), "ZA==", id="a precision that is a boolean"),
        pytest.param(decimal(scale=2), text("\x64"), "ZA==", id="no precision"),
        pytest.param(decimal(precision=0), text("\x64"), "ZA==", id="no digits"),
        pytest.param({"type": "string", "logicalType": "decimal", "precision": "x"}, text("v"), "v", id="of a string"),
        pytest.param(
            {"type": "fixed", "name": "F", "size": 1, "logicalType": "decimal", "precision": 3},
            b"\x64",
            "ZA==",
            id="more digits than a fixed has",
        ),
        pytest.param(
            {"type": "fixed", "name": "F", "size": 1, "logicalType": "duration"}, b"\x64", "ZA==", id="a short duration"
        ),
        pytest.param({"type": "long", "logicalType": "date"}, b"\2", 1, id="a date of a long"),
        pytest.param({"type": "long", "logicalType": "time-millis"}, b"\2", 1, id="milliseconds of a long"),
        pytest.param({"type": "long", "logicalType": ["x"]}, b"\2", 1, id="a list"),
        pytest.param({"type": "long", "logicalType": "unheard-of"}, b"\2", 1, id="an unknown one"),
    ],
)
def test_a_logical_type_that_is_not_valid_is_none(kind: Any, body: bytes, expected: Any) -> None:
    """The type beneath is read, as the specification says and Java does (1.12.2)."""
    assert read_extra(kind, body) == expected


@pytest.mark.parametrize("symbols", [["größe"], [""], ["a b"], ["1"], ["x", "x"]])
def test_a_symbol_may_be_any_text(symbols: list[str]) -> None:
    """Java (1.12.2) takes letters of any language for symbols; which they are does not matter to the bytes."""
    assert read_extra({"type": "enum", "name": "E", "symbols": symbols}, b"\0") == symbols[0]


def test_messages_of_a_union_may_share_a_type() -> None:
    """A type that one branch defines and another must name is known in both (Avro 1.12.2 for Java, Apicurio 2.6.13)."""
    context = a_record("Context", field("ip", "string"))
    union = [
        a_record("Track", *HEAD, field("event", "string"), field("context", context), namespace="com.acme"),
        a_record("Identify", *HEAD, field("context", "Context"), field("was", ["null", "Track"]), namespace="com.acme"),
    ]
    read = reader_of(json.dumps(union), None)
    track = text("track") + text("u1") + text("Bought") + text("10.0.0.1")

    assert read(PREFIX + b"\0" + track) == {
        "type": "track",
        "userId": "u1",
        "event": "Bought",
        "context": {"ip": "10.0.0.1"},
    }
    assert read(PREFIX + b"\2" + text("identify") + text("u1") + text("10.0.0.2") + b"\2" + track) == {
        "type": "identify",
        "userId": "u1",
        "context": {"ip": "10.0.0.2"},
        "was": {"type": "track", "userId": "u1", "event": "Bought", "context": {"ip": "10.0.0.1"}},
    }


def test_a_type_that_a_skipped_field_defines_is_known_in_one_that_is_read() -> None:
    """What nobody reads may define what others need."""
    kind = a_record("Plan", field("name", "string"))
    schema = a_record("Track", *HEAD, field("other", kind), field("properties", "Plan"))

    assert reader_of(json.dumps(schema))(BODY + text("a") + text("b")) == {
        "type": "track",
        "userId": "u1",
        "properties": {"name": "b"},
    }


def test_names_are_resolved_as_avro_does() -> None:
    """By the namespace that encloses them, with a name of one's own before one without a namespace."""
    schema = parse_schema(
        a_record(
            "com.acme.Outer",
            field("a", a_record("Inner", field("x", "int"))),
            field("b", a_record("Inner", field("y", "int"), namespace="org.other")),
            field("c", a_record("Alone", field("z", ["null", "Alone"]), namespace="")),
            field("d", ["Inner", "org.other.Inner", "Alone", ".Alone", "Outer", "Later"]),
            field("e", {"type": "enum", "name": "Later", "symbols": []}),
            field("f", {"type": "fixed", "name": "x.y.Size", "namespace": "ignored", "size": 2}),
            namespace="ignored",
        )
    )

    assert schema.type == "com.acme.Outer"
    assert list(schema.named) == [
        *("com.acme.Inner", "org.other.Inner", "Alone", "com.acme.Later", "x.y.Size", "com.acme.Outer"),
    ]
    assert [each["type"] for each in schema.named["com.acme.Outer"]["fields"]][3] == [
        *("com.acme.Inner", "org.other.Inner", "Alone", "Alone", "com.acme.Outer", "com.acme.Later"),
    ]
    assert schema.named["Alone"]["fields"] == [field("z", ["null", "Alone"])]


def test_a_type_may_be_defined_again_if_it_says_the_same() -> None:
    """Generators write a type out wherever it is used; Java (1.12.2) takes that, too."""
    inner = a_record("Inner", field("deep", a_record("Deep", field("x", "int"))))
    again = a_record("Inner", field("deep", "Deep", doc="another text", default={}))
    schema = a_record("Outer", field("a", inner), field("b", inner), field("c", again))

    assert [each["type"] for each in parse_schema(schema).named["Outer"]["fields"]] == ["Inner"] * 3


def test_types_may_be_wrapped() -> None:
    """A type may stand in an object of its own, which says no more; Java's generator writes texts so."""
    wrapped = {"type": {"type": {"type": "array", "items": {"type": ["null", {"type": "string", "x": 1}]}}}}

    assert parse_schema(wrapped).type == {"type": "array", "items": ["null", "string"]}
    assert parse_schema({"type": "error", "name": "E", "fields": []}).named["E"]["type"] == "record"


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ("no JSON", "it is no JSON: line 1: no JSON at column 1: Expecting value"),
        ("5", "a number stands where a type should"),
        ("null", "a null stands where a type should"),
        ("[true]", "a boolean stands where a type should (at branch 1)"),
        ("{}", "a type has no `type`"),
        ('{"type": 5}', "a number stands where a type should (at type)"),
        ('"nowhere.Defined"', "the type `nowhere.Defined` is not defined"),
        ('{"type": "array"}', "the array has no `items`"),
        ('["null", {"type": "map"}]', "the map has no `values` (at branch 2)"),
        ('[["null"]]', "a union stands directly within a union (at branch 1)"),
        ('["int", {"type": ["null"]}]', "a union stands directly within a union (at branch 2 > type)"),
        ('{"type": "record"}', "the record has no name"),
        ('{"type": "record", "name": 5}', "the record has no name"),
        ('{"type": "record", "name": ""}', "the record has no name"),
        ('{"type": "record", "name": "", "namespace": "a"}', "the record has no name"),
        ('{"type": "enum", "name": "string", "symbols": []}', "the enum has no name"),
        ('{"type": "record", "name": "E"}', "the record has no list of fields (at E)"),
        ('{"type": "record", "name": "E", "fields": {}}', "the record has no list of fields (at E)"),
        ('{"type": "record", "name": "E", "fields": [5]}', "field 1 has no name (at E)"),
        ('{"type": "record", "name": "E", "fields": [{"name": "a"}]}', "the field `a` has no `type` (at E)"),
        (
            '{"type": "record", "name": "E", "fields": [{"name": "a", "type": "int"}, {"name": "a", "type": "int"}]}',
            "two fields have the name `a` (at E)",
        ),
        ('{"type": "enum", "name": "E"}', "the enum has no list of symbols (at E)"),
        ('{"type": "enum", "name": "E", "symbols": [5]}', "the enum has no list of symbols (at E)"),
        ('{"type": "fixed", "name": "E"}', "the fixed has no `size` (at E)"),
        ('{"type": "fixed", "name": "E", "size": -1}', "the fixed has no `size` (at E)"),
        ('{"type": "fixed", "name": "E", "size": true}', "the fixed has no `size` (at E)"),
        (
            json.dumps(a_record("com.acme.T", field("a", {"type": "map", "values": a_record("P", field("b", "Q"))}))),
            "the type `Q` is not defined (at com.acme.T > a > values > com.acme.P > b)",
        ),
        (
            json.dumps([a_record("T", field("a", "int")), a_record("T", field("a", "long"))]),
            "the type `T` is defined twice, and not alike (at branch 2 > T)",
        ),
        ('{"type": "array", "items": ' * 900 + '"int"' + "}" * 900, "its types are nested too deeply"),
        (json.dumps("x" * 100), f"the type `{'x' * 60}…` is not defined"),
    ],
)
def test_a_schema_that_cannot_be_used_says_what_is_wrong_and_where(schema: str, reason: str) -> None:
    """The reason is in words, and stands in the detail of every record of that schema."""
    with pytest.raises(SchemaError) as raised:
        parse_schema(parse_json(schema))

    assert str(raised.value).startswith(reason)
    outcome = reader_of(schema)(BODY)
    assert isinstance(outcome, Rejected)
    assert outcome.detail.startswith(f"the schema cannot be used: {reason}")


def test_a_way_of_many_steps_is_shown_by_its_ends() -> None:
    """A reason fits into a header, however deep its place is."""
    kind: Any = "Nowhere"
    for number in range(50):
        kind = a_record(f"R{number}" + "x" * 100, field("a", kind))
    with pytest.raises(SchemaError) as raised:
        parse_schema(kind)

    assert str(raised.value) == (
        f"the type `Nowhere` is not defined (at R49{'x' * 57} > a > R48{'x' * 57} > … > a > R0{'x' * 58} > a)"
    )


@pytest.mark.parametrize("depth", [5, 60, 70, 150])
def test_records_within_records_are_read_or_refused(depth: int) -> None:
    """However deeply types are nested, nothing is raised."""
    kind: Any = "int"
    for number in range(depth):
        kind = ["null", a_record(f"R{number}", field("a", kind))]
    outcome = read_extra(kind, b"\2" * (depth + 1))

    assert isinstance(outcome, dict) == (depth <= 60)
    if isinstance(outcome, Rejected):
        assert outcome.detail.startswith("the schema cannot be used: its types are nested too deeply")


def test_types_that_name_each_other_in_a_long_row_are_read_or_refused() -> None:
    """A row of types may be as deep as nested ones."""
    row = [a_record(f"R{number}", field("a", f"R{number - 1}" if number else "int")) for number in range(3_000)]
    union = [*row, a_record("Track", *HEAD, field("properties", "R2999"))]
    outcome = reader_of(json.dumps(union))(PREFIX + varint(3_000) + BODY[5:] + b"\2")

    assert isinstance(outcome, Rejected)
    assert outcome.detail == "the schema cannot be used: its types are nested too deeply"


def test_json_records_that_hold_each_other_are_refused() -> None:
    """Two types that stand for each other stand for nothing."""
    items = {"type": "array", "items": "A"}
    inner = a_record("B", field("value", [{"type": "array", "items": "B"}, "A"]))
    schema = a_record("Track", *HEAD, field("properties", a_record("A", field("value", [items, inner]))))

    assert isinstance(reader_of(json.dumps(schema))(BODY), Rejected)


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.avsc")), ids=lambda path: path.stem)
def test_the_canonical_form_is_avros_own(path: Path) -> None:
    """A fingerprint of ours is the fingerprint that everybody else makes."""
    schema = json.loads(path.read_text(encoding="utf-8"))

    assert canonical(parse_schema(schema)) == to_parsing_canonical_form(fastavro.parse_schema(schema))


CANONICAL = [
    a_record("T", field("a", a_record("U", field("b", decimal(precision=4), aliases=["c"]))), field("d", "U")),
    {"type": "enum", "name": "E", "namespace": "a.b", "symbols": ["x", "y"], "default": "x", "doc": "d"},
    {"type": "fixed", "size": 5, "name": "F", "aliases": ["G"]},
    {"type": "map", "values": {"type": "array", "items": {"type": "long", "logicalType": "timestamp-millis"}}},
    *(schema for schema, _ in SHAPES.values()),
    UNION,
]


@pytest.mark.parametrize("schema", CANONICAL, ids=lambda schema: json.dumps(schema)[:60])
def test_the_canonical_form_is_avros_own_for_every_type(schema: Any) -> None:
    """Attributes that the bytes do not depend on are left out, and names are full."""
    assert canonical(parse_schema(schema)) == to_parsing_canonical_form(fastavro.parse_schema(schema))


@pytest.mark.parametrize("schema", CANONICAL, ids=lambda schema: json.dumps(schema)[:60])
def test_a_written_schema_stands_alone(schema: Any) -> None:
    """What is written says the same when it is read again."""
    parsed = parse_schema(schema)

    assert parse_schema(json.loads(written(parsed))) == parsed


def test_others_may_define_what_a_schema_names() -> None:
    """Types come from whichever text defines them, and keep their namespaces."""
    own = a_record("com.acme.T", field("a", "Alone"), field("b", "org.other.P"))
    others = [a_record("org.other.P", field("x", "Alone")), a_record("Alone", field("y", "int"))]
    parsed = parse_schema(own, iter(others))

    assert parsed.type == "com.acme.T"
    again: Schema = parse_schema(json.loads(written(parsed)))
    assert again.type == parsed.type
    assert again.named == parsed.named
