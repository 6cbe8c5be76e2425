"""Bytes to events."""

import json
import math
import random
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from processor import is_compiled
from processor.events.avro import MAPPED_FIELDS, Reader, decode, reader_of
from processor.events.avro_nodes import MAX_DEPTH
from processor.events.framing import SchemaId, schema_ids
from processor.model.outcomes import Filtered, Rejected
from processor.model.reasons import DeadLetterReason, FilterReason
from tests.fakes.varint import varint
from tests.properties.segment import as_avro, as_json, every_field, framed, record, shipped, shipped_readers

PREFIX = b"\0\0\0\0\1"
READERS = shipped_readers()

MESSAGE = {
    "type": "track",
    "messageId": "m-1",
    "userId": "u-1",
    "event": "Signed Up",
    "properties": {"plan": "premium", "größe": [1, 2.5, None]},
    "integrations": {"All": True},
}


def schema_with(*fields: dict[str, Any]) -> str:
    """Return a minimal schema of a Segment event with further fields."""
    common = [{"name": "type", "type": "string"}, {"name": "userId", "type": "string"}]
    return json.dumps({"type": "record", "name": "Event", "fields": [*common, *fields]})


def extra(kind: Any) -> str:
    """Return a minimal schema with one further field `extra` of this type."""
    return schema_with({"name": "extra", "type": kind})


def read_extra(kind: Any, value: Any) -> Any:
    """Write a value of this type as a producer would, and return what the worker reads."""
    schema = extra(kind)
    event = every_field(schema)(framed(schema, {"type": "track", "userId": "u", "extra": value}))
    assert isinstance(event, dict), event
    return event["extra"]


def rejected(value: bytes | None, reason: DeadLetterReason = DeadLetterReason.MALFORMED) -> str:
    """Return the detail of a rejection for this reason."""
    outcome = decode(record(value), READERS)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is reason
    return outcome.detail


def test_both_shapes_of_a_message_give_the_same_event() -> None:
    """What mapping reads does not depend on how the record was written."""
    avro, plain = decode(record(as_avro(MESSAGE)), READERS), decode(record(as_json(MESSAGE)), READERS)

    assert isinstance(avro, dict)
    assert isinstance(plain, dict)
    assert plain == MESSAGE
    assert {name: avro[name] for name in MAPPED_FIELDS & MESSAGE.keys()} == {
        name: MESSAGE[name] for name in MAPPED_FIELDS & MESSAGE.keys()
    }


def test_json_may_hold_its_free_form_parts_as_text() -> None:
    """A producer that writes the shape of the shipped schemas as JSON is understood."""
    event = decode(record(as_json({**MESSAGE, "properties": '{"plan": "premium"}'})), {})

    assert isinstance(event, dict)
    assert event["properties"] == {"plan": "premium"}


@pytest.mark.parametrize("white_space", [b"", b" ", b"\n", b"\r\n\t"])
def test_json_may_begin_with_white_space(white_space: bytes) -> None:
    """Whatever JSON allows before the brace is JSON."""
    assert decode(record(white_space + as_json(MESSAGE)), {}) == MESSAGE


def test_a_record_without_a_value_is_a_tombstone() -> None:
    """A record without a value is filtered, not dead-lettered."""
    assert decode(record(None), {}) == Filtered(FilterReason.TOMBSTONE)


def test_an_unknown_schema_id_is_named() -> None:
    """The rejection of an unknown schema id names that id."""
    assert "999" in rejected(b"\0\0\0\x03\xe7...", DeadLetterReason.UNKNOWN_SCHEMA)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\0",
        b"\0\0\0\0",
        b"\x01" + PREFIX,
        b"\xff\xfe",
        b"[1]",
        b"{",
        b"{]",
        b" 5",
        b'{"type": "track"} x',
        b'{"type": \xff}',
        b'{"n": ' + b"9" * 5_000 + b", NaN}",
        b'{"a":' * 5_000,
        b'{"a":' * 5_000 + b"NaN" + b"}" * 5_000,
        b'{"a": [' + b"[" * 100_000 + b"]" * 100_000 + b"]}",
        b'{"traits": "no JSON"}',
        b'{"properties": "{"}',
        as_avro(MESSAGE)[:-1],
        as_avro(MESSAGE) + b"\0",
        as_avro({**MESSAGE, "properties": "no JSON"}).replace(b'"no JSON"', b" no JSON "),
    ],
)
def test_a_value_that_cannot_be_read_is_malformed(value: bytes) -> None:
    """Whatever the bytes are, the answer is a rejection and no exception."""
    assert rejected(value)


def test_a_value_that_is_cut_anywhere_is_malformed() -> None:
    """No prefix of a record passes for a whole one."""
    for value in (as_avro(MESSAGE), as_json(MESSAGE)):
        for end in range(5, len(value)):
            assert rejected(value[:end])


def test_empty_text_is_an_absent_part() -> None:
    """Empty text in a free-form field means that the part is absent."""
    schema = schema_with({"name": "properties", "type": "string"})
    event = every_field(schema)(framed(schema, {"type": "track", "userId": "u", "properties": ""}))

    assert event == {"type": "track", "userId": "u", "properties": None}


