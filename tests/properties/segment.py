"""Segment messages as records, in both shapes that the worker reads."""

import io
import json
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import fastavro

from processor.events.avro import Reader, reader_of
from processor.events.framing import SchemaId
from processor.model.records import Record

SCHEMAS = Path(__file__).parents[2] / "schemas"
IDS: dict[str, str] = json.loads((SCHEMAS / "ids.json").read_text(encoding="utf-8"))
KAFKA_TIMESTAMP_MS = 1_767_225_600_000
KAFKA_TIMESTAMP = "2026-01-01T00:00:00.000Z"

FREE_FORM = ("context", "integrations", "properties", "traits")
TIMES = ("timestamp", "originalTimestamp", "sentAt", "receivedAt")

Json = dict[str, Any]


def shipped(name: str) -> str:
    """Return the text of one of the project's schemas."""
    return (SCHEMAS / f"{name}.avsc").read_text(encoding="utf-8")


def shipped_readers() -> dict[SchemaId, Reader]:
    """Return the readers of all shipped schemas by their ids."""
    return {int(schema_id): reader_of(shipped(file.removesuffix(".avsc"))) for schema_id, file in IDS.items()}


def framed(schema: str, event: Any, schema_id: int = 1) -> bytes:
    """Return Confluent's framing of an event written with any schema."""
    buffer = io.BytesIO()
    buffer.write(b"\0" + schema_id.to_bytes(4, "big"))
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(json.loads(schema)), event)
    return buffer.getvalue()


def as_avro(message: Json) -> bytes:
    """Write a message as its producer would by the shipped schema of its type: ids and free-form parts as text."""
    name = message["type"].lower()
    schema_id = next(int(found) for found, file in IDS.items() if file == f"{name}.avsc")
    event = {"messageId": "m-1", **message}
    event |= {each: json.dumps(event[each]) for each in FREE_FORM if event.get(each) is not None}
    event |= {each: str(event[each]) for each in ("userId", "anonymousId", "version") if event.get(each) is not None}
    event |= {each: _milliseconds(event[each]) for each in TIMES if event.get(each) is not None}
    return framed(shipped(name), event, schema_id)


def as_json(message: Json) -> bytes:
    """Write a message as Segment's own Kafka destination does."""
    return json.dumps(message).encode()


def record(value: bytes | None, offset: int = 0, timestamp_ms: int = KAFKA_TIMESTAMP_MS) -> Record:
    """Return a record with this value."""
    return Record(offset, timestamp_ms, b"key", value, None)


def _milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000)


every_field = partial(reader_of, wanted=None)
"""The reader of a schema that leaves nothing out, to see what each type becomes."""
