"""Framing: what in a record names the schema of its value, and where the content begins.

| framing | recognised by | names its schema by |
|---|---|---|
| Confluent, header | header `__value_schema_id` | 1 and a guid, or 0 and an id |
| Apicurio, header | header `apicurio.value.globalId` or `….contentId` | a number: eight bytes, big-endian |
| Azure, header | header `content-type` of `avro/binary+…` | nothing that the worker reads |
| Confluent, prefix | first byte 0 | an id: four bytes, big-endian |
| Apicurio, prefix | first byte 0, and Confluent's id would be 0 | a number: eight bytes, big-endian |
| AWS Glue | first bytes 03 00, or 03 05 for zlib | the id of a schema's version: sixteen bytes |
| Avro single-object | first bytes C3 01 | a fingerprint: eight bytes, little-endian |
| JSON | an opening brace, bracket or quotation mark, white space, or a byte order mark | nothing |

Headers are looked at first: they outrank whatever the value seems to begin with. Of several the last counts, as
serializers append theirs to those that came with the input (Kafka Streams). An empty one says nothing.

Confluent: https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
Avro: https://avro.apache.org/docs/1.12.0/specification/#single-object-encoding
Apicurio (2.6.13, 3.1.7) and AWS Glue (1.1.27): the bytes that their serializers write, tests/unit/test_serdes.py
"""

import zlib
from collections.abc import Iterable
from typing import Literal, NamedTuple, final
from uuid import UUID

from processor.model.records import Headers, Record


@final
class Guid(bytes):
    """Confluent's guid of a schema, sixteen bytes."""

    __slots__ = ()

    def __str__(self) -> str:
        return str(UUID(bytes=bytes(self)))


@final
class Fingerprint(bytes):
    """CRC-64-AVRO of a schema's parsing canonical form, eight bytes, little-endian."""

    __slots__ = ()

    def __str__(self) -> str:
        return self.hex()


@final
class ApicurioId(NamedTuple):
    """Apicurio's number of a version (`globalId`) or of a content (`contentId`, also its id in Confluent's API).

    Of `eight-byte-id` the record does not say which it is. `is_json`: the value is written in Avro's JSON encoding.
    """

    kind: Literal["globalId", "contentId", "eight-byte-id"]
    number: int
    is_json: bool = False

    def __str__(self) -> str:
        return str(self.number)


@final
class GlueId(NamedTuple):
    """The id of a schema's version in AWS Glue."""

    version: UUID

    def __str__(self) -> str:
        return str(self.version)


SchemaId = int | Guid | Fingerprint | ApicurioId | GlueId
"""What names a schema: Confluent's number, unique within one registry, or its guid, a fingerprint, or as others do."""

MAX_REGISTERED = 2**31 - 1
"""The highest id that a registry gives: it counts from 1 in 32 bits with a sign."""

SCHEMA_HEADER = "__value_schema_id"
GLOBAL_ID_HEADER = "apicurio.value.globalId"
CONTENT_ID_HEADER = "apicurio.value.contentId"
ENCODING_HEADER = "apicurio.value.encoding"
TYPE_HEADER = "content-type"

MAGIC = 0
PREFIX_BYTES = 5
LONG_PREFIX_BYTES = 9
SINGLE_OBJECT = b"\xc3\x01"
SINGLE_OBJECT_BYTES = 10
GLUE = b"\x03\x00"
GLUE_ZLIB = b"\x03\x05"
GLUE_BYTES = 18
JSON_FIRST_BYTES = frozenset(b'{[" \t\r\n')
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

MAX_INFLATED_BYTES = 16 * 2**20
"""What a compressed value may hold: a sixteenfold of Kafka's largest record by default. Zlib makes up to a thousand."""

_GUID_MAGIC = 1
_GUID_HEADER_BYTES = 17
_NO_ID = bytes(PREFIX_BYTES)
"""Confluent's prefix with the id 0, which no registry gives: Apicurio's, with a number below 2^32, begins so."""

_AZURE_TYPE = b"avro/binary+"
_HEADERS = frozenset({SCHEMA_HEADER, GLOBAL_ID_HEADER, CONTENT_ID_HEADER, TYPE_HEADER})


def kind_of(schema_id: SchemaId) -> str:
    """Return what sort of name it is: `id`, `guid`, `fingerprint`, `glue-version`, or that of an `ApicurioId`."""
    if isinstance(schema_id, int):
        return "id"
    if isinstance(schema_id, ApicurioId):
        return schema_id.kind
    return "glue-version" if isinstance(schema_id, GlueId) else type(schema_id).__name__.lower()


def may_be_registered(schema_id: SchemaId) -> bool:
    """Say whether a registry may have such a schema at all; the rest are bytes of something else, or fingerprints."""
    if isinstance(schema_id, ApicurioId):
        return schema_id.number > 0 and (schema_id.kind != "contentId" or schema_id.number <= MAX_REGISTERED)
    return 0 < schema_id <= MAX_REGISTERED if isinstance(schema_id, int) else not isinstance(schema_id, Fingerprint)


def is_json(value: bytes) -> bool:
    """Say whether a value without a framing begins as JSON does that may hold a message."""
    return value[0] in JSON_FIRST_BYTES or value.startswith(BYTE_ORDER_MARK)


