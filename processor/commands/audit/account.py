"""The account of an audit: each record is in one column, and what cannot be accounted for has a reason."""

from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple, final

from processor.commands.audit.letter_places import MAX_OFFSET, LetterPlaces
from processor.commands.common.standing import AuditStage, CommitStanding, Setter
from processor.model.outcomes import Filtered, Outcome, Rejected
from processor.model.records import OffsetRange, Record, TopicPartition

MAX_EXAMPLES = 20


class Column(StrEnum):
    """Where a record is counted."""

    DELIVERED = "delivered"
    """Settled by the worker, and mapping takes it today."""
    FILTERED = "filtered"
    """Settled, and a rule filters it today."""
    DEAD_LETTERED = "dead_lettered"
    """Settled, and there is a letter of it."""
    PENDING = "pending"
    """Not settled."""
    UNACCOUNTED = "unaccounted"


class AuditGap(StrEnum):
    """Why a record, or an offset, cannot be accounted for."""

    NO_LETTER = "no_letter"
    """Settled; mapping refuses it today, and there is no letter of it."""
    NOT_BY_WORKER = "not_by_worker"
    """Mapping takes it today, and that it is settled says only an offset which no worker set."""
    DELETED = "deleted"
    """An offset that the topic no longer holds and the group has not passed."""
    BEYOND_END = "beyond_end"
    """An offset that the group has passed and the topic does not have."""


class LetterNotice(StrEnum):
    """What is odd about letters, and loses nothing."""

    REPEATED = "repeated"
    """Their record has another letter."""
    AHEAD = "ahead"
    """Their record is pending."""
    WITHOUT_RECORD = "without_record"
    """The topic has no record in their place, though it has earlier and later ones."""
    OF_ANOTHER_RECORD = "of_another_record"
    """The record in their place holds something else."""
    OF_DELETED_RECORD = "of_deleted_record"
    """The topic no longer holds their record."""
    BEYOND_END = "beyond_end"
    """The topic does not reach as far as their place."""


class Window(NamedTuple):
    """Which offsets of a partition are looked at, and which the topic holds."""

    wanted: OffsetRange
    held: OffsetRange


@final
class PartitionAudit:
    """What became of the records of one partition, which are added in their order."""

    def __init__(self, standing: CommitStanding, window: Window, letters: LetterPlaces) -> None:
        self.standing = standing
        self.window = window
        self.columns: Counter[Column] = Counter()
        self.gaps: Counter[AuditGap] = Counter()
        """Of `NO_LETTER` and `NOT_BY_WORKER` as many as records are unaccounted; the others count offsets."""
        self.planned = 0
        """Pending records that were sent or are to be sent next, by the journal."""
        self.empty = 0
        """Offsets without a record: compacted away, of aborted transactions, or the marks of transactions."""
        self.notices: Counter[LetterNotice] = Counter()
        self._letters = letters
        letters.begin(window.wanted.start)
        if standing.is_of_topic:
            self.gaps[AuditGap.DELETED] = max(window.held.start - standing.offset, 0)
            self.gaps[AuditGap.BEYOND_END] = max(standing.offset - window.held.end, 0)

    def add(self, record: Record, outcome_of: Callable[[Record], Outcome]) -> tuple[AuditGap, Outcome] | None:
        """Put a record into its column; return why it is not accounted for, and what it would be today."""
        stage = self.standing.stage_of(record.offset)
        has_letter = self._letters.match(record) == "same"
        if stage is not AuditStage.SETTLED:
            self.columns[Column.PENDING] += 1
            self.planned += stage is AuditStage.PLANNED
            self.notices[LetterNotice.AHEAD] += has_letter
            return None
        if has_letter:
            self.columns[Column.DEAD_LETTERED] += 1
            return None
        outcome = outcome_of(record)
        gap = self._gap_of(outcome)
        if gap is None:
            self.columns[Column.FILTERED if isinstance(outcome, Filtered) else Column.DELIVERED] += 1
            return None
        self.columns[Column.UNACCOUNTED] += 1
        self.gaps[gap] += 1
        return gap, outcome

    def _gap_of(self, outcome: Outcome) -> AuditGap | None:
        """Return why a settled record without a letter is not accounted for."""
        if isinstance(outcome, Rejected):
            return AuditGap.NO_LETTER
        is_told = isinstance(outcome, Filtered) or self.standing.set_by is Setter.WORKER
        return None if is_told else AuditGap.NOT_BY_WORKER

    def close(self) -> None:
        """Take that all records were added."""
        (start, end), held = self.window
        letters = self._letters
        letters.pass_to(end)
        self.empty = end - start - self.columns.total()
        self.notices[LetterNotice.REPEATED] = letters.repeated
        self.notices[LetterNotice.WITHOUT_RECORD] = letters.without_record
        self.notices[LetterNotice.OF_ANOTHER_RECORD] = letters.of_others
        self.notices[LetterNotice.OF_DELETED_RECORD] = letters.within(OffsetRange(0, held.start))
        self.notices[LetterNotice.BEYOND_END] = letters.within(OffsetRange(held.end, MAX_OFFSET))

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        start, end = self.window.wanted
        return {
            "start": start,
            "end": end,
            "committed": self.standing.offset if self.standing.is_of_topic else None,
            "set_by": self.standing.set_by,
            **{each.value: self.columns[each] for each in Column},
            "planned": self.planned,
            "empty": self.empty,
            "gaps": {each.value: self.gaps[each] for each in AuditGap},
        }


