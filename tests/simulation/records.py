"""Records whose fate can be told from what FullStory and the dead-letter topic hold in the end."""

import re
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal

import fastavro
import orjson

from processor.model.outcomes import Event
from processor.model.records import Record, TopicPartition

Fate = Literal["delivered", "dead_lettered", "filtered", "gone"]
"""What has to become of a record; `gone` ones are deleted from the topic before anybody reads them."""

MARK = re.compile(r"r(\d+)x(\d+)\Z")

TOPICS_APART = 1_000
"""By so much the numbers within marks differ when a topic was deleted and created anew in between."""


@dataclass(slots=True)
class Sent:
    """A record in the topic, and what the laws need to know of it."""

    partition: TopicPartition
    record: Record
    uid: str | None
    is_identify: bool
    fate: Fate
    topic_id: int = 0
    """How often the topic had been created anew."""
    deletes: str | None = None
    """Whom it deletes."""

    @property
    def number(self) -> int:
        """The partition's number within marks."""
        return self.partition.partition + TOPICS_APART * self.topic_id

    @property
    def mark(self) -> str:
        """The record's name within items."""
        return mark(self.partition, self.record.offset, self.topic_id)


def mark(partition: TopicPartition, offset: int, topic_id: int = 0) -> str:
    """Return a legal property name that no other record has, of another topic under the same name neither."""
    return f"r{partition.partition + TOPICS_APART * topic_id}x{offset}"


def marks_of(item: dict[str, Any]) -> list[tuple[int, int]]:
    """Return number and offset of the records that an item stands for, in offset order."""
    found = [match for name in item.get("properties", ()) if (match := MARK.match(name))]
    return sorted((int(match[1]), int(match[2])) for match in found)


def identify(uid: str, name: str, **traits: Any) -> Event:
    """Return an identify that carries the mark `name`."""
    return {"type": "identify", "userId": uid, "traits": {name: True, **traits}}


def track(uid: str, name: str, **properties: Any) -> Event:
    """Return a track that carries the mark `name`."""
    return {"type": "track", "event": "Seen", "userId": uid, "properties": {name: True, **properties}}


SCHEMA_ID = 7
SCHEMA = {
    "type": "record",
    "name": "Message",
    "fields": [
        {"name": "type", "type": "string"},
        {"name": "userId", "type": "string"},
        *({"name": name, "type": ["null", "string"]} for name in ("event", "traits", "properties")),
    ],
}
"""A schema as simple as one can be; what is free-form is JSON text."""


def as_json(event: Event) -> bytes:
    """Encode an event as Segment's own Kafka destination does."""
    return orjson.dumps(event)


def as_avro(event: Event) -> bytes:
    """Encode an event by the schema above, in Confluent's framing."""
    texts = {name: orjson.dumps(event[name]).decode() for name in ("traits", "properties") if name in event}
    stream = BytesIO()
    fastavro.schemaless_writer(stream, SCHEMA, {"event": None, "traits": None, "properties": None, **event, **texts})
    return b"\0" + SCHEMA_ID.to_bytes(4, "big") + stream.getvalue()
