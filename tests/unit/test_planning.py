"""What becomes of a plan when its records are here again: kept, followed, or sent anew and counted."""

import random
from collections import defaultdict

from processor.engine.partition.journal_format import Entry, EntryState, Plan
from processor.engine.partition.planning import KEY_TRUST_S, WAVE, WAVES, cut, lanes, new_entry, new_plan, resume
from processor.events.payload import Item, Payload
from processor.model.reasons import Kind
from processor.model.records import OffsetRange

NOW = 1_700_000_000.0
NONCE, OTHER = b"n" * 16, b"o" * 16


def user(uid: str, *offsets: int, text: str = "") -> Item:
    """Return a user's item made of these records."""
    return Item(f"{uid}{offsets}{text}".encode(), offsets, uid)


def event(offset: int, text: str = "", uid: str = "u") -> Item:
    """Return an event's item."""
    return Item(f"{offset}{text}".encode(), (offset,), uid)


def payload(users: list[Item] | None = None, events: list[Item] | None = None) -> Payload:
    """Return what ten records become."""
    return Payload(OffsetRange(0, 10), users or [], events or [])


def planned(these: Payload, *apart: int, is_batch: bool = True) -> Plan:
    """Return the plan that was made of them."""
    return new_plan(these, NONCE, NOW, apart, is_batch=is_batch)


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
    assert cut(halves, [USERS, []]) == [USERS[:1], USERS[1:]]
    assert cut([], [[], []]) == []
    assert cut(halves, [[], []]) == [[], []]
    assert cut([*halves, Entry(Kind.USER, 1, "", lane=1)], [USERS, EVENTS]) == [USERS[:1], USERS[1:], EVENTS]


def lanes_of(these: Payload, *apart: int) -> list[tuple[list[int], list[int]]]:
    """Return the first offsets of the users and of the events of each lane."""
    parted = lanes(these, apart)
    return [
        ([item.records[0] for item in users], [item.records[0] for item in events])
        for users, events in zip(parted[Kind.USER], parted[Kind.EVENT], strict=True)
    ]


def test_who_would_hold_others_up_goes_apart_with_its_events() -> None:
    """Whether it has identifies in the batch or events alone."""
    users = [user("a", 0), user("b", 3, 7)]
    events = [event(1, uid="a"), event(2, uid="b"), event(4, uid="c"), event(5, uid="b")]
    these = payload(users, events)
    assert lanes_of(these) == [([0, 3], [1, 2, 4, 5]), ([], [])]
    assert lanes_of(these, 3, 4) == [([0], [1]), ([3], [2, 4, 5])]
    assert [(each.kind, each.items, each.state, each.lane) for each in planned(these, 3, 4).entries] == [
        (Kind.USER, 1, EntryState.SINGLY, 0),
        (Kind.USER, 1, EntryState.SINGLY, 1),
        (Kind.EVENT, 1, EntryState.SINGLY, 0),
        (Kind.EVENT, 3, EntryState.PLANNED, 1),
    ]


def test_few_users_with_several_identifies_go_apart_with_all_of_them() -> None:
    """Nobody else waits until all of them had their turn."""
    users = [user("a", 0), user("b", 1), user("a", 2), user("a", 3), user("c", 4)]
    assert lanes_of(payload(users, [event(5, uid="a"), event(6, uid="c")])) == [([1, 4], [6]), ([0, 2, 3], [5])]


def test_many_users_with_several_identifies_go_in_waves() -> None:
    """As long as a wave is worth a job; what is left then goes one by one, and events behind their last identify."""
    names = [f"u{number}" for number in range(2 * WAVE)]
    rounds = [names, names[:WAVE], names[: WAVE - 1]]
    users = [user(name, 100 * turn + at) for turn, of_turn in enumerate(rounds) for at, name in enumerate(of_turn)]
    events = [event(1_000 + at, uid=name) for at, name in enumerate(names)]
    assert lanes_of(payload(users, events)) == [
        (list(range(2 * WAVE)), list(range(1_000 + WAVE, 1_000 + 2 * WAVE))),
        (list(range(100, 100 + WAVE)), [1_000 + WAVE - 1]),
        (list(range(200, 200 + WAVE - 1)), list(range(1_000, 1_000 + WAVE - 1))),
    ]


