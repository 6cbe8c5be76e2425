"""Records as Kafka gives them, the coordinates that name them, and what its client says of itself.

One `Record` exists per Kafka message, so it is a tuple: the cheapest immutable thing with names.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

Headers = list[tuple[str, bytes | None]]

UNREADABLE = "fullstory.unreadable"
"""The header, in front of all others, that names what of a record could not be read and is left out: some of `headers`,
`timestamp`, `key` and `value`, joined by commas."""

NO_TIME = -1
"""What Kafka gives for a record without a timestamp."""

PER_RECORD_OVERHEAD_BYTES = 256
"""What CPython keeps for a record beside its bytes (tuple, bytes headers, numbers); counted against the budget."""


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


class Record(NamedTuple):
    """A Kafka message; key, value and headers are its original bytes and are never changed.

    What could not be read is None (`NO_TIME` for the timestamp), and a header `UNREADABLE` says so.
    """

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers | None


new_record: Callable[[tuple[int, int, bytes | None, bytes | None, Headers | None]], Record]
new_record = partial(tuple.__new__, Record)
"""Makes a record of its fields, as its class does, in half the time: a class has a function of Python's in between."""


def unreadable_parts(record: Record) -> list[str]:
    """Return which parts of the record could not be read."""
    if not record.headers or record.headers[0][0] != UNREADABLE:
        return []
    return (record.headers[0][1] or b"").decode(errors="replace").split(",")


def held_bytes(records: Sequence[Record]) -> int:
    """Return what holding these records costs, in bytes, as counted against the memory budget."""
    size = PER_RECORD_OVERHEAD_BYTES * len(records)
    for _, _, key, value, headers in records:
        if value:
            size += len(value)
        if key:
            size += len(key)
        if headers:
            size += sum(len(name) + len(value or b"") for name, value in headers)
    return size


class OffsetRange(NamedTuple):
    """Contiguous offsets `[start, end)` of one partition; offsets that Kafka never delivers may lie within."""

    start: int
    end: int

    def __str__(self) -> str:
        return f"[{self.start}, {self.end})"


class LetterPlace(NamedTuple):
    """Where a dead letter is in the dead-letter topic."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


class Commit(NamedTuple):
    """What is committed of one partition in one epoch: the offset, and the text that goes with it."""

    epoch: int
    offset: int
    metadata: str


class ClientFigures(NamedTuple):
    """What Kafka's client says of itself, every few seconds."""

    fetch_queue_bytes: int = 0
    """What it has fetched and nobody has consumed yet."""
    round_trip_s: float | None = None
    """The shortest of late to the slowest broker (a fetch that finds nothing waits there for half a second); None while
    it is unknown."""
    answered_at: float | None = None
    """When a broker last sent anything, in seconds since the epoch; None before the first did."""
    throttled_until: float = 0.0
    """Until when a quota keeps a broker from answering, in seconds since the epoch; in the past where none does."""
    joining: int | None = None
    """In which of its joins, counted from 0, the client waits for the group; None while the group has taken it."""
    brokerless: int = 0
    """How many of its latest reports in a row named no broker at all, not even one of those that it was given."""

    heard_from: Mapping[int, float] = MappingProxyType({})
    """When each broker that leads owned partitions, or coordinates the group, last sent anything, by its id, in seconds
    since the epoch; of one that never did, since when it should."""
    silent: Collection[TopicPartition] = frozenset()
    """Owned partitions whose leader has sent nothing for too long."""

    @property
    def is_stranded(self) -> bool:
        """Whether the client will never reach a broker again; it drops them all for a moment now and then."""
        return self.brokerless > 1
