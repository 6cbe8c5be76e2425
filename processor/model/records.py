"""Records as Kafka gives them, and the coordinates that name them.

One `Record` exists per Kafka message, so it is a tuple: the cheapest immutable thing with names.
"""

from typing import NamedTuple

Headers = list[tuple[str, bytes | None]]

PER_RECORD_OVERHEAD_BYTES = 256
"""What CPython keeps for a record beside its bytes (tuple, bytes headers, numbers); counted against the budget."""


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


class Record(NamedTuple):
    """A Kafka message; key, value and headers are its original bytes and are never changed."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers | None


def held_bytes(record: Record) -> int:
    """Return what holding this record costs, in bytes, as counted against the memory budget."""
    size = PER_RECORD_OVERHEAD_BYTES + len(record.value or b"") + len(record.key or b"")
    if record.headers:
        size += sum(len(name) + len(value or b"") for name, value in record.headers)
    return size


class OffsetRange(NamedTuple):
    """Contiguous offsets `[start, end)` of one partition; offsets that Kafka never delivers may lie within."""

    start: int
    end: int

    def __str__(self) -> str:
        return f"[{self.start}, {self.end})"


class Commit(NamedTuple):
    """What is committed of one partition in one epoch: the offset, and the text that goes with it."""

    epoch: int
    offset: int
    metadata: str
