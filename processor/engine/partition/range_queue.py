"""The offsets of one partition as a queue of ranges: what is buffered, what is in flight, what may be committed.

Rules:

1. A batch is a contiguous range of offsets `[start, end)`; ranges follow each other without a gap, so offsets that
   Kafka never delivers (compaction, transaction markers) need no care.
2. The offset that may be committed is that of the first record that is not settled; without one, the end of what has
   arrived (law 1). Offsets without a record do not hold it up: a commit in front of the marker of a transaction is a
   lag for Kafka's own tools, and a gap once retention has deleted the marker.
3. A range settles once (law 3).
4. The linger counts from the arrival of the first record that would be in the batch (law 7).
5. What the journal tells of the offsets from the start on comes first: a range that is settled is passed over, and a
   planned one is formed again when all of it has arrived.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from operator import itemgetter

from processor.engine.partition.journal_format import Plan, Range, SettledRange, UnplannedRange
from processor.model.records import OffsetRange, Record, held_bytes

BYTES_PER_RECORD_BYTE = 3
"""A record on its way is held as itself, as its item's body, and until that is taken as its copy in a request."""


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
    base: int
    """What may be committed while nothing before it is unsettled: the offset of its first record, but the range's start
    where the journal told of it. Its entries may begin before that record, which was perhaps deleted since."""
    plan: Plan | None = None
    """What is sent of it; None when that is nothing."""
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
        size = held_bytes(head)
        self.records = self.records[cut:]
        self.bytes -= size
        return _Arrival(self.at, head, size)