class GapExample(NamedTuple):
    """A record that is not accounted for."""

    partition: TopicPartition
    offset: int
    gap: AuditGap
    today: str
    """What it would be today: the reason of its letter, or that it would be delivered."""

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {**self.partition._asdict(), "offset": self.offset, "gap": self.gap, "today": self.today}


class LettersRead(NamedTuple):
    """What there is of letters, beside those whose records the partitions hold."""

    counted: int
    """Of the group's records in its topics."""
    elsewhere: int
    """Of other groups or topics, or without a place."""
    deleted: int
    """Offsets that the dead-letter topic no longer holds."""


@final
class AuditAccount:
    """The account of all partitions."""

    def __init__(self, partitions: Mapping[TopicPartition, PartitionAudit], letters: LettersRead) -> None:
        self.partitions = partitions
        self.letters = letters
        self.examples: list[GapExample] = []

    def add(self, partition: TopicPartition, record: Record, outcome_of: Callable[[Record], Outcome]) -> None:
        """Put a record into its column."""
        told = self.partitions[partition].add(record, outcome_of)
        if told is not None and len(self.examples) < MAX_EXAMPLES:
            gap, outcome = told
            today = outcome.reason.value if isinstance(outcome, Rejected) else Column.DELIVERED.value
            self.examples.append(GapExample(partition, record.offset, gap, today))

    def close(self) -> None:
        """Take that all records were added."""
        for each in self.partitions.values():
            each.close()

    @property
    def is_balanced(self) -> bool:
        """Whether everything is accounted for."""
        return not self.gaps.total()

    @property
    def columns(self) -> Counter[Column]:
        """The records of all partitions."""
        return sum((each.columns for each in self.partitions.values()), Counter())

    @property
    def gaps(self) -> Counter[AuditGap]:
        """Those of all partitions."""
        return sum((each.gaps for each in self.partitions.values()), Counter())

    @property
    def notices(self) -> Counter[LetterNotice]:
        """Those of all partitions."""
        return sum((each.notices for each in self.partitions.values()), Counter())

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        columns, gaps, notices = self.columns, self.gaps, self.notices
        return {
            "balanced": self.is_balanced,
            **{each.value: columns[each] for each in Column},
            "gaps": {each.value: gaps[each] for each in AuditGap},
            "examples": [each.as_json() for each in self.examples],
            "partitions": [{**at._asdict(), **each.as_json()} for at, each in self.partitions.items()],
            "letters": {**self.letters._asdict(), **{each.value: notices[each] for each in LetterNotice}},
        }
