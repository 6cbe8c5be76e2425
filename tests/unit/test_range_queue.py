"""The offsets of one partition: what is buffered, in flight, and to be committed."""

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from processor.engine.partition.journal_format import Plan, SettledRange, UnplannedRange
from processor.engine.partition.range_queue import BYTES_PER_RECORD_BYTE, BatchLimits, OpenRange, RangeQueue
from processor.model.records import OffsetRange, Record, held_bytes

LIMITS = BatchLimits(max_records=3, max_bytes=5_000, linger_s=2.0)


def a_queue(*chunks: list[int], position: int = 0) -> RangeQueue:
    """Return a queue that has buffered records with these offsets, a chunk each second from 100 on."""
    queue = RangeQueue(position)
    for number, offsets in enumerate(chunks):
        records = [record(offset) for offset in offsets]
        queue.append(records, held_bytes(records), 100.0 + number)
    return queue


def record(offset: int, size: int = 10) -> Record:
    """Return a record of about this size."""
    return Record(offset, offset * 1_000, b"key", b"v" * size, None)


@pytest.mark.parametrize(
    ("chunks", "due_at"),
    [
        ([], None),
        ([[0]], 102.0),
        ([[0], [1]], 102.0),  # counted from the first
        ([[0], [1, 2]], float("-inf")),  # full
        ([[0, 1, 2, 3]], float("-inf")),
    ],
)
def test_a_batch_is_due_when_full_or_when_its_first_record_has_lingered(
    chunks: list[list[int]], due_at: float | None
) -> None:
    """Later records do not prolong the wait."""
    assert a_queue(*chunks).due_at(LIMITS) == due_at


def test_a_batch_is_due_when_it_has_its_bytes() -> None:
    """The size of records counts as their number does."""
    queue = a_queue()
    queue.append([record(0, 4_000)], 4_999, 100.0)
    assert queue.due_at(LIMITS) == 102.0
    queue.append([record(1, 1)], 1, 101.0)
    assert queue.due_at(LIMITS) == float("-inf")


def test_what_is_left_by_a_batch_keeps_its_time_of_arrival() -> None:
    """The linger of the next batch counts from when its own first record came."""
    queue = a_queue([0, 1], [2, 3])
    queue.open(1, 0)
    assert (queue.waiting_since, queue.due_at(LIMITS)) == (100.0, float("-inf"))
    queue.open(3, 0)
    assert (queue.waiting_since, queue.due_at(LIMITS)) == (101.0, 103.0)
    queue.open(4, 0)
    assert (queue.waiting_since, queue.due_at(LIMITS)) == (float("inf"), None)


def test_a_range_covers_offsets_that_nobody_gets() -> None:
    """It begins where the one before ended, whatever the first record's offset."""
    queue = a_queue([5, 9], [12], position=2)
    first, second = queue.open(10, 0), queue.open(13, 0)
    assert (first.range, second.range) == (OffsetRange(2, 10), OffsetRange(10, 13))
    assert (list(first.records), list(second.records)) == ([5, 9], [12])
    assert queue.position == 13


def test_only_what_has_nothing_unsettled_before_it_may_be_committed() -> None:
    """Law 1: a range that settles early waits for those before it, without its records."""
    queue = a_queue([0, 1, 2])
    ranges = [queue.open(end, 0) for end in (1, 2, 3)]
    for index, first_unsettled, waiting in ((1, 0, 3), (0, 2, 1), (2, 3, 0)):
        queue.settle(ranges[index])
        assert (queue.first_unsettled, queue.open_ranges) == (first_unsettled, waiting)
    assert not ranges[1].records


def test_a_range_settles_once() -> None:
    """Law 3: twice is a defect of the program, and said so."""
    queue = a_queue([0])
    opened = queue.open(1, 0)
    queue.settle(opened)
    with pytest.raises(AssertionError, match=r"\[0, 1\) settles twice"):
        queue.settle(opened)


def test_the_oldest_unsettled_record_is_in_flight_or_else_buffered() -> None:
    """Its timestamp tells how old the partition's backlog is."""
    queue = a_queue([0, 1])
    assert queue.oldest_unsettled == record(0)
    opened = queue.open(1, 0)
    assert queue.oldest_unsettled == record(0)
    queue.settle(opened)
    assert queue.oldest_unsettled == record(1)
    queue.settle(queue.open(2, 0))
    assert queue.oldest_unsettled is None


