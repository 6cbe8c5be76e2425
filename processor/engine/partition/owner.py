"""The owner of one partition: the one place that writes its state, from assignment to the end of the epoch.

Events come in as calls, each whole and synchronous; what is to be done comes out of `look`, as values. Nobody else
writes what is buffered (`queue`), the plans and the right to POST them (`journal`), the order of users (`order`) or the
batches on their way (`batches`); each of those has a file, and its rules at the head of it.

| event                  | while it is owned                       | while it goes       | after `drop` |
|------------------------|-----------------------------------------|---------------------|--------------|
| `recover`              | takes up what the journal tells         | -                   | -            |
| `fetched`, `at_end`    | buffers                                 | buffers             | -            |
| `gap`                  | passes over it, or stands still         | -                   | -            |
| `form`, `form_planned` | lets a batch of what is buffered go     | nothing             | -            |
| `look`                 | asks for what is to be done             | nothing             | -            |
| `may_post`             | yes, while the journal covers it        | no                  | no           |
| `answers.answered`     | goes on (`batch`)                       | notes it            | nothing      |
| `answers.job_ended`    | goes on (`batch`)                       | nothing             | nothing      |
| `letters_acknowledged` | settles the batch                       | settles the batch   | nothing      |
| `journal.acknowledge`  | what waited for it may be POSTed        | notes it            | notes it     |
"""

import heapq
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

from processor.engine.notices import Built, Gap, JournalIgnored, JournalResumed, Recreated, Settled, WaitsFor
from processor.engine.partition.actions import Action, Post, Seek, stand_at_gap, stand_before_another_topic
from processor.engine.partition.batch import Batch, has_old_key
from processor.engine.partition.common import Common
from processor.engine.partition.journal import Journal
from processor.engine.partition.journal_format import Entry, JournalFault, JournalPlace, Plan, Range, owner_of, parts_of
from processor.engine.partition.next_batch import Formed, NextBatch
from processor.engine.partition.order import Turn, UserOrder
from processor.engine.partition.range_queue import RangeQueue
from processor.engine.partition.request import Happening, Request, Stage
from processor.model.records import Commit, Record, TopicPartition


@dataclass(frozen=True, slots=True)
class Assignment:
    """A partition that this process now owns; it is paused, and after `resume` records follow from `start`."""

    id: TopicPartition
    epoch: int
    start: int
    is_new: bool
    """Whether the group never committed here, so that `start` was chosen by the settings and should be committed."""
    metadata: str
    """What the group committed together with `start`; empty without."""
    place: JournalPlace
    """Where it is; a topic that was deleted and created anew has another place, of the same lineage."""
    known: str = ""
    """The exact place of which this process knows the group's position to be, where what was committed with it may not
    say so; empty where it knows nothing."""
    perhaps_sent: int = 0
    """How many records of this place were perhaps handed over already: by mistake for those of `known`, or, all that
    follow `start`, before they were copied to this cluster together with the offset."""
    session_s: float | None = None
    """After how long a silent member loses it, where the brokers choose that and tell; else it is as configured."""


class End(NamedTuple):
    """Where a partition ends."""

    offset: int
    """The log end offset."""
    readable: int
    """The last stable offset: what lies behind it waits for the end of a transaction."""


class Withheld(NamedTuple):
    """Kafka holds records, or may hold some, and gives none."""

    offset: int
    """Everything before it has arrived."""
    since: float
    """When that was noticed, on the monotonic clock."""
    waits_for: WaitsFor
    """What the client waits for, as far as that is known."""


SILENT_S = 20.0
"""A broker that leads owned partitions and has sent nothing for so long does not answer: it is asked more often."""

WITHHELD_AFTER_S = 30.0
"""A transaction, an election and a fetch take less, as a rule."""


