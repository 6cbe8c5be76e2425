"""The journal's text: what it holds, what it leaves out for want of room, and what of foreign text is not believed."""

from dataclasses import astuple

import pytest

from processor.engine.partition.journal_format import (
    METADATA_BYTES,
    Entry,
    EntryState,
    JournalId,
    JournalPlace,
    Plan,
    Range,
    RequestTally,
    SettledRange,
    UnplannedRange,
    decode,
    encode,
    has_room_for,
    owner_of,
    signed,
    tally_of,
    unsigned,
)
from processor.model.reasons import Kind

PLACE = JournalPlace("place-eleven", "lineage")
OWNER = JournalId(PLACE, "destination")
HEAD = "sf1,place-eleven,destination,f4240,lineage"
NONCE = bytes(range(16))
BASE = 1_000_000


def entry(state: EntryState = EntryState.PLANNED, job_id: str | None = None, **others: object) -> Entry:
    """Return an entry of events."""
    return Entry(Kind.EVENT, 500, "digest-0001", state, job_id=job_id, **others)  # type: ignore[arg-type]


def plan(end: int, *entries: Entry, acknowledged: int = 0) -> Plan:
    """Return a plan of a range that ends there."""
    return Plan(BASE + end, NONCE, 1_700_000_000, list(entries), acknowledged=acknowledged)


def text_of(*ranges: Range, limit: int = METADATA_BYTES) -> str:
    """Write ranges that fit."""
    written = encode(OWNER, BASE, ranges, limit)
    assert written is not None
    return written.text


def told(text: str, owner: JournalId = OWNER, base: int = BASE) -> list[tuple[object, ...]]:
    """Read a journal into plain values, without what is of this process only."""
    ranges = decode(text, owner, base)
    assert isinstance(ranges, list), ranges
    return [plain(each) for each in ranges]


def plain(each: Range) -> tuple[object, ...]:
    """Return what a range says."""
    if isinstance(each, Plan):
        return (each.end, each.nonce, each.at_s, each.apart, *map(astuple, each.entries))
    return (type(each), each.end)


def test_what_was_written_is_read_again() -> None:
    """States, attempts, boundaries and job ids of any letters."""
    users = Entry(Kind.USER, 3, "digest-0002", EntryState.ACCEPTED, 2, BASE + 4, "+/1==, ;|=\ud800ä")
    ranges: list[Range] = [
        plan(10, users, entry(EntryState.SINGLY), entry(EntryState.DONE)),
        SettledRange(BASE + 20),
        UnplannedRange(BASE + 25),
        plan(30, entry()),
    ]
    assert told(text_of(*ranges)) == [plain(each) for each in ranges]


def test_with_nothing_in_flight_the_head_alone_is_told() -> None:
    """Also when ranges follow of which nothing was sent; where not even that fits, nothing is."""
    assert text_of() == text_of(UnplannedRange(BASE + 5)) == HEAD
    assert text_of(limit=len(HEAD) - 1) == ""


@pytest.mark.parametrize("text", ["", HEAD, HEAD.replace("destination", "another"), "sf1,place-eleven,,0"])
def test_a_head_alone_tells_of_nothing_in_flight(text: str) -> None:
    """Whatever else it says: there is nothing to be mistaken about."""
    assert decode(text, OWNER, BASE) == []


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (HEAD, PLACE),
        (f"{HEAD},more;=5", PLACE),
        ("sf1,place-eleven,destination,f4240;=5", None),
        ("sf1", None),
        ("sf2,place-eleven,destination,f4240,lineage", None),
        ("theirs", None),
        ("", None),
    ],
)
def test_a_journal_says_whose_its_offset_is(text: str, place: JournalPlace | None) -> None:
    """Those of releases that did not write it down do not, nor does what is no journal."""
    assert owner_of(text) == (place and JournalId(place, "destination"))


@pytest.mark.parametrize("ranges", [(), (SettledRange(BASE + 3), plan(10, entry()))])
def test_a_tally_is_told_beside_the_journal(ranges: tuple[Range, ...]) -> None:
    """Whoever reads the journal passes over it."""
    text, tally = text_of(*ranges), RequestTally("5f0c8a1d", 12_345, 67)
    both = signed(text, tally, METADATA_BYTES)
    assert both.startswith(f"{HEAD},5f0c8a1d.3039.43")
    assert tally_of(both) == tally
    assert told(both) == [plain(each) for each in ranges]
    assert owner_of(both) == OWNER
    assert unsigned(both) == unsigned(text) == text


def test_a_tally_takes_no_room_that_the_journal_needs() -> None:
    """Where there is too little, it is left out; without a journal there is none."""
    text, tally = text_of(plan(10, entry())), RequestTally("a", 1, 0)
    longer = len(text) + len(",a.1.0")
    assert signed(text, tally, longer) != text
    assert signed(text, tally, longer - 1) == text
    assert signed("", tally, METADATA_BYTES) == ""


def test_ranges_that_need_no_plan_are_one_where_they_touch() -> None:
    """However many settled behind one that has not."""
    assert told(text_of(plan(5, entry()), *(SettledRange(BASE + end) for end in range(6, 100))))[1:] == [
        (SettledRange, BASE + 99)
    ]


def test_plans_that_do_not_fit_with_their_ids_to_come_wait() -> None:
    """The oldest come first, and no id that comes later can push one out."""
    plans = [plan(end, entry(), entry()) for end in range(1, 40)]
    written = encode(OWNER, BASE, plans, METADATA_BYTES)
    assert written is not None
    fitting = len(written.plans)
    assert 8 < fitting < 20
    assert written.plans == plans[:fitting]
    for each in written.plans:
        each.acknowledged = each.revision
        each.entries = [entry(EntryState.ACCEPTED, "x" * 128)] * 2
    again = encode(OWNER, BASE, plans, METADATA_BYTES)
    assert again is not None
    assert again.plans == plans[:fitting]
    assert len(again.text) <= METADATA_BYTES
    assert "x" * 128 in again.text


