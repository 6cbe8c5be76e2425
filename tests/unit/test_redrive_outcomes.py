"""What would become of dead letters that are brought back now."""

import pytest

from processor.commands.common.next_steps import BY_FULLSTORY, NEXT_STEPS, NOT_COPIED, REDRIVE
from processor.commands.redrive.outcomes import Fate, Histogram, RedriveOutcome
from processor.events.letters import Letter
from processor.events.mapping import Mapping
from processor.events.rules import MappingRules
from processor.model.outcomes import Rejected
from processor.model.reasons import DeadLetterReason
from processor.model.records import Record
from tests.properties.segment import as_avro, as_json, shipped_readers
from tests.unit.test_letters import SHARED, read, written

TRACK = {"type": "track", "userId": "u", "event": "E", "properties": {}}


def letter(value: bytes | None, reason: DeadLetterReason) -> Letter:
    """Return a letter of a record with this value."""
    return read(written(Record(1, 1, b"key", value, None), Rejected(reason, "why")))


def histogram_of(*letters: Letter) -> Histogram:
    """Return a histogram with the default mapping."""
    histogram = Histogram(Mapping(MappingRules()), shipped_readers())
    histogram.add((each, each.original) for each in letters)
    return histogram


@pytest.mark.parametrize(
    ("value", "was", "fate", "reason"),
    [
        (as_json(TRACK), DeadLetterReason.MISSING_USER, Fate.DELIVERED, None),
        (as_avro(TRACK), DeadLetterReason.UNKNOWN_SCHEMA, Fate.DELIVERED, None),
        (as_json(TRACK), DeadLetterReason.REJECTED, Fate.UNDECIDED, None),
        (as_json(TRACK), DeadLetterReason.BLOCKED_BY_GATEWAY, Fate.UNDECIDED, None),
        (as_json(TRACK), DeadLetterReason.UNATTRIBUTED, Fate.REPEATED, None),
        (as_json({**TRACK, "type": "group"}), DeadLetterReason.UNKNOWN_TYPE, Fate.FILTERED, "message_type"),
        (None, DeadLetterReason.MALFORMED, Fate.FILTERED, "tombstone"),
        (b"no", DeadLetterReason.MALFORMED, Fate.DEAD_LETTERED, "malformed"),
        (b"\0\0\0\x03\xe7x", DeadLetterReason.UNKNOWN_SCHEMA, Fate.DEAD_LETTERED, "unknown_schema"),
        (as_json({**TRACK, "event": ""}), DeadLetterReason.REJECTED, Fate.DEAD_LETTERED, "missing_event_name"),
    ],
)
def test_each_letter_has_one_fate(value: bytes | None, was: DeadLetterReason, fate: Fate, reason: str | None) -> None:
    """A letter is delivered, undecided, repeated, filtered or dead-lettered again, by the worker's own mapping."""
    assert histogram_of(letter(value, was)).by_frequency() == [(RedriveOutcome(was.value, fate, reason), 1)]


def test_a_share_groups_letter_is_mapped_if_the_record_was_copied() -> None:
    """A share group's letter with the record is mapped like any other; without it, nothing can be brought back."""
    copied = read(Record(1, 1, b"key", as_json(TRACK), SHARED))
    empty = read(Record(2, 1, None, None, SHARED))

    assert histogram_of(copied, empty, empty).by_frequency() == [
        (RedriveOutcome("share_group", Fate.NOT_COPIED, None), 2),
        (RedriveOutcome("share_group", Fate.DELIVERED, None), 1),
    ]


def test_each_outcome_has_a_next_step() -> None:
    """What to do follows from the next reason, or from the former one where only FullStory decides."""
    assert RedriveOutcome("rejected", Fate.DEAD_LETTERED, "malformed").next_step == NEXT_STEPS["malformed"]
    assert RedriveOutcome("malformed", Fate.FILTERED, "consent").next_step == NEXT_STEPS["consent"]
    assert RedriveOutcome("rejected", Fate.UNDECIDED, None).next_step == BY_FULLSTORY["rejected"]
    assert RedriveOutcome("malformed", Fate.DELIVERED, None).next_step == REDRIVE
    assert RedriveOutcome("share_group", Fate.NOT_COPIED, None).next_step == NOT_COPIED


def test_the_numbers_add_up() -> None:
    """The letters of all outcomes are all letters."""
    letters = [letter(b"no" if number % 3 else as_json(TRACK), DeadLetterReason.MALFORMED) for number in range(10)]
    told = histogram_of(*letters).as_json("dlq.segment")

    assert told["letters"] == sum(each["letters"] for each in told["outcomes"]) == 10
    assert [(each["was"], each["fate"], each["letters"]) for each in told["outcomes"]] == [
        ("malformed", "dead-lettered", 6),
        ("malformed", "delivered", 4),
    ]
    assert told["dry_run"] is True