def test_a_plan_has_no_more_waves_than_its_journal_has_room_for() -> None:
    """However often its users are identified."""
    names = [f"u{number}" for number in range(WAVE)]
    users = [user(name, 100 * turn + at) for turn in range(WAVES + 2) for at, name in enumerate(names)]
    assert [(each.items, each.state, each.lane) for each in planned(payload(users)).entries] == [
        *((WAVE, EntryState.PLANNED, wave) for wave in range(WAVES)),
        (2 * WAVE, EntryState.SINGLY, WAVES),
    ]


def test_every_item_is_in_a_lane_in_its_users_order() -> None:
    """Whoever goes apart, and however many identifies each user has."""
    chance = random.Random(7)
    for _ in range(200):
        crowd = [f"u{number}" for number in range(chance.randint(1, 3 * WAVE))]
        offsets = iter(range(10_000))
        users = [user(chance.choice(crowd), next(offsets)) for _ in range(chance.randint(0, 300))]
        events = [event(next(offsets), uid=chance.choice(crowd)) for _ in range(chance.randint(0, 50))]
        parted = lanes(payload(users, events), chance.sample(range(400), chance.randint(0, 5)))
        for kind, items in ((Kind.USER, users), (Kind.EVENT, events)):
            assert sorted(item.records for lane in parted[kind] for item in lane) == [item.records for item in items]
        order: defaultdict[str, list[int]] = defaultdict(list)
        last_lane: dict[str, int] = {}
        for number, lane in enumerate(parted[Kind.USER]):
            assert number == len(parted[Kind.USER]) - 1 or len({item.uid for item in lane}) == len(lane)
            for item in lane:
                order[item.uid] += item.records
                last_lane[item.uid] = number
        assert all(each == sorted(each) for each in order.values())
        for number, lane in enumerate(parted[Kind.EVENT]):
            assert all(last_lane.get(item.uid, number) == number for item in lane)


def test_a_plan_with_lanes_is_resumed_as_it_was() -> None:
    """In either mode; without the record that named who goes apart, its users' identifies are sent anew."""
    users = [user("a", 0), user("b", 3, 7)]
    events = [event(1, uid="a"), event(2, uid="b"), event(4, uid="c"), event(5, uid="a")]
    plan = planned(payload(users, events), 3)
    before = list(plan.entries)
    assert resume(plan, payload(users, events), NOW + 5, OTHER, is_batch=True) == 0
    assert plan.entries == before
    assert resume(plan, payload([users[0], user("b", 7)], events[:1] + events[2:]), NOW + 5, OTHER, is_batch=True) == 2
    assert plan.entries[-1] is before[-2], "the events of the others are as they were"


def test_items_that_change_their_lane_are_sent_anew() -> None:
    """They may have been sent in another one: what stands there now is not all that did."""
    events = [event(1, uid="a"), event(2, uid="b"), event(4, uid="b")]
    plan = planned(payload([user("a", 0)], events))
    plan.entries[1].state, plan.entries[1].job_id = EntryState.ACCEPTED, "job"
    again = payload([user("a", 0), user("a", 3)], events)
    assert resume(plan, again, NOW + 5, OTHER, is_batch=True) == 3
    assert [(each.kind, each.items, each.state, each.lane) for each in plan.entries] == [
        (Kind.USER, 2, EntryState.SINGLY, 1),
        (Kind.EVENT, 3, EntryState.ACCEPTED, 0),
        (Kind.EVENT, 1, EntryState.SINGLY, 1),
    ]