def test_json_that_is_common_but_not_strict_is_read() -> None:
    """JSON with NaN or lone surrogates is read; a lone surrogate is replaced, and a pair becomes its character."""
    value = rb'{"a": NaN, "b": -Infinity, "\ud800k": "x\udc00", "c": ["\ud83d\ude00", "\ud83dx\ud83d"], "d": {"e": 1}}'
    event = decode(record(value), {})

    assert isinstance(event, dict)
    assert str(event["a"]) == "nan"
    assert event["b"] == -float("inf")
    assert event["\ufffdk"] == "x\ufffd"
    assert event["c"] == ["😀", "\ufffdx\ufffd"]
    assert event["d"] == {"e": 1}


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (
            b"[1]",
            (
                "the value is a JSON array of length 1, not a JSON object: "
                "have the producer write each message as a record of its own"
            ),
        ),
        (b" null", "the value is a JSON null, not a JSON object"),
        (b"5", "the value is a JSON number, not a JSON object"),
        (b"NaN", "the value is a JSON number, not a JSON object"),
        (b"false", "the value is a JSON boolean, not a JSON object"),
        (b'"text"', "the value is a JSON string, not a JSON object"),
        (
            json.dumps('{"type": "track"}').encode(),
            (
                "the value is a JSON string that holds a JSON object "
                "(it was written as JSON twice: have the producer write text once), not a JSON object"
            ),
        ),
        (
            b"{\n]",
            "the value is no JSON: line 2: no JSON at column 1: Expecting property name enclosed in double quotes",
        ),
        (b"[" * 100_000, "the value is no JSON: line 1: nested too deeply"),
        (b'{"a":' * 100_000, "the value is no JSON: line 1: nested too deeply"),
        (
            '{"type": "track"}'.encode("utf-16"),
            "the value begins as text in UTF-16; JSON is in UTF-8",
        ),
        (b'{"type": \xff}', "the value is no JSON: line 1: no text in UTF-8 at column 10"),
        (
            b'{"properties": "{\\"a\\": }"}',
            "the field `properties` holds no JSON: line 1: no JSON at column 7: Expecting value",
        ),
    ],
)
def test_what_is_wrong_with_json_is_told_as_it_is(value: bytes, detail: str) -> None:
    """The detail says what the value is, or where it ends to be JSON, and quotes nothing of it."""
    assert rejected(value) == detail


@pytest.mark.parametrize(
    "value", [b'{"type": "track", "n": -' + b"9" * 5_000 + b"}", b'{"n": ' + b"9" * 5_000 + b", NaN}"]
)
def test_a_number_of_thousands_of_digits_costs_no_more_than_itself(value: bytes) -> None:
    """A whole number that Python refuses to make is an infinity, which is dropped later; what else is wrong is told."""
    outcome = decode(record(value), {})

    if isinstance(outcome, dict):
        assert outcome == {"type": "track", "n": -float("inf")}
    else:
        assert outcome.reason is DeadLetterReason.MALFORMED


@pytest.mark.parametrize(
    "number",
    [
        *("0", "-0", "5", "-5", "9007199254740993", "9223372036854775807", "-9223372036854775808"),
        *("18446744073709551615", "18446744073709551616", "-9223372036854775809", "123456789012345678901"),
        *("99999999999999999999999", "12345678901234567890.1234567890", "1e23", "1.0", "4.2E1", "0.1", "1e-400"),
    ],
)
def test_what_stands_beside_a_number_does_not_change_it(number: str) -> None:
    """A record with a NaN, which orjson does not read, has the same meaning as one without, types included."""
    text = '{"userId": %s, "properties": {"n": %s, "list": [%s], "objects": [{"n": %s}], "ü": "\\u00e9"%s}}'
    plain = decode(record((text % (number, number, number, number, "")).encode()), {})
    beside = decode(record((text % (number, number, number, number, ', "nan": NaN')).encode()), {})

    assert isinstance(plain, dict)
    assert isinstance(beside, dict)
    assert str(beside["properties"].pop("nan")) == "nan"
    assert repr(beside) == repr(plain)


@pytest.mark.parametrize("end", [b'"\\u0000"', b"NaN", b'"\xff"', b'"\\ud800"'])
@pytest.mark.parametrize("depth", [10, 300, 600, 1_000, 5_000])
@pytest.mark.parametrize("opening", [b'{"a":', b"["])
def test_what_has_to_be_mended_may_be_of_any_depth(end: bytes, depth: int, opening: bytes) -> None:
    """What is mended may be nested as deeply as parsers go, which is deeper than Python's own recursion."""
    closing = b"}" if opening == b'{"a":' else b"]"
    outcome = decode(record(b'{"type": "track", "a": ' + opening * depth + end + closing * depth + b"}"), {})

    if depth < 700:
        assert isinstance(outcome, dict)
    elif not isinstance(outcome, dict):
        assert outcome == Rejected(DeadLetterReason.MALFORMED, "the value is no JSON: line 1: nested too deeply")


MARK = b"\xef\xbb\xbf"


def test_a_byte_order_mark_before_json_is_skipped() -> None:
    """JSON with a byte order mark is read as without it: by itself, as JSON text in Avro, behind a JSON Schema's id."""
    text = json.dumps(MESSAGE["properties"])

    assert decode(record(MARK + as_json(MESSAGE)), {}) == MESSAGE
    assert decode(record(as_json({**MESSAGE, "properties": "\ufeff" + text})), {}) == MESSAGE
    assert reader_of("", language="JSON")(PREFIX + MARK + as_json(MESSAGE)) == MESSAGE


Noted = list[tuple[str, str]]


def read_noted(value: bytes, schema: str | None = None) -> tuple[Any, Noted]:
    """Decode a value, and return what came of it and what was noted."""
    noted: Noted = []
    readers: dict[SchemaId, Reader] = {} if schema is None else {1: reader_of(schema)}
    return decode(record(value), readers, lambda rule, place: noted.append((rule.value, place))), noted


TEXTS = schema_with(
    {"name": "event", "type": ["null", "string"]},
    {"name": "properties", "type": {"type": "map", "values": ["null", "string", {"type": "array", "items": "string"}]}},
)


