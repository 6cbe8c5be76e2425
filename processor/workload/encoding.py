"""A Segment message as a Kafka value: Avro with Confluent's framing, or plain JSON."""

import io
import json
from datetime import UTC, datetime
from typing import Any, final

import fastavro
import orjson

from processor import shipped_folder

Message = dict[str, Any]
"""Fields by Segment's names, as the shipped schemas have them: times in milliseconds, free-form parts as JSON text."""

_FREE_FORM = ("context", "integrations", "properties", "traits")
_TIMES = ("timestamp", "originalTimestamp", "sentAt", "receivedAt")


def json_text(value: Message) -> str:
    """Return the JSON text of a free-form part."""
    return orjson.dumps(value).decode()


def encode_json(message: Message) -> bytes:
    """Encode as Segment does: times as ISO 8601, free-form parts as objects."""
    plain = dict(message)
    for name in _FREE_FORM:
        if plain.get(name) is not None:
            plain[name] = orjson.Fragment(plain[name])
    for name in _TIMES:
        if plain[name] is not None:
            plain[name] = _iso(plain[name])
    return orjson.dumps(plain)


def _iso(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1_000, UTC)
    return f"{moment.isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"


@final
class AvroEncoder:
    """Encodes with the shipped schemas, under the ids that they have without a registry."""

    def __init__(self) -> None:
        self._by_type = _shipped_schemas()

    def __call__(self, message: Message) -> bytes:
        """Encode by the schema of the message's type; a type without one gets that of a track."""
        prefix, schema = self._by_type.get(message["type"]) or self._by_type["track"]
        buffer = io.BytesIO()
        buffer.write(prefix)
        fastavro.schemaless_writer(buffer, schema, message)
        return buffer.getvalue()


def _shipped_schemas() -> dict[str, tuple[bytes, Any]]:
    """Load each type's framing prefix and parsed schema."""
    folder = shipped_folder()
    ids: dict[str, str] = json.loads((folder / "ids.json").read_text(encoding="utf-8"))
    return {
        name.removesuffix(".avsc"): (
            b"\0" + int(schema_id).to_bytes(4, "big"),
            fastavro.parse_schema(json.loads((folder / name).read_text(encoding="utf-8"))),
        )
        for schema_id, name in ids.items()
    }
