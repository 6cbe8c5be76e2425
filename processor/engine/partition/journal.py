"""The journal of one partition: the one place that writes entries, and that says what may be POSTed.

The law it keeps: no POST under a key that Kafka does not know, and none by a process that has lost the partition.

1. A plan may be POSTed while Kafka holds its latest revision, and only within the lease of an acknowledged commit. A
   process that was suspended wakes up and would POST before it learns that others took over; a commit that the broker
   acknowledges shows that nobody has. The lease counts from the moment at which the commit was asked for.
2. Whatever changes an entry is a verb of this class, and marks by itself what the next commit has to tell: a key that
   comes into use (`split`, `renew_key`) before its first POST, an answer (`accept`, `finish`) when there
   is time.

What each verb makes of an entry:

| entry    | accept   | finish | split                  | renew_key |
|----------|----------|--------|------------------------|-----------|
| planned  | accepted | done   | two planned, or singly | planned   |
| singly   | -        | done   | -                      | singly    |
| accepted | accepted | done   | two planned, or singly | planned   |
| done     | -        | -      | -                      | -         |
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from processor.engine.partition.journal_format import (
    JOB_ID_BYTES,
    METADATA_BYTES,
    Entry,
    EntryState,
    JournalFault,
    JournalId,
    JournalPlace,
    Plan,
    Range,
    UnplannedRange,
    Written,
    decode,
    encode,
    has_room_for,
    unsigned,
)


@dataclass(slots=True)
class JournalRoom:
    """How much metadata the brokers take with an offset, as far as is known; shared by all partitions of a process."""

    metadata_bytes: int = METADATA_BYTES
    job_id_bytes: int = JOB_ID_BYTES
    """Kept free for an id to come: the longest one that was seen, where that is longer than usual."""


class _Asked(NamedTuple):
    """A commit that awaits its answer, with the revisions of the plans that it tells of."""

    offset: int
    text: str
    revisions: Sequence[tuple[Plan, int]]
    at: float


class Journal:
    """From assignment to the end of the epoch; `now` is monotonic.

    `found` is what was committed at the start, None where nothing was that counts; `place` is where.
    """

    def __init__(self, place: JournalPlace, found: tuple[int, str] | None, room: JournalRoom, lease_s: float) -> None:
        self.acknowledged = None if found is None else (found[0], unsigned(found[1]))
        """The offset and the text of the last commit that the broker acknowledged; None while there is none."""
        self.is_behind = False
        """Whether Kafka does not know yet all that there is to tell."""
        self._owner = JournalId(place, "")
        self._room = room
        self._lease_s = lease_s
        self._lease_ends_at = float("-inf")
        self._asked: _Asked | None = None

    # Entries

    def accept(self, plan: Plan, entry: Entry, job_id: str) -> None:
        """FullStory took the entry into a job."""
        entry.state, entry.job_id = EntryState.ACCEPTED, job_id
        self._note(plan, entry)

    def finish(self, plan: Plan, entry: Entry) -> None:
        """Every item of the entry took effect."""
        entry.state = EntryState.DONE
        self._note(plan, entry)

    def renew_key(self, plan: Plan, entry: Entry, *, is_batch: bool) -> None:
        """Give up a key that leads nowhere."""
        entry.attempt += 1
        entry.state, entry.job_id = EntryState.PLANNED if is_batch else EntryState.SINGLY, None
        self._revise(plan, entry)

    def split(self, plan: Plan, entry: Entry, halves: Sequence[Entry], base: int, ranges: Iterable[Range]) -> bool:
        """Replace an entry by its halves; False where the journal has no room: then it is sent item by item.

        `base` and `ranges` are what the journal tells by now. An entry that is not in the plan needs no room.
        """
        if entry not in plan.entries:
            return True
        size, reserve = self._room.metadata_bytes, self._room.job_id_bytes
        has_room = has_room_for(halves, self._owner, base, ranges, size, reserve)
        if has_room:
            at = plan.entries.index(entry)
            plan.entries[at : at + 1] = halves
            plan.revise()
            self.is_behind = True
        else:
            entry.state = EntryState.SINGLY
            self._revise(plan, entry)
        return has_room

    def _note(self, plan: Plan, entry: Entry) -> None:
        """Tell of it with the next commit; of an entry that follows from another one nothing needs to be told."""
        self.is_behind = self.is_behind or entry in plan.entries

    def _revise(self, plan: Plan, entry: Entry) -> None:
        """A key comes into use that Kafka does not know: nothing of the plan is POSTed before it does."""
        if entry in plan.entries:
            plan.revise()
            self.is_behind = True

    # The right to POST

    def covers(self, plan: Plan, now: float) -> bool:
        """Say whether the requests of a plan may be POSTed at this moment."""
        return plan.acknowledged == plan.revision and now < self._lease_ends_at

    # Reading and writing

    def read(self, metadata: str, base: int, place: JournalPlace, destination: str) -> list[Range] | JournalFault:
        """Return what was told at the start of the epoch; its plans are acknowledged as they stand.

        A journal that concerns another place or `destination`, which is a digest, tells nothing. From now on what is
        written says of which topic it is; where what was found does not say so, that is news.
        """
        self._owner = JournalId(place, destination)
        found = decode(metadata, self._owner, base)
        self.is_behind = place.lineage not in metadata
        for each in found:
            if isinstance(each, Plan):
                each.acknowledged = each.revision
        return found

    def holds(self, plan: Plan, start: int) -> bool:
        """Say whether the brokers take a plan of a range that begins there, alone, with the job ids to come."""
        written = encode(self._owner, start, [plan], self._room.metadata_bytes, self._room.job_id_bytes)
        return written is not None and bool(written.plans)

    def write(self, base: int, ranges: Sequence[Range]) -> Written | None:
        """Return what is to be told; None when the brokers take less than that."""
        ids = [entry.job_id for each in ranges if isinstance(each, Plan) for entry in each.entries if entry.job_id]
        self._room.job_id_bytes = max([self._room.job_id_bytes, *map(len, ids)])
        return encode(self._owner, base, ranges, self._room.metadata_bytes, self._room.job_id_bytes)

    def write_last(self, base: int, ranges: Iterable[Range]) -> str | None:
        """Return what is to be told when the partition goes; what was never sent is left to its next owner.

        None where there is nothing new to tell, or no way to tell it.
        """
        sent = [
            UnplannedRange(each.end) if isinstance(each, Plan) and not each.acknowledged else each for each in ranges
        ]
        written = self.write(base, sent)
        return None if written is None or (base, written.text) == self.acknowledged else written.text

    def asked(self, base: int, written: Written, now: float) -> None:
        """A commit of this is under way."""
        self.is_behind = False
        self._asked = _Asked(base, written.text, [(plan, plan.revision) for plan in written.plans], now)

    def acknowledge(self) -> bool:
        """The commit under way took effect; say whether it told of any plan."""
        assert self._asked is not None, "an answer without a commit"
        asked, self._asked = self._asked, None
        self.acknowledged = (asked.offset, asked.text)
        self._lease_ends_at = asked.at + self._lease_s
        for plan, revision in asked.revisions:
            plan.acknowledged = revision
        return bool(asked.revisions)

    def fail(self) -> None:
        """Whether the commit under way took effect is not known: the next one tells everything anew."""
        self._asked = None
        self.is_behind = True