@pytest.mark.parametrize(
    ("bad", "good", "rule"),
    [
        ("M\xfcller", "M\ufffdller", "text_replaced"),
        ("\xc3\x28", "\ufffd(", "text_replaced"),
        ("\xed\xa0\x80", "\ufffd\ufffd\ufffd", "text_replaced"),
        ("a\0b", "ab", "nul_removed"),
        ("padded\0\0\0", "padded", "nul_removed"),
    ],
)
@pytest.mark.parametrize("shape", ["avro", "json"])
def test_a_text_that_cannot_be_sent_costs_nothing_else(bad: str, good: str, rule: str, shape: str) -> None:
    """Of a text, bytes that are not UTF-8 become U+FFFD and NULs are removed; each is noted, and the rest is whole."""
    properties = {"fine": "größe", "inner": bad, "many": ["a", bad], f"n-{bad}": "x"}
    message = {"type": "track", "userId": "u", "event": f"E {bad}", "properties": properties}
    if shape == "json":
        text = json.dumps(message, ensure_ascii=False)
        value = text.replace(bad, "\uffff").encode().replace("\uffff".encode(), bad.encode("latin-1"))
        value = value.replace(b"\0", b"\\u0000")
        given = None
    else:
        # fastavro writes text as UTF-8 alone: what stands for the bad bytes is as long as they are.
        room = "\x01" * len(bad)
        value = framed(TEXTS, json.loads(json.dumps(message).replace(json.dumps(bad)[1:-1], json.dumps(room)[1:-1])))
        value = value.replace(room.encode(), bad.encode("latin-1"))
        given = TEXTS
    event, noted = read_noted(value, given)

    name = f"n-{bad}" if "\0" in bad else f"n-{good}"  # a NUL goes with all that is illegal in names
    assert event == {
        "type": "track",
        "userId": "u",
        "event": f"E {good}",
        "properties": {"fine": "größe", "inner": good, "many": ["a", good], name: "x"},
    }
    assert noted == [(rule, each) for each in ("event", "inner", "many", name) if "\0" not in each]


@pytest.mark.parametrize("value", [b'{"a": "\xff", "b": "\\u0000"}', b'\xef\xbb\xbf{"a": "\xff", "b": "\\u0000"}'])
def test_json_text_in_avro_is_mended_within(value: bytes) -> None:
    """JSON text in a field of Avro that is not UTF-8 as a whole is read, and only its bad values change."""
    schema = schema_with({"name": "properties", "type": "string"})
    room = "\x01" * len(value)
    framed_value = framed(schema, {"type": "track", "userId": "u", "properties": room})
    event, noted = read_noted(framed_value.replace(room.encode(), value), schema)

    assert event["properties"] == {"a": "\ufffd", "b": ""}
    assert noted == [("text_replaced", "a"), ("nul_removed", "b")]


MICROS = {"type": "long", "logicalType": "timestamp-micros"}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
NANOS = {"type": "long", "logicalType": "timestamp-nanos"}
WHEN_MS, WHEN = 1_795_773_600_123, "2026-11-27T10:00:00.123Z"


@pytest.mark.parametrize(
    ("kind", "number", "is_noted"),
    [
        (MICROS, WHEN_MS * 1_000, False),
        (MICROS, WHEN_MS, True),
        (MICROS, WHEN_MS * 1_000_000, True),
        (MILLIS, WHEN_MS, False),
        (MILLIS, WHEN_MS * 1_000, True),
        (NANOS, WHEN_MS * 1_000_000, False),
        (NANOS, WHEN_MS, True),
    ],
)
def test_a_time_in_another_unit_than_declared_is_read_in_it(kind: Any, number: int, is_noted: bool) -> None:  # noqa: FBT001
    """Milliseconds that are declared to be microseconds, and the like, are the time that they are, and noted."""
    schema = schema_with(
        {"name": "timestamp", "type": kind},
        {
            "name": "properties",
            "type": {"type": "record", "name": "P", "fields": [{"name": "at", "type": ["null", kind]}]},
        },
    )
    value = framed(schema, {"type": "track", "userId": "u", "timestamp": 0, "properties": {"at": None}})
    event, noted = read_noted(value[:-2] + varint(number) + b"\2" + varint(number), schema)

    assert event["properties"] == {"at": WHEN}
    if kind is MILLIS:  # the event's own are judged by mapping, which gets numbers from JSON, too
        assert event["timestamp"] == number
    else:
        assert event["timestamp"] == WHEN_MS
    places = ["at"] if kind is MILLIS else ["timestamp", "at"]
    assert noted == ([("timestamp_unit", each) for each in places] if is_noted else [])