def test_what_kafka_holds_is_never_left_out() -> None:
    """Ids are, the newest first: the same key gets them back."""
    plans = [plan(end, entry(EntryState.ACCEPTED, "x" * 1_000), acknowledged=1) for end in range(1, 9)]
    written = encode(OWNER, BASE, plans, METADATA_BYTES)
    assert written is not None
    assert (written.plans, written.text.count("x" * 1_000)) == (plans, 3)
    assert [each[4][6] is not None for each in told(written.text)] == [True] * 3 + [False] * 5  # type: ignore[index]
    assert encode(OWNER, BASE, plans, 300) is None


def test_what_settled_is_never_left_out() -> None:
    """Its plan is gone, so nothing else tells that it was sent."""
    first = plan(5, entry(EntryState.ACCEPTED, "x" * 100), acknowledged=1)
    ranges: list[Range] = [first, SettledRange(BASE + 9), plan(12, entry())]
    for limit in range(100, 300):
        written = encode(OWNER, BASE, ranges, limit)
        assert written is None or (SettledRange, BASE + 9) in told(written.text)


def test_a_limit_below_one_plan_leaves_it_out() -> None:
    """Then nothing may be sent, which whoever asked has to notice."""
    written = encode(OWNER, BASE, [plan(5, entry())], 200)
    assert written is not None
    assert (written.text, written.plans) == (HEAD, ())


def test_room_is_asked_for_what_kafka_holds_already() -> None:
    """Plans that only wait do not count."""
    halves = [entry(), entry()]
    few, many = ([plan(end, entry(), acknowledged=1) for end in range(1, count)] for count in (5, 23))
    waiting = [plan(end, entry()) for end in range(50, 80)]
    assert has_room_for(halves, OWNER, BASE, [*few, *waiting], METADATA_BYTES)
    assert not has_room_for(halves, OWNER, BASE, many, METADATA_BYTES)


@pytest.mark.parametrize(
    ("owner", "base"),
    [
        (JournalId(JournalPlace("another", "another"), "destination"), BASE),
        (JournalId(JournalPlace("another", "lineage"), "destination"), BASE),
        (JournalId(PLACE, "another"), BASE),
        (OWNER, BASE + 1),
    ],
)
def test_another_owners_journal_is_foreign(owner: JournalId, base: int) -> None:
    """A recreated topic, another organisation, an offset that was moved: it says nothing about these records."""
    assert decode(text_of(plan(5, entry())), owner, base) == "foreign"


def test_a_position_in_another_place_is_foreign_though_nothing_was_in_flight() -> None:
    """How far it was beyond that position is not known; another organisation, or an offset, says nothing then."""
    assert decode(HEAD, JournalId(JournalPlace("another", "another"), "destination"), BASE) == "foreign"
    assert decode(HEAD, JournalId(PLACE, "another"), BASE + 1) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("checkpoint 7", "foreign"),
        ("\ufffd\0", "foreign"),
        ("sf", "foreign"),
        ("sf2,whatever", "newer"),
        ("sf1", "corrupt"),
        ("sf1,place-eleven,destination", "corrupt"),
        ("sf1,place-eleven,destination,f4240;", "corrupt"),
        ("sf1,place-eleven,destination,f4240,lineage;", "corrupt"),
        ("sf1,place-eleven,destination,f4240;=0", "corrupt"),
        ("sf1,place-eleven,destination,f4240;=-5", "corrupt"),
        ("sf1,place-eleven,destination,f4240;=1_0", "corrupt"),
        ("sf1,place-eleven,destination,f4240;5,AAAA,5", "corrupt"),
        ("sf1,place-eleven,destination,f4240;5,AAECAwQFBgcICQoLDA0ODw", "corrupt"),
        ("sf1,place-eleven,destination,f4240;5,AAECAwQFBgcICQoLDA0ODw,5|xp0,1,d", "corrupt"),
        ("sf1,place-eleven,destination,f4240;5,AAECAwQFBgcICQoLDA0ODw,5|ex0,1,d", "corrupt"),
        ("sf1,place-eleven,destination,f4240;5,AAECAwQFBgcICQoLDA0ODw,5|e", "corrupt"),
        ("sf1,place-eleven,destination,f4240;5,äöü,5", "corrupt"),
    ],
)
def test_what_is_no_journal_is_not_believed(text: str, fault: str) -> None:
    """It is named and never raises."""
    assert decode(text, OWNER, BASE) == fault


def test_fields_of_a_later_release_are_passed_over() -> None:
    """A release may be rolled back while its journal stands."""
    text = "sf1,place-eleven,destination,f4240,more;5,AAECAwQFBgcICQoLDA0ODw,5,1.2,more|ea0,1,d,2,job,1,more"
    assert told(text) == [
        (BASE + 5, NONCE, 5, (BASE + 1, BASE + 2), (Kind.EVENT, 1, "d", EntryState.ACCEPTED, 0, BASE + 2, "job", 1))
    ]


def test_a_plan_of_a_release_without_lanes_is_told_apart() -> None:
    """It names nobody who goes apart; whoever writes it again writes it as it was."""
    text = "sf1,place-eleven,destination,f4240;5,AAECAwQFBgcICQoLDA0ODw,5|ea0,1,d,2,job"
    old = decode(text, OWNER, BASE)[0]
    assert isinstance(old, Plan)
    assert old.apart is None
    assert text_of(old) == text.replace("f4240;", "f4240,lineage;")
    assert text_of(plan(5, entry())).split(";")[1].split("|")[0].endswith(",6553f100,")
