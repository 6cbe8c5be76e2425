"""The worker: owns all state on the event loop, forms batches, gives back offsets.

Rules:

1. `_pump` is the one place that decides: a synchronous, complete look at the state, called after every change. It forms
   the batches that are due, pauses and resumes, commits, and sets the timer for the next moment that matters.
2. State changes are whole: none spans an `await`. A batch's task works on its own values and reports at its end.
3. What a task of an ended epoch reports changes nothing (law 4).
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from processor.engine.partition import BatchLimits, OpenRange, Partition
from processor.events.avro import schema_ids
from processor.events.mapping import Mapping as EventMapping
from processor.events.payload import Item, Payload, PayloadBuilder, PayloadLimits
from processor.model.reasons import HaltReason, Kind, ReleaseReason
from processor.model.records import Record, TopicPartition
from processor.runtime.delivery import Batch, Delivery
from processor.runtime.gate import Gate
from processor.runtime.notices import (
    Built,
    Committed,
    Consumed,
    Gap,
    Observer,
    Rebalanced,
    Released,
    Settled,
    SourceTrouble,
)
from processor.runtime.owned import Owned
from processor.runtime.ports import Assignment, Clock, Fetched, Source
from processor.runtime.schemas import SchemaCache
from processor.runtime.state import WorkerState

COMMIT_AGAIN_AFTER_S = 1.0
"""A failed commit is normal while the group rebalances; the next one carries newer offsets anyway."""

LEAVING_S = 5.0
"""Of the grace time, what is kept for the last commit and for leaving the group."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How the worker batches and how much it holds."""

    limits: BatchLimits
    held_budget_bytes: int
    """For records that are buffered or in flight; librdkafka's queues have their own part of the memory budget."""
    depth: int = 8
    """Batches of one partition that may overlap, those included that settled behind one that has not."""
    drain_s: float = 5.0
    """How long a revoke waits for batches in flight."""
    grace_s: float = 25.0
    """How long a shutdown may take in all."""
    on_gap: Literal["halt", "continue"] = "halt"
    """What happens to a partition whose next records were deleted before they were consumed."""


