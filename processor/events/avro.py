"""Bytes to events: framing, Avro by the writer's schema, JSON.

How values are framed is `framing`'s, which fields of a schema are a Segment message's `avro_shapes`'. Decoding never
raises for what a record holds: a fault is returned as `Rejected`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache, partial
from typing import Any, Protocol

from processor.events.avro_binary import DOUBTS, FAULTS, Read, compile_event, compile_value, name_of
from processor.events.avro_schema import Named, SchemaError, parse_schema
from processor.events.avro_shapes import (
    SEGMENT_FIELDS,
    is_json_record,
    kind_of_type,
    lacks,
    segment_name,
    segment_names,
    with_text_for_bytes,
)
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
from processor.events.json_text import NoJson, mended, parse_json
from processor.events.languages import AVRO, AVRO_IN_JSON, JSON_SCHEMA, binary_of, fault_of_language
from processor.events.timestamps import is_event_time
from processor.model.outcomes import Change, Event, Filtered, Note, Rejected, unnoted
from processor.model.reasons import DeadLetterReason, FilterReason, PropertyRule
from processor.model.records import UNREADABLE, Headers, Record, unreadable_parts

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

_PLACES = {"traits": "", "properties": "", "integrations": "integrations"}
"""How places within them begin."""

Finish = Callable[[Any, Note], Event | Rejected]
"""Makes an event of what was decoded."""

Contradicted = Callable[[bytes, int, Note, str], Event | Rejected]
"""Makes what can be made of a value, from an offset on, whose bytes contradict the schema; in words by what."""


class Reader(Protocol):
    """Decodes a value from an offset on, by the one schema that it names."""

    def __call__(self, value: bytes, start: int = PREFIX_BYTES, note: Note = unnoted, /) -> Event | Rejected:
        """Return the event, or why there is none; note what of it was changed."""
        ...


def decode(record: Record, readers: Mapping[SchemaId, Reader], note: Note = unnoted) -> Event | Filtered | Rejected:
    """Decode one record by the schema it names; `readers` holds every id that exists."""
    value, headers = record.value, record.headers
    if headers and headers[0][0] == UNREADABLE:
        return _decode_readable(record, headers, readers, note)
    if value is None:
        return Filtered(FilterReason.TOMBSTONE)
    if not value:
        return _malformed("the value is empty")
    if headers and (header := header_of(headers)) is not None:
        return _decode_by_header(value, header, readers, note)
    first = value[0]
    if first == MAGIC:
        if len(value) < PREFIX_BYTES:
            return _malformed("the value ends within Confluent's prefix")
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
            return _malformed("the value ends within the prefix of Avro's single-object encoding")
        return _read(value, named, SINGLE_OBJECT_BYTES, readers, note)
    if value.startswith((GLUE, GLUE_ZLIB)):
        return _decode_glue(value, readers, note)
    parsed = parse_json(value, note)
    if not isinstance(parsed, NoJson):
        return _message_of(parsed, note)
    if (likely := likely_of(value)) is not None:
        return _malformed(f"the value begins as {likely}")
    if is_json(value):
        return _malformed(no_message(parsed))
    return _malformed(f"the first byte is {value[0]:#04x}: neither a framing that names a schema nor JSON")


def _decode_glue(value: bytes, readers: Mapping[SchemaId, Reader], note: Note) -> Event | Rejected:
    named = id_in_prefix(value)
    if named is None:
        return _malformed("the value ends within the prefix of AWS Glue's framing")
    if named not in readers:
        return _unknown(named)
    content = inflated(value)
    return _malformed(content) if isinstance(content, str) else readers[named](content, 0, note)


def _decode_readable(
    record: Record, headers: Headers, readers: Mapping[SchemaId, Reader], note: Note
) -> Event | Filtered | Rejected:
    """Decode what Kafka's client could read of a record: without a value there is nothing, the rest may be absent."""
    parts = unreadable_parts(record)
    for part in parts:
        note(PropertyRule.UNREADABLE, part)
    if "value" in parts:
        return _malformed("Kafka's client cannot read the value")
    decoded = decode(record._replace(headers=headers[1:]), readers, note)
    if isinstance(decoded, Rejected) and "headers" in parts:
        return decoded._replace(detail=f"{decoded.detail}; its headers cannot be read, which may name a schema")
    return decoded


def _decode_by_header(
    value: bytes, header: SchemaHeader, readers: Mapping[SchemaId, Reader], note: Note
) -> Event | Rejected:
    named = id_in_header(header)
    return _malformed(fault_of_header(header)) if named is None else _read(value, named, 0, readers, note)


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
        return _reading(partial(compile_value, "string", named), _message, contradicted)
    if kind == "map" or is_json_record(schema):
        return _reading(partial(compile_value, type_, named), _message_of, contradicted)
    if kind != "record":
        raise _UnsuitableError(f"a schema of type {kind} is no Segment message's: that is a record, a map or JSON text")
    names = segment_names(schema["fields"])
    if lacking := lacks(schema, names, named):
        raise _UnsuitableError(f"the schema {schema['name']} is no Segment message's: {'; '.join(lacking)}")
    fields = [
        {**field, "type": with_text_for_bytes(field["type"])} if name in FREE_FORM_FIELDS else field
        for name, field in zip(names, schema["fields"], strict=True)
    ]
    free_form = [name for name in names if name in FREE_FORM_FIELDS]
    suited = {**schema, "fields": fields}
    compile_wanted = partial(compile_event, suited, names, named)
    wanted_with_clocks = None if wanted is None else {*wanted, *CLOCK_FIELDS}
    finish = partial(_parse_free_form, free_form)
    read_thoroughly = _thorough_reader(partial(compile_wanted, wanted_with_clocks), finish, contradicted)
    if wanted is None:
        return _event_reader(compile_wanted(None), None, finish, read_thoroughly, contradicted)
    read_clocks = compile_wanted(wanted_with_clocks)
    return _event_reader(compile_wanted(wanted), read_clocks, finish, read_thoroughly, contradicted)


