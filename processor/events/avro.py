"""Bytes to events: framing, Avro by the writer's schema, JSON.

How values are framed is `framing`'s, which fields of a schema are a Segment message's `avro_shapes`'. Decoding never
raises for what a record holds: a fault is returned as `Rejected`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache, partial
from typing import Any

from processor.events.avro_readers import Contradicted, Reader, event_reader, malformed, union_reader, value_reader
from processor.events.avro_schema import Named, SchemaError, parse_schema
from processor.events.avro_shapes import (
    SEGMENT_FIELDS,
    is_json_record,
    kind_of_type,
    lacks,
    narrowed,
    segment_name,
    segment_names,
    with_text_for_bytes,
)
from processor.events.context import READ
from processor.events.found import likely_of, message_within, no_message
from processor.events.framing import (
    GLUE,
    GLUE_ZLIB,
    JSON_FIRST_BYTES,
    LONG_PREFIX_BYTES,
    MAGIC,
    PREFIX_BYTES,
    SINGLE_OBJECT,
    SINGLE_OBJECT_BYTES,
    SchemaHeader,
    SchemaId,
    fault_of_header,
    header_of,
    id_in_header,
    id_in_prefix,
    inflated,
    is_json,
    kind_of,
    long_id_in,
)
from processor.events.json_text import NoJson, parse_json
from processor.events.languages import AVRO, AVRO_IN_JSON, JSON_SCHEMA, binary_of, fault_of_language
from processor.model.outcomes import Event, Filtered, Note, Rejected, unnoted
from processor.model.reasons import DeadLetterReason, FilterReason, PropertyRule
from processor.model.records import UNREADABLE, Headers, Record, unreadable_parts

__all__ = ["MAPPED_FIELDS", "Reader", "decode", "reader_of"]

MAPPED_FIELDS = frozenset(
    {
        *("type", "userId", "anonymousId", "event", "name", "category", "properties", "traits", "integrations"),
        *("context", "timestamp"),
    }
)
"""Fields that mapping reads; the others are not decoded."""

FREE_FORM_FIELDS = ("traits", "properties", "integrations")
"""Fields that the shipped schemas hold as JSON text and that mapping reads; other free-form text is left unparsed."""

_PLACES = {"traits": "", "properties": "", "integrations": "integrations"}
"""How places within them begin."""


def decode(record: Record, readers: Mapping[SchemaId, Reader], note: Note = unnoted) -> Event | Filtered | Rejected:
    """Decode one record by the schema it names; `readers` holds every id that exists."""
    value, headers = record.value, record.headers
    if headers and headers[0][0] == UNREADABLE:
        return _decode_readable(record, headers, readers, note)
    if value is None:
        return Filtered(FilterReason.TOMBSTONE)
    if not value:
        return malformed("the value is empty")
    if headers and (header := header_of(headers)) is not None:
        return _decode_by_header(value, header, readers, note)
    first = value[0]
    if first == MAGIC:
        if len(value) < PREFIX_BYTES:
            return malformed("the value ends within Confluent's prefix")
        found = int.from_bytes(value[1:PREFIX_BYTES], "big")
        reader = readers.get(found)
        return _decode_long(value, found, readers, note) if reader is None else reader(value, PREFIX_BYTES, note)
    if first in JSON_FIRST_BYTES and type(parsed := parse_json(value, note)) is not NoJson:
        return _message_of(parsed, note)
    return _decode_other(value, readers, note)


def _decode_long(value: bytes, found: int, readers: Mapping[SchemaId, Reader], note: Note) -> Event | Rejected:
    """Decode what begins with a byte 0 and no id that Confluent's registry has: its id may be Apicurio's, of eight."""
    named = long_id_in(value)
    if named is None:
        return _unknown(found, likely_of(value))
    return _read(value, named, LONG_PREFIX_BYTES, readers, note)


def _decode_other(value: bytes, readers: Mapping[SchemaId, Reader], note: Note) -> Event | Rejected:
    """Decode what is neither Confluent's nor plain JSON, or say what it is."""
    if value.startswith(SINGLE_OBJECT):
        named = id_in_prefix(value)
        if named is None:
            return malformed("the value ends within the prefix of Avro's single-object encoding")
        return _read(value, named, SINGLE_OBJECT_BYTES, readers, note)
    if value.startswith((GLUE, GLUE_ZLIB)):
        return _decode_glue(value, readers, note)
    parsed = parse_json(value, note)
    if not isinstance(parsed, NoJson):
        return _message_of(parsed, note)
    if (likely := likely_of(value)) is not None:
        return malformed(f"the value begins as {likely}")
    if is_json(value):
        return malformed(no_message(parsed))
    return malformed(f"the first byte is {value[0]:#04x}: neither a framing that names a schema nor JSON")


