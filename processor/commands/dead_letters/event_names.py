"""What event a dead letter holds, read by the worker's own decoder."""

from collections.abc import Mapping

from processor.events.avro import Reader, decode
from processor.events.framing import SchemaId
from processor.model.records import Record

UNREADABLE = "(unreadable)"
"""In place of the name, of what cannot be decoded: `malformed`, or its schema cannot be had."""

NAMING_FIELDS = frozenset({"type", "event", "name"})
"""What a reader has to give."""


def event_name(record: Record, readers: Mapping[SchemaId, Reader]) -> str:
    """Return the name of a track, page or screen; the type of another message, in brackets."""
    event = decode(record, readers)
    if not isinstance(event, dict):
        return UNREADABLE
    kind = event.get("type")
    name = event.get("event" if kind == "track" else "name") if kind in ("track", "page", "screen") else None
    return name if isinstance(name, str) and name else f"({kind if isinstance(kind, str) else 'no type'})"