def _branch_of(
    schema: Any, named: Named, wanted: Collection[str] | None, contradicted: Contradicted
) -> Reader | _UnsuitableError:
    try:
        return _reader_of(schema, named, wanted, contradicted)
    except _UnsuitableError as unsuitable:
        return unsuitable


def _event_reader(
    read_event: Read, read_clocks: Read | None, finish: Finish, read_thoroughly: Reader, contradicted: Contradicted
) -> Reader:
    """Return the reader of a record: the hot path, so it is `_reading` written out.

    An event without a usable `timestamp` is read once more, with the fields that take its place.
    """

    def read(value: bytes, start: int = PREFIX_BYTES, note: Note = unnoted, /) -> Event | Rejected:
        try:
            event, end = read_event(value, start)
            timestamp = event.get("timestamp")
            if type(timestamp) is not int and read_clocks is not None and not is_event_time(timestamp):
                event, end = read_clocks(value, start)
        except DOUBTS:
            return read_thoroughly(value, start, note)
        except FAULTS as fault:
            return contradicted(value, start, note, name_of(fault))
        if end != len(value):
            return _followed(len(value) - end)
        return finish(event, note)

    return read


def _reading(compile_read: Callable[[list[Change] | None], Read], finish: Finish, contradicted: Contradicted) -> Reader:
    """Return the reader of a value that nothing may follow."""
    read_body, read_thoroughly = compile_read(None), _thorough_reader(compile_read, finish, contradicted)

    def read(value: bytes, start: int = PREFIX_BYTES, note: Note = unnoted, /) -> Event | Rejected:
        try:
            event, end = read_body(value, start)
        except DOUBTS:
            return read_thoroughly(value, start, note)
        except FAULTS as fault:
            return contradicted(value, start, note, name_of(fault))
        if end != len(value):
            return _followed(len(value) - end)
        return finish(event, note)

    return read


def _thorough_reader(
    compile_read: Callable[[list[Change]], Read], finish: Finish, contradicted: Contradicted
) -> Reader:
    """Return the reader of what the quick one doubts: it takes whatever it can, and notes what it changes.

    It is compiled when it is needed first.
    """
    changes: list[Change] = []
    read_body = cache(lambda: compile_read(changes))

    def read(value: bytes, start: int = PREFIX_BYTES, note: Note = unnoted, /) -> Event | Rejected:
        changes.clear()
        try:
            event, end = read_body()(value, start)
        except FAULTS as fault:
            return contradicted(value, start, note, name_of(fault))
        if end != len(value):
            return _followed(len(value) - end)
        for change in changes:
            note(*change)
        finished = finish(event, note)
        return finished if isinstance(finished, Rejected) else mended(finished, note)

    return read


def _choosing(branches: list[Reader | _UnsuitableError], contradicted: Contradicted) -> Reader:
    """Return the reader of a union: several types of event on one topic. One of them must be suitable."""
    faults = [each for each in branches if isinstance(each, _UnsuitableError)]
    if len(faults) == len(branches):
        raise _UnsuitableError("; ".join(map(str, faults)) or "an empty union is no Segment message's")
    readers = [_rejecting(str(each)) if isinstance(each, _UnsuitableError) else each for each in branches]
    read_branch = compile_value("long", {})

    def read(value: bytes, start: int = PREFIX_BYTES, note: Note = unnoted, /) -> Event | Rejected:
        try:
            branch, at = read_branch(value, start)
        except FAULTS as fault:
            return contradicted(value, start, note, name_of(fault))
        if not 0 <= branch < len(readers):
            return contradicted(value, start, note, "the union has no such branch")
        return readers[branch](value, at, note)

    return read


def _transcoding(binary_of_json: Callable[[bytes], bytes], read_binary: Reader) -> Reader:
    """Return the reader of Avro's JSON encoding: few records are written in it, so they take a detour."""

    def read(value: bytes, start: int = PREFIX_BYTES, note: Note = unnoted, /) -> Event | Rejected:
        try:
            binary = binary_of_json(value[start:])
        except ValueError as fault:
            return _malformed(str(fault))
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
        return _malformed(no_message(parsed))
    if "userId" not in parsed and "anonymousId" not in parsed:
        message = message_within(parsed, note)
        if isinstance(message, str):
            return _malformed(message)
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
                return _malformed(f"the field `{name}` holds no JSON: {parsed}")
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
            return _malformed(detail)
        found = reader_in_json()(value, start, note)
        return _malformed(f"{detail}; read as JSON, {found.detail}") if isinstance(found, Rejected) else found

    return contradicted


def _followed(size: int) -> Rejected:
    return _malformed(f"{size} bytes follow the record")


def _malformed(detail: str) -> Rejected:
    return Rejected(DeadLetterReason.MALFORMED, detail)
