"""The verbs of the journal: each makes of an entry what the table at the head of its file says."""

import re

import pytest

from processor.engine.partition import journal
from processor.engine.partition.journal import Journal, JournalRoom
from processor.engine.partition.journal_format import Entry, EntryState, JournalPlace, Plan
from processor.model.reasons import Kind

TABLE = [re.split(r" +\| ", row.strip("| ")) for row in re.findall(r"(?m)^\| \w.*$", journal.__doc__ or "")]
ONE_ENTRY_BYTES = 60
"""Room for a plan of one entry, and not for its halves."""


def after(verb: str, state: EntryState, room: JournalRoom) -> Plan:
    """Return a plan that had one entry, after a verb."""
    entry = Entry(Kind.EVENT, 2, "0" * 16, state)
    plan = Plan(9, b"n" * 16, 0, [entry])
    book = Journal(JournalPlace("0" * 16, "1" * 16), None, room, 22.5)
    if verb == "accept":
        book.accept(plan, entry, "job")
    elif verb == "finish":
        book.finish(plan, entry)
    elif verb == "renew_key":
        book.renew_key(plan, entry, is_batch=state is not EntryState.SINGLY)
    else:
        halves = [Entry(Kind.EVENT, 1, "0" * 16) for _ in range(2)]
        assert book.split(plan, entry, halves, 0, [plan]) is (room.metadata_bytes > ONE_ENTRY_BYTES)
    assert book.is_behind
    return plan


def states(plan: Plan) -> list[EntryState]:
    """Return how far its entries have come."""
    return [each.state for each in plan.entries]


@pytest.mark.parametrize("row", TABLE[1:], ids=lambda row: row[0])
def test_a_verb_makes_of_an_entry_what_the_table_says(row: list[str]) -> None:
    """Each cell that names a state is what the verb of its column leaves; the others never come to pass."""
    state = EntryState[row[0].upper()]
    for verb, becomes in zip(TABLE[0][1:], row[1:], strict=True):
        if becomes == "two planned, or singly":
            assert states(after(verb, state, JournalRoom())) == [EntryState.PLANNED, EntryState.PLANNED]
            assert states(after(verb, state, JournalRoom(ONE_ENTRY_BYTES))) == [EntryState.SINGLY]
        elif becomes != "-":
            assert states(after(verb, state, JournalRoom())) == [EntryState[becomes.upper()]]


def test_only_a_key_that_comes_into_use_waits_for_a_commit() -> None:
    """An answer is told when there is time; a new key or new requests are told before their first POST."""
    verbs = {verb: after(verb, EntryState.PLANNED, JournalRoom()).revision > 1 for verb in TABLE[0][1:]}

    assert verbs == {"accept": False, "finish": False, "split": True, "renew_key": True}