SchemaHeader = tuple[str, bytes, bool]
"""What names the schema in a record's headers: name, value, and whether Apicurio's say that it is Avro in JSON.

One exists per record, so it is a tuple without names.
"""


def header_of(headers: Headers) -> SchemaHeader | None:
    """Return what names the schema in a record's headers; None where they leave it to the value."""
    for name, value in reversed(headers):
        if name in _HEADERS:
            if name == SCHEMA_HEADER:
                return (name, value, False) if value else None
            if name != TYPE_HEADER:
                return (name, value, (ENCODING_HEADER, b"JSON") in headers) if value else None
            if value and value.startswith(_AZURE_TYPE):
                return name, value, False
    return None


def id_in_header(header: SchemaHeader) -> SchemaId | None:
    """Return what the header names the schema by; None where it names none that can be read."""
    name, value, is_in_json = header
    if name == SCHEMA_HEADER:
        if len(value) >= _GUID_HEADER_BYTES and value[0] == _GUID_MAGIC:
            return Guid(value[1:_GUID_HEADER_BYTES])  # of Protobuf, it also says which message of the file it is
        return id_in_prefix(value) if len(value) == PREFIX_BYTES else None
    if name == TYPE_HEADER or len(value) != LONG_PREFIX_BYTES - 1:
        return None
    number = int.from_bytes(value, "big", signed=True)
    return ApicurioId("globalId" if name == GLOBAL_ID_HEADER else "contentId", number, is_in_json)


def fault_of_header(header: SchemaHeader) -> str:
    """Say why a header names no schema."""
    name, _, _ = header
    if name == TYPE_HEADER:
        return (
            f"the header {TYPE_HEADER} says `avro/binary+` and an id: the value is Avro by a schema of Azure's "
            "registry, which the worker cannot read; have the producer write JSON, or use Confluent's serializer"
        )
    holds = "neither a schema's id nor a guid" if name == SCHEMA_HEADER else "no number of eight bytes"
    return f"the header {name} holds {holds}"


def id_in_prefix(value: bytes) -> SchemaId | None:
    """Return what a value, or its first 18 bytes, names its schema by; None where it names none.

    Where Confluent's id would be 0, the next four bytes may make it Apicurio's of eight.
    """
    if len(value) >= PREFIX_BYTES and value[0] == MAGIC:
        return long_id_in(value) or int.from_bytes(value[1:PREFIX_BYTES], "big")
    if len(value) >= SINGLE_OBJECT_BYTES and value.startswith(SINGLE_OBJECT):
        return Fingerprint(value[len(SINGLE_OBJECT) : SINGLE_OBJECT_BYTES])
    if len(value) >= GLUE_BYTES and value.startswith((GLUE, GLUE_ZLIB)):
        return GlueId(UUID(bytes=bytes(value[len(GLUE) : GLUE_BYTES])))
    return None


def long_id_in(value: bytes) -> ApicurioId | None:
    """Return the id of eight bytes after a byte 0, as Apicurio's serializers write it without headers.

    It is a global id by default in release 2, and a content id by default in release 3.
    """
    if len(value) < LONG_PREFIX_BYTES or not value.startswith(_NO_ID):
        return None
    number = int.from_bytes(value[PREFIX_BYTES:LONG_PREFIX_BYTES], "big")
    return ApicurioId("eight-byte-id", number) if 0 < number <= MAX_REGISTERED else None


def inflated(value: bytes) -> bytes | str:
    """Return the content of a value in the framing of AWS Glue, or in words why it cannot be had."""
    if value.startswith(GLUE):
        return value[GLUE_BYTES:]
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(value[GLUE_BYTES:], MAX_INFLATED_BYTES)
    except zlib.error:
        return "the value is framed as AWS Glue's with zlib, and what follows is not compressed so"
    if not inflater.eof:
        return f"the value is compressed, and ends too early or holds more than {MAX_INFLATED_BYTES:,} bytes"
    if inflater.unused_data:
        return f"{len(inflater.unused_data)} bytes follow what is compressed"
    return content


def schema_ids(records: Iterable[Record]) -> set[SchemaId]:
    """Return the schemas that these records name, so that they can be fetched before decoding starts."""
    given = list(records)
    with_headers = [record for record in given if record.headers]
    bare = [record for record in given if not record.headers] if with_headers else given
    prefixes = {record.value[:PREFIX_BYTES] for record in bare if record.value}
    if any(each.startswith(_LONGER) for each in prefixes):
        prefixes = {record.value[:GLUE_BYTES] for record in bare if record.value}
    in_headers: set[SchemaHeader] = set()
    for _, _, _, value, headers in with_headers:
        if value:
            if (header := header_of(headers or [])) is not None:
                in_headers.add(header)
            else:
                prefixes.add(value[:GLUE_BYTES])
    found = {*map(id_in_prefix, prefixes), *map(id_in_header, in_headers)}
    return {each for each in found if each is not None}


_LONGER = (SINGLE_OBJECT, GLUE, GLUE_ZLIB, _NO_ID)
"""First bytes of framings whose names do not fit into Confluent's prefix."""