@pytest.mark.parametrize(
    ("kind", "number", "expected"),
    [
        (MICROS, 0, "1970-01-01T00:00:00.000Z"),
        (MICROS, 20 * 86_400_000_000, "1970-01-21T00:00:00.000Z"),
        (MICROS, (20 * 86_400 - 20_700) * 1_000_000, "1970-01-20T18:15:00.000Z"),
        (MICROS, -86_400_000_000, "1969-12-31T00:00:00.000Z"),
        (MILLIS, 253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (MILLIS, 5, "1970-01-01T00:00:00.005Z"),
    ],
)
def test_birthdays_and_the_end_of_all_times_stay_what_they_are(kind: Any, number: int, expected: str) -> None:
    """What may well be a time in the declared unit is left: a birthday of early 1970, the year 9999, an interval."""
    schema = schema_with({"name": "properties", "type": {"type": "map", "values": kind}})
    value = framed(schema, {"type": "track", "userId": "u", "properties": {}})
    event, noted = read_noted(value[:-1] + b"\2\4at" + varint(number) + b"\0", schema)

    assert (event["properties"], noted) == ({"at": expected}, [])


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("null", None, None),
        ("boolean", True, True),
        ("int", -(2**31), -(2**31)),
        ("long", 2**63 - 1, 2**63 - 1),
        ("long", -(2**63), -(2**63)),
        ("float", 1.5, 1.5),
        ("double", 99.95, 99.95),
        ("string", "größe 😀", "größe 😀"),
        ("string", "x" * 64, "x" * 64),
        ("bytes", b"\0\xff", "AP8="),
        ({"type": "string"}, "x", "x"),
        ({"type": "string", "logicalType": "uuid"}, "8d4f0c3e-0000-4000-8000-000000000000", None),
        ({"type": "long", "logicalType": "unheard-of"}, 5, 5),
        ({"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}, Decimal("-99.95"), -99.95),
        ({"type": "bytes", "logicalType": "decimal", "precision": 6}, Decimal(7), 7),
        ({"type": "fixed", "name": "F", "size": 8, "logicalType": "decimal", "precision": 9}, Decimal(7), 7),
        ({"type": "fixed", "name": "F", "size": 2}, b"\0\xff", "AP8="),
        ({"type": "int", "logicalType": "date"}, 19_000, "2022-01-08"),
        ({"type": "int", "logicalType": "time-millis"}, 3_600_001, "01:00:00.001000"),
        ({"type": "long", "logicalType": "time-micros"}, 1, "00:00:00.000001"),
        ({"type": "long", "logicalType": "timestamp-millis"}, 1_424_730_535_111, 1_424_730_535_111),
        ({"type": "long", "logicalType": "timestamp-micros"}, 1_424_730_535_111_000, 1_424_730_535_111),
        ({"type": "long", "logicalType": "timestamp-micros"}, 1_424_730_535_111_999, "2015-02-23T22:28:55.111999Z"),
        ({"type": "long", "logicalType": "timestamp-nanos"}, 1_424_730_535_111_000_000, 1_424_730_535_111),
        (
            {"type": "long", "logicalType": "timestamp-nanos"},
            10**9 * 1_424_730_535 + 5,
            "2015-02-23T22:28:55.000000005Z",
        ),
        (
            {"type": "long", "logicalType": "local-timestamp-micros"},
            1_424_730_535_111_999,
            "2015-02-23T22:28:55.111999",
        ),
        ({"type": "long", "logicalType": "local-timestamp-millis"}, 1_424_730_535_111, 1_424_730_535_111),
        ({"type": "enum", "name": "E", "symbols": ["a", "b"]}, "b", "b"),
        ({"type": "array", "items": "int"}, [1, 2, 3], [1, 2, 3]),
        ({"type": "map", "values": ["null", "long", "string"]}, {"a": 1, "b": None, "c": "x"}, None),
        (["null", "string"], None, None),
        (["null", "string"], "x", "x"),
        (["string", "null"], None, None),
        ({"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]}, {"a": 1}, {"a": 1}),
    ],
)
def test_every_type_becomes_what_json_has_for_it(kind: Any, value: Any, expected: Any) -> None:
    """Each Avro type becomes a JSON type; the timestamps of the event itself become milliseconds."""
    wanted = value if expected is None else expected

    assert read_extra(kind, value) == wanted
    assert type(read_extra(kind, value)) is type(wanted)


def read_bytes(kind: Any, body: bytes) -> Any:
    """Return what the worker reads of bytes that are a value of this type."""
    event = every_field(extra(kind))(PREFIX + b"\x0atrack\2u" + body)
    return event["extra"] if isinstance(event, dict) else event


def sized(body: bytes) -> bytes:
    """Return bytes as Avro writes them."""
    return varint(len(body)) + body


@pytest.mark.parametrize(
    "number", [0.0, 1.5, 12.34, 0.1, -99.95, 16777216.0, 1.1754944e-38, 3.4028235e38, float("inf")]
)
def test_a_float_keeps_the_digits_that_its_writer_printed(number: float) -> None:
    """32 bits become the number with the fewest digits that they can be, as Java, Go and Rust print them."""
    assert read_bytes("float", struct.pack("<f", number)) == number


def test_any_float_reads_back_as_its_own_bytes() -> None:
    """No digits are cut that tell one float from another."""
    chance = random.Random(20_261_128)
    for _ in range(2_000):
        body = chance.randbytes(4)
        read = read_bytes("float", body)
        assert math.isnan(read) or struct.pack("<f", read) == body


@pytest.mark.parametrize("number", [42, -1, 9_007_199_254_740_993, 12_345_678_901_234_567_890, 10**30])
def test_a_decimal_without_a_fraction_is_a_whole_number_with_all_its_digits(number: int) -> None:
    """Connect writes Oracle's NUMBER(20,0) so; as a real it would lose digits."""
    kind = {"type": "bytes", "logicalType": "decimal", "precision": 40, "scale": 0}
    read = read_bytes(kind, sized(number.to_bytes(17, "big", signed=True)))

    assert (read, type(read)) == (number, int)


BIG_DECIMAL = {"type": "bytes", "logicalType": "big-decimal"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (bytes.fromhex("0a06ed297904"), -12345.67),  # as Avro 1.12.2 for Java wrote it
        (sized(sized(b"\x2a") + varint(0)), 42),
        (sized(sized(b"\x2a") + varint(-3)), 42_000),
        (sized(sized(b"") + varint(2)), 0),
    ],
)
def test_a_big_decimal_is_a_number(body: bytes, expected: float) -> None:
    """Java's decimal with a scale of its own is the number that it is."""
    assert read_bytes(BIG_DECIMAL, body) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x08\x2a",
        sized(b"\x2a"),
        sized(b"\x2a") + varint(2) + b"x",
    ],
)
def test_a_big_decimal_that_misleads_is_malformed(body: bytes) -> None:
    """Bytes that contradict the form are of no schema."""
    outcome = read_bytes(BIG_DECIMAL, sized(body))

    assert isinstance(outcome, Rejected)
    assert outcome.reason is DeadLetterReason.MALFORMED


@pytest.mark.parametrize(
    ("unscaled", "scale", "expected"),
    [
        (b"\x2a", 2**40, math.nan),
        (b"\x2a", -(2**40), math.nan),
        (b"\x2a" * 1_000_000, 0, math.nan),
        (b"\x2a" * 130, 0, math.inf),
        (b"\xaa" * 130, 0, -math.inf),
        (b"\x2a" * 130, 1, math.inf),
        (b"\x2a", -1_000, math.inf),
        (b"\x2a" * 120, 287, int.from_bytes(b"\x2a" * 120, "big") / 10**287),
        (b"\x2a", 700, 0.0),
        (b"\0" * 500 + b"\x2a", 0, 42),
    ],
)
def test_a_decimal_beyond_all_reals_costs_the_event_nothing_else(unscaled: bytes, scale: int, expected: float) -> None:
    """A decimal that no number of JSON can be is none, which mapping drops and counts; it costs no time either."""
    read = read_bytes(BIG_DECIMAL, sized(sized(unscaled) + varint(scale)))

    assert read == pytest.approx(expected, nan_ok=True, rel=1e-3)


