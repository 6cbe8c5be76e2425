"""Which dead letters are brought back, and why others are not."""

from dataclasses import replace
from typing import Any

import pytest

from processor.adapters.kafka.letters import LetterBatch, PlacedLetter
from processor.commands.redrive.bringing import Target, pause_s
from processor.commands.redrive.choice import (
    REMEDIES,
    REPEATED,
    Chooser,
    Permissions,
    RedriveAccount,
    SeenRecords,
    SkipReason,
)
from processor.commands.redrive.choosing import Choosing
from processor.commands.redrive.outcomes import Fate, Fated, Forecast
from processor.commands.redrive.parking import parked_in
from processor.events.dead_letters import REDRIVE_COUNT
from processor.events.letters import Letter
from processor.events.mapping import Mapping
from processor.events.rules import MappingRules
from processor.model.outcomes import Rejected
from processor.model.reasons import DeadLetterReason
from processor.model.records import NO_TIME, Headers, Record
from tests.unit.test_letters import ORIGINAL_MS, SHARED, original, read, written

DAY_MS = 86_400_000
STRICT = Permissions(ORIGINAL_MS + DAY_MS + 1)
DELIVERED = Fated(Fate.DELIVERED, None, is_user=False)
IDENTIFY = Fated(Fate.UNDECIDED, None, is_user=True)


def letter(reason: DeadLetterReason = DeadLetterReason.REJECTED, headers: Headers | None = None) -> Letter:
    """Return a letter of the record that all of them are of."""
    return read(written(original(headers), Rejected(reason, "why")))


def again(count: int) -> Letter:
    """Return the letter of that record after it came back so often."""
    return letter(headers=[(REDRIVE_COUNT, b"%d" % count)])


def skip(fated: Fated, given: Letter, permissions: Permissions = STRICT) -> SkipReason | None:
    """Return why a letter is skipped."""
    return permissions.skip_of(given, given.original, fated)


@pytest.mark.parametrize(
    ("fated", "given", "permission", "why"),
    [
        (
            Fated(Fate.DEAD_LETTERED, "malformed", is_user=False),
            letter(DeadLetterReason.MALFORMED),
            {"is_forced": True},
            SkipReason.WOULD_FAIL,
        ),
        (Fated(Fate.FILTERED, "consent", is_user=False), letter(), {"is_forced": True}, SkipReason.WOULD_BE_FILTERED),
        (
            Fated(Fate.REPEATED, None, is_user=False),
            letter(DeadLetterReason.UNATTRIBUTED),
            {"allows_duplicates": True},
            SkipReason.UNATTRIBUTED,
        ),
        (IDENTIFY, letter(), {"allows_stale": True}, SkipReason.STALE),
        (IDENTIFY, letter(), {"max_age_s": 86_401}, SkipReason.STALE),
        (DELIVERED, letter(headers=[(REDRIVE_COUNT, b"3")]), {"max_count": 4}, SkipReason.REDRIVE_LIMIT),
    ],
)
def test_what_is_skipped_comes_back_with_its_permission(
    fated: Fated, given: Letter, permission: dict[str, Any], why: SkipReason
) -> None:
    """Each reason has one permission, and no other lets the letter pass."""
    everything: dict[str, Any] = {"is_forced": True, "allows_duplicates": True, "allows_stale": True, "max_count": 9}
    others = {name: value for name, value in everything.items() if name not in permission}
    others = others if why is not SkipReason.STALE else {**others, "allows_stale": False}

    assert skip(fated, given) is why
    assert skip(fated, given, replace(STRICT, **permission)) is None
    assert skip(fated, given, replace(STRICT, **others)) is why


def test_what_is_allowed_comes_back() -> None:
    """Events come back at any age; a user's changes while they are young, or if nobody knows their age."""
    young = replace(STRICT, now_ms=ORIGINAL_MS + DAY_MS)
    ageless = read(written(original()._replace(timestamp_ms=NO_TIME)))

    assert skip(DELIVERED, letter()) is None
    assert skip(DELIVERED, letter(headers=[(REDRIVE_COUNT, b"2")])) is None
    assert skip(IDENTIFY, letter(), young) is None
    assert skip(IDENTIFY, ageless) is None


def test_a_time_in_microseconds_has_an_age_too() -> None:
    """Some producers stamp records so; for a backfill, mapping judges them in the same way."""
    stamped = read(written(original()._replace(timestamp_ms=ORIGINAL_MS * 1_000)))

    assert skip(IDENTIFY, stamped) is SkipReason.STALE
    assert skip(IDENTIFY, stamped, replace(STRICT, now_ms=ORIGINAL_MS + DAY_MS)) is None


def test_nothing_allows_what_holds_no_record() -> None:
    """A share group's letter without the record cannot come back."""
    empty = read(Record(2, 1, None, None, SHARED))
    allowed = Permissions(0, 9, 9, is_forced=True, allows_duplicates=True, allows_stale=True)

    assert skip(Fated(Fate.NOT_COPIED, None, is_user=False), empty, allowed) is SkipReason.NOT_COPIED


