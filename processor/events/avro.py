"""Bytes to events: framing, Avro by the writer's schema, plain JSON.

A value is recognised by its first byte: 0 is Confluent's framing (then a big-endian schema id of four bytes), an
opening brace or white space is JSON. Decoding never raises for what a record holds: a fault is returned as `Rejected`.

Confluent framing: https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import fastavro

from processor.events.avro_binary import FAULTS, compile_event, name_of
from processor.events.json_text import INVALID, parse_json
from processor.events.timestamps import iso
from processor.model.outcomes import Event, Filtered, Rejected
from processor.model.reasons import DeadLetterReason, FilterReason
from processor.model.records import Record

SchemaId = int
"""Confluent's schema id: unique within one registry, four bytes."""

MAPPED_FIELDS = frozenset(
    {
        *("type", "userId", "anonymousId", "event", "name", "category", "properties", "traits", "integrations"),
        *("context", "timestamp"),
    }
)
"""Fields that mapping reads; the others are not decoded."""

CLOCK_FIELDS = frozenset({"originalTimestamp", "sentAt", "receivedAt"})
"""Fields that mapping reads of an event without a `timestamp`; only such a value is decoded again for them."""

FREE_FORM_FIELDS = ("traits", "properties", "integrations")
"""Fields that the shipped schemas hold as JSON text and that mapping reads; other free-form text is left unparsed."""

_CONFLUENT_MAGIC = 0
_CONFLUENT_PREFIX_BYTES = 5
_JSON_FIRST_BYTES = frozenset(b"{ \t\r\n")

Reader = Callable[[bytes], "Event | Rejected"]
"""Decodes a whole framed value that names the reader's schema."""


def schema_id(value: bytes | None) -> SchemaId | None:
    """Return the schema id that a value names, or None when it has no Confluent framing."""
    if value is None or len(value) < _CONFLUENT_PREFIX_BYTES or value[0] != _CONFLUENT_MAGIC:
        return None
    return int.from_bytes(value[1:_CONFLUENT_PREFIX_BYTES], "big")


def schema_ids(records: Iterable[Record]) -> set[SchemaId]:
    """Return the schema ids that these records name, so that they can be fetched before decoding starts."""
    prefixes = {record.value[:_CONFLUENT_PREFIX_BYTES] for record in records if record.value}
    return {found for prefix in prefixes if (found := schema_id(prefix)) is not None}


def decode(record: Record, readers: Mapping[SchemaId, Reader]) -> Event | Filtered | Rejected:
    """Decode one record by the schema it names; `readers` holds every id that exists."""
    value = record.value
    if value is None:
        return Filtered(FilterReason.TOMBSTONE)
    if not value:
        return _malformed("the value is empty")
    if value[0] == _CONFLUENT_MAGIC:
        if len(value) < _CONFLUENT_PREFIX_BYTES:
            return _malformed("the value ends within Confluent's prefix")
        found = int.from_bytes(value[1:_CONFLUENT_PREFIX_BYTES], "big")
        reader = readers.get(found)
        if reader is None:
            return Rejected(DeadLetterReason.UNKNOWN_SCHEMA, f"no schema has the id {found}")
        return reader(value)
    if value[0] in _JSON_FIRST_BYTES:
        event = parse_json(value)
        if type(event) is not dict:
            return _malformed("the value is not a JSON object")
        return _parse_free_form(event, FREE_FORM_FIELDS)
    return _malformed(f"the first byte is {value[0]:#04x}: neither Confluent's framing nor JSON")


def reader_of(schema_text: str, wanted: Collection[str] | None = MAPPED_FIELDS) -> Reader:
    """Return the reader of one Avro schema, which gives the `wanted` fields (None: all).

    What the schema lacks is found here, once, and not per record.

    A schema that cannot be parsed or is no record of a Segment event gives a reader that rejects every record.
    """
    try:
        schema: Any = fastavro.parse_schema(parse_json(schema_text))
        lacking = _lacks(schema)
        if lacking:
            return _rejecting(lacking)
        read_event = compile_event(schema, wanted)
        read_clocks = None if wanted is None else compile_event(schema, {*wanted, *CLOCK_FIELDS})
    except Exception as fault:  # noqa: BLE001 - fastavro raises many kinds for a schema it cannot use
        return _rejecting(f"the schema cannot be used: {type(fault).__name__}")
    free_form = [field["name"] for field in schema["fields"] if field["name"] in FREE_FORM_FIELDS]

    def read(value: bytes) -> Event | Rejected:
        try:
            event, end = read_event(value, _CONFLUENT_PREFIX_BYTES)
            timestamp = event.get("timestamp")
            if type(timestamp) is not int and read_clocks is not None and iso(timestamp) is None:
                event, end = read_clocks(value, _CONFLUENT_PREFIX_BYTES)
        except FAULTS as fault:
            return _malformed(f"the bytes contradict the schema: {name_of(fault)}")
        if end != len(value):
            return _malformed(f"{len(value) - end} bytes follow the record")
        return _parse_free_form(event, free_form)

    return read


def _parse_free_form(event: Event, names: Iterable[str]) -> Event | Rejected:
    """Replace the JSON text of the named fields by what it says; empty text is an absent field."""
    for name in names:
        text = event.get(name)
        if type(text) is str:
            event[name] = parsed = parse_json(text) if text else None
            if parsed is INVALID:
                return _malformed(f"the field `{name}` does not hold JSON")
    return event


def _lacks(schema: Any) -> str | None:
    """Say what keeps a schema from describing a Segment event, or None."""
    if not isinstance(schema, dict) or schema.get("type") != "record":
        return "the schema is not a record"
    names = {field["name"] for field in schema["fields"]}
    if "type" not in names:
        return "the schema's record has no field `type`"
    if not names & {"userId", "anonymousId"}:
        return "the schema's record has neither `userId` nor `anonymousId`"
    return None


def _rejecting(detail: str) -> Reader:
    rejected = Rejected(DeadLetterReason.UNSUITABLE_SCHEMA, detail)
    return lambda _value: rejected


def _malformed(detail: str) -> Rejected:
    return Rejected(DeadLetterReason.MALFORMED, detail)