class Partition:
    """Owned by the event loop's thread. `now` is monotonic, `wall_s` in seconds since the epoch."""

    def __init__(self, assignment: Assignment, common: Common) -> None:
        self._assignment = assignment
        self.id = assignment.id
        self.epoch = assignment.epoch
        self.common = common
        self.queue = RangeQueue(assignment.start)
        self.order = UserOrder(deletes_users=common.forming.mapping.deletes_users)
        self.batches: dict[Batch, None] = {}
        """The batches on their way, in the order of their forming."""
        self.is_paused = True
        self.is_going = False
        """Whether the partition is being revoked, or has gone: nothing new begins."""
        self.is_gone = False
        self.has_gap = False
        """Whether it stands still because the next records are gone."""
        self.end: End | None = None
        """Where it ends, as Kafka last told it."""
        self.unreached: WaitsFor | None = None
        """Which broker is missing that could tell: a leader, or an answer of the leader's; None while one tells."""
        self._withheld: Withheld | None = None
        place, found = assignment.place, (assignment.start, assignment.metadata)
        is_untold = assignment.is_new
        if self.is_recreated and owner_of(assignment.metadata) is None:  # the commit is to say whose it is
            place, is_untold = place._replace(exact=assignment.known), True
        lease_s = common.settings.lease_s if assignment.session_s is None else assignment.session_s / 2
        self.journal = Journal(place, None if is_untold else found, common.room, lease_s)
        self.next = NextBatch(self.id, self.queue, self.order, self.journal, common)
        self.is_recovered = False
        """Whether the journal was read; nothing is consumed before."""
        self._adopted: set[Entry] = set()
        """Entries of the journal whose jobs go on and no batch follows yet: they hold their part of the limits."""
        self._actions: list[Action] = []
        self._ready: deque[Request] = deque()
        """Requests that wait for a commit that covers them."""
        self._resting: list[tuple[float, int, Request]] = []
        self._numbers = count()

    # What the group and the source tell

    def recover(self, destination: str) -> None:
        """Take up what the journal tells, now that it is known whose destination this is; nothing is read before.

        Where the group's position is one of a topic that was deleted since, it says nothing of the topic of today: that
        is read from its first record, or the partition stands still, and the position keeps saying whose it is.
        """
        metadata, place = self._assignment.metadata, self._assignment.place
        if self.is_recreated:
            self.common.observe(Recreated(self.id, self._assignment.start))
            if self.common.settings.on_recreated == "halt":
                self.do(stand_before_another_topic(self.id))
                return
            if self._assignment.perhaps_sent:
                self.common.redelivered(self._assignment.perhaps_sent)
            metadata, self.queue.position = "", 0
            self.do(Seek(0))
        ranges = self.journal.read(metadata, self.queue.position, place, destination)
        if isinstance(ranges, str):
            self._ignore_journal(ranges, destination)
            ranges = []
        plans = [each for each in ranges if isinstance(each, Plan)]
        self._adopted = {entry for plan in plans for entry in plan.entries if entry.is_followed}
        for entry in self._adopted:
            self.common.limits.adopt_job(entry.items)
        if ranges:
            self.common.observe(JournalResumed(parts_of(ranges)))
        self.queue.recover(ranges)
        self.is_recovered = True

    def _ignore_journal(self, fault: JournalFault, destination: str) -> None:
        """Tell of it, and of what its writer may have sent to the same destination: how far it came is not known."""
        said = owner_of(self._assignment.metadata)
        sent = self._assignment.perhaps_sent if said is not None and said.destination == destination else 0
        self.common.observe(JournalIgnored(self.id, fault, sent))
        if sent:
            self.common.redelivered(sent)

    @property
    def is_recreated(self) -> bool:
        """Whether the group's position is one of a topic of this name that was deleted since."""
        place, said = self._assignment.place, owner_of(self._assignment.metadata)
        if said is not None and said.place.lineage == place.lineage:
            return said.place != place
        return self._assignment.known not in ("", place.exact)

    def fetched(self, records: list[Record], size: int, now: float) -> int:
        """Buffer records in offset order, `size` bytes held; return how many are taken: what is settled is not."""
        return self.queue.append(records, size, now)

    def at_end(self, position: int) -> None:
        """Wait for no more of a planned range than there is."""
        self.queue.at_end(position)

    def ends_at(self, told: End | WaitsFor, now: float) -> None:
        """Kafka told where the partition ends, to which the lag counts; or nobody can tell, and what is missing."""
        before, self._withheld = self._withheld, None
        arrived = self.queue.arrived
        if isinstance(told, End):
            self.end, self.unreached = told, None
            waits_for = WaitsFor.TRANSACTION if told.readable <= arrived else WaitsFor.RECORDS
            has_all = told.offset <= arrived
        else:
            self.unreached = waits_for = told
            has_all = False
        if self.is_paused or self.has_gap or has_all:
            return
        since = before.since if before is not None and before.offset == arrived else now
        self._withheld = Withheld(arrived, since, waits_for)

    def gap(self, position: int, first: int, end: int) -> None:
        """The next record is not in the topic, which holds the offsets `[first, end)`."""
        is_stale = position > self.queue.arrived or (self.is_recreated and not self.is_recovered)
        if self.has_gap or self.is_going or is_stale:  # stale: it is about a position that another topic had
            return
        if self.common.settings.on_gap == "continue" and position < first:
            self.common.observe(Gap(self.id, first - position))
            self.do(Seek(first))
            return
        self.has_gap = True
        self.do(stand_at_gap(self.id, position, first, end))

    def pause(self, *, is_paused: bool) -> None:
        """Kafka was asked to fetch no more of it, or to go on."""
        self.is_paused = is_paused

    def revoking(self) -> None:
        """Begin nothing new; answers to POSTs in flight, and dead letters being written, still count."""
        self.is_going = True
        for batch in self.batches:
            batch.give_up()
        self._actions.clear()
        self._ready.clear()
        self._resting.clear()

    def drop(self) -> int:
        """The epoch is over: whatever is still told changes nothing. Return how many records are given up."""
        self.revoking()
        self.is_gone = True
        for entry in self._adopted:
            self.common.limits.job_ended(entry.items)
        self._adopted.clear()
        return self.queue.unsettled_records

    # Forming batches

    def form_planned(self, now: float, wall_s: float) -> bool:
        """Form the batch that the journal tells of, if all of it is here; say whether something was formed."""
        plan = self.queue.planned
        if not self.queue.is_recovering or not self.is_due(now):
            return False
        if plan is None:
            return self.form(now, wall_s) is not None
        told = set(plan.entries)
        formed = self.next.form_planned(plan, wall_s)
        if formed is None:
            return False
        if formed.sent_anew:
            self.common.redelivered(formed.sent_anew)
        for entry in self._adopted & told - set(plan.entries):
            self.common.limits.job_ended(entry.items)
        self._adopted -= told
        self._set_out(formed, now, wall_s, is_taken_up=True)
        return True

    def form(self, now: float, wall_s: float) -> int | None:
        """Make a batch of the oldest records and set it on its way.

        Return how many requests it is going to send at first; None while a schema is missing, or while it would only
        wait for an earlier identify of one of its users: then it grows until its turn comes.
        """
        formed = self.next.form(wall_s)
        if formed is None:
            return None
        self._set_out(formed, now, wall_s)
        return len(formed.plan.entries) if formed.plan else 0

    def _set_out(self, formed: Formed, now: float, wall_s: float, *, is_taken_up: bool = False) -> None:
        payload, plan = formed.payload, formed.plan
        opened = self.queue.open(plan.end if plan else payload.range.end, payload.held_bytes, plan)
        self.common.observe(Built(len(payload.users), len(payload.events), payload.changes))
        self.journal.is_behind = True
        if plan is None and not payload.rejected:
            self.queue.settle(opened)
            self.common.observe(Settled(Counter(), payload.filtered, Counter(), ()))
            return
        batch = Batch(self, opened, payload, plan or Plan(opened.range.end, b"", 0, []), now)
        batch.is_taken_up = is_taken_up
        self.batches[batch] = None
        batch.set_out(now, wall_s)

    def is_due(self, now: float) -> bool:
        """Say whether a batch may close."""
        return not self.is_going and self.next.is_due(now)

    def is_waiting(self, now: float) -> bool:
        """Say whether records are due that were not sent; a batch that grows until its turn comes is not waiting."""
        return self.is_due(now) and not self.next.had_better_grow

    def waits_for_users(self, now: float) -> bool:
        """Say whether they were not, or were not even read, because earlier identifies of users are not complete."""
        is_full = self.lacks_memory or self.queue.open_ranges >= self.common.settings.depth
        oldest = next(iter(self.batches), None)
        is_in_order = self.order.is_held_up or (is_full and oldest is not None and oldest.waits_for_users)
        return is_in_order and (self.lacks_memory or self.is_waiting(now))

    # What is to be done

    def look(self, now: float) -> Sequence[Action]:
        """Return what is to be done by now that was not asked for before."""
        while self._resting and self._resting[0][0] <= now:
            _, _, request = heapq.heappop(self._resting)
            if request.stage is Stage.RESTING:
                request.on(Happening.RESTED)
                self._ready.append(request)
        if self._ready:
            waiting: deque[Request] = deque()
            for request in self._ready:
                if request.stage is not Stage.READY:
                    continue  # it was split before it was sent
                request.batch.renew_old_key(request, now)
                if self.journal.covers(request.batch.plan, now):
                    request.on(Happening.COVERED)
                    self._actions.append(Post(request))
                else:
                    waiting.append(request)
            self._ready = waiting
        actions, self._actions = self._actions, []
        return actions

    def wakes_at(self) -> float | None:
        """Return when `look` has more to say by time alone; None when it never has."""
        return self._resting[0][0] if self._resting else None

    @property
    def awaiting_commit(self) -> int:
        """How many requests are going to be sent when a commit covers them."""
        return len(self._ready)

    def awaits(self, plans: Sequence[Plan]) -> bool:
        """Say whether one of them would be, with a commit that tells of these plans."""
        return any(request.batch.plan in plans for request in self._ready)

    def do(self, action: Action) -> None:
        """Ask for this with the next look."""
        self._actions.append(action)

    def ready(self, request: Request) -> None:
        """Have the request POSTed as soon as Kafka knows its key."""
        if not self.is_going:
            self._ready.append(request)

    def rest(self, request: Request, until: float) -> None:
        """Have the request POSTed, but not before this moment."""
        heapq.heappush(self._resting, (until, next(self._numbers), request))

    # What was done

    def may_post(self, request: Request, now: float, wall_s: float) -> bool:
        """Say whether a request that was asked for is to be POSTed now that there is room; then it counts as POSTed.

        The lease may have ended while it waited, or its key may be too old by now, after a long halt: then it is asked
        for again, after another commit.
        """
        if request.stage is not Stage.QUEUED:
            return False
        if has_old_key(request, now) or not self.journal.covers(request.batch.plan, now):
            request.on(Happening.UNCOVERED)
            self.ready(request)
            return False
        request.on(Happening.GRANTED)
        request.posts += 1
        request.batch.end.posted(wall_s)
        return True

    def letters_acknowledged(self, batch: Batch) -> None:
        """The broker has acknowledged all dead letters of a batch."""
        self.settle(batch)

    def free(self, turns: Sequence[Turn], *, is_untold: bool = False) -> None:
        """The turn of these has come; `is_untold`: nothing of them is POSTed before Kafka knows what is settled now."""
        for turn in turns:
            held, turn.held = turn.held, []
            for request in held:
                if request.stage is Stage.HELD:
                    request.on(Happening.TURN_CAME)
                    if is_untold:
                        request.batch.plan.revise()
                    self.ready(request)

    def settle(self, batch: Batch) -> None:
        """Nothing is left to do for any record of the batch."""
        if self.is_gone:
            return
        settled = batch.end.settled()
        del self.batches[batch]
        self.queue.settle(batch.opened)
        self.journal.is_behind = True
        self.free(self.order.settle(batch.stay))
        for turn, uid in batch.deletions:
            self.free([*self.order.accept(turn), *self.order.leave(turn, [uid])], is_untold=True)
        self.common.observe(settled)

    # Commits

    @property
    def has_moved(self) -> bool:
        """Whether there is something to commit."""
        acknowledged = self.journal.acknowledged
        return self.journal.is_behind or acknowledged is None or acknowledged[0] != self.queue.first_unsettled

    @property
    def told(self) -> tuple[int, list[Range]]:
        """What the journal has to tell: from which offset on, and of which ranges."""
        return self.queue.first_unsettled, list(self.queue.ranges())

    def last_commit(self) -> Commit | None:
        """Return what to commit when the partition goes; None when nothing is news.

        Of a journal that was not read nothing is known; a position that was never committed has none, and says whose it
        is: that the topic was created anew is not to be forgotten where the worker ends as soon as it has noticed.
        """
        if not self.is_recovered and self.journal.acknowledged is not None:
            return None
        base, ranges = self.told
        text = self.journal.write_last(base, ranges)
        return None if text is None else Commit(self.epoch, base, text)

    # What it shows

    @property
    def is_closing(self) -> bool:
        """Whether a batch waits for the dead-letter topic alone."""
        return any(batch.is_closing for batch in self.batches)

    def withheld(self, now: float) -> Withheld | None:
        """Return what Kafka has not given for long, while nothing has arrived since."""
        found = self._withheld
        if found is None or found.offset != self.queue.arrived or self.is_paused:
            return None
        return found if now - found.since >= WITHHELD_AFTER_S else None

    @property
    def is_behind(self) -> bool:
        """Whether Kafka, as far as is known, holds more for it than a batch takes."""
        return self.end is not None and self.end.offset - self.queue.arrived > self.common.settings.limits.max_records

    @property
    def lacks_memory(self) -> bool:
        """Whether it is read no further because of what it holds, or all partitions hold."""
        return self.is_behind and self.is_paused and self.is_recovered
