"""A topic as a source of what was selected of it: what is given, where it ends, and what never came."""

import asyncio
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from processor.adapters.kafka.chosen_letters import ChosenLetters
from processor.adapters.kafka.offsets import Stored
from processor.adapters.kafka.record_ranges import RecordRange
from processor.adapters.kafka.selected import MissingOffsets, SelectedSource, SettledOffsets, unsettled
from processor.engine.commits import CommitFault
from processor.engine.notices import WaitsFor
from processor.engine.partition.journal_format import JournalId, JournalPlace, SettledRange, UnplannedRange, encode
from processor.engine.partition.owner import Assignment, End
from processor.model.reasons import HaltReason
from processor.model.records import ClientFigures, Commit, OffsetRange, Record, TopicPartition, held_bytes
from processor.runtime.ports import Fetched, SourceFault
from tests.fakes.source import FakeBroker, FakeSource
from tests.unit.test_letters import original, read, written

HERE, ELSEWHERE = TopicPartition("dlq.segment", 0), TopicPartition("dlq.segment", 1)
CHOSEN = {HERE: ChosenLetters(20, array("q", [10, 12, 15]))}
OWNER = JournalId(JournalPlace("exact", "lineage"), "destination")


class Told:
    """A listener that remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[Any] = []

    def assigned(self, assignments: Sequence[Assignment], partitions_in_topics: int) -> None:
        """Note it."""
        self.said.append(("assigned", list(assignments), partitions_in_topics))

    def fetched(self, chunk: Sequence[Fetched]) -> None:
        """Note it."""
        self.said.append(("fetched", list(chunk)))

    def at_end(self, positions: Mapping[TopicPartition, int]) -> None:
        """Note it."""
        self.said.append(("at_end", dict(positions)))

    async def revoking(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Commit]:
        """Note it, and commit."""
        self.said.append(("revoking", list(partitions)))
        return {each: Commit(1, 12, "") for each in partitions}

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Note it."""
        self.said.append(("lost", list(partitions)))

    def committed(self, commits: Mapping[TopicPartition, Commit], faults: Mapping[TopicPartition, Any]) -> None:
        """Note it."""
        self.said.append(("committed", dict(commits), dict(faults)))

    def ends(self, ends: Mapping[TopicPartition, End | WaitsFor]) -> None:
        """Note it."""
        self.said.append(("ends", dict(ends)))

    def gap(self, partition: TopicPartition, position: int, available: tuple[int, int]) -> None:
        """Note it."""
        self.said.append(("gap", partition, position, available))

    def faults(self, faults: Mapping[HaltReason, Sequence[SourceFault]]) -> None:
        """Note it."""
        self.said.append(("faults", dict(faults)))

    def trouble(self, detail: str) -> None:
        """Note it."""
        self.said.append(("trouble", detail))

    def failed(self, error: Exception) -> None:
        """Note it."""
        self.said.append(("failed", error))


@pytest.fixture
def told() -> Told:
    """Give who listens."""
    return Told()


@pytest.fixture
def missing() -> MissingOffsets:
    """Give what counts the chosen letters that never come."""
    return MissingOffsets(CHOSEN)


@pytest.fixture
def letters(told: Told, missing: MissingOffsets) -> SelectedSource:
    """Give a source of the chosen letters, which nobody has told anything yet."""
    letters = SelectedSource(FakeSource(FakeBroker([HERE, ELSEWHERE]), 1.0), CHOSEN, missing)
    letters.listen(told)
    return letters


def letter(offset: int) -> Record:
    """Return a letter."""
    return written(original())._replace(offset=offset)


def fetched(*offsets: int, partition: TopicPartition = HERE) -> Fetched:
    """Return letters as they are read."""
    records = [letter(offset) for offset in offsets]
    return Fetched(partition, 7, records, held_bytes(records))


def test_chosen_letters_come_as_the_records_that_they_are_of(letters: SelectedSource, told: Told) -> None:
    """Offset and epoch are the letter's, everything else the record's, counted; others are as if there were none."""
    letters.fetched([fetched(9, 10, 11), fetched(10, partition=ELSEWHERE)])

    ((_, (part,)), *others) = told.said
    (record,) = part.records
    assert (part.id, part.epoch, part.bytes) == (HERE, 7, held_bytes([record]))
    assert record == read(letter(10)).returned
    assert others == [("at_end", {ELSEWHERE: 0})]