def test_a_second_letter_of_a_record_is_known_for_one() -> None:
    """The same place and the same content are the same record; after a topic was created anew, places come again."""
    seen = SeenRecords()
    other = read(written(original()._replace(value=b"other")))
    nowhere = read(Record(1, 1, b"key", b"value", [("__dlq.errors.topic", b"gone")]))

    assert [seen.add(each) for each in (letter(), letter(), other, other)] == [0, REPEATED, 0, REPEATED]
    assert [seen.add(each) for each in (nowhere, nowhere)] == [0, 0]


def test_the_letter_that_came_back_most_often_takes_the_place_of_the_others() -> None:
    """A record that came back and failed again has a letter of the same place: the highest count stands for it."""
    seen = SeenRecords()
    first, second, third = (again(count) for count in (0, 1, 5_000))

    assert seen.add(second, 7) == 0
    assert seen.add(first, 8) == REPEATED
    assert seen.add(second, 9) == REPEATED
    assert seen.add(third) == 7
    assert seen.add(third, 10) == REPEATED


@pytest.mark.parametrize("reached", [0, 2, 3, 4])
def test_of_several_letters_of_a_record_one_comes_back_wherever_a_run_goes_on(reached: int) -> None:
    """However far the process before this one came, the others are not sent, and each is counted once."""
    value = b'{"type": "track", "userId": "u", "event": "E"}'
    records = [again(count).record._replace(offset=at, value=value) for at, count in ((2, 0), (3, 1), (4, 0))]
    choosing = Choosing(Chooser(Forecast(Mapping(MappingRules()), {}), STRICT))
    choosing.add(LetterBatch([PlacedLetter(0, read(each)) for each in records], 0, 0, {}), reached)

    account = choosing.account
    assert list(choosing.chosen(0, len(records))) == ([3] if reached <= 3 else [])
    assert (account.earlier, account.selected) == (reached - 2 if reached else 0, account.skipped.total())
    assert account.skipped.keys() <= {SkipReason.REPEATED}


def test_what_an_earlier_run_dealt_with_takes_the_place_of_an_older_letter() -> None:
    """Another partition may hold the older letter, and be behind."""
    value = b'{"type": "track", "userId": "u", "event": "E"}'
    older, newer = (PlacedLetter(0, read(again(count).record._replace(value=value))) for count in (0, 1))
    choosing = Choosing(Chooser(Forecast(Mapping(MappingRules()), {}), STRICT))
    choosing.add(LetterBatch([older], 0, 0, {}), 0)
    choosing.add(LetterBatch([newer], 0, 0, {}), 1_000)

    assert list(choosing.chosen(0, 1)) == []
    assert choosing.account.skipped == {SkipReason.REPEATED: 1}
    assert choosing.account.earlier == 1


def test_what_came_back_too_often_is_told_apart_to_be_parked() -> None:
    """Of several letters of such a record, the one that came back most often is parked; none is brought back."""
    older, newer = (again(count).record for count in (3, 4))
    choosing = Choosing(Chooser(Forecast(Mapping(MappingRules()), {}), STRICT))
    batch = [PlacedLetter(0, read(each._replace(offset=at))) for at, each in ((0, older), (5, newer), (6, older))]
    choosing.add(LetterBatch(batch, 0, 0, {}), 0)

    assert (list(choosing.chosen(0, 3)), list(choosing.parked(0, 3))) == ([], [5])
    assert choosing.account.skipped == {SkipReason.REDRIVE_LIMIT: 2, SkipReason.REPEATED: 1}


def test_a_letter_is_parked_as_it_is() -> None:
    """It keeps all headers, so that it can be looked at and brought back from there; its time is the present."""
    given = again(3)

    ((record, topic, partition),) = parked_in("parked", [given])
    assert (record, topic, partition) == (given.record._replace(timestamp_ms=NO_TIME), "parked", -1)
    assert parked_in(None, [given]) == []


def test_a_record_goes_to_its_own_partition_only_at_home() -> None:
    """In another topic, or if the partition is not there, the key decides."""
    given = letter()

    assert Target("segment.track", 8).partition_of(given) == 7
    assert Target("segment.track", 7).partition_of(given) == -1
    assert Target("segment.redrive", 8).partition_of(given) == -1


def test_an_account_names_every_reason_and_tells_if_it_does_not_balance() -> None:
    """Selected letters are sent or skipped, and each reason has its remedy."""
    account = RedriveAccount()
    account.selected, account.sent = 3, 1
    account.skipped[SkipReason.STALE] = 1

    assert account.as_json()["balances"] is False
    account.skipped[SkipReason.REPEATED] = 1
    assert account.as_json()["balances"] is True
    assert (
        account.as_json()["skipped"].keys() == {each.value for each in SkipReason} == {each.value for each in REMEDIES}
    )


@pytest.mark.parametrize(
    ("rate", "took_s", "pause"), [(None, 0.0, 0.0), (100, 0.25, 0.25), (100, 0.5, 0.0), (1, 9.0, 41.0)]
)
def test_a_rate_is_kept_by_pauses(rate: int | None, took_s: float, pause: float) -> None:
    """After 50 records the pause is what the rate leaves of their time; a slow write earns no burst."""
    assert pause_s(50, rate, took_s) == pause
