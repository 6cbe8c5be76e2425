"""Records whose fate can be told from what FullStory and the dead-letter topic hold in the end."""

import re
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from processor.model.records import Record, TopicPartition

Fate = Literal["delivered", "dead_lettered", "filtered", "gone"]
"""What has to become of a record; `gone` ones are deleted from the topic before anybody reads them."""

MARK = re.compile(r"r(\d+)x(\d+)\Z")


@dataclass(slots=True)
class Sent:
    """A record in the topic, and what the laws need to know of it."""

    partition: TopicPartition
    record: Record
    uid: str | None
    is_identify: bool
    fate: Fate

    @property
    def mark(self) -> str:
        """The record's name within items."""
        return mark(self.partition, self.record.offset)


def mark(partition: TopicPartition, offset: int) -> str:
    """Return a legal property name that no other record has."""
    return f"r{partition.partition}x{offset}"


def marks_of(item: dict[str, Any]) -> list[tuple[int, int]]:
    """Return partition and offset of the records that an item stands for, in offset order."""
    found = [match for name in item.get("properties", ()) if (match := MARK.match(name))]
    return sorted((int(match[1]), int(match[2])) for match in found)


def identify(uid: str | None, name: str, **traits: Any) -> bytes:
    """Return an identify as JSON."""
    return orjson.dumps({"type": "identify", "userId": uid, "traits": {name: True, **traits}})


def track(uid: str | None, name: str, **properties: Any) -> bytes:
    """Return a track as JSON."""
    return orjson.dumps({"type": "track", "event": "Seen", "userId": uid, "properties": {name: True, **properties}})