@pytest.mark.parametrize(
    ("months", "days", "milliseconds", "expected"),
    [(1, 2, 3_000, "P1M2DT3S"), (0, 0, 0, "P0M0DT0S"), (0, 40, 61_005, "P0M40DT61.005S")],
)
def test_a_duration_is_iso_8601(months: int, days: int, milliseconds: int, expected: str) -> None:
    """Avro's three numbers stand side by side, for a month has no fixed number of days."""
    kind = {"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"}

    assert read_bytes(kind, struct.pack("<III", months, days, milliseconds)) == expected


def test_a_timestamp_inside_a_record_is_iso_8601() -> None:
    """A timestamp among the properties becomes ISO 8601 text, or nothing if it has no such form."""
    moment = {"type": "long", "logicalType": "timestamp-millis"}
    kind = {"type": "record", "name": "R", "fields": [{"name": "at", "type": ["null", moment]}]}

    assert read_extra(kind, {"at": 1_424_730_535_111}) == {"at": "2015-02-23T22:28:55.111Z"}
    assert read_extra({"type": "map", "values": moment}, {"at": 5 * 10**16}) == {"at": None}


@pytest.mark.parametrize(
    ("logical", "number", "expected"),
    [
        ("timestamp-micros", 1_424_730_535_111_000, "2015-02-23T22:28:55.111Z"),
        ("timestamp-micros", 1_424_730_535_111_999, "2015-02-23T22:28:55.111999Z"),
        ("timestamp-nanos", 1_424_730_535_111_999_001, "2015-02-23T22:28:55.111999001Z"),
        ("local-timestamp-millis", 1_424_730_535_111, "2015-02-23T22:28:55.111"),
        ("local-timestamp-micros", 1_424_730_535_111_999, "2015-02-23T22:28:55.111999"),
    ],
)
def test_a_timestamp_inside_a_record_keeps_its_digits_and_has_the_zone_that_it_has(
    logical: str, number: int, expected: str
) -> None:
    """Nothing below the millisecond is lost, and a local timestamp gets no zone."""
    kind = {"type": "map", "values": {"type": "long", "logicalType": logical}}

    value = framed(extra(kind), {"type": "track", "userId": "u", "extra": {}})
    assert every_field(extra(kind))(value[:-1] + b"\2\4at" + varint(number) + b"\0") == {
        "type": "track",
        "userId": "u",
        "extra": {"at": expected},
    }


def test_a_uuid_may_be_16_bytes() -> None:
    """A UUID of 16 bytes becomes text as in Avro 1.12; a fixed of another size stays bytes."""
    uuid = UUID("8d4f0c3e-0000-4000-8000-000000000000")
    value = b"\x0atrack\2u"

    whole = every_field(extra({"type": "fixed", "name": "F", "size": 16, "logicalType": "uuid"}))
    odd = every_field(extra({"type": "fixed", "name": "F", "size": 1, "logicalType": "uuid"}))

    assert whole(PREFIX + value + uuid.bytes) == {"type": "track", "userId": "u", "extra": str(uuid)}
    assert odd(PREFIX + value + b"a") == {"type": "track", "userId": "u", "extra": "YQ=="}


def test_a_named_type_is_known_wherever_it_is_named_again() -> None:
    """A named type is found by its short name, by its full name and inside of itself."""
    node: dict[str, Any] = {"type": "record", "name": "Node", "namespace": "a.b", "fields": []}
    node["fields"] = [{"name": "next", "type": ["null", "Node"]}]
    schema = schema_with(
        {"name": "first", "type": node},
        {"name": "second", "type": "a.b.Node"},
        {"name": "size", "type": {"type": "enum", "name": "Size", "symbols": ["S", "M"]}},
        {"name": "other", "type": ["null", "Size"]},
        {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 1}},
        {"name": "hashes", "type": {"type": "array", "items": "Hash"}},
    )
    written = {
        "type": "track",
        "userId": "u",
        "first": {"next": {"next": {"next": None}}},
        "second": {"next": None},
        "size": "M",
        "other": "S",
        "hash": b"a",
        "hashes": [b"b"],
    }

    assert every_field(schema)(framed(schema, written)) == {**written, "hash": "YQ==", "hashes": ["Yg=="]}


@pytest.mark.parametrize("kind", [["null", "string"], {"type": "enum", "name": "T", "symbols": ["identify", "track"]}])
def test_the_type_may_be_nullable_or_an_enum(kind: Any) -> None:
    """The message's type is read as text from a field that is nullable or an enum."""
    schema = json.dumps(
        {
            "type": "record",
            "name": "Event",
            "fields": [{"name": "type", "type": kind}, {"name": "anonymousId", "type": "string"}],
        }
    )
    event = {"type": "track", "anonymousId": "a"}

    assert every_field(schema)(framed(schema, event)) == event


def test_a_timestamp_may_be_one_of_several_types() -> None:
    """In a union, only the branch with a logical timestamp type is converted to milliseconds."""
    moment = {"type": "long", "logicalType": "timestamp-micros"}
    schema = schema_with({"name": "timestamp", "type": ["null", moment, "string"]})

    for written, read in ((5_000, 5), ("2015-02-23", "2015-02-23"), (None, None)):
        event = every_field(schema)(framed(schema, {"type": "track", "userId": "u", "timestamp": written}))
        assert isinstance(event, dict)
        assert event["timestamp"] == read


