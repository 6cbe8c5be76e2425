"""Bytes to events: framing, Avro by the writer's schema, plain JSON.

A value is recognised by its first byte: 0 is Confluent's framing (then a big-endian schema id of four bytes), an
opening brace or white space is JSON. Decoding never raises for what a record holds: a fault is returned as `Rejected`.

Confluent framing: https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
"""

import json
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from typing import Any, cast

import fastavro
import orjson

from processor.model.outcomes import Event, Filtered, Rejected
from processor.model.reasons import DeadLetterReason, FilterReason
from processor.model.records import Record

SchemaId = int
"""Confluent's schema id: unique within one registry, four bytes."""

FREE_FORM_FIELDS = ("traits", "properties", "integrations")
"""Fields that the shipped schemas hold as JSON text and that mapping reads; other free-form text is left unparsed."""

TIMESTAMP_FIELDS = ("timestamp", "originalTimestamp", "sentAt", "receivedAt")

_CONFLUENT_MAGIC = 0
_CONFLUENT_PREFIX_BYTES = 5
_JSON_FIRST_BYTES = frozenset(b"{ \t\r\n")
_MILLISECOND_DIVISORS = {"timestamp-millis": 1, "timestamp-micros": 1_000}

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
        event = _parse_json(value)
        return event if type(event) is dict else _malformed("the value is not a JSON object")
    return _malformed(f"the first byte is {value[0]:#04x}: neither Confluent's framing nor JSON")


def reader_of(schema_text: str) -> Reader:
    """Return the reader of one Avro schema; what the schema lacks is found here, once, and not per record.

    A schema that cannot be parsed or is no record of a Segment event gives a reader that rejects every record.
    """
    try:
        schema = json.loads(schema_text)
        divisors = _strip_timestamps(schema)
        parsed = fastavro.parse_schema(schema)
    except Exception as fault:  # noqa: BLE001 - fastavro raises many kinds for a schema it cannot use
        return _rejecting(f"the schema cannot be used: {type(fault).__name__}")
    lacking = _lacks(schema)
    if lacking:
        return _rejecting(lacking)
    free_form = [name for name in FREE_FORM_FIELDS if name in _names(schema)]
    finer = {name: divisor for name, divisor in divisors.items() if divisor != 1}

    def read(value: bytes) -> Event | Rejected:
        stream = BytesIO(value)
        stream.seek(_CONFLUENT_PREFIX_BYTES)
        try:
            event = cast("Event", fastavro.schemaless_reader(stream, parsed, None))
        except Exception as fault:  # noqa: BLE001 - any exception here means that bytes and schema disagree
            return _malformed(f"the bytes contradict the schema: {type(fault).__name__}")
        if stream.tell() != len(value):
            return _malformed(f"{len(value) - stream.tell()} bytes follow the record")
        if finer:
            event.update({name: event[name] // divisor for name, divisor in finer.items() if event[name] is not None})
        return _parse_free_form(event, free_form)

    return read


def _parse_free_form(event: Event, names: list[str]) -> Event | Rejected:
    """Replace the JSON text of the named fields by what it says."""
    for name in names:
        text = event[name]
        if type(text) is str:
            event[name] = parsed = _parse_json(text)
            if parsed is _INVALID:
                return _malformed(f"the field {name} does not hold JSON")
    return event


_INVALID = object()


def _parse_json(text: bytes | str) -> Any:
    """Parse JSON; `_INVALID` when it is none.

    What orjson refuses (NaN, infinities, lone surrogates) but common producers write is parsed by the slower standard
    library, and every lone surrogate becomes U+FFFD so that the result can be encoded again.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        lenient = text.decode() if isinstance(text, bytes) else text
        return _without_surrogates(json.loads(lenient))
    except (ValueError, RecursionError):
        return _INVALID


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_surrogates(each) for each in value]
    if isinstance(value, dict):
        return {_without_surrogates(name): _without_surrogates(each) for name, each in value.items()}
    return value


def _names(schema: Any) -> set[str]:
    return {field["name"] for field in schema["fields"]}


def _lacks(schema: Any) -> str | None:
    """Say what keeps a schema from describing a Segment event, or None."""
    if not isinstance(schema, dict) or schema.get("type") != "record":
        return "the schema is not a record"
    names = _names(schema)
    if "type" not in names:
        return "the schema's record has no field `type`"
    if not names & {"userId", "anonymousId"}:
        return "the schema's record has neither `userId` nor `anonymousId`"
    return None


def _strip_timestamps(schema: Any) -> dict[str, int]:
    """Make the timestamp fields plain longs and return each one's divisor to milliseconds.

    fastavro builds a datetime for every logical timestamp; formatting from the number is five times cheaper.
    """
    divisors: dict[str, int] = {}
    fields = schema.get("fields", []) if isinstance(schema, dict) else []
    for field in fields:
        branches = field["type"] if isinstance(field["type"], list) else [field["type"]]
        for branch in branches:
            if field["name"] in TIMESTAMP_FIELDS and isinstance(branch, dict):
                divisor = _MILLISECOND_DIVISORS.get(branch.get("logicalType", ""))
                if divisor is not None:
                    del branch["logicalType"]
                    divisors[field["name"]] = divisor
    return divisors


def _rejecting(detail: str) -> Reader:
    rejected = Rejected(DeadLetterReason.UNSUITABLE_SCHEMA, detail)
    return lambda _value: rejected


def _malformed(detail: str) -> Rejected:
    return Rejected(DeadLetterReason.MALFORMED, detail)
