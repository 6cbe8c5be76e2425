"""The worker: owns all state on the event loop, forms batches, gives back offsets.

Rules:

1. `_pump` is the one place that decides: a synchronous, complete look at the state, called after every change. It forms
   the batches that are due, pauses and resumes, commits, and sets the timer for the next moment that matters.
2. State changes are whole: none spans an `await`. A batch's task works on its own values and reports at its end.
3. What a task of an ended epoch reports changes nothing (law 4).
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from processor.engine.order import UserOrder
from processor.engine.partition import BatchLimits, OpenRange, Partition
from processor.events.avro import schema_ids
from processor.events.mapping import Mapping as EventMapping
from processor.events.payload import Item, Payload, PayloadBuilder, PayloadLimits
from processor.model.reasons import Kind, ReleaseReason
from processor.model.records import Record, TopicPartition
from processor.runtime.delivery import Batch, Delivery
from processor.runtime.gate import Gate
from processor.runtime.notices import Built, Committed, Consumed, Observer, Rebalanced, Released, Settled, SourceTrouble
from processor.runtime.ports import Assignment, Clock, Fetched, Source
from processor.runtime.schemas import SchemaCache
from processor.runtime.signal import Signal


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How the worker batches and how much it holds."""

    limits: BatchLimits
    held_budget_bytes: int
    """For records that are buffered or in flight; librdkafka's queues have their own part of the memory budget."""
    depth: int = 8
    """Batches of one partition that may overlap."""
    drain_s: float = 5.0
    """How long a revoke waits for answers."""
    grace_s: float = 25.0
    """How long a shutdown waits for batches in flight."""