def test_demand_foresees_the_bodies_of_what_is_buffered() -> None:
    """A record on its way is held three times."""
    queue = a_queue([0, 1])
    size = held_bytes([record(0)])
    assert (queue.held_bytes, queue.demand_bytes) == (2 * size, 2 * size * BYTES_PER_RECORD_BYTE)
    queue.open(1, 50)
    assert (queue.held_bytes, queue.demand_bytes) == (2 * size + 50, size + 50 + BYTES_PER_RECORD_BYTE * size)


def test_what_may_be_committed_passes_offsets_that_nobody_gets() -> None:
    """Markers of transactions hold no commit up: neither behind the last record nor before the first unsettled one."""
    queue = RangeQueue(0)
    queue.at_end(2)
    assert queue.first_unsettled == 2
    queue.append([record(3)], 0, 100.0)
    assert queue.first_unsettled == 3
    opened = queue.open(4, 0)
    queue.at_end(6)
    assert queue.first_unsettled == 3
    queue.settle(opened)
    assert (queue.first_unsettled, queue.position) == (6, 4)


def test_what_the_journal_tells_is_counted_from_the_committed_offset() -> None:
    """Until it is settled: the first records of a planned range may be gone, and its entries begin with them."""
    queue = RangeQueue(2)
    plan = a_plan(5)
    queue.recover([plan])
    queue.append([record(3)], 0, 100.0)
    assert queue.first_unsettled == 2
    queue.append([record(4)], 0, 100.0)
    opened = queue.open(5, 0, plan)
    assert queue.first_unsettled == 2
    queue.settle(opened)
    assert queue.first_unsettled == 5


def a_plan(end: int) -> Plan:
    """Return a plan of a range that ends there."""
    return Plan(end, b"", 0, [])


def test_what_the_journal_tells_comes_first() -> None:
    """Settled ranges are passed over, planned ones wait until they are whole, the rest is batched up to the next."""
    queue = RangeQueue(0)
    plan = a_plan(6)
    queue.recover([SettledRange(2), UnplannedRange(4), plan])
    assert (queue.first_unsettled, queue.planned) == (2, None)
    assert queue.append([record(offset) for offset in range(5)], 0, 0.0) == 3
    assert queue.due_at(LIMITS) == float("-inf")
    assert [each.offset for each in queue.buffered()] == [2, 3]
    queue.settle(queue.open(4, 0))
    assert (queue.planned, queue.awaits_planned, queue.due_at(LIMITS)) == (plan, True, None)
    assert queue.append([record(5), record(6)], 0, 0.0) == 2
    assert (queue.awaits_planned, queue.due_at(LIMITS)) == (False, float("-inf"))
    assert [each.offset for each in queue.buffered()] == [4, 5]
    queue.open(6, 0, plan)
    assert (queue.is_recovering, [each.offset for each in queue.buffered()]) == (False, [6])
    assert list(queue.ranges()) == [plan]


def test_a_planned_range_whose_last_records_are_gone_is_whole_at_the_end_of_the_partition() -> None:
    """No record would ever come to tell so; one that comes later is not of it."""
    queue = RangeQueue(0)
    queue.recover([a_plan(5)])
    queue.append([record(0), record(2)], 0, 0.0)
    assert queue.due_at(LIMITS) is None
    queue.at_end(5)
    assert queue.due_at(LIMITS) == float("-inf")


def test_a_range_that_was_never_sent_ends_where_the_next_one_begins() -> None:
    """Also when its last records, or all of them, are gone."""
    for offsets, end in (([0, 2], 3), ([], 0)):
        queue = RangeQueue(0)
        queue.recover([UnplannedRange(5), a_plan(8)])
        queue.append([record(offset) for offset in [*offsets, 6]], 0, 0.0)
        assert queue.open(end, 0).range == OffsetRange(0, 5)
        assert queue.planned is not None


