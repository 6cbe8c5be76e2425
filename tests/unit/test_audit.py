"""The account of an audit: which column each record is in, and what is found to be missing."""

import pytest

from processor.adapters.kafka.offsets import Stored
from processor.commands.audit.account import (
    AuditAccount,
    AuditGap,
    Column,
    LetterNotice,
    LettersRead,
    PartitionAudit,
    Window,
)
from processor.commands.audit.letter_places import MAX_OFFSET, LetterPlaces
from processor.commands.audit.limits import OF_DELIVERY, OF_LETTERS, OF_THE_PAST, limits_of
from processor.commands.audit.text import GAPS, NOTICES
from processor.commands.common.standing import AuditStage, CommitStanding, Setter, standing_of
from processor.engine.partition.journal_format import (
    JournalId,
    JournalPlace,
    Plan,
    Range,
    SettledRange,
    UnplannedRange,
    encode,
)
from processor.model.outcomes import Filtered, Mapped, Outcome, Rejected
from processor.model.reasons import DeadLetterReason, FilterReason, Kind
from processor.model.records import OffsetRange, Record, TopicPartition

AT = TopicPartition("segment", 0)
PLACE = JournalPlace("exact", "lineage")
OWNER = JournalId(PLACE, "destination")


def record(offset: int, value: bytes = b"value") -> Record:
    """Return a record."""
    return Record(offset, 1, b"key", value, None)


def outcome_of(record: Record) -> Outcome:
    """Map a record by its value."""
    if record.value == b"refused":
        return Rejected(DeadLetterReason.MISSING_USER, "why")
    if record.value == b"filtered":
        return Filtered(FilterReason.MESSAGE_TYPE)
    return Mapped(Kind.EVENT, "u", {})


def letters_of(*records: tuple[int, bytes]) -> LetterPlaces:
    """Return the letters of these records."""
    places = LetterPlaces()
    for offset, value in records:
        assert places.add(offset, record(77, value))
    return places


def audit_of(
    standing: CommitStanding, records: list[Record], letters: LetterPlaces, wanted: OffsetRange, held: OffsetRange
) -> PartitionAudit:
    """Return the audit of a partition that holds these records."""
    audit = PartitionAudit(standing, Window(wanted, held), letters)
    for each in records:
        audit.add(each, outcome_of)
    audit.close()
    return audit


def simple(standing: CommitStanding, records: list[Record], letters: LetterPlaces, end: int = 10) -> PartitionAudit:
    """Return the audit of a whole partition of so many offsets."""
    return audit_of(standing, records, letters, OffsetRange(0, end), OffsetRange(0, end))


def committed(offset: int, ranges: list[Range] | None = None, owner: JournalId = OWNER) -> Stored:
    """Return what a worker commits."""
    written = encode(owner, offset, ranges or [], 4_095)
    assert written is not None
    return Stored(offset, written.text)


def test_each_record_is_in_one_column() -> None:
    """Of settled records the letter decides first, then mapping; whatever is not settled is pending."""
    records = [
        record(0),
        record(1, b"filtered"),
        record(2, b"refused"),
        record(3),  # FullStory refused it: only its letter tells
        record(4, b"refused"),
        record(5, b"refused"),
    ]
    audit = simple(CommitStanding(Setter.WORKER, 5), records, letters_of((2, b"refused"), (3, b"value")), 6)

    assert audit.columns == {
        Column.DELIVERED: 1,
        Column.FILTERED: 1,
        Column.DEAD_LETTERED: 2,
        Column.UNACCOUNTED: 1,
        Column.PENDING: 1,
    }
    assert audit.gaps.total() == audit.gaps[AuditGap.NO_LETTER] == 1
    assert audit.notices.total() == 0
    assert audit.empty == 0


def test_an_offset_that_no_worker_set_vouches_for_nothing() -> None:
    """What mapping takes is unaccounted for where another tool set the offset; what is filtered needs nobody."""
    records = [record(0), record(1, b"filtered"), record(2, b"refused"), record(3, b"refused"), record(4)]
    audit = simple(CommitStanding(Setter.OTHER, 4), records, letters_of((3, b"refused")), 5)

    assert (audit.gaps[AuditGap.NOT_BY_WORKER], audit.gaps[AuditGap.NO_LETTER]) == (1, 1)
    assert audit.columns[Column.FILTERED] == audit.columns[Column.DEAD_LETTERED] == audit.columns[Column.PENDING] == 1


def test_what_kafka_deleted_before_it_was_settled_is_missing() -> None:
    """Offsets between the committed one and the first that there is are a gap, whatever time is looked at."""
    audit = audit_of(CommitStanding(Setter.WORKER, 3), [record(8)], letters_of(), OffsetRange(8, 9), OffsetRange(7, 20))

    assert audit.gaps[AuditGap.DELETED] == 4


def test_an_offset_beyond_the_end_is_missing() -> None:
    """A group that has passed more than the topic has, has passed what was cut."""
    audit = simple(CommitStanding(Setter.WORKER, 13), [record(each) for each in range(10)], letters_of())

    assert audit.gaps[AuditGap.BEYOND_END] == 3
    assert audit.columns[Column.DELIVERED] == 10


@pytest.mark.parametrize("setter", [Setter.NOBODY, Setter.EARLIER])
def test_without_an_offset_of_the_topic_all_is_pending(setter: Setter) -> None:
    """Where the group has no offset of this topic, nothing is settled, and nothing is missing."""
    audit = audit_of(CommitStanding(setter), [record(5)], letters_of(), OffsetRange(5, 6), OffsetRange(5, 6))

    assert (audit.columns[Column.PENDING], audit.gaps.total()) == (1, 0)
    assert audit.as_json()["committed"] is None


