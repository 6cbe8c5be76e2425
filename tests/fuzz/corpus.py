"""What is damaged: a record of every framing and every shape; and records made to harm."""

import json
import zlib
from collections.abc import Callable, Iterator
from random import Random
from typing import Any
from uuid import UUID

from processor.adapters.schemas.local import fingerprint_of
from processor.events.avro import Reader, reader_of
from processor.events.framing import (
    ENCODING_HEADER,
    GLOBAL_ID_HEADER,
    SCHEMA_HEADER,
    ApicurioId,
    GlueId,
    Guid,
    SchemaId,
)
from processor.events.languages import AVRO_IN_JSON, JSON_SCHEMA
from processor.model.records import Record
from tests.properties.segment import IDS, as_avro, as_json, framed, record, shipped, shipped_readers
from tests.properties.shapes import SHAPES, UNION, message_schema, with_properties

FIRST_ID = 100
LOGICAL_ID, TREE_ID, DECIMAL_ID, JSON_SCHEMA_ID, UNION_ID = 200, 201, 202, 203, 204
GUID = Guid(bytes(range(16)))
GLUED = GlueId(UUID(bytes=bytes(range(16))))
NUMBER = (9).to_bytes(8, "big")
IN_JSON = ApicurioId("globalId", 9, is_json=True)
TRACKS: tuple[SchemaId, ...] = (
    *(GUID, GLUED, fingerprint_of(shipped("track"))),
    *(ApicurioId("globalId", 9), ApicurioId("eight-byte-id", 9)),
)
"""What else names the schema of a track."""
LARGEST_BYTES = 1_048_576
"""Kafka's own limit of a record, unless it is raised."""

MESSAGES: list[dict[str, Any]] = [
    {
        "type": "identify",
        "userId": "u-1",
        "anonymousId": "a-1",
        "timestamp": "2026-01-01T00:00:00.000Z",
        "traits": {"email": "a@b.c", "displayName": "Ann", "größe": [1, 2.5], "address": {"city": "Ulm", "zip": None}},
        "context": {"ip": "10.0.0.1", "userAgent": "x", "page": {"url": "https://a.b"}, "screen": {"width": 3}},
        "integrations": {"All": True, "FullStory": {"useMostRecent": True}},
    },
    {
        "type": "track",
        "userId": "u-1",
        "event": "Order Completed",
        "timestamp": "2026-01-01T00:00:00.000Z",
        "properties": {"total": 99.95, "at": "2026-01-01T00:00:00Z", "items": [{"sku": "x"}], "a b": 1, "a-b": 2},
        "integrations": {"All": True},
    },
    {"type": "page", "anonymousId": "a-1", "name": "Home", "properties": {"path": "/"}},
]

