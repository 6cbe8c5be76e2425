"""What is found where a message should be: an envelope around one, or something else, in words for whoever wrote it.

| envelope | recognised by | the message |
|---|---|---|
| Kafka Connect's JsonConverter, with schemas | the members `schema` and `payload`, and no others | `payload` |
| Apicurio's ExtJsonConverter | the members `schemaId` and `payload`, and no others | `payload` |
| CloudEvents, structured | the members `specversion` and `data` | `data` |

A message in JSON text within one of them is read, too. Of what is no message only signatures, lengths, fields and names
of message types are told, never what a value says.
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

import re
from typing import Any

from processor.events.framing import MAGIC, PREFIX_BYTES
from processor.events.json_text import NoJson, parse_json
from processor.model.outcomes import Event, Note
from processor.model.reasons import PropertyRule

_CONNECTS = ({"schema", "payload"}, {"schemaId", "payload"})
_MOST_WRAPPINGS = 2
"""CloudEvents within Connect's; more is nobody's."""

_KINDS = {str: "a JSON string", bool: "a JSON boolean", type(None): "a JSON null"}
_EACH = "have the producer write each message as a record of its own"

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"Obj\x01", "an Avro container file: have the producer write each record by itself, with a schema registry"),
    (b"\x1f\x8b", "compressed by gzip: set `compression.type` of the producer instead, which Kafka undoes itself"),
    (b"\x28\xb5\x2f\xfd", "compressed by Zstandard: set `compression.type` of the producer instead"),
    (b"\x04\x22\x4d\x18", "compressed by LZ4: set `compression.type` of the producer instead"),
    (b"\x82SNAPPY\0", "compressed by Snappy: set `compression.type` of the producer instead"),
    (b"\xff\x06\0\0sNaPpY", "compressed by Snappy: set `compression.type` of the producer instead"),
    (b"\xac\xed\0\x05", "a Java object, serialized by Java itself"),
    (b"\xff\xfe", "text in UTF-16; JSON is in UTF-8"),
    (b"\xfe\xff", "text in UTF-16; JSON is in UTF-8"),
    (b"PAR1", "a Parquet file"),
    (b"<", "XML or HTML"),
)
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_PICKLE = re.compile(rb"\x80[\x02-\x05]")

_TYPES = rb"track|identify|page|screen|group|alias|delete"
_COUNTED_TYPE = re.compile(rb"\x02?(.)(" + _TYPES + rb")", re.DOTALL)
_TAGGED_TYPE = re.compile(rb"[\x0a\x12\x1a\x22\x2a](.)(" + _TYPES + rb")", re.DOTALL)
_PROTOBUF = re.compile(rb"\x0a(.)[\x20-\x7e]+[\x10\x12\x18\x1a]", re.DOTALL)
_MESSAGE_PACK_MAP = re.compile(rb"(?:[\x81-\x8f]|\xde..|\xdf....)[\xa1-\xbf\xd9]", re.DOTALL)
_BRACE = re.compile(rb"\{\s*[\"}]")
_AZURE_PREAMBLE = re.compile(rb"\0{4}[0-9a-f]{32}")

_BARE_AVRO = (
    "Avro without a framing, as Spark's `to_avro` writes it, and nothing names its schema: "
    "have the producer use a serializer with a schema registry"
)


def message_within(parsed: Event, note: Note) -> Event | str:
    """Return the message that an object without ids holds, itself where it is no envelope; or why it holds none."""
    for _ in range(_MOST_WRAPPINGS):
        place = _place_of(parsed)
        if place is None:
            break
        content = parsed[place]
        inner = parse_json(content, note) if isinstance(content, str) else content
        if type(inner) is not dict:
            return f"in `{place}` of an envelope, {no_message(inner)}"
        note(PropertyRule.UNWRAPPED, place)
        parsed = inner
    if isinstance(parsed.get("batch"), list) and "type" not in parsed:
        return f"the value is a `batch` of length {len(parsed['batch'])}, as Segment's HTTP API takes it: {_EACH}"
    return parsed


def no_message(parsed: Any) -> str:
    """Say what a JSON value is that is no object."""
    if isinstance(parsed, NoJson):
        return f"the value is no JSON: {parsed}"
    if isinstance(parsed, list):
        return f"the value is a JSON array of length {len(parsed)}, not a JSON object: {_EACH}"
    kind = _KINDS.get(type(parsed), "a JSON number")
    if isinstance(parsed, str) and type(parse_json(parsed)) is dict:
        kind = (
            "a JSON string that holds a JSON object (it was written as JSON twice: have the producer write text once)"
        )
    return f"the value is {kind}, not a JSON object"


def likely_of(value: bytes) -> str | None:
    """Return what a value looks like that is no JSON, and names no schema that exists; None for nothing known."""
    for signature, words in _SIGNATURES:
        if value.startswith(signature):
            return words
    if value.startswith(_ZLIB):
        return "compressed by zlib: set `compression.type` of the producer instead"
    if _PICKLE.match(value):
        return "a Python object, serialized by pickle"
    if value[0] == MAGIC:
        return _likely_after_zero(value)
    if (found := _TAGGED_TYPE.match(value)) and found[1][0] == len(found[2]):
        return _protobuf(found[2])
    if (found := _COUNTED_TYPE.match(value)) and found[1][0] == 2 * len(found[2]):
        return f"the length {len(found[2])} and `{found[2].decode()}`, as Avro writes a text. That is {_BARE_AVRO}"
    if (found := _PROTOBUF.match(value)) and found.end() == found[1][0] + 3:
        return _protobuf(None)
    if _MESSAGE_PACK_MAP.match(value):
        return "MessagePack; have the producer write JSON or Avro"
    return None


def _place_of(parsed: Event) -> str | None:
    """Return where an envelope holds what it is about; None where the object is no envelope."""
    if parsed.keys() in _CONNECTS:
        return "payload"
    return "data" if "data" in parsed and isinstance(parsed.get("specversion"), str) else None


def _likely_after_zero(value: bytes) -> str | None:
    if _AZURE_PREAMBLE.match(value):
        return "Avro by a schema of Azure's registry, named by 32 letters, which the worker does not read"
    for width in (2, 4):
        if int.from_bytes(value[:width], "big") == len(value) - width and _BRACE.match(value, width):
            return (
                f"JSON after a length of {width} bytes, as Java's DataOutputStream writes it: have it write text alone"
            )
    text = value[2 : 2 + value[1] // 2] if len(value) > PREFIX_BYTES else b""
    if len(text) > 2 and value[1] == 2 * len(text) and text.isascii() and text.decode().isprintable():
        return f"a union's first branch, or a null, and a text, as Avro writes them. That is {_BARE_AVRO}"
    return None


def _protobuf(message_type: bytes | None) -> str:
    named = f", with `{message_type.decode()}` in its first field" if message_type else ""
    return f"Protobuf{named}; have the producer write JSON or Avro"
