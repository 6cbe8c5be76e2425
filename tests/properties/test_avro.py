"""Decoding is total, and agrees with fastavro wherever fastavro may be trusted."""

import io
import json
import math
from base64 import b64encode
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import fastavro
import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from processor.events.avro import decode, reader_of
from processor.events.avro_binary import compile_event
from processor.events.avro_quick import UNTAKEN, quick_event
from processor.events.avro_schema import SchemaError, parse_schema, written
from processor.events.framing import PREFIX_BYTES
from processor.events.json_text import NoJson, parse_json
from processor.events.mapping import Mapping, MappingRules
from processor.events.timestamps import unit_of
from processor.model.outcomes import Mapped, Rejected, unnoted
from processor.model.reasons import Kind
from tests.properties.limits import event_violations, user_violations
from tests.properties.messages import messages
from tests.properties.segment import (
    KAFKA_TIMESTAMP_MS,
    as_avro,
    as_json,
    every_field,
    framed,
    record,
    shipped,
    shipped_readers,
)
from tests.properties.shapes import JSON_RECORD, SHAPES, as_json_record, nested_records, typed_maps

READERS = shipped_readers()
MAPPING = Mapping(MappingRules())

RECORDS = {
    **{name: shape for name, shape in SHAPES.items() if isinstance(shape[0], dict) and shape[0]["type"] == "record"},
    "deep": (JSON_RECORD, as_json_record({"a": [[[{"b": {"c": [1, None, "x" * 70]}}]]] * 3})),
}

INTS = st.integers(-(2**31), 2**31 - 1)
LONGS = st.integers(-(2**63), 2**63 - 1)
TIMES = st.integers(-62_135_596_800_000, 253_402_300_799_999).filter(
    lambda number: unit_of(number, 1_000) == 1_000 and unit_of(number * 1_000, 1_000_000) == 1_000_000
)
"""In milliseconds; but for those that are taken for another unit."""

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)

QUARTERS = st.integers(-9_999, 9_999).map(lambda number: number / 4)
"""Of few digits. Of other floats, fastavro gives all digits of the double, which nobody wrote."""

LEAVES: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": INTS,
    "long": LONGS,
    "float": QUARTERS | st.sampled_from([math.inf, -math.inf]),
    "double": st.floats(allow_nan=False),
    "bytes": st.binary(max_size=70),
    "string": st.text(max_size=70),
}
LOGICAL: list[tuple[dict[str, Any], st.SearchStrategy[Any]]] = [
    ({"type": "long", "logicalType": "timestamp-millis"}, TIMES),
    ({"type": "long", "logicalType": "timestamp-micros"}, TIMES.map(lambda number: number * 1_000)),
    ({"type": "int", "logicalType": "date"}, st.integers(-719_162, 2_932_896)),
    ({"type": "int", "logicalType": "time-millis"}, st.integers(0, 86_399_999)),
    ({"type": "long", "logicalType": "time-micros"}, st.integers(0, 86_399_999_999)),
    ({"type": "enum", "symbols": ["a", "b", "c"]}, st.sampled_from(["a", "b", "c"])),
    ({"type": "fixed", "size": 3}, st.binary(min_size=3, max_size=3)),
    (
        {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 3},
        st.integers(-(10**12) + 1, 10**12 - 1).map(lambda number: Decimal(number).scaleb(-3)),
    ),
]

Typed = tuple[Any, Any]
"""An Avro type and a value of it."""

DEEPEST_NAME = 4


@st.composite
def types(draw: st.DrawFn, name: str = "T") -> tuple[Any, st.SearchStrategy[Any]]:
    """Draw a type, and what draws its values; a type inside of another has a longer name."""
    choices = ["leaf", "logical", "array", "map", "union", "record", "twice"]
    match draw(st.sampled_from(choices if len(name) < DEEPEST_NAME else choices[:2])):
        case "leaf":
            kind = draw(st.sampled_from(sorted(LEAVES)))
            return kind, LEAVES[kind]
        case "logical":
            schema, values = draw(st.sampled_from(LOGICAL))
            return ({**schema, "name": name} if schema["type"] in ("enum", "fixed") else schema), values
        case "array":
            items, values = draw(types(f"{name}0"))
            return {"type": "array", "items": items}, st.lists(values, max_size=4)
        case "map":
            items, values = draw(types(f"{name}0"))
            return {"type": "map", "values": items}, st.dictionaries(NAMES, values, max_size=4)
        case "union":
            kind = draw(st.sampled_from(sorted(LEAVES.keys() - {"null"})))
            return draw(st.permutations(["null", kind])), st.none() | LEAVES[kind]
        case "twice":
            inner, values = draw(types(f"{name}0"))
            once = {"type": "record", "name": f"{name}x", "fields": [{"name": "f", "type": inner}]}
            fields, of_once = (
                [{"name": "f0", "type": once}, {"name": "f1", "type": f"{name}x"}],
                st.fixed_dictionaries({"f": values}),
            )
            return {"type": "record", "name": name, "fields": fields}, st.fixed_dictionaries(
                {"f0": of_once, "f1": of_once}
            )
    members = [draw(types(f"{name}{index}")) for index in range(draw(st.integers(0, 3)))]
    fields = [{"name": f"f{index}", "type": kind} for index, (kind, _) in enumerate(members)]
    schema = {"type": "record", "name": name, "fields": fields}
    return schema, st.fixed_dictionaries({f"f{index}": values for index, (_, values) in enumerate(members)})


