"""A partition's journal: what each verb makes of an entry and has told, what may be POSTed, and for how long."""

from collections.abc import Sequence

import pytest

from processor.engine.partition import journal as module
from processor.engine.partition.journal import Journal, JournalRoom
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
    signed,
)
from processor.model.reasons import Kind

LEASE_S = 20.0
PLACE, DESTINATION = JournalPlace("place", "lineage"), "destination"
NONCE = bytes(16)
BASE = 100
HEAD = f"sf1,place,destination,{BASE:x},lineage"
NO_ROOM = 60
"""Bytes for a plan of one entry, and not for one of two."""


def an_entry(state: EntryState = EntryState.PLANNED) -> Entry:
    """Return an entry in this state."""
    return Entry(Kind.EVENT, 4, "digest", state, job_id="job" if state is EntryState.ACCEPTED else None)


def a_plan(*entries: Entry, end: int = 110) -> Plan:
    """Return a plan of a range that ends there."""
    return Plan(end, NONCE, 0, list(entries) or [an_entry()])


def a_journal(*, metadata_bytes: int = METADATA_BYTES) -> Journal:
    """Return the journal of a partition that was committed before, with nothing in flight."""
    journal = Journal(PLACE, (BASE, HEAD), JournalRoom(metadata_bytes), LEASE_S)
    assert journal.read(HEAD, BASE, PLACE, DESTINATION) == []
    return journal


def ask(journal: Journal, *ranges: Range, now: float = 0.0) -> str:
    """Ask for a commit of this; return its text."""
    written = journal.write(BASE, ranges)
    assert written is not None
    journal.asked(BASE, written, now)
    return written.text


def commit(journal: Journal, *ranges: Range, now: float = 0.0) -> str:
    """Have it acknowledged, too."""
    text = ask(journal, *ranges, now=now)
    journal.acknowledge()
    return text


def split(journal: Journal, plan: Plan, entry: Entry) -> bool:
    """Split an entry in two."""
    halves = [Entry(entry.kind, 2, "left", until=105), Entry(entry.kind, 2, "right")]
    return journal.split(plan, entry, halves, BASE, [plan])


# The right to POST


def test_a_plan_is_covered_from_its_acknowledgement_until_the_lease_ends() -> None:
    """Neither before Kafka holds it, nor by a process that may have lost the partition since."""
    journal, plan = a_journal(), a_plan()
    assert not journal.covers(plan, 0.0)
    ask(journal, plan)
    assert not journal.covers(plan, 0.0)
    journal.acknowledge()
    assert journal.covers(plan, 0.0)
    assert journal.covers(plan, LEASE_S - 0.01)
    assert not journal.covers(plan, LEASE_S)


def test_a_lease_counts_from_the_moment_at_which_its_commit_was_asked_for() -> None:
    """The broker may have looked at any time since."""
    journal, plan = a_journal(), a_plan()
    commit(journal, plan, now=100.0)
    assert (journal.covers(plan, 119.9), journal.covers(plan, 120.0)) == (True, False)


def test_any_commit_renews_the_lease() -> None:
    """Also one that tells of nothing new: it shows that the partition is still owned."""
    journal, plan = a_journal(), a_plan()
    commit(journal, plan)
    assert not journal.covers(plan, LEASE_S)
    commit(journal, plan, now=LEASE_S)
    assert journal.covers(plan, LEASE_S)


def test_a_plan_that_was_revised_waits_for_its_latest_revision() -> None:
    """A commit that was under way tells of the one before."""
    journal, plan = a_journal(), a_plan()
    ask(journal, plan)
    journal.renew_key(plan, plan.entries[0], is_batch=True)
    journal.acknowledge()
    assert not journal.covers(plan, 0.0)
    commit(journal, plan)
    assert journal.covers(plan, 0.0)


def test_a_commit_of_unknown_outcome_gives_no_right_and_takes_none() -> None:
    """What Kafka held before it holds still, or more than that."""
    journal, old, new = a_journal(), a_plan(), a_plan(end=120)
    commit(journal, old)
    ask(journal, old, new, now=10.0)
    journal.fail()
    assert (journal.covers(old, 19.9), journal.covers(new, 19.9)) == (True, False)
    assert not journal.covers(old, LEASE_S), "its lease is not renewed, either"


def test_what_was_found_is_acknowledged_and_waits_for_a_lease() -> None:
    """Whoever wrote it may still believe that the partition is its own."""
    text = commit(a_journal(), a_plan())
    journal = Journal(PLACE, (BASE, text), JournalRoom(), LEASE_S)
    found = journal.read(text, BASE, PLACE, DESTINATION)
    assert isinstance(found, list)
    (plan,) = found
    assert isinstance(plan, Plan)
    assert not journal.covers(plan, 0.0)
    commit(journal)
    assert journal.covers(plan, 0.0)