def test_a_partition_ends_where_the_choice_ends(letters: SelectedSource, told: Told) -> None:
    """The end is told behind the last records before it, once an epoch; what is written later is not there."""
    letters.fetched([fetched(11, 13)])
    assert told.said == []
    letters.fetched([fetched(15, 21)])
    letters.fetched([fetched(22, 23)])
    letters.at_end({HERE: 24, ELSEWHERE: 3})
    letters.at_end({HERE: 14})
    letters.ends({HERE: End(30, 14), ELSEWHERE: WaitsFor.LEADER})
    letters.assigned([], 2)

    assert [each[0] for each in told.said] == ["fetched", "at_end", "at_end", "at_end", "ends", "assigned"]
    assert [record.offset for record in told.said[0][1][0].records] == [15]
    assert [each[1] for each in told.said[1:5]] == [
        {HERE: 20},
        {HERE: 20, ELSEWHERE: 0},
        {HERE: 14},
        {HERE: End(20, 14), ELSEWHERE: WaitsFor.LEADER},
    ]


def test_what_expired_unread_is_counted(letters: SelectedSource, told: Told, missing: MissingOffsets) -> None:
    """Of a gap, only what was chosen counts; it is told all the same."""
    letters.gap(HERE, 11, (15, 40))
    letters.gap(ELSEWHERE, 0, (5, 6))

    assert missing.expired == 1
    assert [each[0] for each in told.said] == ["gap", "gap"]


def test_everything_else_passes(letters: SelectedSource, told: Told) -> None:
    """What concerns no records is told as it is."""
    error = RuntimeError()
    letters.lost([HERE])
    letters.committed({HERE: Commit(7, 12, "")}, {})
    letters.faults({})
    letters.trouble("a broker went")
    letters.failed(error)

    assert asyncio.run(letters.revoking([HERE])) == {HERE: Commit(1, 12, "")}
    assert [each[0] for each in told.said] == ["lost", "committed", "faults", "trouble", "failed", "revoking"]
    assert letters.figures == ClientFigures()


@pytest.mark.parametrize(
    ("offset", "settled_to", "left"), [(-1001, 0, 3), (11, 0, 2), (20, 0, 0), (9, 12, 2), (9, 13, 1), (9, 30, 0)]
)
def test_letters_are_unsettled_unless_offset_or_journal_says_otherwise(offset: int, settled_to: int, left: int) -> None:
    """What a commit tells of the offsets behind it counts, too."""
    assert unsettled(CHOSEN, {HERE: stored(offset, settled_to)}) == left


@pytest.mark.parametrize("metadata", ["of another tool", "sf9,a,b,c,d", "sf1,exact,destination,9,lineage;=zz"])
def test_metadata_that_is_no_journal_settles_nothing(metadata: str) -> None:
    """Then the offset alone counts."""
    assert unsettled(CHOSEN, {HERE: Stored(11, metadata)}) == 2


def stored(offset: int, settled_to: int = 0) -> Stored:
    """Return a commit of which the journal says that the offsets behind it are settled up to another one."""
    written_down = encode(OWNER, offset, [SettledRange(settled_to), UnplannedRange(40)] if settled_to else [], 4_000)
    assert written_down is not None
    return Stored(offset, written_down.text if settled_to else "")


# Ranges


RANGE = {HERE: RecordRange(20)}


def of_range(told: Told, missing: MissingOffsets) -> tuple[SelectedSource, FakeSource]:
    """Return a source of the range, which owns both partitions from offset 10 on, and what is behind it."""
    kafka = FakeSource(FakeBroker([HERE, ELSEWHERE]), 1.0)
    source = SelectedSource(kafka, RANGE, missing)
    source.listen(told)
    source.assigned([owned(HERE, 10), owned(ELSEWHERE, 10)], 2)
    return source, kafka


def owned(partition: TopicPartition, start: int) -> Assignment:
    """Return an assignment."""
    return Assignment(partition, 7, start, is_new=False, metadata="", place=JournalPlace("exact", "lineage"))


