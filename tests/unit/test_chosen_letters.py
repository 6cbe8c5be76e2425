"""A dead-letter topic as a source: what is given of it, and where it ends."""

import asyncio
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from processor.adapters.kafka.chosen_letters import ChosenLetters, LettersSource
from processor.adapters.kafka.offsets import Stored
from processor.engine.notices import WaitsFor
from processor.engine.partition.journal_format import JournalId, JournalPlace, SettledRange, UnplannedRange, encode
from processor.engine.partition.owner import Assignment, End
from processor.model.reasons import HaltReason
from processor.model.records import ClientFigures, Commit, Record, TopicPartition, held_bytes
from processor.runtime.ports import Fetched, SourceFault
from tests.fakes.source import FakeBroker, FakeSource
from tests.unit.test_letters import original, read, written

HERE, ELSEWHERE = TopicPartition("dlq.segment", 0), TopicPartition("dlq.segment", 1)
CHOSEN = {HERE: ChosenLetters(20, array("q", [10, 12, 15]))}


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
def letters(told: Told) -> LettersSource:
    """Give a source of the chosen letters, which nobody has told anything yet."""
    letters = LettersSource(FakeSource(FakeBroker([HERE, ELSEWHERE]), 1.0), CHOSEN)
    letters.listen(told)
    return letters


def letter(offset: int) -> Record:
    """Return a letter."""
    return written(original())._replace(offset=offset)


def fetched(*offsets: int, partition: TopicPartition = HERE) -> Fetched:
    """Return letters as they are read."""
    records = [letter(offset) for offset in offsets]
    return Fetched(partition, 7, records, held_bytes(records))


def test_chosen_letters_come_as_the_records_that_they_are_of(letters: LettersSource, told: Told) -> None:
    """Offset and epoch are the letter's, everything else the record's, counted; others are as if there were none."""
    letters.fetched([fetched(9, 10, 11), fetched(10, partition=ELSEWHERE)])

    ((_, (part,)), *others) = told.said
    (record,) = part.records
    assert (part.id, part.epoch, part.bytes) == (HERE, 7, held_bytes([record]))
    assert record == read(letter(10)).returned
    assert others == [("at_end", {ELSEWHERE: 0})]


def test_a_partition_ends_where_the_choice_ends(letters: LettersSource, told: Told) -> None:
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


def test_what_expired_unread_is_counted(letters: LettersSource, told: Told) -> None:
    """Of a gap, only what was chosen counts; it is told all the same."""
    letters.gap(HERE, 11, (15, 40))
    letters.gap(ELSEWHERE, 0, (5, 6))

    assert letters.expired == 1
    assert [each[0] for each in told.said] == ["gap", "gap"]


def test_everything_else_passes(letters: LettersSource, told: Told) -> None:
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
    owner = JournalId(JournalPlace("exact", "lineage"), "destination")
    written_down = encode(owner, offset, [SettledRange(settled_to), UnplannedRange(40)] if settled_to else [], 4_000)

    assert written_down is not None
    assert CHOSEN[HERE].unsettled(Stored(offset, written_down.text if settled_to else "")) == left


@pytest.mark.parametrize("metadata", ["of another tool", "sf9,a,b,c,d", "sf1,exact,destination,9,lineage;=zz"])
def test_metadata_that_is_no_journal_settles_nothing(metadata: str) -> None:
    """Then the offset alone counts."""
    assert CHOSEN[HERE].unsettled(Stored(11, metadata)) == 2
