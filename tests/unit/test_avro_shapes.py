"""Shapes: whatever form a schema gives a Segment message, the event is the same."""

import json
from decimal import Decimal
from typing import Any

import pytest

from processor.events.avro import decode, reader_of
from processor.model.outcomes import Rejected
from processor.model.reasons import DeadLetterReason
from tests.properties.segment import as_json, framed, record
from tests.properties.shapes import (
    JSON_RECORD,
    MESSAGE,
    PROPERTIES,
    SHAPES,
    UNION,
    Json,
    message_schema,
    with_properties,
)


def read(schema: Any, written: Any) -> Any:
    """Write an event as a producer would, and return what the worker reads."""
    return reader_of(json.dumps(schema))(framed(json.dumps(schema), written))


@pytest.mark.parametrize(("schema", "written"), SHAPES.values(), ids=SHAPES.keys())
def test_each_shape_gives_the_same_event(schema: Any, written: Any) -> None:
    """What a message says does not depend on the schema that it was written with."""
    assert read(schema, written) == MESSAGE


def test_a_map_of_strings_holds_texts() -> None:
    """Every value of a map of strings stays text; no type is guessed."""
    texts = {"plan": "premium", "seats": "5"}

    assert read(message_schema({"type": "map", "values": "string"}), with_properties(texts)) == with_properties(texts)


def test_json_behind_a_framing_is_read() -> None:
    """JSON behind a framing prefix is read, as Confluent's serializer for JSON Schema writes it."""
    value = b"\0\0\0\0\1" + as_json(MESSAGE)

    assert decode(record(value), {1: reader_of('{"oneOf": []}', language="JSON")}) == MESSAGE


def test_a_recursive_record_that_is_no_json_stays_a_record() -> None:
    """A recursive record that does not wrap JSON values keeps the names of its fields."""
    node = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
    tree: Json = {"type": "record", "name": "Tree", "fields": []}
    tree["fields"] = [{"name": "size", "type": "int"}, {"name": "parts", "type": {"type": "array", "items": "Tree"}}]
    properties = {"type": "record", "name": "P", "fields": [{"name": "n", "type": node}, {"name": "t", "type": tree}]}
    written = {"n": {"next": {"next": None}}, "t": {"size": 1, "parts": [{"size": 2, "parts": []}]}}

    assert read(message_schema(properties), with_properties(written)) == with_properties(written)


MICROS = "2015-02-23T22:28:55.111999"


def test_logical_types_inside_of_properties() -> None:
    """Among the properties, times become ISO 8601, decimals numbers, ids and symbols text, and bytes base64."""
    kinds = {
        "at": ({"type": "long", "logicalType": "timestamp-millis"}, 1_424_730_535_111, "2015-02-23T22:28:55.111Z"),
        "micros": ({"type": "long", "logicalType": "timestamp-micros"}, 1_424_730_535_111_999, MICROS + "Z"),
        "local": ({"type": "long", "logicalType": "local-timestamp-micros"}, 1_424_730_535_111_999, MICROS),
        "day": ({"type": "int", "logicalType": "date"}, 16_489, "2015-02-23"),
        "time": ({"type": "int", "logicalType": "time-millis"}, 3_600_000, "01:00:00"),
        "amount": (
            {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2},
            Decimal("99.95"),
            99.95,
        ),
        "id": ({"type": "string", "logicalType": "uuid"}, "8d4f0c3e-0000-4000-8000-000000000000", None),
        "size": ({"type": "enum", "name": "Size", "symbols": ["S", "M"]}, "M", "M"),
        "hash": ({"type": "fixed", "name": "Hash", "size": 2}, b"\0\xff", "AP8="),
        "raw": ("bytes", b"\0\xff", "AP8="),
    }
    fields = [{"name": name, "type": kind} for name, (kind, _, _) in kinds.items()]
    expected = {name: given if read_as is None else read_as for name, (_, given, read_as) in kinds.items()}

    event = read(
        message_schema({"type": "record", "name": "P", "fields": fields}),
        with_properties({name: given for name, (_, given, _) in kinds.items()}),
    )

    assert event == with_properties(expected)