def test_free_form_parts_may_be_maps_and_records() -> None:
    """Typed maps, maps of strings and nested records give the same event as JSON text."""
    values = ["null", "boolean", "long", "double", "string", {"type": "array", "items": ["long", "string"]}]
    seats = {"type": "record", "name": "Seats", "fields": [{"name": "seats", "type": "int"}]}
    schema = schema_with(
        {"name": "traits", "type": {"type": "map", "values": [*values, seats]}},
        {"name": "integrations", "type": {"type": "map", "values": "string"}},
    )
    event = {
        "type": "identify",
        "userId": "u",
        "traits": {"plan": "premium", "logins": 5, "ids": [1, "x"], "limits": {"seats": 5}, "gone": None},
        "integrations": {"All": "false"},
    }

    assert every_field(schema)(framed(schema, event)) == event


NODE = {"type": "record", "name": "N", "fields": [{"name": "next", "type": ["null", "N"]}]}
ENDLESS = {"type": "record", "name": "N", "fields": [{"name": "next", "type": "N"}]}
NOTHING = {"type": "record", "name": "N", "fields": [{"name": "nothing", "type": "null"}]}
HUGE = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        pytest.param("string", HUGE + b"x", id="a length beyond the value"),
        pytest.param("string", b"\x80\x80\x80\x80\x10", id="a length of 4 GB"),
        pytest.param("string", b"\x01", id="a negative length"),
        pytest.param("string", b"\x0bxxxxxxxxxxxxxxx", id="a negative length that points into the value"),
        pytest.param("long", b"\xff" * 1_000_000, id="an endless number"),
        pytest.param("long", b"\xff" * 10 + b"\0", id="a number of eleven bytes"),
        pytest.param("double", b"\0\0", id="a cut real"),
        pytest.param("boolean", b"\2", id="a boolean that is neither"),
        pytest.param(["null", "string"], b"\4", id="a union's branch that there is not"),
        pytest.param(["null", "string"], b"\1\2x", id="a union's negative branch"),
        pytest.param(["null", "string"], b"\xff\x01\2x", id="a union's negative branch in two bytes"),
        pytest.param({"type": "enum", "name": "E", "symbols": ["a"]}, b"\2", id="a symbol that there is not"),
        pytest.param({"type": "enum", "name": "E", "symbols": ["a"]}, b"\1", id="a negative symbol"),
        pytest.param({"type": "fixed", "name": "F", "size": 10**12}, b"x", id="a fixed beyond the value"),
        pytest.param({"type": "array", "items": "int"}, HUGE + b"\2", id="an array beyond the value"),
        pytest.param({"type": "array", "items": "null"}, HUGE + b"\0", id="an array of nulls"),
        pytest.param({"type": "array", "items": NOTHING}, HUGE + b"\0", id="an array of empty records"),
        pytest.param({"type": "map", "values": "null"}, HUGE + b"\2x", id="a map beyond the value"),
        pytest.param(NODE, b"\2" * 1_000_000, id="a million nested records"),
        pytest.param(ENDLESS, b"\2" * 10, id="a record that always holds itself"),
    ],
)
def test_bytes_that_would_mislead_a_trusting_reader_are_malformed(kind: Any, value: bytes) -> None:
    """No length, count, depth or number in the bytes costs more than the bytes themselves."""
    outcome = every_field(extra(kind))(PREFIX + b"\x0atrack\2u" + value)

    assert isinstance(outcome, Rejected)
    assert outcome.reason is DeadLetterReason.MALFORMED


@pytest.mark.parametrize("read", [every_field, reader_of])
def test_values_nest_as_deep_as_they_may_and_no_deeper(read: Callable[[str], Reader]) -> None:
    """The bound is one for what is read and for what is passed over, and it is told in words."""
    schema = extra(NODE)

    allowed, refused = (
        read(schema)(PREFIX + b"\x0atrack\2u" + b"\2" * (levels - 1) + b"\0")
        for levels in (MAX_DEPTH - 1, MAX_DEPTH + 1)
    )

    assert isinstance(allowed, dict)
    assert refused == Rejected(
        DeadLetterReason.MALFORMED,
        "the bytes contradict the schema: more than 200 records, arrays and maps are nested in it",
    )


DATE = {"type": "int", "logicalType": "date"}
TIME_MILLIS = {"type": "int", "logicalType": "time-millis"}
TIME_MICROS = {"type": "long", "logicalType": "time-micros"}


@pytest.mark.parametrize(
    ("kind", "number", "expected"),
    [
        (DATE, 2_932_896, "9999-12-31"),
        (DATE, 2_932_897, None),
        (DATE, -719_162, "0001-01-01"),
        (DATE, -719_163, None),
        (DATE, 2**31 - 1, None),
        (TIME_MILLIS, 86_399_999, "23:59:59.999000"),
        (TIME_MILLIS, 86_400_000, None),
        (TIME_MILLIS, -1, None),
        (TIME_MICROS, 86_399_999_999, "23:59:59.999999"),
        (TIME_MICROS, 2**62, None),
        (MILLIS, -(2**62), None),
        (MICROS, -(2**62), None),
        (NANOS, -(2**63), "1677-09-21T00:12:43.145224192Z"),
    ],
)
def test_a_time_beyond_all_calendars_is_null_and_counted(kind: Any, number: int, expected: str | None) -> None:
    """What ISO 8601 has no form for is dropped, noted with its place, and costs the event nothing else.

    Java's LocalDate goes to the year 5,881,580 (Avro 1.12.2).
    """
    schema = schema_with({"name": "properties", "type": {"type": "map", "values": kind}})
    value = framed(schema, {"type": "track", "userId": "u", "properties": {}})
    event, noted = read_noted(value[:-1] + b"\2\4at" + varint(number) + b"\0", schema)

    assert event == {"type": "track", "userId": "u", "properties": {"at": expected}}
    assert noted == ([] if expected else [("time_out_of_range", "")])


