"""The closing account: nothing that went wrong with a record escapes it, and nothing else disturbs it."""

from collections import Counter
from collections.abc import Iterable

import pytest

from processor.model.reasons import DeadLetterReason, FilterReason, Kind
from processor.workload import Expectation, ExpectDeadLettered, ExpectDelivered, ExpectFiltered
from processor.workload.account import MAX_NAMED, Account, Arrival, Balance, FoundLetter, letter_of

USER = ExpectDelivered(Kind.USER, "user-1", "u7_0")
LATER_USER = ExpectDelivered(Kind.USER, "user-1", "u7_1")
EVENT = ExpectDelivered(Kind.EVENT, "user-1", "e-7-2")
POISON = ExpectDeadLettered(DeadLetterReason.MALFORMED)
TOMBSTONE = ExpectFiltered(FilterReason.TOMBSTONE)

USERS_ARRIVED = Arrival("user", {"uid": "user-1", "properties": {"u7_0": True, "plan": "pro", "u7_1": True}})
EVENT_ARRIVED = Arrival("event", {"name": "Viewed", "user": {"uid": "user-1"}, "properties": {"unique": "e-7-2"}})
POISON_LETTER = FoundLetter(0, 3, "malformed")

GOOD_ARRIVALS = [USERS_ARRIVED, EVENT_ARRIVED]
GOOD_LETTERS = [POISON_LETTER]


def account_of(*expectations: Expectation) -> Account:
    """Return an account of records at the offsets 0, 1, 2 … of partition 0."""
    account = Account()
    for offset, expectation in enumerate(expectations):
        account.produced(0, offset, expectation)
    return account


def judged(
    arrivals: Iterable[Arrival] = GOOD_ARRIVALS,
    letters: Iterable[FoundLetter] = GOOD_LETTERS,
    *,
    may_reject: bool = False,
) -> Balance:
    """Balance an account of one record of each sort."""
    account = account_of(USER, LATER_USER, EVENT, POISON, TOMBSTONE)
    return account.balance(arrivals, letters, may_reject=may_reject)


def test_records_that_ended_where_they_had_to_balance() -> None:
    """Merged users are told apart by their properties, and each record is in exactly one sum."""
    balance = judged()

    assert balance.faults == []
    assert (balance.records, balance.lost, balance.repeated) == (5, 0, 0)
    assert balance.delivered == Counter({Kind.USER: 2, Kind.EVENT: 1})
    assert balance.dead_lettered == Counter({DeadLetterReason.MALFORMED: 1})
    assert balance.filtered == Counter({FilterReason.TOMBSTONE: 1})


def test_an_account_without_records_balances() -> None:
    """If nothing was produced, the account balances and nothing is lost."""
    assert Account().balance([], []) == Balance()


def test_a_record_that_never_arrived_is_lost() -> None:
    """An event that is nowhere is named with its coordinates and its string."""
    balance = judged(arrivals=[USERS_ARRIVED])

    assert balance.lost == 1
    assert balance.delivered == Counter({Kind.USER: 2})
    assert balance.faults == ["(0, 2) arrived 0 times, dead-lettered: None; had to be delivered: e-7-2"]


def test_an_identify_that_merging_swallowed_is_lost() -> None:
    """An identify is lost if its user arrived without what this identify said."""
    balance = judged(arrivals=[Arrival("user", {"uid": "user-1", "properties": {"u7_1": True}}), EVENT_ARRIVED])

    assert balance.lost == 1
    assert "u7_0" in balance.faults[0]


def test_of_a_run_that_was_cut_short_what_is_not_committed_is_undelivered() -> None:
    """A record that is not committed is undelivered; one that is committed and is nowhere is lost all the same."""
    account = account_of(USER, LATER_USER, EVENT, POISON, TOMBSTONE)

    balance = account.balance([USERS_ARRIVED], [], committed={0: 2})
    lossy = account.balance([USERS_ARRIVED], [], committed={0: 3})

    assert (balance.undelivered, balance.lost, balance.faults) == (3, 0, [])
    assert balance.delivered == Counter({Kind.USER: 2})
    assert (lossy.undelivered, lossy.lost) == (2, 1)


def test_of_a_run_that_was_cut_short_what_arrived_is_delivered() -> None:
    """A record that arrived counts as delivered whether or not its offset is committed."""
    account = account_of(USER, LATER_USER, EVENT, POISON, TOMBSTONE)

    balance = account.balance(GOOD_ARRIVALS, GOOD_LETTERS, committed={0: 0})

    assert (balance.undelivered, balance.faults) == (1, [])
    assert balance.delivered == Counter({Kind.USER: 2, Kind.EVENT: 1})
    assert balance.dead_lettered == Counter({DeadLetterReason.MALFORMED: 1})


def test_a_dead_letter_that_was_never_written_is_a_lost_record() -> None:
    """A record that cannot be delivered is lost unless it is on the dead-letter topic."""
    balance = judged(letters=[])

    assert balance.lost == 1
    assert balance.faults == ["(0, 3) had to be dead-lettered as malformed, is None"]


def test_a_repeated_arrival_is_counted_and_no_fault() -> None:
    """A second arrival is counted and is no fault: whoever asks for the balance judges how often it may happen."""
    balance = judged(arrivals=[*GOOD_ARRIVALS, EVENT_ARRIVED, EVENT_ARRIVED])

    assert (balance.repeated, balance.lost, balance.faults) == (2, 0, [])
    assert balance.delivered[Kind.EVENT] == 1