def _decode_glue(value: bytes, readers: Mapping[SchemaId, Reader], note: Note) -> Event | Rejected:
    named = id_in_prefix(value)
    if named is None:
        return malformed("the value ends within the prefix of AWS Glue's framing")
    if named not in readers:
        return _unknown(named)
    content = inflated(value)
    return malformed(content) if isinstance(content, str) else readers[named](content, 0, note)


def _decode_readable(
    record: Record, headers: Headers, readers: Mapping[SchemaId, Reader], note: Note
) -> Event | Filtered | Rejected:
    """Decode what Kafka's client could read of a record: without a value there is nothing, the rest may be absent."""
    parts = unreadable_parts(record)
    for part in parts:
        note(PropertyRule.UNREADABLE, part)
    if "value" in parts:
        return malformed("Kafka's client cannot read the value")
    decoded = decode(record._replace(headers=headers[1:]), readers, note)
    if isinstance(decoded, Rejected) and "headers" in parts:
        return decoded._replace(detail=f"{decoded.detail}; its headers cannot be read, which may name a schema")
    return decoded


def _decode_by_header(
    value: bytes, header: SchemaHeader, readers: Mapping[SchemaId, Reader], note: Note
) -> Event | Rejected:
    named = id_in_header(header)
    return malformed(fault_of_header(header)) if named is None else _read(value, named, 0, readers, note)


def _read(
    value: bytes, named: SchemaId, start: int, readers: Mapping[SchemaId, Reader], note: Note
) -> Event | Rejected:
    reader = readers.get(named)
    return _unknown(named) if reader is None else reader(value, start, note)


def _unknown(named: SchemaId, likely: str | None = None) -> Rejected:
    hint = f"; but the value begins as {likely}" if likely else ""
    return Rejected(DeadLetterReason.UNKNOWN_SCHEMA, f"no schema has the {kind_of(named)} {named}{hint}")


def reader_of(schema_text: str, wanted: Collection[str] | None = MAPPED_FIELDS, language: str = AVRO) -> Reader:
    """Return the reader of one schema in a `language`, which gives the `wanted` fields (None: all).

    What the schema lacks is found here, once, and not per record. A schema that cannot be parsed, or that describes no
    Segment message, gives a reader that rejects every record and says why; so does a language of which no values are
    read.
    """
    if language == JSON_SCHEMA:
        return _read_json
    if language not in (AVRO, AVRO_IN_JSON):
        return _rejecting(fault_of_language(language))
    try:
        if language == AVRO_IN_JSON:
            return _transcoding(binary_of(schema_text), reader_of(schema_text, wanted))
        return _reader_of(*parse_schema(parse_json(schema_text)), wanted, _in_json_or_not_at_all(schema_text, wanted))
    except _UnsuitableError as unsuitable:
        return _rejecting(str(unsuitable))
    except SchemaError as fault:
        return _rejecting(f"the schema cannot be used: {fault}")
    except RecursionError:
        return _rejecting("the schema cannot be used: its types are nested too deeply")


class _UnsuitableError(Exception):
    """The schema describes no Segment message; the text says what it lacks."""


def _reader_of(type_: Any, named: Named, wanted: Collection[str] | None, contradicted: Contradicted) -> Reader:
    """Return the reader of a type that is a record, a union of records, a map, a JSON record or JSON text."""
    schema = named.get(type_, type_) if isinstance(type_, str) else type_
    if isinstance(schema, list):
        return _choosing([_branch_of(branch, named, wanted, contradicted) for branch in schema], contradicted)
    kind = "string" if with_text_for_bytes(schema) == "string" else kind_of_type(schema)
    if kind == "string":
        return value_reader("string", named, _message, contradicted)
    if kind == "map" or is_json_record(schema):
        return value_reader(type_, named, _message_of, contradicted)
    if kind != "record":
        raise _UnsuitableError(f"a schema of type {kind} is no Segment message's: that is a record, a map or JSON text")
    names = segment_names(schema["fields"])
    if lacking := lacks(schema, names, named):
        raise _UnsuitableError(f"the schema {schema['name']} is no Segment message's: {'; '.join(lacking)}")
    types, known = [field["type"] for field in schema["fields"]], dict(named)
    for at, name in enumerate(names):
        if name in FREE_FORM_FIELDS:
            types[at] = with_text_for_bytes(types[at])
        elif name == "context" and wanted is not None:
            types[at] = narrowed(types[at], READ, known)
    fields = [{**field, "type": suited} for field, suited in zip(schema["fields"], types, strict=True)]
    free_form = [name for name in names if name in FREE_FORM_FIELDS]
    finish = partial(_parse_free_form, free_form)
    return event_reader({**schema, "fields": fields}, names, known, wanted, free_form, finish, contradicted)