class Worker:
    """Kafka to FullStory; a `SourceListener`."""

    def __init__(
        self,
        source: Source,
        delivery: Delivery,
        schemas: SchemaCache,
        gate: Gate,
        mapping: EventMapping,
        clock: Clock,
        nonce: Callable[[], bytes],
        observe: Observer,
        settings: WorkerSettings,
    ) -> None:
        self._source = source
        self._delivery = delivery
        self._schemas = schemas
        self._gate = gate
        self._mapping = mapping
        self._clock = clock
        self._nonce = nonce
        self._observe = observe
        self._settings = settings
        self._payload_limits = PayloadLimits(settings.limits.max_records, settings.limits.max_bytes)
        self._owned: dict[TopicPartition, Owned] = {}
        self._partitions_in_topics = 0
        self._committing: Mapping[TopicPartition, tuple[int, int]] = {}
        self._is_draining = False
        self._has_joined = False
        self._timer: asyncio.TimerHandle | None = None
        self._pump_scheduled = False
        self._failure: Exception | None = None
        self._failed = asyncio.Event()

    def state(self) -> WorkerState:
        """Return what the worker is doing at this moment."""
        limits = self._gate.limits
        return WorkerState(
            has_joined=self._has_joined,
            is_draining=self._is_draining,
            partitions=[owned.state() for owned in self._owned.values()],
            halts=dict(self._gate.halts),
            bytes_held=sum(owned.partition.held_bytes for owned in self._owned.values()),
            concurrency_limit=limits.concurrency,
            jobs_in_flight=limits.jobs,
            operations_in_flight=limits.operations,
            polled_at=self._source.polled_at,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then drain and leave; raise what made it impossible to go on."""
        self._gate.watch(self._schedule_pump)
        self._source.start(self)
        stopping = asyncio.ensure_future(stop.wait())
        failing = asyncio.ensure_future(self._failed.wait())
        try:
            await asyncio.wait({stopping, failing}, return_when=asyncio.FIRST_COMPLETED)
            await self._drain()
        finally:
            stopping.cancel()
            failing.cancel()
            await self._source.stop()
            await self._schemas.close()
            if self._timer is not None:
                self._timer.cancel()
        if self._failure is not None:
            raise self._failure

    async def _drain(self) -> None:
        """Finish what was sent, as far as the grace time allows."""
        self._is_draining = True
        if self._failure is None:
            deadline_s = max(self._settings.grace_s - LEAVING_S, self._settings.grace_s / 2)
            await self._finish_sent(self._owned.values(), deadline_s)
        for owned in self._owned.values():
            owned.drop_all()

    async def _finish_sent(self, going: Iterable[Owned], timeout_s: float) -> None:
        """Drop what was never sent and wait for the rest, unless it is plain that no answer will come."""
        for owned in going:
            owned.drop_unsent()
        tasks = {task for owned in going for task in owned.batches}
        if tasks and not self._gate.is_blocked_for(timeout_s):
            await asyncio.wait(tasks, timeout=timeout_s)

    # SourceListener

    def assigned(self, assignments: Sequence[Assignment], partitions_in_topics: int) -> None:
        """Take over partitions."""
        self._has_joined = True
        for each in assignments:
            start = each.start if each.is_new else None
            self._owned[each.id] = Owned(Partition(each.id, each.epoch, each.start, committable=start))
        self._partitions_in_topics = partitions_in_topics
        self._take_share()
        self._observe(Rebalanced("assigned", tuple(each.id for each in assignments)))
        self._schedule_pump()

    def fetched(self, chunk: Sequence[Fetched]) -> None:
        """Buffer records of epochs that go on."""
        now = self._clock.monotonic()
        for part in chunk:
            owned = self._owned.get(part.id)
            if owned is not None and owned.partition.epoch == part.epoch:
                owned.partition.append(part.records, part.bytes, now)
                self._observe(Consumed(part.id.topic, len(part.records)))
        self._schedule_pump()

    async def revoking(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Finish what is in flight within the drain time; return the offsets to commit, then forget the partitions."""
        going = self._of(partitions)
        for owned in going:
            owned.is_going = True
        await self._finish_sent(going, 0.0 if self._is_draining else self._settings.drain_s)
        going = self._of(partitions)  # some may have been lost meanwhile
        offsets = {owned.partition.id: offset for owned in going if (offset := owned.to_commit) is not None}
        self._forget(going, ReleaseReason.SHUTDOWN if self._is_draining else ReleaseReason.REVOKED)
        self._observe(Rebalanced("revoked", tuple(partitions)))
        return offsets

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Drop the partitions; somebody else owns them already."""
        self._forget(self._of(partitions), ReleaseReason.LOST)
        self._observe(Rebalanced("lost", tuple(partitions)))

    def committed(self, offsets: Mapping[TopicPartition, int], error: str | None) -> None:
        """Remember what the broker acknowledged; an error leaves it unknown, and the commit is made again."""
        self._observe(Committed("ok" if error is None else "failed", len(offsets)))
        if error is not None:
            asyncio.get_running_loop().call_later(COMMIT_AGAIN_AFTER_S, self._commit_is_over)
            return
        for each, offset in offsets.items():
            owned = self._owned.get(each)
            if owned is not None and self._committing.get(each) == (owned.partition.epoch, offset):
                owned.acknowledged = offset
        self._commit_is_over()

    def ends(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Remember the log end offsets, for the lag."""
        for each, end in offsets.items():
            if each in self._owned:
                self._owned[each].end = end

    def gap(self, partition: TopicPartition, position: int, available: tuple[int, int]) -> None:
        """Pass over records that are gone where the operator said so; else the partition stands still and says why."""
        owned = self._owned.get(partition)
        if owned is None or owned.has_gap:
            return
        first, end = available
        if self._settings.on_gap == "continue" and position < first:
            self._observe(Gap(partition, first - position))
            self._source.seek(partition, owned.partition.epoch, first)
            return
        owned.has_gap = True
        detail = f"{partition} holds the offsets {first} to {end}, and the next one to consume is {position}"
        owned.halts.enter_context(self._gate.held(HaltReason.GAP, f"{detail}: {_gap_cause(position, first)}"))

    def trouble(self, detail: str) -> None:
        """Tell of a passing fault of Kafka's client."""
        self._observe(SourceTrouble(detail))

    def failed(self, error: Exception) -> None:
        """End the process: the source cannot go on."""
        self._failure = self._failure or error
        self._failed.set()

    # Decisions

    def _schedule_pump(self) -> None:
        """Look at the state once the loop has told all that has happened by now."""
        if not self._pump_scheduled:
            self._pump_scheduled = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_scheduled = False
        now = self._clock.monotonic()
        self._form_batches(now)
        self._balance_demand()
        self._commit()
        self._set_timer(now)

    def _form_batches(self, now: float) -> None:
        """Form every batch that is due and has a slot, oldest partition first, one for each in turn."""
        room = 0 if self._is_draining else self._gate.room
        formed = True
        while formed and room > 0:
            formed = False
            for owned in sorted(self._owned.values(), key=_oldest):
                if room > 0 and self._is_due(owned, now) and (parts := self._form(owned)) is not None:
                    formed = True
                    room -= parts

    def _is_due(self, owned: Owned, now: float) -> bool:
        if owned.is_going or owned.partition.open_ranges >= self._settings.depth:
            return False
        due_at = owned.partition.due_at(self._settings.limits)
        return due_at is not None and due_at <= now

    def _form(self, owned: Owned) -> int | None:
        """Make a batch of the partition's oldest records and set it on its way.

        Return how many requests it is going to send at first; None while a schema is missing.
        """
        partition = owned.partition
        limits = self._settings.limits
        if not self._schemas.has_all(schema_ids(islice(partition.buffered(), limits.max_records)), self._schedule_pump):
            return None
        payload = self._builder(partition.position).build(partition.buffered())
        opened = partition.open(payload.range.end, _body_bytes(payload))
        self._observe(Built(len(payload.users), len(payload.events), payload.changes))
        if not (payload.users or payload.events or payload.rejected):
            self._settle(owned, opened, Settled(Counter(), payload.filtered, Counter(), ()))
            return 0
        self._dispatch(owned, self._batch(owned, opened, payload))
        return bool(payload.users) + bool(payload.events)

    def _dispatch(self, owned: Owned, batch: Batch) -> None:
        task = asyncio.get_running_loop().create_task(self._carry(owned, batch))
        owned.batches[task] = batch
        task.add_done_callback(owned.batches.pop)
        task.add_done_callback(self._ended)

    def _builder(self, start: int) -> PayloadBuilder:
        return PayloadBuilder(start, self._mapping, self._schemas.readers, self._payload_limits)

    def _batch(self, owned: Owned, opened: OpenRange, payload: Payload) -> Batch:
        uids = frozenset(item.uid for item in payload.users)
        turn = owned.order.enter(opened.range.start, uids) if uids else None
        source = owned.partition.id
        return Batch(source, opened, payload, self._nonce(), owned.order, turn, owned.changed, self._rebuild)

    def _rebuild(self, record: Record) -> Item:
        return self._builder(record.offset).build([record]).items(Kind.USER)[0]

    async def _carry(self, owned: Owned, batch: Batch) -> None:
        settled = await self._delivery.deliver(batch)
        self._settle(owned, batch.opened, settled)

    def _settle(self, owned: Owned, opened: OpenRange, settled: Settled) -> None:
        if self._owned.get(owned.partition.id) is not owned:
            return
        owned.partition.settle(opened)
        self._observe(settled)
        self._schedule_pump()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A batch's task never ends by an exception unless the program is wrong: then the process must not go on."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed(error if isinstance(error, Exception) else RuntimeError(repr(error)))
        self._schedule_pump()

    def _balance_demand(self) -> None:
        """Pause partitions that hold their share of the budget, and all while it is used up; resume at half a share."""
        if not self._owned:
            return
        demands = {each: owned.partition.demand_bytes for each, owned in self._owned.items()}
        budget = self._settings.held_budget_bytes
        high = budget // len(self._owned)
        is_used_up = sum(demands.values()) >= budget
        pause: dict[TopicPartition, int] = {}
        resume: dict[TopicPartition, int] = {}
        for each, owned in self._owned.items():
            if not owned.partition.paused and (is_used_up or demands[each] >= high):
                owned.partition.paused = True
                pause[each] = owned.partition.epoch
            elif owned.partition.paused and not is_used_up and demands[each] <= high // 2:
                owned.partition.paused = False
                resume[each] = owned.partition.epoch
        if pause:
            self._source.pause(pause)
        if resume:
            self._source.resume(resume)

    def _commit(self) -> None:
        """Commit every offset that moved, in one call; the next one waits for its answer."""
        if self._committing:
            return
        offsets = {
            each: (owned.partition.epoch, offset)
            for each, owned in self._owned.items()
            if not owned.is_going and (offset := owned.to_commit) is not None
        }
        if offsets:
            self._committing = offsets
            self._source.commit(offsets)

    def _commit_is_over(self) -> None:
        self._committing = {}
        self._schedule_pump()

    def _set_timer(self, now: float) -> None:
        """Look again when the next batch has lingered, or when time alone opens the gate."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        dues = [owned.partition.due_at(self._settings.limits) for owned in self._owned.values()]
        moments = [due for due in dues if due is not None and due > now]
        chance = self._gate.limits.next_chance(now)
        if chance is not None:
            moments.append(chance)
        if moments:
            self._timer = asyncio.get_running_loop().call_later(min(moments) - now, self._schedule_pump)

    # Epochs

    def _of(self, partitions: Sequence[TopicPartition]) -> list[Owned]:
        return [self._owned[each] for each in partitions if each in self._owned]

    def _forget(self, going: Sequence[Owned], reason: ReleaseReason) -> None:
        unsettled = 0
        for owned in going:
            owned.drop_all()
            del self._owned[owned.partition.id]
            unsettled += owned.partition.unsettled_records
            owned.halts.close()
        if unsettled:
            self._observe(Released(reason, unsettled))
        self._take_share()
        self._schedule_pump()

    def _take_share(self) -> None:
        self._gate.limits.share(len(self._owned), self._partitions_in_topics)


def _oldest(owned: Owned) -> float:
    """Order partitions by the arrival of their first buffered record."""
    return owned.partition.waiting_since


def _body_bytes(payload: Payload) -> int:
    """Return what bodies hold: each item's, and its copy within a request."""
    return 2 * sum(len(item.body) for kind in Kind for item in payload.items(kind))


def _gap_cause(position: int, first: int) -> str:
    if position > first:
        return "the topic was recreated or cut; reset the group's offset"
    return (
        f"{first - position} records were deleted before they were consumed; "
        "PROCESSOR_KAFKA__ON_GAP=continue passes over them"
    )
