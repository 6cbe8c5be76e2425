"""One batch from its payload to its settlement.

The users part is accepted before the events part is POSTed; jobs are followed side by side; what FullStory rejects is
dead-lettered; the batch settles when every record is delivered or its dead letter is acknowledged.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, assert_never

from processor.engine.attribution import attribute
from processor.engine.order import UserOrder, UsersTurn
from processor.engine.partition import OpenRange
from processor.engine.retry import Backoff, Chance
from processor.engine.verdict import (
    Accepted,
    Completed,
    Delivered,
    Failed,
    Retry,
    RetryReason,
    Split,
    Unknown,
    error_code,
    is_passing,
)
from processor.events.dead_letters import Attempts, Stamp, dead_letter_headers
from processor.events.payload import Item, Payload
from processor.model.errors import DeadLetterError, WriteFault
from processor.model.outcomes import Rejected
from processor.model.reasons import DeadLetterReason, HaltReason, Kind
from processor.model.records import Record, TopicPartition
from processor.runtime.gate import Gate
from processor.runtime.notices import DeadLetterWrite, Observer, Redelivered, Settled
from processor.runtime.ports import Clock, DeadLetter, DeadLetters
from processor.runtime.requests import Request, Requests, Sent
from processor.runtime.signal import Signal

Unattributed = Literal["halt", "dead_letter", "accept"]

_HALTS_OF_LETTERS: Mapping[WriteFault, HaltReason] = {
    "refused": HaltReason.DEAD_LETTER_TOPIC,
    "too_large": HaltReason.DEAD_LETTER_TOO_LARGE,
}
"""Faults of the dead-letter topic that do not pass by themselves; the first halts everything."""


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
    nonce: bytes
    order: UserOrder
    turn: UsersTurn | None
    changed: Signal
    """Notified when the order of the partition changed."""
    rebuild: Callable[[Record], Item]
    """Makes the item of one record anew, without merging."""
    sent: Sent = field(default_factory=Sent)
    in_jobs: set[Request] = field(default_factory=set)
    """Requests whose jobs go on: they hold their part of the limits."""


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

    def request(self, items: Sequence[Item], attempt: int, *, is_batch: bool) -> Request:
        return Request(self.kind, items, self.batch.nonce, is_batch, attempt)


class Delivery:
    """Delivers batches; one for a process, many batches at a time."""

    def __init__(
        self,
        requests: Requests,
        dead_letters: DeadLetters,
        gate: Gate,
        clock: Clock,
        chance: Chance,
        observe: Observer,
        stamp: Stamp,
        settings: DeliverySettings,
    ) -> None:
        self._requests = requests
        self._dead_letters = dead_letters
        self._gate = gate
        self._clock = clock
        self._chance = chance
        self._observe = observe
        self._stamp = stamp
        self._settings = settings
        self._backoff = Backoff()

    async def deliver(self, batch: Batch) -> Settled:
        """Deliver and dead-letter; returns when nothing is left to do for any record of the batch."""
        users, events = _Part(batch, Kind.USER), _Part(batch, Kind.EVENT)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._users(users))
                group.create_task(self._events(events))
        finally:  # when cancelled: nobody follows these jobs any more
            for request in batch.in_jobs:
                self._requests.release(request)
        failures = [_Failure((offset,), rejected) for offset, rejected in batch.payload.rejected]
        failures += users.failures + events.failures
        await self._write_dead_letters(batch, failures)
        return _settled(batch, failures)

    async def _users(self, part: _Part) -> None:
        batch, turn = part.batch, part.batch.turn
        if turn is None:
            return
        try:
            await self._turn(batch, lambda: batch.order.may_post_users(turn))
            jobs = await self._submit(part, part.items)
            turn.accepted = True
            batch.changed.notify()
            await self._follow_all(part, jobs)
        finally:
            batch.order.leave(turn)
            batch.changed.notify()

    async def _events(self, part: _Part) -> None:
        if not part.items:
            return
        batch = part.batch
        uids = frozenset(item.uid for item in part.items)
        start = batch.opened.range.start
        await self._turn(batch, lambda: batch.order.may_post_events(start, uids))
        await self._follow_all(part, await self._submit(part, part.items))

    async def _turn(self, batch: Batch, may_post: Callable[[], bool]) -> None:
        """Wait for the order of the partition; meanwhile another batch may have the room that this one was made for."""
        if not may_post():
            self._gate.serve()
            await batch.changed.until(may_post)

    # Requests

    async def _submit(self, part: _Part, items: Sequence[Item], attempt: int = 0) -> list[_Job]:
        """POST until every item is delivered, has failed (noted in the part) or is in a job (returned)."""
        if len(items) == 1:
            await self._submit_one(part, items[0], attempt)
            return []
        if not self._settings.is_batch:
            await self._submit_each(part, items, attempt)
            return []
        request = part.request(items, attempt, is_batch=True)
        verdict = await self._requests.post(request, part.batch.sent)
        if isinstance(verdict, Accepted):
            return [_begun(part, request, verdict)]
        assert isinstance(verdict, Split), "a batch endpoint accepts or is split; the rest is not final"
        middle = len(items) // 2
        return [
            *await self._submit(part, items[:middle], attempt),
            *await self._submit(part, items[middle:], attempt),
        ]

    async def _submit_each(self, part: _Part, items: Sequence[Item], attempt: int) -> None:
        """POST items side by side; no two of them are of one user, or they are events, which carry their times."""
        async with asyncio.TaskGroup() as group:
            for item in items:
                group.create_task(self._submit_one(part, item, attempt))

    async def _submit_one(self, part: _Part, item: Item, attempt: int = 0) -> None:
        """POST one item; a merged one that is rejected is sent again record by record, in order."""
        request = part.request([item], attempt, is_batch=False)
        verdict = await self._requests.post(request, part.batch.sent)
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
            await self._submit_one(part, part.batch.rebuild(part.batch.opened.records[offset]))

    # Jobs

    async def _follow_all(self, part: _Part, jobs: Sequence[_Job]) -> None:
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(self._follow(part, job))

    async def _follow(self, part: _Part, job: _Job) -> None:
        """Follow a job, and those that its failures lead to, until each of its items is delivered or has failed."""
        jobs, failed_rounds = [job], 0
        while jobs:
            job = jobs.pop()
            end = await self._requests.job_end(part.kind, job.id)
            failed = await self._requests.failures(part.kind, job.id) if isinstance(end, Failed) else []
            part.batch.in_jobs.remove(job.request)
            self._requests.release(job.request)
            match end:
                case Completed():
                    continue
                case Unknown():
                    jobs += await self._submit_lost(part, job)
                case Failed(errors):
                    again = await self._attribute(part, job, failed, errors)
                    if again:
                        failed_rounds += 1
                        await self._requests.back_off(Retry(RetryReason.SERVER_ERROR), failed_rounds)
                        jobs += await self._submit(part, again, job.request.attempt + 1)
                case _:
                    assert_never(end)

    async def _submit_lost(self, part: _Part, job: _Job) -> list[_Job]:
        """Send a request again whose job FullStory does not know; the same job for the same key: take a new key."""
        verdict = await self._requests.post(job.request, part.batch.sent)
        if isinstance(verdict, Accepted) and verdict.job_id == job.id:
            self._requests.release(job.request)
            self._requests.take_new_key(job.request)
            verdict = await self._requests.post(job.request, part.batch.sent)
        if isinstance(verdict, Accepted):
            return [_begun(part, job.request, verdict)]
        return await self._submit(part, job.request.items, job.request.attempt + 1)

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
            await self._submit_each(part, items, job.request.attempt + 1)
            return
        detail = "a job failed in part, and which events failed cannot be read with this key"
        match self._settings.unattributed:
            case "halt":
                advice = "use a key of level Architect, or decide by PROCESSOR_DELIVERY__UNATTRIBUTED"
                with self._gate.held(HaltReason.UNATTRIBUTED, f"{part.batch.source}: {detail}; {advice}"):
                    await asyncio.Event().wait()
            case "dead_letter":
                rejected = Rejected(DeadLetterReason.UNATTRIBUTED, detail, None, job.id)
                part.failures.extend(_Failure(item.records, rejected) for item in items)
            case "accept":
                pass
            case _:
                assert_never(self._settings.unattributed)

    # Dead letters

    async def _write_dead_letters(self, batch: Batch, failures: Sequence[_Failure]) -> None:
        sent, now = batch.sent, self._clock.wall()
        attempts = Attempts(sent.count, sent.first or now, sent.last or now)
        untried = Attempts(0, now, now)
        async with asyncio.TaskGroup() as group:
            for failure in failures:
                tried = attempts if failure.rejected.http_status or failure.rejected.job_id else untried
                for offset in failure.records:
                    record = batch.opened.records[offset]
                    headers = dead_letter_headers(self._stamp, batch.source, record, failure.rejected, tried)
                    letter = DeadLetter(record.key, record.value, headers)
                    group.create_task(self._write(letter, f"{batch.source} offset {offset}"))

    async def _write(self, letter: DeadLetter, name: str) -> None:
        """Write one dead letter, as often as it takes: nothing else may be done with its record."""
        tries = 0
        error = await self._try_write(letter)
        while error is not None:
            reason = _HALTS_OF_LETTERS.get(error.fault)
            if reason is None:
                tries += 1
                await asyncio.sleep(self._backoff.delay_s(tries, self._chance))
                error = await self._try_write(letter)
            else:
                error = await self._insist(letter, reason, error, f"{name}: {error}")

    async def _insist(
        self, letter: DeadLetter, reason: HaltReason, error: DeadLetterError | None, detail: str
    ) -> DeadLetterError | None:
        """Halt and try again from time to time, for somebody may mend the topic; return another fault, or None.

        The halt ends with this task, too: whoever reads the record again finds out for himself.
        """
        with self._gate.held(reason, detail):
            while error is not None and _HALTS_OF_LETTERS.get(error.fault, reason) is reason:
                self._gate.halt(reason, detail)  # another letter may have been taken meanwhile
                await asyncio.sleep(self._gate.limits.probe_interval_s)
                error = await self._try_write(letter)
        return error

    async def _try_write(self, letter: DeadLetter) -> DeadLetterError | None:
        try:
            await self._dead_letters.write(letter)
        except DeadLetterError as error:
            self._observe(DeadLetterWrite(error.fault))
            return error
        self._observe(DeadLetterWrite("ok"))
        self._gate.resume(HaltReason.DEAD_LETTER_TOPIC)
        return None


def _begun(part: _Part, request: Request, accepted: Accepted) -> _Job:
    """Note that a job holds its part of the limits, in the step in which its acceptance is known."""
    part.batch.in_jobs.add(request)
    return _Job(request, accepted.job_id)


def _settled(batch: Batch, failures: Sequence[_Failure]) -> Settled:
    reasons = {offset: failure.rejected.reason for failure in failures for offset in failure.records}
    records = batch.opened.records
    good = {
        kind: [offset for item in batch.payload.items(kind) for offset in item.records if offset not in reasons]
        for kind in Kind
    }
    timestamps = [records[offset].timestamp_ms for offsets in good.values() for offset in offsets]
    delivered = Counter({kind: len(offsets) for kind, offsets in good.items()})
    return Settled(delivered, batch.payload.filtered, Counter(reasons.values()), timestamps)