@dataclass(slots=True, eq=False)
class _Owned:
    """A partition with what belongs to its epoch."""

    partition: Partition
    order: UserOrder = field(default_factory=UserOrder)
    changed: Signal = field(default_factory=Signal)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    released: bool = False
    acknowledged: int | None = None
    """The offset of the last commit that the broker acknowledged."""


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
        self._owned: dict[TopicPartition, _Owned] = {}
        self._committing = False
        self._draining = False
        self._joined = False
        self._timer: asyncio.TimerHandle | None = None
        self._pump_scheduled = False
        self._failure: Exception | None = None
        self._stopped = asyncio.Event()

    # What others may ask

    @property
    def partitions(self) -> Sequence[Partition]:
        """The owned partitions, for those who show the state; not to be changed."""
        return [owned.partition for owned in self._owned.values()]

    @property
    def has_joined(self) -> bool:
        """Whether the group has given this process its part, which may be none."""
        return self._joined

    @property
    def held_bytes(self) -> int:
        """What records hold of the memory budget."""
        return sum(owned.partition.held_bytes for owned in self._owned.values())

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then drain and leave; raise `SourceError` when the source cannot go on."""
        self._source.start(self)
        stopping = asyncio.ensure_future(stop.wait())
        failed = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait({stopping, failed}, return_when=asyncio.FIRST_COMPLETED)
            await self._drain()
        finally:
            stopping.cancel()
            failed.cancel()
            if self._timer is not None:
                self._timer.cancel()
            await self._source.stop()
            await self._schemas.close()
        if self._failure is not None:
            raise self._failure

    async def _drain(self) -> None:
        """Finish the batches in flight, as far as the grace time allows."""
        self._draining = True
        tasks = {task for owned in self._owned.values() for task in owned.tasks}
        if tasks and self._failure is None:
            await asyncio.wait(tasks, timeout=self._settings.grace_s)

    # SourceListener

    def assigned(self, assignments: Sequence[Assignment], partitions_in_topics: int) -> None:
        """Take over partitions."""
        self._joined = True
        for each in assignments:
            self._owned[each.id] = _Owned(Partition(each.id, each.epoch, each.start))
        self._gate.limits.share(len(self._owned), partitions_in_topics)
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
        going = [self._owned[each] for each in partitions if each in self._owned]
        for owned in going:
            owned.released = True
        tasks = {task for owned in going for task in owned.tasks}
        if tasks:
            await asyncio.wait(tasks, timeout=self._settings.drain_s)
        offsets = {
            owned.partition.id: offset
            for owned in going
            if (offset := owned.partition.committable) is not None and offset != owned.acknowledged
        }
        self._forget(going, ReleaseReason.SHUTDOWN if self._draining else ReleaseReason.REVOKED)
        self._observe(Rebalanced("revoked", tuple(partitions)))
        return offsets

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Drop the partitions; somebody else owns them already."""
        self._forget([self._owned[each] for each in partitions if each in self._owned], ReleaseReason.LOST)
        self._observe(Rebalanced("lost", tuple(partitions)))

    def committed(self, offsets: Mapping[TopicPartition, int], error: str | None) -> None:
        """Remember what the broker acknowledged; an error leaves it unknown, and the commit is made again."""
        self._committing = False
        self._observe(Committed("ok" if error is None else "failed", len(offsets)))
        if error is None:
            for each, offset in offsets.items():
                if each in self._owned:
                    self._owned[each].acknowledged = offset
            self._schedule_pump()
        else:
            asyncio.get_running_loop().call_later(1.0, self._schedule_pump)

    def trouble(self, detail: str) -> None:
        """Tell of a passing fault of Kafka's client."""
        self._observe(SourceTrouble(detail))

    def failed(self, error: Exception) -> None:
        """End the process: the source cannot go on."""
        self._failure = error
        self._stopped.set()

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
        formed = not self._draining
        while formed and self._gate.is_open:
            formed = False
            for owned in sorted(self._owned.values(), key=_oldest):
                if self._gate.is_open and self._is_due(owned, now):
                    formed |= self._form(owned)

    def _is_due(self, owned: _Owned, now: float) -> bool:
        partition = owned.partition
        if owned.released or len(owned.tasks) >= self._settings.depth:
            return False
        due_at = partition.due_at(self._settings.limits)
        return due_at is not None and due_at <= now

    def _form(self, owned: _Owned) -> bool:
        """Make a batch of the partition's oldest records and set it on its way; False while a schema is missing."""
        partition = owned.partition
        limits = self._settings.limits
        if not self._schemas.has_all(schema_ids(islice(partition.buffered(), limits.max_records)), self._schedule_pump):
            return False
        assert partition.position is not None, "a partition that is due has records"
        payload = self._builder(partition.position).build(partition.buffered())
        opened = partition.open(payload.range.end)
        self._observe(Built(len(payload.users), len(payload.events), payload.changes))
        if not (payload.users or payload.events or payload.rejected):
            self._settle(owned, opened, Settled(Counter(), payload.filtered, Counter(), ()))
            return True
        batch = self._batch(owned, opened, payload)
        task = asyncio.get_running_loop().create_task(self._carry(owned, batch))
        owned.tasks.add(task)
        task.add_done_callback(owned.tasks.discard)
        task.add_done_callback(self._ended)
        return True

    def _builder(self, start: int) -> PayloadBuilder:
        return PayloadBuilder(start, self._mapping, self._schemas.readers, self._payload_limits)

    def _batch(self, owned: _Owned, opened: OpenRange, payload: Payload) -> Batch:
        uids = frozenset(item.uid for item in payload.users)
        turn = owned.order.enter(opened.range.start, uids) if uids else None
        source = owned.partition.id
        return Batch(source, opened, payload, self._nonce(), owned.order, turn, owned.changed, self._rebuild)

    def _rebuild(self, record: Record) -> Item:
        return self._builder(record.offset).build([record]).items(Kind.USER)[0]

    async def _carry(self, owned: _Owned, batch: Batch) -> None:
        settled = await self._delivery.deliver(batch)
        self._settle(owned, batch.opened, settled)

    def _settle(self, owned: _Owned, opened: OpenRange, settled: Settled) -> None:
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
        """Pause partitions that hold their share of the budget; resume them at half of it."""
        if not self._owned:
            return
        high = self._settings.held_budget_bytes // len(self._owned)
        pause, resume = [], []
        for each, owned in self._owned.items():
            held = owned.partition.held_bytes
            if not owned.partition.paused and held >= high:
                owned.partition.paused = True
                pause.append(each)
            elif owned.partition.paused and held <= high // 2:
                owned.partition.paused = False
                resume.append(each)
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
            if (offset := owned.partition.committable) is not None
            and offset != owned.acknowledged
            and not owned.released
        }
        if offsets:
            self._committing = True
            self._source.commit(offsets)

    def _set_timer(self, now: float) -> None:
        """Look again when the next batch has lingered, or when time alone opens the gate."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        moments = [
            due
            for owned in self._owned.values()
            if (due := owned.partition.due_at(self._settings.limits)) is not None and due > now
        ]
        chance = self._gate.limits.next_chance(now)
        if chance is not None:
            moments.append(chance)
        if moments:
            self._timer = asyncio.get_running_loop().call_later(min(moments) - now, self._schedule_pump)

    def _forget(self, going: Sequence[_Owned], reason: ReleaseReason) -> None:
        unsettled = 0
        for owned in going:
            del self._owned[owned.partition.id]
            unsettled += owned.partition.unsettled_records
            for task in owned.tasks:
                task.cancel()
        if unsettled:
            self._observe(Released(reason, unsettled))
        self._schedule_pump()


def _oldest(owned: _Owned) -> float:
    """Order partitions by the arrival of their first buffered record."""
    return owned.partition.waiting_since