def test_the_events_own_time_beyond_all_calendars_counts_as_absent() -> None:
    """The clock of the client takes its place, as for a time that cannot be read."""
    schema = schema_with(*({"name": name, "type": MICROS} for name in ("timestamp", "sentAt", "receivedAt")))
    value = framed(schema, {"type": "track", "userId": "u", "timestamp": 0, "sentAt": 5_000, "receivedAt": 6_000})
    event, noted = read_noted(value.replace(b"u\0", b"u" + varint(-(2**62) - 1)), schema)

    assert event == {"type": "track", "userId": "u", "timestamp": None, "sentAt": 5, "receivedAt": 6}
    assert noted == [("time_out_of_range", "timestamp")]


def test_a_contradiction_is_told_without_the_value() -> None:
    """The detail of a rejection quotes nothing of the record, because it goes into headers."""
    read = every_field(extra("string"))

    assert read(PREFIX + b"\x0atrack\2u" + b"\x08abc") == Rejected(
        DeadLetterReason.MALFORMED, "the bytes contradict the schema: a length points outside of the value"
    )
    assert every_field(extra("boolean"))(PREFIX + b"\x0atrack\2u\2") == Rejected(
        DeadLetterReason.MALFORMED, "the bytes contradict the schema: IndexError"
    )


def test_blocks_may_say_their_size() -> None:
    """Arrays and maps are read if they come in several blocks, or in blocks that state their size."""
    value = PREFIX + b"\x0atrack\2u" + b"\x01\x02\x02" + b"\x02\x04" + b"\0"

    assert every_field(extra({"type": "array", "items": "int"}))(value) == {
        "type": "track",
        "userId": "u",
        "extra": [1, 2],
    }


def test_a_union_may_have_more_branches_than_fit_a_byte() -> None:
    """A union's branch is found even if its number takes more than one byte."""
    branches = [{"type": "fixed", "name": f"F{number}", "size": 1} for number in range(70)]
    value = PREFIX + b"\x0atrack\2u" + b"\x88\x01" + b"a"

    assert every_field(extra(branches))(value) == {"type": "track", "userId": "u", "extra": "YQ=="}


@pytest.mark.parametrize(
    "schema",
    [
        "",
        "no JSON",
        "null",
        "5",
        '"long"',
        "[]",
        '["null"]',
        "{}",
        '{"type": "record"}',
        '{"type": "record", "name": "E"}',
        '{"type": "record", "name": "E", "fields": 5}',
        '{"type": "record", "name": "E", "fields": [5]}',
        '{"type": "record", "name": "E", "fields": [{"name": "type"}]}',
        '{"type": "array", "items": "string"}',
        '{"type": "enum", "name": "E", "symbols": ["a"]}',
        schema_with({"name": 5, "type": "string"}),
        schema_with({"name": ["x"], "type": "string"}),
        schema_with({"name": "x", "type": "nowhere.Defined"}),
        schema_with({"name": "x", "type": {"type": "enum", "name": "E", "symbols": [5]}}),
        schema_with().replace("userId", "user"),
        schema_with().replace('"type", "type"', '"kind", "type"').replace('"name": "type"', '"name": "kind"'),
        '{"type": "array", "items": ' * 500 + '"int"' + "}" * 500,
        "[" * 100_000,
        json.dumps({**json.loads(schema_with()), "__fastavro_parsed": True, "fields": "x"}),
    ],
)
def test_a_schema_of_something_else_rejects_every_record(schema: str) -> None:
    """A schema of no Segment message is found unsuitable once, and each of its records is rejected with that."""
    outcome = every_field(schema)(PREFIX + b"\x0atrack\2u")

    assert isinstance(outcome, Rejected)
    assert outcome.reason is DeadLetterReason.UNSUITABLE_SCHEMA


def test_a_schema_without_text_for_a_name_is_replaced_like_other_text() -> None:
    """A lone surrogate in a field's name is replaced, so that its events can be written."""
    event = every_field(schema_with({"name": "\ud800", "type": "null"}))(PREFIX + b"\x0atrack\2u")

    assert event == {"type": "track", "userId": "u", "\ufffd": None}


def test_the_ids_of_records_are_those_that_decoding_looks_up() -> None:
    """Each schema id is listed once; JSON, tombstones and cut prefixes have none."""
    values = [b"\0\0\0\0\7x", b"\0\0\0\0\7y", b"\0\0\0\1\0", b"\0\0\0\0", b"{}", b"", None]

    assert schema_ids([record(value) for value in values]) == {7, 256}


def test_the_shipped_schemas_are_suitable() -> None:
    """Each shipped schema that has a user decodes the message it was made for."""
    for name in ("identify", "track", "page", "screen"):
        event = every_field(shipped(name))(framed(shipped(name), {"type": name, "messageId": "m", "event": "e"}))
        assert isinstance(event, dict)
        assert event["type"] == name


def test_fields_that_nobody_reads_are_passed_over() -> None:
    """Fields that mapping does not use are skipped, whatever their type, and those behind them are read."""
    passed: list[dict[str, Any]] = [
        {"name": "ordinal", "type": "long"},
        {"name": "storedAt", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]},
        {"name": "note", "type": ["null", "string"]},
        {"name": "channel", "type": "string"},
        {"name": "more", "type": {"type": "array", "items": "int"}},
        {"name": "anonymousId", "type": "string"},
    ]
    given = {"type": "track", "userId": "u", "ordinal": -(2**63), "storedAt": 1, "note": "x" * 9_000}
    given |= {"channel": "server", "more": [1, 2], "anonymousId": "a" * 70}
    schema = schema_with(*passed)

    assert reader_of(schema)(framed(schema, given)) == {"type": "track", "userId": "u", "anonymousId": "a" * 70}


def test_a_number_without_an_end_is_malformed_also_where_it_is_passed_over() -> None:
    """Skipping a field reads no more bytes of a number than a number may have."""
    schema = schema_with({"name": "ordinal", "type": "long"})

    outcome = reader_of(schema)(PREFIX + b"\x0atrack\2u" + b"\xff" * 11)

    assert isinstance(outcome, Rejected)


