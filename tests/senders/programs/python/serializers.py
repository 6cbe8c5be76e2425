"""One message by serializers of Python, a line each: their names, and values, headers, schemas and languages in base64.

Where nothing but a program's own knowledge says by which schema a value was written, none is printed.
"""

# mypy: ignore-errors
# It runs beside packages of its own, which are not those of the project.

import io
import json
import sys
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
import pandas as pd
from confluent_kafka.schema_registry import SchemaRegistryClient, header_schema_id_serializer
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

MOMENT = datetime(2026, 3, 4, 4, 6, 7, 890000, tzinfo=UTC)
TRACK = {"type": "track", "userId": "42", "event": "Serialized", "timestamp": MOMENT, "properties": {"whole": 42}}
JSON_TRACK = {**TRACK, "timestamp": "2026-03-04T04:06:07.890Z"}
JSON_SCHEMA = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Track", "type": "object"}


def main(schema: str) -> None:
    """Serialize."""
    confluent("", schema, AvroSerializer, TRACK)
    confluent(", JSON Schema", json.dumps(JSON_SCHEMA), JSONSerializer, JSON_TRACK)
    message = protobuf_track()
    confluent(", Protobuf", type(message), ProtobufSerializer, message)
    buffer = io.BytesIO()
    parsed = fastavro.schema.load_schema(sys.argv[1])
    fastavro.schemaless_writer(buffer, parsed, TRACK)
    show("fastavro, schemaless_writer", buffer.getvalue())
    buffer = io.BytesIO()
    fastavro.writer(buffer, parsed, [TRACK])
    show("fastavro, writer", buffer.getvalue())
    rows = pd.DataFrame([{**TRACK, "userId": 42}, {**TRACK, "userId": None}])
    show("pandas, to_json", rows.to_json(orient="records", lines=True).splitlines()[0].encode())


def confluent(kind: str, schema: Any, serializer: Any, message: Any) -> None:
    """Show what a serializer of Confluent writes, in both of its framings."""
    registry = SchemaRegistryClient.new_client({"url": "mock://"})
    for framing, conf in {"": {}, ", by header": {"schema.id.serializer": header_schema_id_serializer}}.items():
        context = SerializationContext("segment", MessageField.VALUE, [])
        given = (registry, schema) if serializer is AvroSerializer else (schema, registry)
        value = serializer(*given, conf=conf)(message, context)
        registered = registry.get_latest_version("segment-value").schema
        show(f"Confluent, Python{kind}{framing}", value, context.headers, registered.schema_str, registered.schema_type)


def protobuf_track() -> Message:
    """Return the message as one of Protobuf, of a type that is made here."""
    file = descriptor_pb2.FileDescriptorProto(name="track.proto", package="example.tea", syntax="proto3")
    track = file.message_type.add(name="Track")
    text, whole = descriptor_pb2.FieldDescriptorProto.TYPE_STRING, descriptor_pb2.FieldDescriptorProto.TYPE_INT64
    for at, (name, kind) in enumerate({"type": text, "userId": text, "event": text, "timestamp": whole}.items(), 1):
        track.field.add(name=name, number=at, type=kind, label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made = message_factory.GetMessageClass(pool.FindMessageTypeByName("example.tea.Track"))
    return made(type="track", userId="42", event="Serialized", timestamp=int(MOMENT.timestamp() * 1000))


def show(
    name: str, value: bytes, headers: Sequence[tuple[str, bytes]] = (), schema: str = "", language: str = ""
) -> None:
    """Print what was serialized."""
    shown = ",".join(f"{key}={b64encode(each).decode()}" for key, each in headers)
    parts = [b64encode(value), shown.encode(), b64encode(schema.encode()), language.encode()]
    print(name, *(each.decode() for each in parts), sep="\t")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]).read_text(encoding="utf-8"))
