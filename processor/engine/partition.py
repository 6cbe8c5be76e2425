"""The state of one owned partition: what is buffered, what is in flight, what may be committed.

Rules:

1. A batch is a contiguous range of offsets `[start, end)`; ranges follow each other without a gap, so offsets that
   Kafka never delivers (compaction, transaction markers) need no care.
2. The committable offset is the start of the first range that is not settled (law 1).
3. A range settles once (law 3).
4. The linger counts from the arrival of the first record that would be in the batch (law 7).
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import itemgetter

from processor.model.records import OffsetRange, Record, TopicPartition, held_bytes

BYTES_PER_RECORD_BYTE = 3
"""A record on its way is held as itself, as its item's body, and as that body's copy within a request."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When a batch closes."""

    max_records: int = 1_000
    max_bytes: int = 1_048_576
    linger_s: float = 1.0


@dataclass(slots=True, eq=False)
class OpenRange:
    """A range in flight, with the records that it was made of (for dead letters)."""

    range: OffsetRange
    records: dict[int, Record]
    bytes: int
    """What its records and the bodies made of them hold of the memory budget."""
    settled: bool = False


@dataclass(slots=True)
class _Arrival:
    """Records that came at one moment, in offset order."""

    at: float
    records: list[Record]
    bytes: int

    def split(self, end: int) -> "_Arrival":
        """Take out the records before `end` and return them."""
        cut = bisect_left(self.records, end, key=itemgetter(0))  # by offset
        head = self.records[:cut]
        size = sum(map(held_bytes, head))
        self.records = self.records[cut:]
        self.bytes -= size
        return _Arrival(self.at, head, size)


@dataclass(slots=True, eq=False)
class Partition:
    """One owned partition, from assignment to revoke; owned by the event loop's thread."""

    id: TopicPartition
    epoch: int
    position: int
    """The next offset to batch."""
    committable: int | None = None
    """The offset that may be committed; None while there is nothing that is not committed already."""
    buffered_records: int = 0
    buffered_bytes: int = 0
    open_records: int = 0
    open_bytes: int = 0
    paused: bool = False
    _arrivals: deque[_Arrival] = field(default_factory=deque)
    _open: deque[OpenRange] = field(default_factory=deque)

    def append(self, records: list[Record], size: int, now: float) -> None:
        """Buffer records in offset order; `size` is their sum of `held_bytes`."""
        self._arrivals.append(_Arrival(now, records, size))
        self.buffered_records += len(records)
        self.buffered_bytes += size

    def due_at(self, limits: BatchLimits) -> float | None:
        """Return when a batch may close: at once when full, else when the first record has lingered."""
        if not self._arrivals:
            return None
        if self.buffered_records >= limits.max_records or self.buffered_bytes >= limits.max_bytes:
            return float("-inf")
        return self._arrivals[0].at + limits.linger_s

    @property
    def waiting_since(self) -> float:
        """When the first buffered record arrived; infinity without one."""
        return self._arrivals[0].at if self._arrivals else float("inf")

    def buffered(self) -> Iterator[Record]:
        """Iterate over the buffered records in offset order."""
        for arrival in self._arrivals:
            yield from arrival.records

    def open(self, end: int, body_bytes: int) -> OpenRange:
        """Move the buffered records before `end` into a range in flight, whose bodies hold so many bytes besides."""
        taken: list[Record] = []
        size = 0
        while self._arrivals and self._arrivals[0].records[0].offset < end:
            arrival = self._arrivals[0]
            if arrival.records[-1].offset < end:
                self._arrivals.popleft()
            else:
                arrival = arrival.split(end)
            taken += arrival.records
            size += arrival.bytes
        records = {record.offset: record for record in taken}
        opened = OpenRange(OffsetRange(self.position, end), records, size + body_bytes)
        self._open.append(opened)
        self.position = end
        self.buffered_records -= len(taken)
        self.buffered_bytes -= size
        self.open_records += len(taken)
        self.open_bytes += opened.bytes
        return opened

    def settle(self, opened: OpenRange) -> None:
        """The range is settled: every record of it is delivered, filtered, or its dead letter is acknowledged."""
        assert not opened.settled, f"{self.id} {opened.range} settles twice"
        opened.settled = True
        self.open_records -= len(opened.records)
        self.open_bytes -= opened.bytes
        opened.records = {}  # it may have to wait here for an earlier range, and needs them no more
        while self._open and self._open[0].settled:
            self.committable = self._open.popleft().range.end

    @property
    def held_bytes(self) -> int:
        """What the partition's records hold of the memory budget."""
        return self.buffered_bytes + self.open_bytes

    @property
    def demand_bytes(self) -> int:
        """What the partition will hold when its buffered records are on their way, with the bodies made of them."""
        return self.open_bytes + BYTES_PER_RECORD_BYTE * self.buffered_bytes

    @property
    def unsettled_records(self) -> int:
        """Records consumed in this epoch and not settled."""
        return self.buffered_records + self.open_records

    @property
    def open_ranges(self) -> int:
        """Ranges in flight, and those settled that wait for an earlier one: what a crash would read again."""
        return len(self._open)

    @property
    def first_unsettled(self) -> int:
        """The lowest offset that is not settled."""
        return self._open[0].range.start if self._open else self.position

    @property
    def oldest_unsettled(self) -> Record | None:
        """The consumed record of the lowest offset that is not settled."""
        if self._open:
            return next(iter(self._open[0].records.values()))
        return next(self.buffered(), None)
