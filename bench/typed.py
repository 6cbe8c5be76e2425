"""The generated events in a schema as people write their own: typed maps, records and unions, no JSON text."""

import asyncio
import io
from collections.abc import Iterable
from typing import Any

import fastavro
import orjson

from processor import shipped_folder
from processor.adapters.schemas.local import LocalSchemas
from processor.events.avro import decode, reader_of
from processor.events.framing import MAGIC, schema_ids
from processor.model.records import Record

SCHEMA_ID = 1
TIMES = ("timestamp", "originalTimestamp", "sentAt", "receivedAt")
_TEXT = ["null", "string"]
_TIME = ["null", {"type": "long", "logicalType": "timestamp-millis"}]
_VALUES = ["null", "boolean", "long", "double", "string", {"type": "array", "items": "string"}]
_MAP = ["null", {"type": "map", "values": _VALUES}]


def _record(called: str, /, **fields: object) -> dict[str, Any]:
    return {"type": "record", "name": called, "fields": [{"name": each, "type": of} for each, of in fields.items()]}


SCHEMA = orjson.dumps(
    _record(
        "SegmentEvent",
        type={"type": "enum", "name": "EventType", "symbols": ["identify", "track"]},
        messageId="string",
        userId=_TEXT,
        anonymousId=_TEXT,
        **dict.fromkeys(TIMES, _TIME),
        context=_record(
            "Context",
            ip=_TEXT,
            locale=_TEXT,
            userAgent=_TEXT,
            library=_record("Library", name=_TEXT, version=_TEXT),
            page=_record("Page", path=_TEXT, referrer=_TEXT, title=_TEXT, url=_TEXT),
        ),
        integrations=["null", {"type": "map", "values": "boolean"}],
        event=_TEXT,
        properties=_MAP,
        traits=_MAP,
    )
).decode()


def typed(given: Iterable[Record]) -> list[Record]:
    """Return records of the shipped schemas as records of `SCHEMA`; a value with members of its own becomes text."""
    given = list(given)
    folder = LocalSchemas(shipped_folder())
    found = {each: asyncio.run(folder.fetch(each)) for each in schema_ids(given)}
    readers = {each: reader_of(schema.text, None) for each, schema in found.items() if schema}
    parsed = fastavro.parse_schema(orjson.loads(SCHEMA))
    return [record._replace(value=_written(parsed, decode(record, readers))) for record in given]


def _written(schema: Any, event: Any) -> bytes:
    out = io.BytesIO(bytes([MAGIC]) + SCHEMA_ID.to_bytes(4, "big"))
    out.seek(0, io.SEEK_END)
    own = dict(event) | {"context": orjson.loads(event["context"])}
    for name in ("properties", "traits"):
        if (members := own.get(name)) is not None:
            own[name] = {
                key: orjson.dumps(each).decode() if type(each) is dict else each for key, each in members.items()
            }
    fastavro.schemaless_writer(out, schema, own)
    return out.getvalue()
