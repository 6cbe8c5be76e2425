"""One message by serializers of Python: their names, and headers and values in base64, a line each."""

# mypy: ignore-errors
# It runs beside packages of its own, which are not those of the project.

import io
import sys
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path

import fastavro
import pandas as pd
from confluent_kafka.schema_registry import SchemaRegistryClient, header_schema_id_serializer
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

MOMENT = datetime(2026, 3, 4, 4, 6, 7, 890000, tzinfo=UTC)
TRACK = {"type": "track", "userId": "42", "event": "Serialized", "timestamp": MOMENT, "properties": {"whole": 42}}


def main(schema: str) -> None:
    """Serialize."""
    registry = SchemaRegistryClient.new_client({"url": "mock://"})
    for name, conf in {
        "Confluent, Python": {},
        "Confluent, Python, by header": {"schema.id.serializer": header_schema_id_serializer},
    }.items():
        headers: list[tuple[str, bytes]] = []
        context = SerializationContext("segment", MessageField.VALUE, headers)
        value = AvroSerializer(registry, schema, conf=conf)(TRACK, context)
        show(name, value, dict(context.headers or []))
    buffer = io.BytesIO()
    parsed = fastavro.schema.load_schema(sys.argv[1])
    fastavro.schemaless_writer(buffer, parsed, TRACK)
    show("fastavro, schemaless_writer", buffer.getvalue())
    buffer = io.BytesIO()
    fastavro.writer(buffer, parsed, [TRACK])
    show("fastavro, writer", buffer.getvalue())
    rows = pd.DataFrame([{**TRACK, "userId": 42}, {**TRACK, "userId": None}])
    show("pandas, to_json", rows.to_json(orient="records", lines=True).splitlines()[0].encode())


def show(name: str, value: bytes, headers: dict[str, bytes] | None = None) -> None:
    """Print what was serialized."""
    shown = ",".join(f"{key}={b64encode(each).decode()}" for key, each in (headers or {}).items())
    print(name, b64encode(value).decode(), shown, sep="\t")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]).read_text(encoding="utf-8"))
