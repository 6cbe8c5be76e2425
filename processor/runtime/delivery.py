"""One batch from its payload to its settlement.

The users part is accepted before the events part is POSTed; jobs are followed side by side; what FullStory rejects is
dead-lettered; the batch settles when every record is delivered or its dead letter is acknowledged.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from processor.engine.attribution import attribute
from processor.engine.order import UserOrder, UsersTurn
from processor.engine.partition import OpenRange
from processor.engine.retry import Backoff, Chance
from processor.engine.verdict import Accepted, Completed, Delivered, Failed, Split, Unknown, error_code
from processor.events.dead_letters import Attempts, Stamp, dead_letter_headers
from processor.events.payload import Item, Payload, request_body
from processor.model.errors import DeadLetterError
from processor.model.outcomes import Rejected
from processor.model.reasons import DeadLetterReason, HaltReason, Kind
from processor.model.records import Record, TopicPartition
from processor.runtime.gate import Gate
from processor.runtime.notices import DeadLetterWrite, Observer, Settled
from processor.runtime.ports import Clock, DeadLetter, DeadLetters
from processor.runtime.requests import Requests, Sent
from processor.runtime.signal import Signal


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """How parts are sent."""

    batch: bool = True
    """Whether parts of several items use FullStory's batch endpoints; otherwise each item is its own request."""
    unattributed: str = "halt"
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


class _Job(NamedTuple):
    id: str
    items: Sequence[Item]