@st.composite
def typed(draw: st.DrawFn) -> Typed:
    """Draw a type and a value that can be written with it."""
    kind, values = draw(types())
    return kind, draw(values)


def plain(value: Any) -> Any:
    """Return what JSON has for a value that fastavro has read."""
    match value:
        case dict():
            return {name: plain(each) for name, each in value.items()}
        case list():
            return [plain(each) for each in value]
        case str():
            return value.replace("\0", "")
        case bytes():
            return b64encode(value).decode()
        case Decimal():
            return float(value)
        case datetime():
            return f"{value.isoformat(timespec='milliseconds')[: len('2015-02-23T22:28:55.111')]}Z"
        case date() | time():
            return value.isoformat()
    return value


def event_schema(kind: Any) -> Any:
    """Return the schema of an event that holds a value of any type."""
    fields = [
        {"name": "type", "type": "string"},
        {"name": "userId", "type": "string"},
        {"name": "extra", "type": {"type": "record", "name": "Extra", "fields": [{"name": "value", "type": kind}]}},
    ]
    return {"type": "record", "name": "Event", "fields": fields}


@given(typed())
def test_decoding_agrees_with_fastavro(drawn: Typed) -> None:
    """Whatever the type, the value that was written is the value that is read."""
    kind, value = drawn
    schema = event_schema(kind)
    buffer = io.BytesIO()
    parsed = fastavro.parse_schema(json.loads(json.dumps(schema)))
    fastavro.schemaless_writer(buffer, parsed, {"type": "t", "userId": "u", "extra": {"value": value}})
    buffer.seek(0)
    theirs: Any = fastavro.schemaless_reader(buffer, parsed, None)

    ours = every_field(json.dumps(schema))(b"\0\0\0\0\1" + buffer.getvalue())

    assert isinstance(ours, dict), ours
    assert ours["extra"] == plain(theirs["extra"])


def agree(schema: Any, body: bytes) -> bool:
    """Say whether the quick reader takes a value; if it does, the thorough one reads the same, and changes nothing."""
    parsed = parse_schema(schema)
    definition = parsed.named[parsed.type]
    names = [field["name"] for field in definition["fields"]]
    read_quickly = quick_event(definition, names, parsed.named, None, [])
    assert read_quickly is not None
    try:
        quickly = read_quickly(body, 0)
    except UNTAKEN:
        return False
    whole = compile_event(definition, names, parsed.named, None, [])
    thoroughly = whole.read(body, 0)
    assert repr(quickly) == repr(thoroughly)  # NaN is not equal to itself, and 1 is not 1.0 here
    assert (whole.end, whole.changes) == (len(body), [])
    return True


@given(typed())
def test_the_quick_reader_takes_whatever_is_as_usual(drawn: Typed) -> None:
    """Only a text with a NUL is left to the thorough reader; of all else, both read the same."""
    kind, value = drawn
    event = {"type": "t", "userId": "u", "extra": {"value": value}}
    body = framed(json.dumps(event_schema(kind)), event)[PREFIX_BYTES:]

    assert agree(event_schema(kind), body) or "\\x00" in repr(value)


@given(typed(), st.data())
def test_the_quick_reader_agrees_on_damaged_values(drawn: Typed, data: st.DataObject) -> None:
    """Whatever bytes the quick reader takes, the thorough one reads the same."""
    kind, value = drawn
    event = {"type": "t", "userId": "u", "extra": {"value": value}}

    agree(event_schema(kind), damaged(data, framed(json.dumps(event_schema(kind)), event)[PREFIX_BYTES:]))


@given(st.sampled_from(sorted(RECORDS)), st.data())
def test_both_readers_agree_on_all_shapes(shape: str, data: st.DataObject) -> None:
    """JSON records, typed maps, nested records: what is within itself is a function of its own."""
    schema, message = RECORDS[shape]
    body = framed(json.dumps(schema), message)[PREFIX_BYTES:]

    assert agree(schema, body)
    agree(schema, damaged(data, body))