def test_odd_letters_are_noticed_and_miss_nothing() -> None:
    """Repeated letters, those without their record, and those of pending records are told apart."""
    letters = letters_of(
        (1, b"refused"),  # of a record that the topic no longer holds
        (4, b"refused"),
        (4, b"refused"),
        (5, b"earlier topic"),
        (6, b"compacted"),
        (8, b"refused"),
        (12, b"refused"),
    )
    records = [record(3), record(4, b"refused"), record(5), record(7), record(8, b"refused"), record(9)]
    audit = audit_of(CommitStanding(Setter.WORKER, 8), records, letters, OffsetRange(3, 10), OffsetRange(3, 10))

    assert audit.notices == {
        LetterNotice.OF_DELETED_RECORD: 1,
        LetterNotice.REPEATED: 1,
        LetterNotice.OF_ANOTHER_RECORD: 1,
        LetterNotice.WITHOUT_RECORD: 1,
        LetterNotice.AHEAD: 1,
        LetterNotice.BEYOND_END: 1,
    }
    assert audit.gaps.total() == 0
    assert audit.empty == 1


def test_a_letter_of_another_record_is_not_this_one_s() -> None:
    """A refused record whose place has only the letter of another record has none."""
    audit = simple(CommitStanding(Setter.WORKER, 5), [record(4, b"refused")], letters_of((4, b"another")), 5)

    assert audit.gaps[AuditGap.NO_LETTER] == 1


def test_letters_outside_of_the_time_are_nobody_s_business() -> None:
    """A window ignores letters of records before and behind it."""
    letters = letters_of((2, b"refused"), (5, b"refused"), (8, b"refused"))
    audit = audit_of(
        CommitStanding(Setter.WORKER, 9), [record(5, b"refused")], letters, OffsetRange(4, 6), OffsetRange(0, 10)
    )

    assert audit.notices.total() == 0
    assert audit.columns == {Column.DEAD_LETTERED: 1}


def test_the_journal_tells_what_is_settled_and_planned_beyond_the_offset() -> None:
    """Of the offsets behind the committed one, the journal says which are settled, and which were planned."""
    ranges: list[Range] = [Plan(12, b"n" * 16, 1, []), SettledRange(15), UnplannedRange(18), Plan(20, b"n" * 16, 1, [])]
    standing = standing_of(committed(10, ranges), PLACE, knows_topic=True)

    assert standing.set_by is Setter.WORKER
    stages = [standing.stage_of(offset) for offset in (9, 10, 11, 12, 14, 15, 17, 18, 19, 20)]
    assert stages == [
        AuditStage.SETTLED,
        *[AuditStage.PLANNED] * 2,
        *[AuditStage.SETTLED] * 2,
        *[AuditStage.WAITING] * 2,
        *[AuditStage.PLANNED] * 2,
        AuditStage.WAITING,
    ]


@pytest.mark.parametrize(
    ("stored", "setter"),
    [
        (Stored(-1_001, ""), Setter.NOBODY),
        (Stored(5, ""), Setter.OTHER),
        (Stored(5, "some text"), Setter.OTHER),
        (Stored(5, "sf9,a,b,5,c"), Setter.OTHER),
        (Stored(5, committed(5).metadata + ";nonsense"), Setter.OTHER),
        (committed(5), Setter.WORKER),
        (committed(5, owner=JournalId(JournalPlace("other", "other"), "destination")), Setter.MIRROR),
        (committed(5, owner=JournalId(JournalPlace("other", "lineage"), "destination")), Setter.EARLIER),
    ],
)
def test_the_metadata_says_who_set_an_offset(stored: Stored, setter: Setter) -> None:
    """Only a journal of this place is a worker's word for this topic."""
    assert standing_of(stored, PLACE, knows_topic=True).set_by is setter


def test_without_its_id_a_topic_cannot_be_told_from_an_earlier_one() -> None:
    """Where the cluster does not tell the topic's id, the name decides."""
    stored = committed(5, owner=JournalId(JournalPlace("other", "lineage"), "destination"))

    assert standing_of(stored, PLACE, knows_topic=False).set_by is Setter.WORKER


def test_a_letter_of_an_impossible_place_is_refused() -> None:
    """An offset that no partition has is no place."""
    places = LetterPlaces()

    assert not places.add(-1, record(0))
    assert not places.add(MAX_OFFSET, record(0))
    assert places.add(MAX_OFFSET - 1, record(0))


def test_the_account_adds_up_and_names_examples() -> None:
    """Totals are sums; the first records that are missing are named, so many at most, without their data."""
    audits = {
        TopicPartition("segment", each): PartitionAudit(
            CommitStanding(Setter.WORKER, 50), Window(OffsetRange(0, 50), OffsetRange(0, 50)), LetterPlaces()
        )
        for each in range(2)
    }
    account = AuditAccount(audits, LettersRead(0, 0, 3))
    for number in range(30):
        for at in audits:
            account.add(at, record(number, b"refused"), outcome_of)
    account.close()

    told = account.as_json()
    assert not account.is_balanced
    assert told["gaps"]["no_letter"] == told["unaccounted"] == 60
    assert len(told["examples"]) == 20
    assert told["examples"][0] == {
        "topic": "segment",
        "partition": 0,
        "offset": 0,
        "gap": "no_letter",
        "today": "missing_user",
    }
    assert next(iter(limits_of(account))) == OF_DELIVERY
    assert OF_LETTERS.format(3) in limits_of(account)
    assert OF_THE_PAST not in limits_of(account)


def test_every_gap_and_notice_is_explained() -> None:
    """People read what each of them is."""
    assert set(GAPS) == set(AuditGap)
    assert set(NOTICES) == set(LetterNotice)