def test_a_journal_of_another_place_or_destination_tells_nothing() -> None:
    """A topic that was made anew, or another organisation at FullStory."""
    text = commit(a_journal(), a_plan())
    assert a_journal().read(text, BASE, PLACE, "elsewhere") == "foreign"
    assert a_journal().read(text, BASE, JournalPlace("other", "lineage"), DESTINATION) == "foreign"


# What is told


def test_an_answer_is_told_with_the_next_commit_and_holds_up_no_post() -> None:
    """Whether in a job or done, the same key leads there again; so it is only said to be behind."""
    journal, plan = a_journal(), a_plan()
    commit(journal, plan)
    assert not journal.is_behind
    journal.accept(plan, plan.entries[0], "job")
    assert (journal.is_behind, plan.revision, journal.covers(plan, 0.0)) == (True, 1, True)
    commit(journal, plan)
    assert not journal.is_behind
    journal.finish(plan, plan.entries[0])
    assert (journal.is_behind, plan.revision, journal.covers(plan, 0.0)) == (True, 1, True)


@pytest.mark.parametrize("is_batch", [True, False])
def test_a_key_that_comes_into_use_is_told_before_anything_of_the_plan_is_posted(*, is_batch: bool) -> None:
    """The key counts up, and the job that the old one led to is forgotten."""
    journal, entry = a_journal(), an_entry(EntryState.ACCEPTED)
    plan = a_plan(entry)
    commit(journal, plan)
    journal.renew_key(plan, entry, is_batch=is_batch)
    assert (entry.attempt, entry.job_id) == (1, None)
    assert entry.state is (EntryState.PLANNED if is_batch else EntryState.SINGLY)
    assert (journal.is_behind, plan.revision, journal.covers(plan, 0.0)) == (True, 2, False)


def test_halves_stand_in_the_place_of_what_was_split() -> None:
    """Their keys are new."""
    journal, first, last = a_journal(), an_entry(), an_entry()
    plan = a_plan(first, last)
    commit(journal, plan)
    assert split(journal, plan, first)
    assert [each.digest for each in plan.entries] == ["left", "right", "digest"]
    assert plan.entries[2] is last
    assert (journal.is_behind, plan.revision, journal.covers(plan, 0.0)) == (True, 2, False)


def test_what_cannot_be_split_for_want_of_room_is_sent_item_by_item() -> None:
    """The keys of the items follow from the entry; they come into use as those of halves would."""
    journal, entry = a_journal(), an_entry()
    plan = a_plan(entry)
    commit(journal, plan)
    journal._room.metadata_bytes = NO_ROOM
    assert not split(journal, plan, entry)
    assert plan.entries == [entry]
    assert entry.state is EntryState.SINGLY
    assert (journal.is_behind, plan.revision, journal.covers(plan, 0.0)) == (True, 2, False)


def test_of_what_follows_from_an_entry_nothing_is_told() -> None:
    """Whoever reads the journal asks for the job, and comes to the same requests under the same keys."""
    journal, plan = a_journal(metadata_bytes=NO_ROOM), a_plan()
    follow_up = an_entry()
    journal.accept(plan, follow_up, "job")
    journal.finish(plan, follow_up)
    journal.renew_key(plan, follow_up, is_batch=True)
    assert split(journal, plan, follow_up), "it needs no room"
    assert (journal.is_behind, plan.revision, len(plan.entries), follow_up.attempt) == (False, 1, 1, 1)


def test_what_happens_while_a_commit_is_under_way_is_told_by_the_next_one() -> None:
    """The text was made before."""
    journal, plan = a_journal(), a_plan()
    journal.is_behind = True
    ask(journal, plan)
    assert not journal.is_behind
    journal.accept(plan, plan.entries[0], "job")
    journal.acknowledge()
    assert journal.is_behind


def test_after_a_commit_of_unknown_outcome_everything_is_told_anew() -> None:
    """Kafka may hold either."""
    journal, plan = a_journal(), a_plan()
    text = ask(journal, plan)
    journal.fail()
    assert (journal.is_behind, journal.acknowledged) == (True, (BASE, HEAD))
    assert commit(journal, plan) == text
    assert (journal.is_behind, journal.acknowledged) == (False, (BASE, text))


def test_an_acknowledgement_says_whether_it_was_for_any_plan() -> None:
    """Only then the brokers are known to take as much metadata as plans need."""
    journal = a_journal()
    ask(journal)
    assert not journal.acknowledge()
    ask(journal, a_plan())
    assert journal.acknowledge()


def test_an_answer_without_a_commit_is_a_defect() -> None:
    """And said so."""
    with pytest.raises(AssertionError, match="without a commit"):
        a_journal().acknowledge()