def test_a_range_gives_its_records_as_they_are(told: Told) -> None:
    """Those before its end, and nothing of a partition that has no part in it, which ends as soon as it is owned."""
    source, _ = of_range(told, MissingOffsets(RANGE))
    source.fetched([fetched(17, 18), fetched(10, partition=ELSEWHERE)])
    source.fetched([fetched(19, 20)])

    assert [each[0] for each in told.said] == ["assigned", "at_end", "fetched", "fetched", "at_end"]
    assert told.said[2][1] == [fetched(17, 18)]
    assert told.said[3][1] == [fetched(19)]
    assert [each[1] for each in told.said if each[0] == "at_end"] == [{ELSEWHERE: 0}, {HERE: 20}]


def test_nobody_fetches_what_lies_behind_a_range(told: Told) -> None:
    """Live traffic goes on behind it: a partition that was given whole is paused, and stays so in its epoch."""
    source, kafka = of_range(told, MissingOffsets(RANGE))
    source.resume({HERE: 7, ELSEWHERE: 7})
    source.fetched([fetched(18)])
    assert (kafka.pauses, kafka.resumed) == (0, [{HERE: 7}])
    source.fetched([fetched(21)])
    source.resume({HERE: 7})
    assert (kafka.pauses, kafka.resumed) == (1, [{HERE: 7}])
    source.assigned([owned(HERE, 15)], 2)
    source.resume({HERE: 7})
    assert kafka.resumed == [{HERE: 7}, {HERE: 7}]


def test_offsets_without_a_record_are_counted_once_they_are_settled(told: Told) -> None:
    """In front of records, between and behind them, and not again where a source reads a second time."""
    missing = MissingOffsets(RANGE)
    source, _ = of_range(told, missing)
    source.fetched([fetched(11, 12)])
    source.fetched([fetched(13, 16)])
    source.at_end({HERE: 18})
    source.at_end({HERE: 30})
    again, _ = of_range(told, missing)
    again.fetched([fetched(11, 12, 13)])
    again.fetched([fetched(16, 25)])

    counts = []
    for offset, settled_to in ((10, 0), (12, 0), (12, 15), (15, 0), (20, 0)):
        counts.append(missing.settled({HERE: stored(offset, settled_to)}))
    source.committed({HERE: Commit(7, 15, "")}, {HERE: CommitFault("in between", is_too_large=False)})
    assert missing.settled({HERE: stored(12)}) == 1
    source.committed({HERE: Commit(7, 16, "")}, {})
    counts.append(missing.settled({HERE: stored(20)}))
    assert counts == [0, 1, 2, 2, 6, 6]


def test_what_is_settled_when_a_range_begins_is_given_and_not_counted() -> None:
    """The journal tells of it, so the worker passes over it; gaps there were counted by who settled it."""
    range_ = RecordRange(20, (OffsetRange(12, 15), OffsetRange(18, 25)))
    assert range_.count(OffsetRange(0, 30)) == 12 + 3
    assert range_.count(OffsetRange(13, 17)) == 2
    missing = MissingOffsets({HERE: range_})
    missing.begin(HERE, 10)
    missing.pass_records(HERE, [letter(11), letter(16)])
    assert missing.settled({HERE: stored(20)}) == 2
    assert range_.records_of([letter(13)]) == [letter(13)]


def test_what_another_process_has_dealt_with_is_not_missing() -> None:
    """A partition that comes back further on was somebody else's meanwhile."""
    missing = MissingOffsets(RANGE)
    missing.begin(HERE, 10)
    missing.begin(HERE, 15)
    missing.pass_records(HERE, [letter(15)])
    missing.expire(HERE, OffsetRange(16, 25))
    missing.pass_to(HERE, 18)

    assert missing.settled({HERE: stored(20)}) == 0
    assert missing.expired == 4


def test_settled_offsets_are_read_of_a_commit() -> None:
    """Before its offset, and what its journal tells."""
    assert SettledOffsets.told_by(stored(9, 12)) == (9, [OffsetRange(9, 12)])
    assert SettledOffsets.told_by(stored(9)) == (9, [])