LOGICAL_TYPES: dict[str, tuple[Any, Any]] = {
    "at": ({"type": "long", "logicalType": "timestamp-millis"}, 1_424_730_535_111),
    "micros": ({"type": "long", "logicalType": "local-timestamp-micros"}, 1_424_730_535_111_999),
    "day": ({"type": "int", "logicalType": "date"}, 16_489),
    "time": ({"type": "long", "logicalType": "time-micros"}, 3_600_000_000),
    "size": ({"type": "enum", "name": "Size", "symbols": ["S", "M"]}, "M"),
    "hash": ({"type": "fixed", "name": "Hash", "size": 2}, b"\0\xff"),
    "id": ({"type": "string", "logicalType": "uuid"}, "8d4f0c3e-0000-4000-8000-000000000000"),
    "raw": ("bytes", b"\0\xff"),
    "real": ("float", 1.5),
    "some": (["null", "boolean", "double"], True),
}
LOGICAL = message_schema(
    {
        "type": "record",
        "name": "P",
        "fields": [{"name": name, "type": kind} for name, (kind, _) in LOGICAL_TYPES.items()],
    }
)
TREE = message_schema(
    {
        "type": "record",
        "name": "Tree",
        "fields": [
            {"name": "left", "type": ["null", "Tree"]},
            {"name": "right", "type": ["null", "Tree"]},
            {"name": "leaves", "type": {"type": "array", "items": "null"}},
        ],
    }
)
DECIMAL = message_schema(
    {
        "type": "map",
        "values": [{"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2}, "string"],
    }
)


def readers() -> dict[SchemaId, Reader]:
    """Return the readers of every schema of the corpus."""
    texts: dict[SchemaId, str] = {FIRST_ID + number: json.dumps(schema) for number, (schema, _) in enumerate(_shapes())}
    texts |= {LOGICAL_ID: json.dumps(LOGICAL), TREE_ID: json.dumps(TREE), DECIMAL_ID: json.dumps(DECIMAL)}
    texts |= {UNION_ID: json.dumps(UNION), **dict.fromkeys(TRACKS, shipped("track"))}
    others: dict[SchemaId, Reader] = {
        JSON_SCHEMA_ID: reader_of("", language=JSON_SCHEMA),
        IN_JSON: reader_of(shipped("track"), language=AVRO_IN_JSON),
    }
    return shipped_readers() | {schema_id: reader_of(text) for schema_id, text in texts.items()} | others


def _shapes() -> list[tuple[Any, Any]]:
    return list(SHAPES.values())


def sound() -> list[Record]:
    """Return a record of every framing and shape, each as a producer would write it."""
    values = [write(message) for message in MESSAGES for write in (as_avro, as_json)]
    values += [
        framed(json.dumps(schema), written, FIRST_ID + number) for number, (schema, written) in enumerate(_shapes())
    ]
    values.append(
        framed(json.dumps(LOGICAL), with_properties({n: v for n, (_, v) in LOGICAL_TYPES.items()}), LOGICAL_ID)
    )
    leaf = {"left": None, "right": None, "leaves": [None] * 3}
    values.append(framed(json.dumps(TREE), with_properties({**leaf, "left": {**leaf, "right": leaf}}), TREE_ID))
    values.append(framed(json.dumps(DECIMAL), with_properties({"a": "x", "b": "y"}), DECIMAL_ID))
    values.append(framed(json.dumps(UNION), ("com.acme.Track", with_properties("{}")), UNION_ID))
    values.append(b"\0" + JSON_SCHEMA_ID.to_bytes(4, "big") + as_json(MESSAGES[1]))
    body = as_avro(MESSAGES[1])[5:]
    values += [
        b"\xc3\x01" + fingerprint_of(shipped("track")) + body,
        b"\0" + NUMBER + body,
        b"\3\0" + GLUED.version.bytes + body,
        b"\3\5" + GLUED.version.bytes + zlib.compress(body),
        as_json({"schema": None, "payload": MESSAGES[1]}),
        as_json({"specversion": "1.0", "data": json.dumps(MESSAGES[1])}),
    ]
    records = [record(value) for value in values]
    track_id = next(int(schema_id) for schema_id, file in IDS.items() if file == "track.avsc")
    headers = (b"\1" + GUID, b"\0" + track_id.to_bytes(4, "big"))
    names = [each["name"] for each in json.loads(shipped("track"))["fields"]]
    needed = {"type": "track", "messageId": "m", "userId": {"string": "u-1"}, "event": "E"}
    in_json = as_json(dict.fromkeys(names) | needed)
    apicurios = [
        record(body)._replace(headers=[(GLOBAL_ID_HEADER, NUMBER), (ENCODING_HEADER, b"BINARY")]),
        record(in_json)._replace(headers=[(GLOBAL_ID_HEADER, NUMBER), (ENCODING_HEADER, b"JSON")]),
    ]
    return [
        *records,
        *apicurios,
        *(record(body)._replace(headers=[("traceparent", b"00"), (SCHEMA_HEADER, header)]) for header in headers),
    ]


HEAD = b"\x0atrack\2u\2e"
"""The fields before the properties of `message_schema`."""

HUGE = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
HUGE_NEGATIVE = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"


def _behind(schema_id: int, properties: bytes) -> bytes:
    return b"\0" + schema_id.to_bytes(4, "big") + HEAD + properties


def _id_of(shape: str) -> int:
    return FIRST_ID + list(SHAPES).index(shape)


HARMFUL: dict[str, Callable[[int], bytes]] = {
    "deep JSON arrays": lambda size: b'{"type":"track","userId":"u","event":"e","properties":{"a":' + b"[" * size,
    "deep JSON objects": lambda size: (
        b'{"type":"track","userId":"u","event":"e","properties":'
        + b'{"a":' * (size // 6)
        + b"1"
        + b"}" * (size // 6)
        + b"}"
    ),
    "deep JSON that only the lenient parser reads": lambda size: b'{"n": NaN, "a":' + b'{"a":' * (size // 6),
    "many empty JSON objects": lambda size: (
        b'{"type":"track","userId":"u","event":"e","properties":{"a":[' + b"{}," * (size // 3) + b"{}]}}"
    ),
    "many JSON names": lambda size: (
        b'{"type":"identify","userId":"u","traits":{'
        + b",".join(b'"n%d":0' % number for number in range(size // 10))
        + b"}}"
    ),
    "many names that collide": lambda size: (
        b'{"type":"identify","userId":"u","traits":{'
        + b",".join(b'"a' + b"-" * (number % 500) + b'%d":0' % (number % 7) for number in range(size // 260))
        + b"}}"
    ),
    "a long JSON number": lambda size: (
        b'{"type":"track","userId":"u","event":"e","properties":{"a":' + b"9" * size + b"}}"
    ),
    "a long JSON text": lambda size: b'{"type":"track","userId":"u","event":"' + b"x" * size + b'"}',
    "JSON of escapes": lambda size: (
        b'{"type":"track","userId":"u","event":"e","properties":{"a":"' + b"\\ud800" * (size // 6) + b'"}}'
    ),
    "deep Avro": lambda size: _behind(TREE_ID, b"\2" * size),
    "a broad Avro tree": lambda size: _behind(TREE_ID, (b"\2\0\2\0\0\0" * (size // 6))),
    "deep JSON records": lambda size: _behind(_id_of("JSON record"), b"\2\x0c" + b"\x0a\2" * (size // 2)),
    "many JSON records": lambda size: _behind(_id_of("JSON record"), b"\2\x0c" + _long(size // 2) + b"\0" * size),
    "an array of nothing": lambda _size: _behind(TREE_ID, b"\0\0" + HUGE),
    "blocks of nothing": lambda size: _behind(TREE_ID, b"\0\0" + (_long(90_000)) * (size // 4) + b"\0"),
    "a map block of a huge count": lambda size: _behind(_id_of("typed map"), b"\2" + HUGE + b"\2x\0" * (size // 3)),
    "a negative count": lambda size: _behind(_id_of("typed map"), b"\2" + HUGE_NEGATIVE + HUGE + b"\0" * size),
    "a negative count of a huge size": lambda size: _behind(
        _id_of("typed map"), b"\2\1" + HUGE + b"\2x\0" + b"\0" * size
    ),
    "a map bomb": lambda size: _behind(_id_of("typed map"), b"\2" + _long(size // 3) + b"\2x\0" * (size // 3) + b"\0"),
    "a bomb of arrays in a map": lambda size: _behind(
        _id_of("typed map"), b"\2\2\2x\x0a" + _long(size) + b"\0" * size + b"\0\0"
    ),
    "a huge length": lambda size: _behind(_id_of("JSON text"), HUGE + b"x" * size),
    "a negative length": lambda size: _behind(_id_of("JSON text"), HUGE_NEGATIVE + b"x" * size),
    "an endless number": lambda size: _behind(TREE_ID, b"\xff" * size),
    "a huge decimal": lambda size: _behind(DECIMAL_ID, b"\2\2x\0" + _long(size) + b"\x77" * size + b"\0"),
    "many decimals": lambda size: _behind(
        DECIMAL_ID, _long(size // 70) + (b"\2x\0" + _long(64) + b"\x77" * 64) * (size // 70) + b"\0"
    ),
    "JSON text of arrays in Avro": lambda size: _behind(_id_of("JSON text"), _long(size) + b"[" * size),
    "random bytes": lambda size: Random(size).randbytes(min(size, 4_096)),
}
"""By what they would do, each made for a size in bytes."""


def harmful() -> Iterator[tuple[str, Record]]:
    """Yield every record made to harm, small and as large as Kafka takes it."""
    for name, make in HARMFUL.items():
        for size in (600, 30_000, LARGEST_BYTES):
            yield f"{name}, {size} bytes", record(make(size))


def _long(number: int) -> bytes:
    """Return a number that is not negative as Avro writes it."""
    rest = number << 1
    written = bytearray()
    while rest > 127:
        written.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*written, rest])
