"""What becomes of a plan when its records are here again: kept, followed, or sent anew and counted."""

from processor.engine.partition.journal_format import Entry, EntryState, Plan
from processor.engine.partition.planning import KEY_TRUST_S, cut, new_plan, resume
from processor.events.payload import Item, Payload
from processor.model.reasons import Kind
from processor.model.records import OffsetRange

NOW = 1_700_000_000.0
NONCE, OTHER = b"n" * 16, b"o" * 16


def user(uid: str, *offsets: int, text: str = "") -> Item:
    """Return a user's item made of these records."""
    return Item(f"{uid}{offsets}{text}".encode(), offsets, uid)


def event(offset: int, text: str = "") -> Item:
    """Return an event's item."""
    return Item(f"{offset}{text}".encode(), (offset,), "u")


def payload(users: list[Item] | None = None, events: list[Item] | None = None) -> Payload:
    """Return what ten records become."""
    return Payload(OffsetRange(0, 10), users or [], events or [])


def planned(these: Payload, *, is_batch: bool = True) -> Plan:
    """Return the plan that was made of them."""
    return new_plan(these, NONCE, NOW, is_batch=is_batch)


def told(plan: Plan) -> list[tuple[Kind, int, EntryState, int | None]]:
    """Return what tells the entries apart."""
    return [(each.kind, each.items, each.state, each.until) for each in plan.entries]


USERS = [user("a", 0, 5), user("b", 3)]
EVENTS = [event(1), event(2), event(4), event(9)]


def test_a_part_is_one_request_or_one_for_each_item() -> None:
    """A single item has no use for a batch, and two of one user may not share a request."""
    assert told(planned(payload(USERS, EVENTS))) == [
        (Kind.USER, 2, EntryState.PLANNED, None),
        (Kind.EVENT, 4, EntryState.PLANNED, None),
    ]
    assert told(planned(payload(USERS[:1], EVENTS[:1]))) == [
        (Kind.USER, 1, EntryState.SINGLY, None),
        (Kind.EVENT, 1, EntryState.SINGLY, None),
    ]
    assert told(planned(payload(USERS, EVENTS), is_batch=False)) == [
        (Kind.USER, 2, EntryState.SINGLY, None),
        (Kind.EVENT, 4, EntryState.SINGLY, None),
    ]
    assert told(planned(payload([user("a", 0), user("a", 3)]))) == [(Kind.USER, 2, EntryState.SINGLY, None)]


def test_entries_take_the_items_whose_first_record_lies_before_their_end() -> None:
    """A merged item stands where its first record stood."""
    halves = [Entry(Kind.USER, 1, "", until=3), Entry(Kind.USER, 1, "")]
    assert cut(halves, USERS) == [USERS[:1], USERS[1:]]
    assert cut([], []) == []
    assert cut(halves, []) == [[], []]


def test_what_still_becomes_the_same_keeps_its_keys() -> None:
    """Whatever release or settings make it the same."""
    plan = planned(payload(USERS, EVENTS))
    before = list(plan.entries)
    assert resume(plan, payload(USERS, EVENTS), NOW + 5, OTHER, is_batch=False) == 0
    assert (plan.entries, plan.nonce, plan.revision) == (before, NONCE, 1)


def test_what_becomes_something_else_is_sent_anew() -> None:
    """And counted, record by record; the rest keeps its keys."""
    plan = planned(payload(USERS, EVENTS))
    users, events = plan.entries
    assert resume(plan, payload(USERS, [*EVENTS[:3], event(9, "other")]), NOW + 5, OTHER, is_batch=True) == 4
    assert plan.entries[0] is users
    assert plan.entries[1] is not events
    assert (plan.nonce, plan.revision) == (NONCE, 2)


def test_what_has_a_job_or_is_done_is_not_sent_anew() -> None:
    """The records may have changed or gone since: FullStory has what they were."""
    plan = planned(payload(USERS, EVENTS))
    plan.entries[0].state = EntryState.DONE
    plan.entries[1].state, plan.entries[1].job_id = EntryState.ACCEPTED, "job"
    before = list(plan.entries)
    assert resume(plan, payload([], EVENTS[:1]), NOW + 5, OTHER, is_batch=True) == 0
    assert plan.entries == before


def test_an_accepted_request_without_its_id_is_sent_under_its_key() -> None:
    """The id did not fit; the same key gets it back, and another body would not."""
    plan = planned(payload([], EVENTS))
    plan.entries[0].state = EntryState.ACCEPTED
    before = list(plan.entries)
    assert resume(plan, payload([], EVENTS), NOW + 5, OTHER, is_batch=True) == 0
    assert plan.entries == before
    assert resume(plan, payload([], EVENTS[:3]), NOW + 5, OTHER, is_batch=True) == 3


def test_keys_that_fullstory_may_have_forgotten_are_given_up() -> None:
    """A plan older than FullStory's memory gets a new nonce: its keys might expire between two tries."""
    plan = planned(payload(USERS, EVENTS))
    assert resume(plan, payload(USERS, EVENTS), NOW + KEY_TRUST_S, OTHER, is_batch=True) == 7
    assert (plan.nonce, plan.at_s, plan.revision) == (OTHER, int(NOW + KEY_TRUST_S), 2)


def test_an_old_plan_with_a_job_keeps_its_nonce() -> None:
    """If FullStory forgets the job, its request is known to be old: each old key is renewed, and counted, when used."""
    plan = planned(payload(USERS, EVENTS))
    plan.entries[0].state, plan.entries[0].job_id = EntryState.ACCEPTED, "job"
    nonce, at_s = plan.nonce, plan.at_s
    assert resume(plan, payload(USERS, EVENTS), NOW + KEY_TRUST_S, OTHER, is_batch=True) == 0
    assert (plan.nonce, plan.at_s) == (nonce, at_s)
    assert told(plan)[0] == (Kind.USER, 2, EntryState.ACCEPTED, None)


def test_one_part_of_a_split_is_sent_anew_alone() -> None:
    """Events stand for one record each, so what has a job is known by offset."""
    plan = planned(payload([], EVENTS))
    plan.entries = [
        Entry(Kind.EVENT, 2, "gone", EntryState.ACCEPTED, until=4, job_id="job"),
        Entry(Kind.EVENT, 2, "other", EntryState.PLANNED),
    ]
    assert resume(plan, payload([], EVENTS), NOW + 5, OTHER, is_batch=True) == 2
    assert told(plan) == [(Kind.EVENT, 2, EntryState.ACCEPTED, 4), (Kind.EVENT, 2, EntryState.PLANNED, None)]


def test_split_users_that_merge_otherwise_are_all_sent_anew() -> None:
    """A record may stand in another item now: better twice, for users are upserts, than never."""
    plan = planned(payload(USERS))
    plan.entries = [
        Entry(Kind.USER, 1, "gone", EntryState.DONE, until=3),
        Entry(Kind.USER, 1, "other", EntryState.PLANNED),
    ]
    assert resume(plan, payload([user("a", 0, 3, 5)]), NOW + 5, OTHER, is_batch=True) == 3
    assert told(plan) == [(Kind.USER, 1, EntryState.SINGLY, None)]


def test_a_part_that_nobody_planned_is_planned_and_not_counted() -> None:
    """It was filtered before, so nothing of it can have been sent; what is filtered now is dropped."""
    plan = planned(payload(USERS))
    assert resume(plan, payload([], EVENTS), NOW + 5, OTHER, is_batch=True) == 0
    assert told(plan) == [(Kind.EVENT, 4, EntryState.PLANNED, None)]
