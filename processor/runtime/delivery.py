"""One batch from its payload to its settlement.

The users part is accepted before the events part is POSTed; jobs are followed side by side; what FullStory rejects is
dead-lettered; the batch settles when every record is delivered or its dead letter is acknowledged.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, assert_never

from processor.engine.attribution import attribute
from processor.engine.journal import Entry, Plan, State
from processor.engine.order import UserOrder, UsersTurn
from processor.engine.partition import OpenRange
from processor.engine.planning import cut, new_entry, new_plan, resume
from processor.engine.verdict import (
    Accepted,
    Completed,
    Delivered,
    Failed,
    Split,
    Unknown,
    error_code,
    is_passing,
)
from processor.events.payload import Item, Payload
from processor.events.timestamps import seconds_of
from processor.model.outcomes import Rejected
from processor.model.reasons import DeadLetterReason, HaltReason, Kind
from processor.model.records import Record, TopicPartition
from processor.runtime.gate import Gate
from processor.runtime.jobs import Jobs
from processor.runtime.lease import Lease
from processor.runtime.letters import Letters
from processor.runtime.notices import Observer, Redelivered, Settled
from processor.runtime.ports import Clock
from processor.runtime.requests import Request, Requests, Sending
from processor.runtime.signal import Signal

Unattributed = Literal["halt", "dead_letter", "accept"]


@dataclass(slots=True)
class DeliverySettings:
    """How parts are sent."""

    is_batch: bool = True
    """Whether parts of several items use FullStory's batch endpoints; otherwise each item is its own request."""
    unattributed: Unattributed = "halt"
    """What becomes of an events part of which some items failed, when the key may not read which."""


@dataclass(slots=True, eq=False)
class Batch:
    """A range of one partition on its way."""

    source: TopicPartition
    opened: OpenRange
    payload: Payload
    sending: Sending
    has_room_for: Callable[[Sequence[Entry]], bool]
    """Says whether the journal could tell of these entries in the place of one."""
    order: UserOrder
    turn: UsersTurn | None
    changed: Signal
    """Notified when the order of the partition changed."""
    rebuild: Callable[[Record], Item]
    """Makes the item of one record anew, without merging."""
    since: float
    """When it was formed, on the monotonic clock."""
    is_closing: bool = False
    """Whether nothing but dead letters is left to be written."""

    @property
    def waits_for(self) -> str:
        """Say in words what the batch waits for at this moment."""
        sending = self.sending
        if self.is_closing:
            return "the dead-letter topic"
        if sending.exchanges:
            return "an answer of FullStory"
        if jobs := [entry.job_id for entry in sending.in_jobs if entry.job_id]:
            return f"FullStory's job {jobs[0]}"
        if self.turn is not None and self.turn.waits:
            return "an earlier identify of one of its users"
        if sending.plan in sending.lease.waiting:
            return "a commit"
        return "its turn to be sent"


class _Failure(NamedTuple):
    """Records that FullStory refused, all for one reason."""

    records: tuple[int, ...]
    rejected: Rejected


class _Job(NamedTuple):
    """A request that FullStory took into a job."""

    request: Request
    id: str


@dataclass(slots=True, eq=False)
class _Part:
    """The users or the events of a batch, and what of it has failed so far."""

    batch: Batch
    kind: Kind
    failures: list[_Failure] = field(default_factory=list)

    @property
    def items(self) -> Sequence[Item]:
        return self.batch.payload.items(self.kind)

    @property
    def planned(self) -> list[tuple[Entry, Sequence[Item]]]:
        """The part's entries in the journal, and their items."""
        entries = [entry for entry in self.batch.sending.plan.entries if entry.kind is self.kind]
        return list(zip(entries, cut(entries, self.items), strict=True))

    def request(self, entry: Entry, items: Sequence[Item], *, is_batch: bool) -> Request:
        sending = self.batch.sending
        return Request(entry, items, sending.plan.nonce, is_batch, sending.keys_since)

    def follow_up(self, items: Sequence[Item], attempt: int, *, is_singly: bool = False) -> Entry:
        """Return an entry that the journal need not tell of: it follows from what FullStory says of one in it."""
        state = State.SINGLY if is_singly or len(items) == 1 else State.PLANNED
        return Entry(self.kind, len(items), "", state, attempt)


