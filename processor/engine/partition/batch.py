"""One batch, a range of one partition, from its payload to its settlement.

Rules:

1. Each request waits for its turn in the order of users (`order`). What has a job already is followed at once.
2. A request goes on until each of its items took effect or has failed for good. What follows from an answer is in the
   plan only where the journal has to tell of it: two halves of a planned request are, what a failed job leaves is not,
   for whoever reads the journal asks for the job and comes to the same requests under the same keys.
3. A request that is opened in the place of another is counted before that one is closed, so none is left by mistake
   only in the end. Then the dead letters are written, and the batch settles (`settlement`).
4. When the partition goes, an answer is still noted, for the journal; nothing follows from it.

The table of what may happen to a request is `request.TRANSITIONS`.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import TYPE_CHECKING

from processor.engine.partition.actions import AskJob, StandStill, WriteLetters
from processor.engine.partition.journal_format import Entry, EntryState, Plan
from processor.engine.partition.order import Stay, Turn
from processor.engine.partition.planning import KEY_TRUST_S, cut, lanes, new_half
from processor.engine.partition.request import Halves, Happening, Line, Opening, Request, Singles, Stage
from processor.engine.partition.settlement import Settlement
from processor.events.payload import Item, Payload
from processor.model.outcomes import Rejected
from processor.model.reasons import HaltReason, Kind

if TYPE_CHECKING:
    from processor.engine.partition.owner import Partition
    from processor.engine.partition.range_queue import OpenRange


class Batch:
    """Owned by its partition, whose owner tells it what happens; `now` is monotonic."""

    def __init__(self, owner: "Partition", opened: "OpenRange", payload: Payload, plan: Plan, now: float) -> None:
        self.opened = opened
        self.payload = payload
        self.plan = plan
        self.since = now
        self.is_closing = False
        """Whether nothing but dead letters is left to be written."""
        self.is_taken_up = False
        """Whether another epoch may have sent some of it."""
        self.requests: dict[Request, None] = {}
        """Those that have not ended, in the order of their beginning."""
        self.keys_since = now
        """Since when keys of the plan may have been used; whatever follows from it may have been sent then."""
        self.owner = owner
        self.end = Settlement(payload, opened.records)
        self.unended = 0
        """Requests that have not ended."""
        self.deletions: list[tuple[Turn, str]] = []
        """Places of deletions, each with its user's id: left when the batch settles."""
        self.stay = Stay()
        """What deletions of later batches wait for."""

    def set_out(self, now: float, wall_s: float) -> None:
        """Begin: follow the jobs that the plan tells of, and POST the rest in its turn."""
        self.keys_since = now - max(wall_s - self.plan.at_s, 0.0)
        parted = lanes(self.payload, self.plan.apart)
        for kind in Kind:  # users first: events wait for those that have a place
            own = [entry for entry in self.plan.entries if entry.kind is kind]
            for entry, items in zip(own, cut(own, parted[kind]), strict=True):
                if entry.is_followed:
                    turn = self._enter(kind, items, is_apart=False)
                    self.owner.free(self.owner.order.accept(turn))
                    request = Request(self, entry, items, self.keys_since, turn, stage=Stage.IN_JOB)
                    self.open(request)
                    self.owner.do(AskJob(request))
                elif entry.state is not EntryState.DONE:
                    self.begin(entry, items, Opening(is_first=True))
        self.stay = self.owner.order.enter_batch(item.uid for item in chain(self.payload.users, self.payload.events))
        self._end_if_all_ended()

    def _enter(self, kind: Kind, items: Sequence[Item], *, is_apart: bool) -> Turn:
        """Take a place in the order of users for what is sent as one, or for one user's line."""
        uids = {item.uid: None for item in items}
        order = self.owner.order
        if kind is Kind.DELETION:
            (uid,) = uids
            turn = order.enter_deletion(uid)
            self.deletions.append((turn, uid))
            return turn
        return order.enter_users(uids, is_apart=is_apart) if kind is Kind.USER else order.enter_events(uids.keys())

    # Keys

    def renew_key(self, request: Request, now: float) -> None:
        """Give up a key that leads nowhere: what was sent under it may have taken effect, and may do so once more."""
        self.owner.journal.renew_key(self.plan, request.entry, is_batch=request.is_batch)
        request.since = now
        request.server_errors = 0
        self.owner.common.redelivered(request.records)

    def renew_old_key(self, request: Request, now: float) -> None:
        """Give up a key that FullStory may have forgotten."""
        if has_old_key(request, now):
            self.renew_key(request, now)

    # Requests

    def begin(self, entry: Entry, items: Sequence[Item], new: "Opening") -> list[Request]:
        """Open the requests of an entry: one, or one for each line of items that are sent singly."""
        opened = []
        if entry.state is not EntryState.SINGLY:
            turn = new.turn or self._enter(entry.kind, items, is_apart=entry.lane > 0)
            opened = [Request(self, entry, items, self.keys_since, turn, new.then, part_of=new.part_of)]
        else:
            lines = list(_lines(entry.kind, items))
            singles = Singles(entry, len(lines), new.then)
            for first, *rest in lines:
                turn = new.turn or self._enter(entry.kind, [first], is_apart=True)
                line = Line(singles, deque((item, entry.attempt) for item in rest))
                own = entry if len(items) == 1 else follow_up(entry.kind, [first], entry.attempt, is_singly=True)
                opened.append(Request(self, own, [first], self.keys_since, turn, line=line, part_of=new.part_of))
        for request in opened:
            request.is_first, request.rounds = new.is_first, new.rounds
            if request.turn.waits:
                request.stage = Stage.HELD
                request.turn.held.append(request)
            elif new.is_resting:
                request.stage = Stage.RESTING
            self.open(request)
        return opened

    def go_on(self, halves: Halves, request: Request) -> None:
        """Send the next half of what was split; what is as large as something that was refused is split at once."""
        if not halves:
            return
        (entry, items), *then = halves
        new = Opening(request.turn, request.is_first, request.rounds, then, part_of=request.part_of)
        (first, *_) = opened = self.begin(entry, items, new)
        if first.is_batch and self.owner.common.body_size.is_refused(first.size):
            assert len(opened) == 1, "one request for a batch endpoint"
            self.split(first)

    def go_on_beside(self, request: Request) -> None:
        """Send what was to follow an item that something in between does not let pass: it may wait for long."""
        assert request.line is not None, "of several items the halves are sent"
        then, request.line.singles.then = request.line.singles.then, ()
        self.go_on(then, request)

    def open(self, request: Request) -> Request:
        """Take a request in; it is POSTed as soon as its stage allows."""
        self.unended += 1
        request.turn.unaccepted += request.is_first
        self.requests[request] = None
        if request.stage is Stage.READY:
            self.owner.ready(request)
        return request

    def close(self, request: Request, happening: Happening, still_open: AbstractSet[str] = frozenset()) -> None:
        """It is over: each of its items took effect, failed for good, or stands in another request by now.

        `still_open` are the users whose identifies of it do; those of the others have had their turn.
        """
        request.on(happening)
        self.unended -= 1
        del self.requests[request]
        if request.kind is not Kind.DELETION:
            self.note_accepted(request)
        if request.kind is Kind.USER and happening is not Happening.SPLIT:
            complete = [item.uid for item in request.items if item.uid not in still_open]
            self.owner.free(self.owner.order.leave(request.turn, complete))
        self._end_if_all_ended()

    def note_accepted(self, request: Request) -> None:
        """FullStory has taken the request, or it is over; with the last one of a turn, the events behind it go."""
        turn = request.turn
        turn.unaccepted -= request.is_first
        request.is_first = False
        if not turn.unaccepted and not turn.is_accepted:
            self.owner.free(self.owner.order.accept(turn))

    def give_up_on(self, request: Request) -> None:
        """Nobody in this process goes on with it."""
        if request.stage is not Stage.GIVEN_UP:
            request.on(Happening.EPOCH_ENDED)

    def give_up(self) -> None:
        """The partition goes: nothing more is sent; POSTs that await their answers are left to `answered`."""
        for request in self.requests:
            if request.stage is Stage.IN_JOB:
                self.owner.common.limits.finished(request.cost)
            if request.stage is not Stage.POSTED:
                self.give_up_on(request)

    # What is refused

    def split(self, request: Request, first: int | None = None) -> None:
        """Send the halves instead, or the `first` items and the rest, one after the other.

        Where the journal lacks the room, send item by item.
        """
        entry, items, owner = request.entry, request.items, self.owner
        middle = len(items) // 2 if first is None else min(first, len(items) - 1)
        left, right = items[:middle], items[middle:]
        if not left:  # a job's items, of which one is left now that compaction took the others
            halves = [(follow_up(entry.kind, items, entry.attempt), items)]
        else:
            halves = [
                (new_half(entry, left, until=right[0].records[0]), left),
                (new_half(entry, right, until=entry.until), right),
            ]
            if not owner.journal.split(self.plan, entry, [half for half, _ in halves], *owner.told):
                halves = [(entry, items)]  # it is sent item by item now
        self.go_on([*halves, *request.then], request)
        self.close(request, Happening.SPLIT)

    def refuse(self, request: Request, rejected: Rejected) -> None:
        """FullStory refused an item: a merged one has its chance record by record, in order."""
        (item,), line = request.items, request.line
        assert line is not None, "only an item that stands alone can be at fault"
        if apart := self.fail(item, rejected):
            line.rest.extendleft((alone, 0) for alone in reversed(apart))
        else:
            line.singles.has_failed = True
        self.end_item(request, Happening.REJECTED)

    def fail(self, item: Item, rejected: Rejected) -> list[Item]:
        """Note that an item failed for good; a merged one did not: return the items of its records, made anew."""
        if len(item.records) == 1:
            self.end.failed(item.records, rejected)
            return []
        return [self.owner.next.rebuild(record) for record in self.end.records_of(item.records)]

    def stand_still(self, reason: HaltReason, cause: str) -> None:
        """Stay open until the epoch ends: nothing in this process ends what is wrong."""
        self.unended += 1
        self.owner.do(StandStill(reason, cause))

    def end_item(self, request: Request, happening: Happening) -> None:
        """Go on with the next item of its line; with the last one of all lines, the entry is done."""
        line = request.line
        assert line is not None, "a batch endpoint accepts"
        still_open: AbstractSet[str] = frozenset()
        if line.rest:
            item, attempt = line.rest.popleft()
            entry = follow_up(request.kind, [item], attempt, is_singly=True)
            new = Request(
                self,
                entry,
                [item],
                self.keys_since,
                request.turn,
                line=line,
                is_first=request.is_first,
                part_of=request.part_of if happening is Happening.REJECTED else None,
            )
            self.open(new)
            still_open = {item.uid}
        else:
            singles = line.singles
            singles.lines -= 1
            if not singles.lines and not singles.has_failed:
                self.owner.journal.finish(self.plan, singles.entry)
            if not singles.lines:
                self.go_on(singles.then, request)
        self.close(request, happening, still_open)

    # The end

    def _end_if_all_ended(self) -> None:
        """Write the dead letters, unless they are so many that something else is wrong; without any, settle."""
        if self.unended or self.is_closing:
            return
        letters = self.end.letters()
        if self.owner.is_going and letters:
            return
        cause = self.end.too_many_letters(letters, self.owner.common.ratio)
        if not letters:
            self.owner.settle(self)
        elif cause is None:
            self.is_closing = True
            self.owner.do(WriteLetters(self, letters, self.end.attempts))
        else:
            self.stand_still(HaltReason.DEAD_LETTER_RATIO, cause)

    @property
    def unpassed(self) -> str | None:
        """Say which record does not pass while others do, and what becomes of it; None while all may pass."""
        found = next((request for request in self.requests if request.suspicion.is_blocked), None)
        if found is None:
            return None
        records = found.items[0].records
        return f"the record at offset {records[0]} has not passed while others did: {found.suspicion.detail}"

    @property
    def waits_for_users(self) -> bool:
        """Whether identifies of it are sent only when earlier ones of their users are complete."""
        users = [request for request in self.requests if request.kind is Kind.USER]
        return any(request.stage is Stage.HELD or (request.line and request.line.rest) for request in users)


def has_old_key(request: Request, now: float) -> bool:
    """Say whether FullStory may have forgotten what it said under the request's key."""
    return now - request.since >= KEY_TRUST_S


def follow_up(kind: Kind, items: Sequence[Item], attempt: int, *, is_singly: bool = False) -> Entry:
    """Return an entry that the journal need not tell of: it follows from what FullStory says of one in it."""
    state = EntryState.SINGLY if is_singly or len(items) == 1 else EntryState.PLANNED
    return Entry(kind, len(items), "", state, attempt)


def _lines(kind: Kind, items: Sequence[Item]) -> Iterable[Sequence[Item]]:
    """Return what has to be sent in a row: all of one user; events carry their times and overlap."""
    if kind is not Kind.USER:
        return [[item] for item in items]
    of_user: dict[str, list[Item]] = {}
    for item in items:
        of_user.setdefault(item.uid, []).append(item)
    return of_user.values()