@dataclass(slots=True, eq=False)
class RangeQueue:
    """From assignment to the end of the epoch."""

    position: int
    """The next offset to batch."""
    buffered_records: int = 0
    buffered_bytes: int = 0
    open_records: int = 0
    open_bytes: int = 0
    _arrivals: deque[_Arrival] = field(default_factory=deque)
    _open: deque[OpenRange] = field(default_factory=deque)
    _journal: deque[Range] = field(default_factory=deque)
    """What is told of the offsets from `position` on."""
    _arrived: int = -1
    """Everything before this offset has arrived, as far as it will ever come."""

    def recover(self, journal: Iterable[Range]) -> None:
        """Take what the journal tells of the offsets from the start on; called before any record comes."""
        self._journal.extend(journal)
        self._pass_over()

    def append(self, records: list[Record], size: int, now: float) -> int:
        """Buffer records in offset order; `size` is their sum of `held_bytes`. Return how many were taken.

        Those of ranges that are settled already are not.
        """
        if self._journal or records[0].offset < self.position:
            records = [record for record in records if not self._is_settled(record.offset)]
            size = held_bytes(records)
        if records:
            self._arrivals.append(_Arrival(now, records, size))
            self.buffered_records += len(records)
            self.buffered_bytes += size
            self._arrived = records[-1].offset + 1
        return len(records)

    def at_end(self, position: int) -> None:
        """Everything before this offset has arrived, and for the moment there is no more."""
        self._arrived = max(self._arrived, position, self._journal[-1].end if self._journal else position)

    @property
    def planned(self) -> Plan | None:
        """The plan, made by another process or in another epoch, that is to be carried out next."""
        return self._journal[0] if self._journal and isinstance(self._journal[0], Plan) else None

    @property
    def is_recovering(self) -> bool:
        """Whether the journal tells of offsets to come."""
        return bool(self._journal)

    @property
    def awaits_planned(self) -> bool:
        """Whether it needs more records before it can go on with what the journal tells."""
        return bool(self._journal) and not self._has(self._journal[0].end)

    def due_at(self, limits: BatchLimits) -> float | None:
        """Return when a batch may close: at once when full, else when the first record has lingered."""
        if self._journal and self._has(self._journal[0].end):
            return float("-inf")
        if self.planned is not None or not self._arrivals:
            return None
        return float("-inf") if self.is_full(limits) else self._arrivals[0].at + limits.linger_s

    def is_full(self, limits: BatchLimits) -> bool:
        """Say whether what is buffered fills a batch."""
        return self.buffered_records >= limits.max_records or self.buffered_bytes >= limits.max_bytes

    @property
    def waiting_since(self) -> float:
        """When the first buffered record arrived; infinity without one."""
        return self._arrivals[0].at if self._arrivals else float("inf")

    def buffered(self, start: int = 0) -> Iterator[Record]:
        """Iterate in offset order over the buffered records, up to what the journal tells next.

        Those before `start` may be left out.
        """
        end = self._journal[0].end if self._journal else None
        for arrival in self._arrivals:
            if arrival.records[-1].offset < start:
                continue
            if end is None or arrival.records[-1].offset < end:
                yield from arrival.records
            else:
                yield from takewhile(lambda record: record.offset < end, arrival.records)
                return

    def open(self, end: int, body_bytes: int, plan: Plan | None = None) -> OpenRange:
        """Move the buffered records before `end` into a range in flight, whose bodies hold so many bytes besides.

        A range that takes the last records before the next one of the journal reaches up to it.
        """
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
        if self._journal and self._has(bound := self._journal[0].end) and next(self.buffered(), None) is None:
            end = bound
        if plan is not None:
            plan.end = end
        records = {record.offset: record for record in taken}
        base = self.position if self._journal else taken[0].offset
        opened = OpenRange(OffsetRange(self.position, end), records, size + body_bytes, base, plan)
        self._open.append(opened)
        self.position = end
        if self._journal and self._journal[0].end <= end:
            self._journal.popleft()
            self._pass_over()
        self.buffered_records -= len(taken)
        self.buffered_bytes -= size
        self.open_records += len(taken)
        self.open_bytes += opened.bytes
        return opened

    def settle(self, opened: OpenRange) -> None:
        """The range is settled: every record of it is delivered, filtered, or its dead letter is acknowledged."""
        assert not opened.settled, f"{opened.range} settles twice"
        opened.settled = True
        self.open_records -= len(opened.records)
        self.open_bytes -= opened.bytes
        opened.records = {}  # it may have to wait here for an earlier range, and needs them no more
        self._trim()

    def ranges(self) -> Iterator[Range]:
        """Give what the journal is to tell: every range from the lowest unsettled offset on, as far as any is known."""
        for opened in self._open:
            if opened.settled:
                yield SettledRange(opened.range.end)
            else:
                yield opened.plan or UnplannedRange(opened.range.end)
        yield from self._journal

    def _trim(self) -> None:
        while self._open and self._open[0].settled:
            self._open.popleft()

    def _pass_over(self) -> None:
        """Go past ranges that are settled."""
        while self._journal and isinstance(self._journal[0], SettledRange):
            end = self._journal.popleft().end
            self._open.append(OpenRange(OffsetRange(self.position, end), {}, 0, self.position, settled=True))
            self.position = end
        self._trim()

    def _is_settled(self, offset: int) -> bool:
        """Say whether the journal, or a range passed over, tells that an offset needs nothing more."""
        if offset < self.position:
            return True
        for each in self._journal:
            if offset < each.end:
                return isinstance(each, SettledRange)
        return False

    def _has(self, end: int) -> bool:
        """Say whether every record before `end` is here that will ever come."""
        return self._arrived >= end

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
    def arrived(self) -> int:
        """Everything before this offset has arrived, as far as it will ever come."""
        return max(self._arrived, self.position)

    @property
    def overtaken(self) -> OpenRange | None:
        """The first range in flight, when one behind it has settled before it."""
        return self._open[0] if any(opened.settled for opened in self._open) else None

    @property
    def first_unsettled(self) -> int:
        """The lowest offset that is not settled: what may be committed."""
        if self._open:
            return self._open[0].base
        if self._journal:  # it counts from here
            return self.position
        return self._arrivals[0].records[0].offset if self._arrivals else self.arrived

    @property
    def oldest_unsettled(self) -> Record | None:
        """The consumed record of the lowest offset that is not settled."""
        if self._open:
            return next(iter(self._open[0].records.values()), None)
        return self._arrivals[0].records[0] if self._arrivals else None