def test_a_wrong_reason_is_a_fault_and_no_loss() -> None:
    """A dead letter with the wrong reason is a fault, but no loss: the record is kept."""
    balance = judged(letters=[FoundLetter(0, 3, "unknown_schema")])

    assert balance.lost == 0
    assert balance.faults == ["(0, 3) had to be dead-lettered as malformed, is unknown_schema"]


@pytest.mark.parametrize("may_reject", [False, True])
def test_a_good_record_may_be_rejected_only_where_the_sandbox_does_so_on_purpose(*, may_reject: bool) -> None:
    """A good event on the dead-letter topic is a fault, unless good items are refused at random."""
    letters = [*GOOD_LETTERS, FoundLetter(0, 2, "rejected")]

    balance = judged([USERS_ARRIVED], letters, may_reject=may_reject)

    assert balance.lost == 0
    assert bool(balance.faults) is not may_reject
    assert balance.dead_lettered[DeadLetterReason.REJECTED] == int(may_reject)


@pytest.mark.parametrize("reason", ["rejected", "too_large"])
def test_a_record_in_two_places_is_a_fault(reason: str) -> None:
    """A record both delivered and dead-lettered is a fault: a redrive would send it twice."""
    balance = judged(letters=[*GOOD_LETTERS, FoundLetter(0, 2, reason)], may_reject=True)

    assert balance.lost == 0
    assert balance.faults == [f"(0, 2) arrived 1 times, dead-lettered: {reason}; had to be delivered: e-7-2"]


def test_a_filtered_record_that_arrived_is_a_fault() -> None:
    """What `integrations` keeps from FullStory carries a string of its own, and that string must not be there."""
    excluded = Arrival("event", {"name": "x", "user": {"uid": "user-1"}, "properties": {"unique": "e-7-4"}})

    assert judged([*GOOD_ARRIVALS, excluded]).faults == ["event user-1 e-7-4 arrived, and was not to be delivered"]


@pytest.mark.parametrize(
    "arrival",
    [
        Arrival("event", {"name": "Loaded a Page", "user": {"uid": "user-1"}, "properties": {"path": "/"}}),
        Arrival("event", {"name": "nobody's"}),
        Arrival("user", {"uid": "user-1"}),
        Arrival("user", {"uid": "group-7", "properties": {"name": "Initech"}}),
    ],
)
def test_an_arrival_of_no_record_is_a_fault(arrival: Arrival) -> None:
    """A page or a group that is delivered holds none of the strings, and is noticed all the same."""
    assert len(judged([*GOOD_ARRIVALS, arrival]).faults) == 1


def test_a_record_that_arrived_for_another_user_is_lost_and_misplaced() -> None:
    """A record whose string arrives under another user's uid counts as lost and as misplaced."""
    misplaced = Arrival("event", {"name": "x", "user": {"uid": "user-2"}, "properties": {"unique": "e-7-2"}})

    balance = judged([USERS_ARRIVED, misplaced])

    assert balance.lost == 1
    assert len(balance.faults) == 2


def test_a_filtered_record_that_was_dead_lettered_is_a_fault() -> None:
    """A dead letter for a tombstone is a fault: a filtered record has done nothing wrong."""
    balance = judged(letters=[*GOOD_LETTERS, FoundLetter(0, 4, "malformed")])

    assert balance.faults == ["(0, 4) had to be filtered by tombstone, was dead-lettered as malformed"]


def test_a_letter_of_no_record_is_a_fault() -> None:
    """A dead letter whose coordinates no record has is a fault: it would lead a redrive astray."""
    balance = judged(letters=[*GOOD_LETTERS, FoundLetter(3, 0, "malformed")])

    assert balance.faults == ["a dead letter names (3, 0), which was never produced"]


def test_a_letter_may_be_there_twice_if_it_says_the_same() -> None:
    """Two letters of one record are allowed if their reasons agree, since letters are written at least once."""
    assert judged(letters=[POISON_LETTER, POISON_LETTER]).faults == []
    assert judged(letters=[POISON_LETTER, FoundLetter(0, 3, "too_large")]).faults == [
        "(0, 3) was dead-lettered as malformed and as too_large"
    ]


def test_faults_stay_few_and_losses_are_all_counted() -> None:
    """Of a run that lost everything, a few faults are named and all losses are counted."""
    account = account_of(*(ExpectDelivered(Kind.EVENT, "user-1", f"e-7-{n}") for n in range(100)))

    balance = account.balance([], [])

    assert balance.lost == 100
    assert len(balance.faults) == MAX_NAMED


def test_a_letter_is_read_from_the_last_headers_of_their_names() -> None:
    """If a redriven record failed again, the account reads the headers of the last failure."""
    first = [("__dlq.errors.partition", b"1"), ("__dlq.errors.offset", b"17"), ("fullstory.dlq.reason", b"malformed")]
    second = [("__dlq.errors.partition", b"2"), ("__dlq.errors.offset", b"5"), ("fullstory.dlq.reason", b"rejected")]

    assert letter_of([("source", b"web"), ("absent", None), *first, *second]) == FoundLetter(2, 5, "rejected")


@pytest.mark.parametrize("text", [None, b"", b"-3", b"\xff", b"7.0"])
def test_a_letter_without_readable_coordinates_is_of_no_record(text: bytes | None) -> None:
    """A letter with unreadable coordinates counts as unknown and does not break the account."""
    letter = letter_of([("__dlq.errors.partition", text), ("fullstory.dlq.reason", b"\xff")])

    assert (letter.partition, letter.offset) == (-1, -1)
    assert len(judged(letters=[*GOOD_LETTERS, letter]).faults) == 1