def test_an_event_that_changes_its_lane_is_not_taken_for_one_that_has_a_job() -> None:
    """The record by which its user went apart is gone, so it stands where all else has a job: nobody sent it."""
    users = [user("a", 0), user("b", 3)]
    events = [event(1, uid="b"), event(2, uid="a"), event(4, uid="c")]
    for state, job_id in ((EntryState.ACCEPTED, "job"), (EntryState.DONE, None)):
        plan = planned(payload(users, events), 0)
        _, _, together, apart = plan.entries
        together.state, together.job_id = state, job_id
        assert (apart.kind, apart.items, apart.lane) == (Kind.EVENT, 1, 1)
        assert resume(plan, payload(users[1:], events), NOW + 5, OTHER, is_batch=True) == 4
        assert told(plan)[-1] == (Kind.EVENT, 3, EntryState.PLANNED, None)


def test_what_has_a_job_is_followed_although_other_lanes_changed() -> None:
    """As long as nothing can have come to it from them: the bodies alone changed, or those lanes are as they were."""
    events = [event(1, uid="b"), event(2, uid="a"), event(4, uid="c")]
    for changed, sent_anew in (([event(each.records[0], "x", each.uid) for each in events], 1), (events[:2], 0)):
        plan = planned(payload([user("a", 0)], events), 0)
        together = plan.entries[1]
        together.state, together.job_id = EntryState.ACCEPTED, "job"
        assert resume(plan, payload([user("a", 0)], changed), NOW + 5, OTHER, is_batch=True) == sent_anew
        assert plan.entries[1] is together


def test_a_job_with_two_identifies_of_a_user_is_not_followed_as_one() -> None:
    """They were merged when it was sent, or stood in different waves; now each has to have its turn."""
    for apart in ((), None):
        plan = planned(payload([user("a", 0, 3), user("b", 1)]))
        plan.apart = apart
        plan.entries[0].state, plan.entries[0].job_id = EntryState.ACCEPTED, "job"
        users = [user("a", 0), user("b", 1), user("a", 3)]
        assert resume(plan, payload(users), NOW + 5, OTHER, is_batch=True) == 3
        assert not any(entry.is_followed for entry in plan.entries)
    names = [f"u{number}" for number in range(WAVE)]
    waves = [user(name, 100 * wave + at) for wave in range(2) for at, name in enumerate(names)]
    plan = planned(payload(waves))
    plan.entries[0].state = EntryState.DONE
    plan.entries[1].state, plan.entries[1].job_id = EntryState.ACCEPTED, "job"
    assert resume(plan, payload(waves[:-1]), NOW + 5, OTHER, is_batch=True) == 2 * WAVE - 1
    assert [(each.items, each.state, each.lane) for each in plan.entries] == [
        (1, EntryState.SINGLY, 0),
        (2 * WAVE - 2, EntryState.SINGLY, 1),
    ]


def test_a_plan_of_a_release_without_lanes_is_resumed_as_a_whole() -> None:
    """Several identifies of one user were sent one by one, together with all others."""
    users, events = [user("a", 0), user("a", 3), user("b", 4)], EVENTS
    plan = planned(payload(users, events))
    plan.apart = None
    plan.entries = [new_entry(Kind.USER, users, is_batch=True), new_entry(Kind.EVENT, events, is_batch=True)]
    before = list(plan.entries)
    assert resume(plan, payload(users, events), NOW + 5, OTHER, is_batch=True) == 0
    assert plan.entries == before


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


def test_what_was_filtered_for_a_while_is_sent_after_all() -> None:
    """By a release that was rolled back: its plan tells only of what it would have sent."""
    plan = planned(payload([], EVENTS))
    plan.entries = [
        Entry(Kind.EVENT, 2, "gone", EntryState.ACCEPTED, until=4, job_id="job"),
        Entry(Kind.EVENT, 2, "other", EntryState.PLANNED),
    ]
    assert resume(plan, payload([], EVENTS[:2]), NOW + 5, OTHER, is_batch=True) == 0
    assert resume(plan, payload([], EVENTS), NOW + 5, OTHER, is_batch=True) == 2
    assert told(plan) == [(Kind.EVENT, 2, EntryState.ACCEPTED, 4), (Kind.EVENT, 2, EntryState.PLANNED, None)]
    assert cut(plan.entries, [EVENTS, []]) == [EVENTS[:2], EVENTS[2:]]


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