@pytest.mark.parametrize(
    ("user", "anonymous", "moment"),
    [
        ("user_id", "anonymous_id", "timestamp"),
        ("UserID", "AnonymousID", "Timestamp"),
        ("USER_ID", "ANONYMOUS_ID", "TIMESTAMP"),
    ],
)
def test_fields_may_be_written_in_another_case(user: str, anonymous: str, moment: str) -> None:
    """Segment's fields are known with and without underscores, in Avro and in JSON."""
    fields = {"type": "string", user: "string", anonymous: "string", moment: "string", "event": "string"}
    schema = {"type": "record", "name": "T", "fields": [{"name": name, "type": kind} for name, kind in fields.items()]}
    written = {"type": "track", user: "u", anonymous: "a", moment: "2015-02-23", "event": "E"}
    expected = {"type": "track", "userId": "u", "anonymousId": "a", "timestamp": "2015-02-23", "event": "E"}

    assert read(schema, written) == expected
    assert decode(record(as_json(written)), {}) == expected


def test_names_inside_of_properties_are_the_senders() -> None:
    """Names inside of traits and properties stay as the sender wrote them."""
    written = {"user_id": "other"}

    assert read(message_schema({"type": "map", "values": "string"}), with_properties(written)) == with_properties(
        written
    )
    assert decode(record(as_json(with_properties(written))), {}) == with_properties(written)


def test_an_exact_name_comes_before_others_and_those_before_an_alias() -> None:
    """An exact field name wins over one in another case, and that one over an alias."""
    both = message_schema("string", user_id="string")
    aliased = message_schema("string", customer="string")
    aliased["fields"][-1]["aliases"] = ["userId"]
    cased = message_schema("string", customer="string")
    cased["fields"][1] = {"name": "user_id", "type": "string"}
    cased["fields"][-1]["aliases"] = ["userId"]

    assert read(both, {**with_properties("{}"), "user_id": "x"})["userId"] == "u"
    assert read(aliased, {**with_properties("{}"), "customer": "x"})["userId"] == "u"
    written = {**with_properties("{}"), "customer": "x", "user_id": "y"}
    assert read(cased, {name: written[name] for name in written if name != "userId"})["userId"] == "y"
    mixed = {"type": "track", "userId": "u", "user_id": "x", "event": "E"}
    assert decode(record(as_json(mixed)), {}) == mixed


@pytest.mark.parametrize("alias", ["userId", "user_id", "com.acme.userId"])
def test_a_renamed_field_is_known_by_its_alias(alias: str) -> None:
    """A field is found by the alias that the writer's schema gives it."""
    schema = message_schema("string")
    schema["fields"][1] = {"name": "customer", "type": "string", "aliases": [alias]}
    written = {"type": "track", "customer": "u", "event": "Signed Up", "properties": json.dumps(PROPERTIES)}

    assert read(schema, written) == MESSAGE


def test_several_types_of_event_may_share_a_topic() -> None:
    """A union of records is read by its branch, and a branch that is no message is named."""
    track = framed(json.dumps(UNION), ("com.acme.Track", with_properties("{}")))
    identify = framed(
        json.dumps(UNION), ("com.acme.Identify", {"type": "identify", "anonymousId": "a", "traits": "{}"})
    )
    other = framed(json.dumps(UNION), ("com.acme.Other", {"amount": 5}))
    reader = reader_of(json.dumps(UNION))

    assert reader(track) == with_properties({})
    assert reader(identify) == {"type": "identify", "anonymousId": "a", "traits": {}}
    assert unsuitable(reader(other)).startswith("the schema com.acme.Other is no Segment message's: it has no field")
    assert "type null" in unsuitable(reader(framed(json.dumps(UNION), None)))


@pytest.mark.parametrize(
    ("kind", "written", "read_as"),
    [
        ("double", 42.0, 42.0),
        (["null", "float"], 42.0, 42.0),
        ({"type": "bytes", "logicalType": "decimal", "precision": 20}, Decimal(42), 42),
        ({"type": "fixed", "name": "F", "size": 9, "logicalType": "decimal", "precision": 20}, Decimal(42), 42),
    ],
)
def test_ids_and_names_may_be_numbers_of_any_type(kind: Any, written: Any, read_as: Any) -> None:
    """A schema is suitable whatever type of number it has for them, as Spark and Connect write (Oracle's NUMBER)."""
    schema = without("userId", "event", userId=kind, event="long")

    event = read(schema, {**with_properties("{}"), "userId": written, "event": 404})

    assert (event["userId"], event["event"]) == (read_as, 404)