@given(messages(), st.sampled_from(["nested records", "typed maps", "JSON text in Avro"]), st.data())
def test_what_nobody_reads_changes_no_item(message: Any, shape: str, data: st.DataObject) -> None:
    """A reader that passes over what mapping does not read gives the same item as one that reads all."""
    if shape == "JSON text in Avro":
        schema = shipped(message["type"].lower())
        value = as_avro(message)
    else:
        schema = json.dumps({"nested records": nested_records, "typed maps": typed_maps}[shape](message))
        value = framed(schema, message)
    value = value if data.draw(st.booleans()) else damaged(data, value, PREFIX_BYTES)

    whole, read = every_field(schema)(value), reader_of(schema)(value)

    if isinstance(whole, dict):
        assert isinstance(read, dict)
        expected, item = (MAPPING.map(each, KAFKA_TIMESTAMP_MS, unnoted) for each in (whole, read))
        assert repr(item) == repr(expected)


def damaged(data: st.DataObject, good: bytes, start: int = 0) -> bytes:
    """Return bytes that are changed, removed or added from an offset on."""
    value = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(start, len(value)))
        end = data.draw(st.integers(at, min(at + 9, len(value))))
        value[at:end] = data.draw(st.binary(max_size=9))
    return bytes(value)


WORDS = st.sampled_from(
    [
        *(
            "null",
            "int",
            "long",
            "string",
            "bytes",
            "record",
            "error",
            "enum",
            "fixed",
            "array",
            "map",
            "A",
            "a.B",
            ".A",
        ),
        *("", "type", "userId", "date", "decimal", "duration", "uuid", "timestamp-micros", "properties"),
    ]
)
MEMBERS = st.sampled_from(
    [
        *("type", "name", "namespace", "fields", "items", "values", "symbols", "size", "logicalType", "precision"),
        *("scale", "aliases", "default"),
    ]
)


@given(
    st.recursive(
        WORDS | st.none() | st.booleans() | st.integers(-2, 20) | st.floats(),
        lambda within: st.lists(within, max_size=4) | st.dictionaries(MEMBERS, within, max_size=5),
    ),
    st.binary(max_size=20),
)
@example(
    {"type": "record", "name": "A", "fields": [{"name": "type", "type": "A"}, {"name": "userId", "type": "A"}]}, b""
)
def test_anything_for_a_schema_gives_a_reader(schema: Any, body: bytes) -> None:
    """Whatever a registry gives, its records are read or rejected; a schema that is read says the same when written."""
    for read in (every_field(json.dumps(schema)), reader_of(json.dumps(schema))):
        assert isinstance(read(b"\0\0\0\0\1" + body), dict | Rejected)
    try:
        parsed = parse_schema(schema)
    except SchemaError:
        return
    assert parse_schema(json.loads(written(parsed))) == parsed


def check(value: bytes) -> None:
    """Decode, map and encode: nothing raises, and what FullStory would get is within its limits."""
    event = decode(record(value), READERS)
    if not isinstance(event, dict):
        return
    outcome = MAPPING.map(event, KAFKA_TIMESTAMP_MS, lambda _rule, _path: None)
    if isinstance(outcome, Mapped):
        orjson.dumps(outcome.body)
        assert (user_violations if outcome.kind is Kind.USER else event_violations)(outcome.body) == []


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: b"\0\0\0\0\2" + tail))
def test_any_bytes_have_an_outcome(value: bytes) -> None:
    """Any bytes decode or are rejected, so that nothing in a topic can stop the worker."""
    check(value)


@given(messages(), st.sampled_from([as_avro, as_json]), st.data())
def test_any_damage_to_a_good_value_has_an_outcome(message: Any, write: Any, data: st.DataObject) -> None:
    """A value with bytes changed, removed or added anywhere decodes or is rejected."""
    check(damaged(data, write(message)))


@given(st.text(st.characters(codec=None), max_size=20), st.text(st.characters(codec=None), max_size=20))
@example("\ud800", "\udfff\ud800")
@example("\ud83d", "\ude00")
def test_any_escape_in_json_can_be_written_again(name: str, text: str) -> None:
    """Whatever JSON escapes, such as half a surrogate pair, the event can be written as UTF-8."""
    identify = {"type": "identify", "userId": "u" + text, "traits": {"t" + name: text, "list": [{name: text}]}}
    check(json.dumps(identify).encode())
    check(json.dumps({"type": "track", "userId": text, "event": "e" + text, "properties": {name: [text]}}).encode())


@given(st.recursive(st.none() | st.booleans() | LONGS | st.floats() | NAMES, st.lists))
def test_json_is_read_as_it_was_written(value: Any) -> None:
    """Both JSON parsers, the strict one and the lenient one, return what was written."""
    text = json.dumps(value)
    again = parse_json(text)

    assert not isinstance(again, NoJson)
    assert json.dumps(again) == text


@given(st.floats())
def test_numbers_survive_text(number: float) -> None:
    """Both JSON parsers return exactly the number that was written."""
    read = parse_json(json.dumps([number]))[0]

    assert read == number or (math.isnan(read) and math.isnan(number))
