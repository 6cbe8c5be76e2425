"""Framing: what in a record names the schema of its value, and where the content begins.

| framing | recognised by | names its schema by |
|---|---|---|
| Confluent, header | header `__value_schema_id`; looked at first | 1 and a guid, or 0 and an id |
| Confluent, prefix | first byte 0 | an id: four bytes, big-endian |
| Avro single-object | first bytes C3 01 | a fingerprint: eight bytes, little-endian |
| JSON | an opening brace, bracket or quotation mark, white space, or a byte order mark | nothing |

Confluent: https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
Avro: https://avro.apache.org/docs/1.12.0/specification/#single-object-encoding
"""

from collections.abc import Iterable
from typing import final
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


SchemaId = int | Guid | Fingerprint
"""What names a schema: Confluent's number, unique within one registry, or its guid, or a fingerprint."""

MAX_REGISTERED = 2**31 - 1
"""The highest id that a registry gives: it counts from 1 in 32 bits with a sign."""

SCHEMA_HEADER = "__value_schema_id"

MAGIC = 0
PREFIX_BYTES = 5
SINGLE_OBJECT = b"\xc3\x01"
SINGLE_OBJECT_BYTES = 10
JSON_FIRST_BYTES = frozenset(b'{[" \t\r\n')
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_GUID_MAGIC = 1
_GUID_HEADER_BYTES = 17


def kind_of(schema_id: SchemaId) -> str:
    """Return what sort of name it is: `id`, `guid` or `fingerprint`."""
    return "id" if isinstance(schema_id, int) else type(schema_id).__name__.lower()


def may_be_registered(schema_id: SchemaId) -> bool:
    """Say whether a registry may have such a schema at all; the rest are bytes of something else, or fingerprints."""
    return 0 < schema_id <= MAX_REGISTERED if isinstance(schema_id, int) else isinstance(schema_id, Guid)


def is_json(value: bytes) -> bool:
    """Say whether a value without a framing begins as JSON does that may hold a message."""
    return value[0] in JSON_FIRST_BYTES or value.startswith(BYTE_ORDER_MARK)


def header_of(headers: Headers) -> bytes | None:
    """Return what names the schema in a record's headers: the first of its name, as Confluent's clients read it."""
    for name, value in headers:
        if name == SCHEMA_HEADER:
            return value or b""
    return None


def id_in_header(value: bytes) -> SchemaId | None:
    """Return the id or guid that the header holds; None for anything else."""
    if len(value) == _GUID_HEADER_BYTES and value[0] == _GUID_MAGIC:
        return Guid(value[1:])
    return id_in_prefix(value) if len(value) == PREFIX_BYTES else None


def id_in_prefix(value: bytes) -> SchemaId | None:
    """Return the id or fingerprint that a value, or its first ten bytes, begins with; None where it names none."""
    if len(value) >= PREFIX_BYTES and value[0] == MAGIC:
        return int.from_bytes(value[1:PREFIX_BYTES], "big")
    if len(value) >= SINGLE_OBJECT_BYTES and value.startswith(SINGLE_OBJECT):
        return Fingerprint(value[len(SINGLE_OBJECT) : SINGLE_OBJECT_BYTES])
    return None


def schema_ids(records: Iterable[Record]) -> set[SchemaId]:
    """Return the schemas that these records name, so that they can be fetched before decoding starts."""
    given = list(records)
    with_headers = [record for record in given if record.headers]
    bare = [record for record in given if not record.headers] if with_headers else given
    prefixes = {record.value[:PREFIX_BYTES] for record in bare if record.value}
    if any(prefix.startswith(SINGLE_OBJECT) for prefix in prefixes):
        prefixes |= {record.value[:SINGLE_OBJECT_BYTES] for record in bare if record.value}
    in_headers: set[bytes] = set()
    for _, _, _, value, headers in with_headers:
        header = header_of(headers or [])
        if header is not None and value:
            in_headers.add(header)
        elif value:
            prefixes.add(value[:SINGLE_OBJECT_BYTES])
    found = {*map(id_in_prefix, prefixes), *map(id_in_header, in_headers)}
    return {each for each in found if each is not None}