def _branch_of(
    schema: Any, named: Named, wanted: Collection[str] | None, contradicted: Contradicted
) -> Reader | _UnsuitableError:
    try:
        return _reader_of(schema, named, wanted, contradicted)
    except _UnsuitableError as unsuitable:
        return unsuitable


def _choosing(branches: list[Reader | _UnsuitableError], contradicted: Contradicted) -> Reader:
    """Return the reader of a union: several types of event on one topic. One of them must be suitable."""
    faults = [each for each in branches if isinstance(each, _UnsuitableError)]
    if len(faults) == len(branches):
        raise _UnsuitableError("; ".join(map(str, faults)) or "an empty union is no Segment message's")
    readers = [_rejecting(str(each)) if isinstance(each, _UnsuitableError) else each for each in branches]
    return union_reader(readers, contradicted)


def _transcoding(binary_of_json: Callable[[bytes], bytes], read_binary: Reader) -> Reader:
    """Return the reader of Avro's JSON encoding: few records are written in it, so they take a detour."""

    def read(value: bytes, start: int = PREFIX_BYTES, note: Note = unnoted, /) -> Event | Rejected:
        try:
            binary = binary_of_json(value[start:])
        except ValueError as fault:
            return malformed(str(fault))
        return read_binary(binary, 0, note)

    return read


def _read_json(value: bytes, start: int = PREFIX_BYTES, note: Note = unnoted, /) -> Event | Rejected:
    return _message(value[start:], note)


def _message(text: bytes | str, note: Note) -> Event | Rejected:
    """Return the event that a JSON text holds."""
    return _message_of(parse_json(text, note), note)


def _message_of(parsed: Any, note: Note) -> Event | Rejected:
    """Return the event that a JSON value is."""
    if type(parsed) is not dict:
        return malformed(no_message(parsed))
    if "userId" not in parsed and "anonymousId" not in parsed:
        message = message_within(parsed, note)
        if isinstance(message, str):
            return malformed(message)
        parsed = _by_segment_names(message)
    return _parse_free_form(FREE_FORM_FIELDS, parsed, note)


def _by_segment_names(event: Event) -> Event:
    """Rename fields that differ from Segment's by case and underscores only, where Segment's name is free."""
    renamed = {name: event[name] for name in SEGMENT_FIELDS if name in event}
    for name, value in event.items():
        own = segment_name(name)
        renamed.setdefault(name if own in renamed else own, value)
    return renamed


def _parse_free_form(names: Iterable[str], event: Event, note: Note) -> Event | Rejected:
    """Replace the JSON text of the named fields by what it says; empty text is an absent field."""
    for name in names:
        text = event.get(name)
        if type(text) is str:
            event[name] = parsed = parse_json(text, note, _PLACES[name]) if text else None
            if type(parsed) is NoJson:
                return malformed(f"the field `{name}` holds no JSON: {parsed}")
    return event


def _rejecting(detail: str) -> Reader:
    rejected = Rejected(DeadLetterReason.UNSUITABLE_SCHEMA, detail)

    def reject(_value: bytes, _start: int = PREFIX_BYTES, _note: Note = unnoted, /) -> Rejected:
        return rejected

    return reject


def _in_json_or_not_at_all(schema_text: str, wanted: Collection[str] | None) -> Contradicted:
    """Return what reads Avro's JSON encoding where bytes that contradict the schema are that, or else says the fault.

    Nothing in such a record says so (Apicurio without headers).
    """
    reader_in_json = cache(partial(reader_of, schema_text, wanted, AVRO_IN_JSON))

    def contradicted(value: bytes, start: int, note: Note, fault: str) -> Event | Rejected:
        detail = f"the bytes contradict the schema: {fault}"
        if not value.startswith(b"{", start) or type(parse_json(value[start:])) is not dict:
            return malformed(detail)
        found = reader_in_json()(value, start, note)
        return malformed(f"{detail}; read as JSON, {found.detail}") if isinstance(found, Rejected) else found

    return contradicted
