"""What becomes of the records of one partition in one epoch, as far as it can be seen from outside of the worker."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, takewhile

from processor.model.reasons import Kind
from processor.model.records import Record, held_bytes
from tests.simulation.records import Sent
from tests.simulation.wire import Post

LARGE = 100
"""Batches of more records are looked at one at a time: all of them at every idle moment would take too long."""


@dataclass(slots=True, eq=False)
class Course:
    """From the first records that the worker was handed to the end of the epoch; offsets are in order throughout."""

    epoch: int
    position: int
    """Everything before it is settled."""
    known_to: int
    """Whoever owned the partition before may have planned what is before this offset."""
    unsent: dict[int, tuple[float, Sent]] = field(default_factory=dict)
    """What was not POSTed yet and is going to be, and when it was handed over."""
    unsent_bytes: int = 0
    """Of those that have to be POSTed: the mapping may find fault with others."""
    sent_in: dict[int, Post] = field(default_factory=dict)
    """The first POST of each record."""
    quiet: dict[int, Record] = field(default_factory=dict)
    """Records of which no POST has to be seen: filtered, malformed, or perhaps sent by an earlier owner."""
    identifies: dict[int, Sent] = field(default_factory=dict)
    """Those that are not settled."""
    deletions: dict[int, str] = field(default_factory=dict)
    """Likewise, with whom they delete."""
    deleted: set[int] = field(default_factory=set)
    """Deletions that FullStory has carried out, or refused for good."""
    crowded: set[int] = field(default_factory=set)
    """Records that were among several busy users at some moment, before they were sent."""
    accepted: set[int] = field(default_factory=set)
    """Identifies that FullStory has taken, into a job at least, or refused for good."""
    complete: set[int] = field(default_factory=set)
    """Identifies of which FullStory has told that they took effect, or never will."""
    handed_at: dict[int, float] = field(default_factory=dict)
    vouched_at: float = float("-inf")
    """When the last commit was asked for that Kafka acknowledged: it called the partition this worker's."""

    def hand_over(self, now: float, records: list[Record], sent: Mapping[int, Sent]) -> None:
        """The worker gets records; `sent` has what is known of them, by identity."""
        for record in records:
            each = sent.get(id(record))
            if each is not None and each.is_identify and each.uid is not None:
                self.identifies[record.offset] = each
            if each is not None and each.deletes is not None:
                self.deletions[record.offset] = each.deletes
            is_new = record.offset >= self.known_to
            if is_new:
                self.handed_at[record.offset] = now
            if is_new and each is not None and each.uid is not None and each.fate != "filtered":
                self.unsent[record.offset] = (now, each)
                self.unsent_bytes += _must_be_sent(each) * held_bytes([record])
            else:
                self.quiet[record.offset] = record

    def post(self, post: Post, offset: int) -> None:
        """A record is POSTed."""
        self.sent_in.setdefault(offset, post)
        self.quiet.pop(offset, None)
        if offset in self.unsent:
            _, sent = self.unsent.pop(offset)
            self.unsent_bytes -= _must_be_sent(sent) * held_bytes([sent.record])

    def settle(self, position: int) -> None:
        """The worker says that everything before this offset is settled."""
        if position == self.position:
            return
        self.position = position
        for each in (self.quiet, self.identifies, self.deletions, self.handed_at, self.unsent):
            while each and (first := next(iter(each))) < position:
                del each[first]
        self.crowded = {offset for offset in self.crowded if offset >= position}
        self.sent_in = {offset: post for offset, post in self.sent_in.items() if offset >= position}

    def first_due(self, until: float) -> Sent | None:
        """Return the oldest record that has to be POSTed, if it was handed over by then."""
        return next((sent for at, sent in self.unsent.values() if at <= until and _must_be_sent(sent)), None)

    def first_free_due(self, until: float) -> Sent | None:
        """Return the oldest one of a user of whom nothing is under way; None while a batch may wait as a whole.

        Its events wait until all its identifies are accepted, whomever they are about.
        """
        is_awaited = any(offset in self.sent_in and offset not in self.accepted for offset in self.identifies)
        if is_awaited or not self.crowded.isdisjoint(self.unsent):
            return None
        busy = self.busy_users
        due = (each for at, each in self.unsent.values() if at <= until and _must_be_sent(each))
        return next((each for each in due if each.uid not in busy), None)

    def note_crowd(self, most: int, depth: int) -> None:
        """Note which records could be in one batch with several users that have identifies under way, or only them.

        Such a batch may wait as a whole, and what follows behind it; one busy user among others goes apart. Several
        batches may be formed at one moment, of which each has its users' identifies under way for the next ones.
        """
        busy = set(self.busy_users)
        batch = deque[tuple[int, str | None, bool]]()
        of_busy = Counter[str | None]()
        marked = -1
        for sent in self.next_unsent(most * depth if most <= LARGE else most):
            is_busy = sent.uid in busy
            batch.append((sent.record.offset, sent.uid, is_busy))
            if is_busy:
                of_busy[sent.uid] += 1
            if sent.is_identify:
                busy.add(sent.uid)
            if len(batch) > most:
                _, uid, was_busy = batch.popleft()
                if was_busy:
                    of_busy[uid] -= 1
                    if not of_busy[uid]:
                        del of_busy[uid]
            if len(of_busy) > 1 or of_busy.total() == len(batch):
                self.crowded.update(takewhile(marked.__lt__, (offset for offset, *_ in reversed(batch))))
                marked = sent.record.offset

    def next_unsent(self, most: int) -> Iterator[Sent]:
        """Give what may be in one batch with that."""
        return (sent for _, sent in islice(self.unsent.values(), most))

    def needs_schema(self, batch: Sequence[Sent]) -> bool:
        """Say whether that batch, or what a journal may tell of before it, holds a record that is not JSON."""
        records = (*self.quiet.values(), *(sent.record for sent in batch))
        return any(record.value is not None and not record.value.startswith(b"{") for record in records)

    def ranges_before(self, offset: int) -> int:
        """Return how many batches before this offset there are at most that are not settled, or wait for one before."""
        alone = sum(each < offset for each in (*self.quiet, *self.unsent))
        return len(set(map(id, self.sent_in.values()))) + alone

    @property
    def busy_users(self) -> set[str | None]:
        """The users that may have an identify under way, or a deletion that others wait for."""
        busy: set[str | None] = set(self.deletions.values())
        if self.identifies.keys() - self.complete - self.unsent.keys():
            busy |= {sent.uid for offset, sent in self.identifies.items() if offset not in self.unsent}
        return busy

    @property
    def is_held_up(self) -> bool:
        """Whether a planned identify may wait for one before it: what comes after it had better grow meanwhile."""
        under_way: set[str | None] = set()
        for offset, sent in self.identifies.items():
            if offset in self.quiet and sent.uid in under_way:
                return True
            if offset not in self.complete:
                under_way.add(sent.uid)
        return False

    def overtaken(self, post: Post, uid: str, offset: int) -> list[int]:
        """Return the identifies of this user that are before this one, under way, and not in the same POST.

        What an earlier owner sent is none of them: it sent the later one when the earlier one had taken effect.
        """
        return [
            before
            for before, sent in self.identifies.items()
            if self.known_to <= before < offset and sent.uid == uid and _must_be_sent(sent)
            if before in self.sent_in and before not in self.complete
            if all(found[1] != before for found in post.marks)
        ]

    def answered(self, post: Post) -> None:
        """FullStory has answered: for good, where a single endpoint does."""
        is_refused = post.status in (400, 413, 422) and len(post.marks) == 1
        is_final = post.is_fullstorys and (post.status == 200 or is_refused)
        if post.kind is Kind.USER and is_final:
            self.accepted.update(post.offsets)
        if post.kind is Kind.USER and not post.is_batch and is_final:
            self.complete.update(post.offsets)
        if post.kind is Kind.DELETION and is_final:
            self.deleted.update(post.offsets)


def _must_be_sent(sent: Sent) -> bool:
    return sent.fate == "delivered"