def test_records_of_ranges_that_settled_later_in_the_journal_are_passed_over() -> None:
    """Whenever they come: before the range is reached, and after."""
    queue = RangeQueue(0)
    plan = a_plan(2)
    queue.recover([plan, SettledRange(4)])
    assert queue.append([record(offset) for offset in range(3)], 0, 0.0) == 2
    opened = queue.open(2, 0, plan)
    assert (queue.position, queue.is_recovering) == (4, False)
    assert queue.append([record(3), record(4)], 0, 0.0) == 1
    assert list(queue.ranges()) == [plan, SettledRange(4)]
    queue.settle(opened)
    assert queue.first_unsettled == 4


class RangeQueueMachine(RuleBasedStateMachine):
    """Any order of arrivals, batches and settlements, against a plain model."""

    @initialize(start=st.integers(0, 50))
    def begin(self, start: int) -> None:
        """Own the partition from some offset."""
        self.queue = RangeQueue(start)
        self.start = self.end = start
        self.now = 0.0
        self.unopened: deque[Record] = deque()
        self.ranges: list[OpenRange] = []
        self.bytes: dict[int, int] = {}

    @rule(gaps=st.lists(st.integers(0, 3), min_size=1, max_size=6), size=st.integers(0, 100))
    def arrive(self, gaps: list[int], size: int) -> None:
        """Records come, some offsets missing."""
        records = []
        for gap in gaps:
            records.append(record(self.end + gap, size))
            self.end = records[-1].offset + 1
        self.now += 1.0
        self.unopened.extend(records)
        self.queue.append(records, held_bytes(records), self.now)

    @rule(markers=st.integers(0, 3))
    def reach_the_end(self, markers: int) -> None:
        """There is no more for the moment, behind some offsets that hold no records."""
        self.end += markers
        self.queue.at_end(self.end)

    @precondition(lambda self: self.unopened)
    @rule(data=st.data(), body_bytes=st.integers(0, 1_000))
    def open(self, data: st.DataObject, body_bytes: int) -> None:
        """A batch takes some of the buffered records."""
        count = data.draw(st.integers(1, len(self.unopened)))
        taken = [self.unopened.popleft() for _ in range(count)]
        opened = self.queue.open(taken[-1].offset + 1, body_bytes)
        assert list(opened.records.values()) == taken
        assert opened.range.start == (self.ranges[-1].range.end if self.ranges else self.start)
        assert opened.range.end == taken[-1].offset + 1
        self.ranges.append(opened)
        self.bytes[id(opened)] = held_bytes(taken) + body_bytes

    @precondition(lambda self: any(not opened.settled for opened in self.ranges))
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        """Any range in flight settles."""
        opened = data.draw(st.sampled_from([each for each in self.ranges if not each.settled]))
        del self.bytes[id(opened)]
        self.queue.settle(opened)

    @precondition(lambda self: any(opened.settled for opened in self.ranges))
    @rule(data=st.data())
    def settle_again(self, data: st.DataObject) -> None:
        """No range settles twice (law 3), and trying changes nothing."""
        opened = data.draw(st.sampled_from([each for each in self.ranges if each.settled]))
        before = self.queue.first_unsettled
        with pytest.raises(AssertionError):
            self.queue.settle(opened)
        assert self.queue.first_unsettled == before

    @invariant()
    def commits_pass_nothing_unsettled(self) -> None:
        """Law 1: what may be committed is the first record that is not settled, else the end of what has arrived."""
        opened = [offset for each in self.ranges if not each.settled for offset in each.records]
        buffered = [each.offset for each in self.unopened]
        assert self.queue.first_unsettled == min(opened + buffered, default=self.end)

    @invariant()
    def counts_balance(self) -> None:
        """Records and bytes are counted where they are, and nowhere else."""
        queue = self.queue
        buffered = held_bytes(self.unopened)
        assert (queue.buffered_records, queue.buffered_bytes) == (len(self.unopened), buffered)
        assert queue.open_records == sum(len(opened.records) for opened in self.ranges if not opened.settled)
        assert queue.open_bytes == sum(self.bytes.values())
        assert queue.held_bytes == queue.buffered_bytes + queue.open_bytes
        assert queue.unsettled_records == queue.buffered_records + queue.open_records
        assert list(queue.buffered()) == list(self.unopened)


TestRangeQueueMachine = RangeQueueMachine.TestCase
TestRangeQueueMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