@pytest.mark.parametrize("tail", [b"", b"\x08", b"\x01", b"\xff" * 11])
def test_a_branch_that_there_is_not_is_malformed(tail: bytes) -> None:
    """A branch number that the union does not have makes the value malformed."""
    outcome = reader_of(json.dumps(UNION))(b"\0\0\0\0\1" + tail)

    assert isinstance(outcome, Rejected)
    assert outcome.reason is DeadLetterReason.MALFORMED


def unsuitable(outcome: Any) -> str:
    """Return what an unsuitable schema lacks."""
    assert isinstance(outcome, Rejected)
    assert outcome.reason is DeadLetterReason.UNSUITABLE_SCHEMA
    return outcome.detail


def without(*names: str, **others: Any) -> Json:
    """Return a track's schema without some fields and with others."""
    schema = message_schema("string")
    kept = [field for field in schema["fields"] if field["name"] not in names]
    return {**schema, "fields": [*kept, *({"name": name, "type": kind} for name, kind in others.items())]}


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (without("type"), "com.acme.Track is no Segment message's: it has no field `type`"),
        (without("userId"), "it has neither `userId` nor `anonymousId`"),
        (without("type", "userId"), "it has no field `type`; it has neither `userId` nor `anonymousId`"),
        (without("type", Type="int"), "no text fits into `type`"),
        (without("userId", userId="boolean"), "no text and no whole number fits into `userId`"),
        (without("userId", userId="boolean", anonymousId="boolean"), "fits into `userId` or `anonymousId`"),
        (without("event", event=["null", "boolean"]), "no text and no whole number fits into `event`"),
        (
            without("properties", properties={"type": "array", "items": "string"}),
            "neither an object nor JSON text fits into `properties`",
        ),
        (without(traits="long"), "neither an object nor JSON text fits into `traits`"),
        ({"type": "array", "items": "string"}, "a schema of type array is no Segment message's"),
        ("long", "a schema of type long is no Segment message's"),
        (["null", "long"], "a schema of type null is no Segment message's: that is a record, a map or JSON text; a"),
    ],
)
def test_an_unsuitable_schema_is_told_by_name_with_what_it_lacks(schema: Any, told: str) -> None:
    """An unsuitable schema is named with what it lacks before any of its bytes are read."""
    assert told in unsuitable(reader_of(json.dumps(schema))(b""))


@pytest.mark.parametrize(
    "kind",
    [
        ["null", "int"],
        ["null", {"type": "string", "logicalType": "uuid"}],
        {"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"},
        ["null", JSON_RECORD],
    ],
)
def test_an_id_may_be_of_any_type_that_names_someone(kind: Any) -> None:
    """A schema is suitable with any type of id that mapping can use."""
    outcome = reader_of(json.dumps(without("userId", userId=kind)))(b"\0\0\0\0\1")

    assert isinstance(outcome, Rejected)
    assert outcome.reason is DeadLetterReason.MALFORMED


@pytest.mark.parametrize(
    "schema",
    [
        without("properties", properties={"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}),
        without(extra={"type": "fixed", "name": "F", "size": "16"}),
        without(extra={"type": "bytes", "logicalType": "decimal", "precision": 10**9, "scale": 10**9}),
    ],
)
def test_a_schema_that_would_harm_is_not_used(schema: Json) -> None:
    """A schema with harmful sizes or scales is refused as a whole."""
    outcome = reader_of(json.dumps(schema))(b"\0\0\0\0\1\x0atrack\2u\2e\4{}" + b"\0" * 20)

    assert isinstance(outcome, Rejected)
    assert outcome.reason in (DeadLetterReason.UNSUITABLE_SCHEMA, DeadLetterReason.MALFORMED)