def test_nothing_is_written_where_the_brokers_take_less_than_must_be_told() -> None:
    """What may have been sent is never left out."""
    journal, plan = a_journal(), a_plan()
    commit(journal, plan)
    journal._room.metadata_bytes = 10
    assert journal.write(BASE, [plan]) is None
    assert journal.write_last(BASE, [plan]) is None


def test_room_is_kept_for_job_ids_as_long_as_the_longest_seen() -> None:
    """In all journals of the process: FullStory makes them longer for all."""
    room = JournalRoom()
    usual = room.job_id_bytes
    journal = Journal(PLACE, None, room, LEASE_S)
    entry = an_entry(EntryState.ACCEPTED)
    for id_bytes, expected in ((usual, usual), (usual + 7, usual + 7), (3, usual + 7)):
        entry.job_id = "j" * id_bytes
        journal.write(BASE, [a_plan(entry)])
        assert room.job_id_bytes == expected


# When the partition goes


def last(journal: Journal, *ranges: Range) -> Sequence[Range] | None:
    """Return what is told at last; None for nothing."""
    text = journal.write_last(BASE, ranges)
    if text is None:
        return None
    found = decode(text, JournalId(PLACE, DESTINATION), BASE)
    assert isinstance(found, list)
    return found


def test_a_plan_of_which_nothing_was_sent_is_left_to_the_next_owner() -> None:
    """Who may plan it otherwise; one that Kafka knows may have been sent, and stays."""
    journal, sent, unsent = a_journal(), a_plan(), a_plan(end=120)
    commit(journal, sent)
    found = last(journal, sent, unsent, SettledRange(130))
    assert found is not None
    assert [(type(each), each.end) for each in found] == [(Plan, 110), (UnplannedRange, 120), (SettledRange, 130)]


def test_a_plan_that_was_revised_since_is_told_as_it_is() -> None:
    """The keys of an earlier revision are used up, whether or not those of this one are in use."""
    journal, plan = a_journal(), a_plan()
    commit(journal, plan)
    journal.renew_key(plan, plan.entries[0], is_batch=True)
    found = last(journal, plan)
    assert found is not None
    (told,) = found
    assert isinstance(told, Plan)
    assert told.entries[0].attempt == 1


def test_nothing_is_told_at_last_that_kafka_holds_already() -> None:
    """Neither text nor offset is news."""
    journal, plan = a_journal(), a_plan()
    assert last(journal) is None
    assert last(journal, plan) is None, "nothing of it was sent"
    commit(journal, plan)
    assert last(journal, plan) is None
    assert journal.write_last(110, []) == HEAD.replace("64", "6e")


def test_what_an_earlier_owner_told_of_itself_is_no_reason_to_commit_at_last() -> None:
    """How many requests it had made says nothing about the partition."""
    text = signed(HEAD, RequestTally("5f0c8a1d", 10, 0), METADATA_BYTES)
    journal = Journal(PLACE, (BASE, text), JournalRoom(), LEASE_S)
    assert journal.read(text, BASE, PLACE, DESTINATION) == []
    assert last(journal) is None


# The table at the head of the file


def rows() -> dict[tuple[str, str], str]:
    """Return the table's cells, by state and verb."""
    lines = [line for line in (module.__doc__ or "").splitlines() if line.startswith("|")]
    (_, *verbs), _, *states = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return {(state, verb): cell for state, *cells in states for verb, cell in zip(verbs, cells, strict=True)}


@pytest.mark.parametrize(("state", "verb"), [cell for cell, becomes in rows().items() if becomes != "-"])
def test_each_verb_does_what_the_table_says(state: str, verb: str) -> None:
    """With room in the journal, and without."""
    outcomes = []
    for metadata_bytes in (METADATA_BYTES, NO_ROOM):
        journal, entry = a_journal(metadata_bytes=metadata_bytes), an_entry(EntryState[state.upper()])
        plan = a_plan(entry)
        match verb:
            case "accept":
                journal.accept(plan, entry, "job")
            case "finish":
                journal.finish(plan, entry)
            case "renew_key":
                journal.renew_key(plan, entry, is_batch=state != "singly")
            case "split":
                split(journal, plan, entry)
            case _:
                pytest.fail(f"the table names {verb}")
        count = {1: "", 2: "two "}[len(plan.entries)]
        (name,) = {each.state.name.lower() for each in plan.entries}
        outcomes.append(f"{count}{name}")
    assert rows()[state, verb] == ", or ".join(dict.fromkeys(outcomes))


def test_the_table_has_a_row_for_each_state_and_a_column_for_each_verb() -> None:
    """Whatever takes a plan and an entry is a verb."""
    verbs = {
        name
        for name, each in vars(Journal).items()
        if not name.startswith("_") and {"plan", "entry"} <= getattr(each, "__annotations__", {}).keys()
    }
    assert rows().keys() == {(state.name.lower(), verb) for state in EntryState for verb in verbs}