class _Failure(NamedTuple):
    """Records that FullStory refused, all for one reason."""

    records: tuple[int, ...]
    rejected: Rejected


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
        sent = Sent()
        failures = [_Failure((offset,), rejected) for offset, rejected in batch.payload.rejected]
        users = asyncio.ensure_future(self._users(batch, sent))
        try:
            failures += await self._events(batch, sent)
            failures += await users
        finally:
            users.cancel()
        await self._write_dead_letters(batch, failures, sent)
        return self._settled(batch, failures)

    async def _users(self, batch: Batch, sent: Sent) -> list[_Failure]:
        turn = batch.turn
        if turn is None:
            return []
        try:
            await batch.changed.until(lambda: batch.order.may_post_users(turn))
            failures: list[_Failure] = []
            jobs = await self._submit(batch, Kind.USER, batch.payload.users, sent, failures)
            turn.accepted = True
            batch.changed.notify()
            await self._follow(batch, Kind.USER, jobs, sent, failures)
            return failures
        finally:
            batch.order.leave(turn)
            batch.changed.notify()

    async def _events(self, batch: Batch, sent: Sent) -> list[_Failure]:
        if not batch.payload.events:
            return []
        uids = frozenset(item.uid for item in batch.payload.events)
        start = batch.opened.range.start
        await batch.changed.until(lambda: batch.order.may_post_events(start, uids))
        failures: list[_Failure] = []
        jobs = await self._submit(batch, Kind.EVENT, batch.payload.events, sent, failures)
        await self._follow(batch, Kind.EVENT, jobs, sent, failures)
        return failures

    async def _submit(
        self, batch: Batch, kind: Kind, items: Sequence[Item], sent: Sent, failures: list[_Failure]
    ) -> list[_Job]:
        """POST until every item is delivered, rejected (into `failures`) or in a job (returned)."""
        if len(items) == 1:
            await self._submit_one(batch, kind, items[0], sent, failures)
            return []
        if not self._settings.batch:
            async with asyncio.TaskGroup() as group:
                for item in items:
                    group.create_task(self._submit_one(batch, kind, item, sent, failures))
            return []
        verdict = await self._requests.post(kind, request_body(items), batch.nonce, len(items), sent, batch=True)
        if isinstance(verdict, Accepted):
            return [_Job(verdict.job_id, items)]
        assert isinstance(verdict, Split), "a batch endpoint accepts or is split; the rest is not final"
        middle = len(items) // 2
        jobs = await self._submit(batch, kind, items[:middle], sent, failures)
        return jobs + await self._submit(batch, kind, items[middle:], sent, failures)

    async def _submit_one(self, batch: Batch, kind: Kind, item: Item, sent: Sent, failures: list[_Failure]) -> None:
        """POST one item; a merged one that is rejected is sent again record by record, in order."""
        verdict = await self._requests.post(kind, item.body, batch.nonce, 1, sent, batch=False)
        if isinstance(verdict, Delivered):
            return
        assert isinstance(verdict, Rejected), "a single endpoint delivers or rejects; the rest is not final"
        if len(item.records) == 1:
            failures.append(_Failure(item.records, verdict))
        else:
            await self._submit_unmerged(batch, item, sent, failures)

    async def _submit_unmerged(self, batch: Batch, item: Item, sent: Sent, failures: list[_Failure]) -> None:
        for offset in item.records:
            single = batch.rebuild(batch.opened.records[offset])
            await self._submit_one(batch, Kind.USER, single, sent, failures)

    async def _follow(
        self, batch: Batch, kind: Kind, jobs: Sequence[_Job], sent: Sent, failures: list[_Failure]
    ) -> None:
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(self._follow_one(batch, kind, job, sent, failures))

    async def _follow_one(self, batch: Batch, kind: Kind, job: _Job, sent: Sent, failures: list[_Failure]) -> None:
        try:
            end = await self._requests.job_end(kind, job.id)
            failed = await self._requests.failures(kind, job.id) if isinstance(end, Failed) else []
        finally:
            self._requests.release(len(job.items))
        match end:
            case Completed():
                return
            case Unknown():
                jobs = await self._submit(batch, kind, job.items, sent, failures)
                await self._follow(batch, kind, jobs, sent, failures)
            case Failed(errors):
                await self._attribute(batch, kind, job, failed, errors, sent, failures)

    async def _attribute(  # noqa: PLR0917 - the outcome of one job and where its failures go
        self,
        batch: Batch,
        kind: Kind,
        job: _Job,
        failed: list[dict[str, object]] | None,
        errors: int,
        sent: Sent,
        failures: list[_Failure],
    ) -> None:
        """Find the records of a job that failed in part."""
        codes, unmatched = attribute(kind, job.items, failed or [])
        for index in sorted(codes):
            item = job.items[index]
            if len(item.records) > 1:
                await self._submit_unmerged(batch, item, sent, failures)
            else:
                detail = f"FullStory's job answers {error_code({'code': codes[index]})}"
                failures.append(_Failure(item.records, Rejected(DeadLetterReason.REJECTED, detail, None, job.id)))
        if failed is not None and not unmatched and len(codes) >= errors:
            return
        rest = [item for index, item in enumerate(job.items) if index not in codes]
        if kind is Kind.USER:
            for item in rest:  # upserts are idempotent, and a single request is answered exactly
                await self._submit_one(batch, kind, item, sent, failures)
        else:
            await self._unattributed(rest, job, failures)

    async def _unattributed(self, items: Sequence[Item], job: _Job, failures: list[_Failure]) -> None:
        """Some of these events failed and FullStory does not say which: the operator's policy decides."""
        detail = "a job failed in part, and which events failed cannot be read with this key"
        if self._settings.unattributed == "halt":
            self._gate.halt(HaltReason.UNATTRIBUTED, f"{detail}: use a key of level Architect, or decide by setting")
            await asyncio.Event().wait()
        if self._settings.unattributed == "dead_letter":
            rejected = Rejected(DeadLetterReason.UNATTRIBUTED, detail, None, job.id)
            failures.extend(_Failure(item.records, rejected) for item in items)

    async def _write_dead_letters(self, batch: Batch, failures: Sequence[_Failure], sent: Sent) -> None:
        now = self._clock.wall()
        attempts = Attempts(sent.count, sent.first or now, sent.last or now)
        untried = Attempts(0, now, now)
        async with asyncio.TaskGroup() as group:
            for failure in failures:
                tried = attempts if failure.rejected.http_status or failure.rejected.job_id else untried
                for offset in failure.records:
                    record = batch.opened.records[offset]
                    headers = dead_letter_headers(self._stamp, batch.source, record, failure.rejected, tried)
                    group.create_task(self._write(DeadLetter(record.key, record.value, headers)))

    async def _write(self, letter: DeadLetter) -> None:
        """Write one dead letter, as often as it takes: nothing else may be done with its record."""
        tries = 0
        while True:
            try:
                await self._dead_letters.write(letter)
            except DeadLetterError as error:
                tries += 1
                self._observe(DeadLetterWrite("refused" if error.permanent else "retry"))
                if error.permanent:
                    self._gate.halt(HaltReason.DEAD_LETTER_TOPIC, str(error))
                    await asyncio.sleep(self._gate.limits.probe_interval_s)
                else:
                    await asyncio.sleep(self._backoff.delay_s(tries, self._chance))
            else:
                self._observe(DeadLetterWrite("ok"))
                self._gate.resume(HaltReason.DEAD_LETTER_TOPIC)
                return

    def _settled(self, batch: Batch, failures: Sequence[_Failure]) -> Settled:
        reasons = {offset: failure.rejected.reason for failure in failures for offset in failure.records}
        delivered: Counter[Kind] = Counter()
        timestamps: list[int] = []
        for kind in Kind:
            for item in batch.payload.items(kind):
                good = [offset for offset in item.records if offset not in reasons]
                delivered[kind] += len(good)
                timestamps.extend(batch.opened.records[offset].timestamp_ms for offset in good)
        return Settled(delivered, batch.payload.filtered, Counter(reasons.values()), timestamps)