class Delivery:
    """Delivers batches; one for a process, many batches at a time."""

    def __init__(
        self,
        requests: Requests,
        jobs: Jobs,
        letters: Letters,
        gate: Gate,
        clock: Clock,
        observe: Observer,
        settings: DeliverySettings,
    ) -> None:
        self._requests = requests
        self._jobs = jobs
        self._letters = letters
        self._gate = gate
        self._clock = clock
        self._observe = observe
        self._settings = settings

    @property
    def max_body_bytes(self) -> int:
        """How large a request may become."""
        return self._requests.body_size.max_bytes

    def plan(self, payload: Payload, nonce: bytes) -> Plan:
        """Plan the requests that a batch begins with."""
        return new_plan(payload, nonce, self._clock.wall(), is_batch=self._settings.is_batch)

    def resume(self, plan: Plan, payload: Payload, nonce: bytes) -> None:
        """Fit a plan from the journal to its records, now that they are here."""
        sent_anew = resume(plan, payload, self._clock.wall(), nonce, is_batch=self._settings.is_batch)
        if sent_anew:
            self._observe(Redelivered(sent_anew))

    def sending(self, plan: Plan, lease: Lease) -> Sending:
        """Return what the requests of a batch share; the jobs that the plan tells of count already."""
        age_s = max(self._clock.wall() - plan.at_s, 0.0)
        in_jobs = {entry for entry in plan.entries if entry.is_followed}
        return Sending(plan, lease, self._clock.monotonic() - age_s, in_jobs=in_jobs)

    def abandon(self, batch: Batch) -> None:
        """Nobody follows the jobs of a batch any more; called once its `deliver` has ended, however it did."""
        for entry in list(batch.sending.in_jobs):
            self._requests.release(entry, batch.sending)

    def settled(self, batch: Batch) -> Settled | None:
        """Return what became of a batch that was given up, when its POSTs in flight have finished all of it."""
        is_done = all(entry.state is State.DONE for entry in batch.sending.plan.entries)
        return _settled(batch, ()) if is_done and not batch.payload.rejected else None

    async def deliver(self, batch: Batch) -> Settled:
        """Deliver and dead-letter; returns when nothing is left to do for any record of the batch."""
        users, events = _Part(batch, Kind.USER), _Part(batch, Kind.EVENT)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._users(users))
            group.create_task(self._events(events))
        failures = [_Failure((offset,), rejected) for offset, rejected in batch.payload.rejected]
        failures += users.failures + events.failures
        letters = [(batch.opened.records[offset], each.rejected) for each in failures for offset in each.records]
        await self._letters.agree([rejected for _, rejected in letters], len(batch.opened.records))
        batch.is_closing = True
        await self._letters.write(batch.source, letters, batch.sending.attempts)
        return _settled(batch, failures)

    async def _users(self, part: _Part) -> None:
        batch, turn = part.batch, part.batch.turn
        if turn is None:
            return

        def accept() -> None:
            turn.accepted = True
            batch.changed.notify()

        def may_post() -> bool:
            turn.waits = not batch.order.may_post_users(turn)
            return not turn.waits

        try:
            await self._carry(part, may_post, accept)
        finally:
            batch.order.leave(turn)
            batch.changed.notify()
            self._gate.serve()  # it may be the turn of a batch that is not formed yet

    async def _events(self, part: _Part) -> None:
        batch = part.batch
        uids = frozenset(item.uid for item in part.items)
        start = batch.opened.range.start
        await self._carry(part, lambda: batch.order.may_post_events(start, uids), lambda: None)

    async def _carry(self, part: _Part, may_post: Callable[[], bool], accept: Callable[[], None]) -> None:
        """Follow the jobs that go on already; POST the rest when its turn comes, tell of its acceptance, and follow."""
        planned = part.planned
        unsent = [(entry, items) for entry, items in planned if not entry.is_out]
        async with asyncio.TaskGroup() as group:
            for entry, items in planned:
                if entry.state is State.ACCEPTED and entry.job_id is not None:
                    job = _Job(part.request(entry, items, is_batch=True), entry.job_id)
                    group.create_task(self._follow(part, job))
            if unsent:
                await self._turn(part.batch, may_post)
            jobs = await self._submit_all(part, unsent)
            accept()
            for job in jobs:
                group.create_task(self._follow(part, job))

    async def _turn(self, batch: Batch, may_post: Callable[[], bool]) -> None:
        """Wait for the order of the partition; meanwhile another batch may have the room that this one was made for."""
        if not may_post():
            self._gate.serve()
            await batch.changed.until(may_post)

    # Requests

    async def _submit_all(self, part: _Part, unsent: Sequence[tuple[Entry, Sequence[Item]]]) -> list[_Job]:
        if len(unsent) == 1:
            return await self._submit(part, *unsent[0])
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._submit(part, entry, items)) for entry, items in unsent]
        return [job for task in tasks for job in task.result()]

    async def _submit(self, part: _Part, entry: Entry, items: Sequence[Item], *, was_sent: bool = True) -> list[_Job]:
        """POST until every item is delivered, has failed (noted in the part) or is in a job (returned).

        What was perhaps sent before is sent as it was; a part of what was refused may be split further at once.
        """
        if entry.state is State.SINGLY:
            await self._submit_each(part, entry, items)
            return []
        request = part.request(entry, items, is_batch=True)
        if was_sent or not self._requests.body_size.is_refused(len(request.body)):
            verdict = await self._requests.post(request, part.batch.sending)
            if isinstance(verdict, Accepted):
                return [_Job(request, verdict.job_id)]
            assert isinstance(verdict, Split), "a batch endpoint accepts or is split; the rest is not final"
        halves = self._split(part, entry, items)
        return [job for half, own in halves for job in await self._submit(part, half, own, was_sent=False)]

    def _split(self, part: _Part, entry: Entry, items: Sequence[Item]) -> list[tuple[Entry, Sequence[Item]]]:
        """Replace an entry by one for each half of its items; where the journal lacks the room, by single items."""
        middle = len(items) // 2
        left, right = items[:middle], items[middle:]
        halves = [
            (new_entry(part.kind, left, is_batch=True, attempt=entry.attempt, until=right[0].records[0]), left),
            (new_entry(part.kind, right, is_batch=True, attempt=entry.attempt, until=entry.until), right),
        ]
        sending = part.batch.sending
        if entry not in sending.plan.entries:
            return halves
        if part.batch.has_room_for([half for half, _ in halves]):
            at = sending.plan.entries.index(entry)
            sending.plan.entries[at : at + 1] = [half for half, _ in halves]
        else:
            entry.state = State.SINGLY
            halves = [(entry, items)]
        sending.plan.revise()
        sending.lease.note()
        return halves

    async def _submit_each(self, part: _Part, entry: Entry, items: Sequence[Item]) -> None:
        """POST items one by one: those of one user in their order, all others side by side."""
        if len(items) == 1:
            await self._submit_one(part, entry, items[0])
            return
        before = len(part.failures)
        async with asyncio.TaskGroup() as group:
            for chain in _chains(part.kind, items):
                group.create_task(self._submit_chain(part, entry.attempt, chain))
        if len(part.failures) == before:
            self._done(part, entry)

    async def _submit_chain(self, part: _Part, attempt: int, chain: Sequence[Item]) -> None:
        for item in chain:
            await self._submit_one(part, part.follow_up([item], attempt, is_singly=True), item)

    async def _submit_one(self, part: _Part, entry: Entry, item: Item) -> None:
        """POST one item; a merged one that is rejected is sent again record by record, in order."""
        request = part.request(entry, [item], is_batch=False)
        verdict = await self._requests.post(request, part.batch.sending)
        if isinstance(verdict, Delivered):
            return
        assert isinstance(verdict, Rejected), "a single endpoint delivers or rejects; the rest is not final"
        await self._refused(part, item, verdict)

    async def _refused(self, part: _Part, item: Item, rejected: Rejected) -> None:
        """Note that FullStory refused an item, after a merged one had its chance record by record."""
        if len(item.records) == 1:
            part.failures.append(_Failure(item.records, rejected))
            return
        for offset in item.records:
            alone = part.batch.rebuild(part.batch.opened.records[offset])
            await self._submit_one(part, part.follow_up([alone], 0, is_singly=True), alone)

    def _done(self, part: _Part, entry: Entry) -> None:
        """Every item of an entry took effect."""
        entry.state = State.DONE
        part.batch.sending.lease.note()

    # Jobs

    async def _follow(self, part: _Part, job: _Job) -> None:
        """Follow a job, and those that its failures lead to, until each of its items is delivered or has failed."""
        jobs, failed_rounds, sending = [job], 0, part.batch.sending
        while jobs:
            job = jobs.pop()
            end = await self._jobs.end(part.kind, job.id, str(part.batch.source))
            failed = await self._jobs.failures(part.kind, job.id) if isinstance(end, Failed) else []
            self._requests.release(job.request.entry, sending)
            match end:
                case Completed():
                    self._done(part, job.request.entry)
                case Unknown():
                    jobs += await self._submit_lost(part, job)
                case Failed(errors):
                    again = await self._attribute(part, job, failed, errors)
                    if again:
                        failed_rounds += 1
                        await self._jobs.back_off(failed_rounds)
                        jobs += await self._submit_again(part, job.request, again)
                case _:
                    assert_never(end)

    async def _submit_lost(self, part: _Part, job: _Job) -> list[_Job]:
        """Send a request again whose job FullStory does not know; the same job for the same key: take a new key."""
        request, sending = job.request, part.batch.sending
        if not request.items:  # the records have become something else, or are gone
            return []
        verdict = await self._requests.post(request, sending)
        if isinstance(verdict, Accepted) and verdict.job_id == job.id:
            self._requests.release(request.entry, sending)
            self._requests.take_new_key(request, sending)
            verdict = await self._requests.post(request, sending)
        if isinstance(verdict, Accepted):
            return [_Job(request, verdict.job_id)]
        return await self._submit_again(part, request, request.items)

    async def _submit_again(self, part: _Part, request: Request, items: Sequence[Item]) -> list[_Job]:
        """Send items again that a request did not deliver, under a key of their own.

        Whatever the mode is by now, so that another process would do the very same.
        """
        return await self._submit(part, part.follow_up(items, request.entry.attempt + 1), items)

    async def _attribute(
        self, part: _Part, job: _Job, failed: list[dict[str, object]] | None, errors: int
    ) -> list[Item]:
        """Find the records of a job that failed in part; return the items that failed by FullStory's own fault."""
        items, again = job.request.items, []
        codes, unmatched = attribute(part.kind, items, failed or [])
        for index in sorted(codes):
            if is_passing(codes[index]):
                again.append(items[index])
            else:
                code = error_code({"code": codes[index]}) or "without a code"
                detail = f"FullStory's job answers {code}"
                await self._refused(part, items[index], Rejected(DeadLetterReason.REJECTED, detail, None, job.id))
        if failed is None or unmatched or len(codes) < errors:
            await self._unattributed(part, [item for index, item in enumerate(items) if index not in codes], job)
        return again

    async def _unattributed(self, part: _Part, items: Sequence[Item], job: _Job) -> None:
        """Some of these items failed and FullStory does not say which."""
        if part.kind is Kind.USER:
            # Upserts are idempotent, and a single request is answered exactly.
            self._observe(Redelivered(sum(len(item.records) for item in items)))
            await self._submit_each(part, part.follow_up(items, job.request.entry.attempt + 1, is_singly=True), items)
            return
        detail = "a job failed in part, and which events failed cannot be read with this key"
        match self._settings.unattributed:
            case "halt":
                with self._gate.held(HaltReason.UNATTRIBUTED, f"{part.batch.source}: {detail}"):
                    await asyncio.Event().wait()
            case "dead_letter":
                rejected = Rejected(DeadLetterReason.UNATTRIBUTED, detail, None, job.id)
                part.failures.extend(_Failure(item.records, rejected) for item in items)
            case "accept":
                pass
            case _:
                assert_never(self._settings.unattributed)


def _chains(kind: Kind, items: Sequence[Item]) -> Iterable[Sequence[Item]]:
    """Return what has to be sent in a row: all of one user; events carry their times and overlap."""
    if kind is Kind.EVENT:
        return [[item] for item in items]
    of_user: dict[str, list[Item]] = {}
    for item in items:
        of_user.setdefault(item.uid, []).append(item)
    return of_user.values()


def _settled(batch: Batch, failures: Sequence[_Failure]) -> Settled:
    reasons = {offset: failure.rejected.reason for failure in failures for offset in failure.records}
    records = batch.opened.records
    good = {
        kind: [offset for item in batch.payload.items(kind) for offset in item.records if offset not in reasons]
        for kind in Kind
    }
    timestamps = [records[offset].timestamp_ms for offsets in good.values() for offset in offsets]
    delivered = Counter({kind: len(offsets) for kind, offsets in good.items()})
    events = zip(batch.payload.events, batch.payload.event_times, strict=True)
    times_s = [seconds_of(at) for item, at in events if item.records[0] not in reasons]
    return Settled(delivered, batch.payload.filtered, Counter(reasons.values()), timestamps, times_s)