UNREAD: dict[str, tuple[Any, bytes]] = {
    "a date beyond all calendars": (DATE, varint(2**31 - 1)),
    "a time of day beyond a day": (TIME_MICROS, varint(2**62)),
    "a timestamp beyond all calendars": (MICROS, varint(-(2**62))),
    "a decimal of a megabyte": ({"type": "bytes", "logicalType": "decimal", "precision": 9}, sized(b"\x77" * 10**6)),
    "no big-decimal": ({"type": "bytes", "logicalType": "big-decimal"}, sized(b"\x77")),
    "text that is no UTF-8": ("string", sized(b"\xff\0")),
    "a boolean that is neither": ("boolean", b"\5"),
    "a symbol that there is not": ({"type": "enum", "name": "E", "symbols": ["a"]}, b"\5"),
    "an array of more values than are read": ({"type": "array", "items": "int"}, varint(200_000) + b"\0" * 200_001),
    "more nulls than there are bytes": ({"type": "array", "items": "null"}, varint(2**62) + b"\0"),
    "a block that says its size": ({"type": "map", "values": "long"}, varint(-5) + varint(7) + b"\xff" * 7 + b"\0"),
    "a map": ({"type": "map", "values": "double"}, varint(1) + sized(b"x") + b"\xff" * 8 + b"\0"),
    "one of a union": (["int", "float", "string"], b"\2" + b"\xff" * 4),
    "nothing": ("null", b""),
    "records in records": (
        {
            "type": "array",
            "items": {
                "type": "record",
                "name": "R",
                "fields": [
                    {"name": "a", "type": "float"},
                    {"name": "b", "type": "double"},
                    {"name": "c", "type": ["null", "R"]},
                    {"name": "d", "type": {"type": "fixed", "name": "F", "size": 3}},
                    {"name": "e", "type": "F"},
                ],
            },
        },
        varint(1) + b"\xff" * 12 + b"\2" + b"\xff" * 12 + b"\0" + b"\xff" * 12 + b"\0",
    ),
}


@pytest.mark.parametrize("name", UNREAD)
@pytest.mark.parametrize("is_nullable", [False, True])
def test_a_field_that_nobody_reads_rejects_nothing(name: str, is_nullable: bool) -> None:  # noqa: FBT001
    """What nobody reads is passed over by its shape, whatever it says, and what stands behind it is read."""
    kind, body = UNREAD[name]
    kind = ["null", kind] if is_nullable and kind != "null" and not isinstance(kind, list) else kind
    body = b"\2" + body if isinstance(kind, list) and kind[0] == "null" else body
    schema = schema_with({"name": "unread", "type": kind}, {"name": "event", "type": "string"})

    for size in (1, 3):
        text = "E" * size
        assert reader_of(schema)(PREFIX + sized(b"track") + sized(b"u") + body + sized(text.encode())) == {
            "type": "track",
            "userId": "u",
            "event": text,
        }


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("double", b"\0" * 7),
        ("bytes", varint(-1)),
        ("string", HUGE),
        (["int", "string"], varint(-1)),
        (["int", "float", "string"], b"\6"),
        ({"type": "array", "items": "int"}, HUGE + b"\2"),
        ({"type": "array", "items": "boolean"}, HUGE + b"\2"),
        ({"type": "array", "items": "boolean"}, varint(-1) + varint(-9) + b"\2"),
        ({"type": "map", "values": "null"}, HUGE + b"\2x"),
        (NODE, b"\2" * 1_000_000),
        (ENDLESS, b"\2" * 10),
        ({"type": "fixed", "name": "F", "size": 10**12}, b"x"),
    ],
)
def test_bytes_without_the_shape_are_malformed_also_where_they_are_passed_over(kind: Any, body: bytes) -> None:
    """Nothing is passed over that is not there, and no count costs more than the bytes themselves."""
    outcome = reader_of(extra(kind))(PREFIX + sized(b"track") + sized(b"u") + body)

    assert isinstance(outcome, Rejected)
    assert outcome.reason is DeadLetterReason.MALFORMED


def test_a_field_may_have_any_name() -> None:
    """A field's name is never taken for code, whatever it holds."""
    names = ["a'b", 'a"b', "a\nb", "{a}", "\\", "'''", "decoded"]
    schema = schema_with(*({"name": name, "type": ["null", "string"]} for name in names))
    given = {"type": "track", "userId": "u"} | {name: f"value of {name}" for name in names}

    assert every_field(schema)(framed(schema, given)) == given


@pytest.mark.parametrize(
    ("timestamp", "is_timed"),
    [
        (1_424_730_535_111, True),
        (None, False),
        (-1, True),
        (2**62, True),
        ("2015-02-23T22:28:55Z", True),
        ("yesterday", False),
        ("", False),
    ],
)
def test_the_clients_clock_is_read_where_there_is_no_time(timestamp: Any, is_timed: bool) -> None:  # noqa: FBT001
    """The three fields of the client's clock are decoded for an event that has no timestamp."""
    clocks: dict[str, Any] = {"originalTimestamp": 5, "sentAt": 6, "receivedAt": None}
    schema = schema_with(
        {"name": "timestamp", "type": ["null", "string", "long"]},
        *({"name": name, "type": ["null", "long"]} for name in clocks),
    )
    given = {"type": "track", "userId": "u", "timestamp": timestamp}

    reads_no_more = is_timed and not is_compiled()  # compiled, to read them costs less than to read twice
    assert reader_of(schema)(framed(schema, given | clocks)) == given | ({} if reads_no_more else clocks)
    assert every_field(schema)(framed(schema, given | clocks)) == given | clocks
    assert reader_of(schema, {"type"})(framed(schema, given | clocks)) == {"type": "track"}  # who asks for no time
