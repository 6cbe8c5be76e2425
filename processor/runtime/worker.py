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
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Literal

from processor.engine.bottleneck import bottleneck
from processor.engine.demand import Demand, balance
from processor.engine.journal import Plan
from processor.engine.limits import Cost
from processor.engine.partition import BatchLimits, OpenRange, Partition
from processor.events.framing import schema_ids
from processor.events.mapping import Mapping as EventMapping
from processor.events.payload import WHOLE_RANGE, Item, Payload, PayloadBuilder, PayloadLimits
from processor.model.reasons import Bottleneck, HaltReason, Kind, ReleaseReason
from processor.model.records import Record, TopicPartition
from processor.runtime.delivery import Batch, Delivery
from processor.runtime.gate import LEAST_WAIT_S, Gate
from processor.runtime.journals import Journals
from processor.runtime.lease import Lease
from processor.runtime.notices import (
    Built,
    Consumed,
    Gap,
    Observer,
    Rebalanced,
    Released,
    Settled,
    SourceTrouble,
)
from processor.runtime.owned import Owned
from processor.runtime.ports import Assignment, Clock, Commit, CommitFault, Fetched, Source, SourceFault
from processor.runtime.schemas import SchemaCache
from processor.runtime.state import ActiveHalt, WorkerState

SOURCE_HALTS = frozenset({HaltReason.KAFKA_UNAVAILABLE, HaltReason.SOURCE_TOPIC})
"""Halts of which the source tells."""

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
    """How long a revoke waits for the answers to POSTs in flight."""
    lease_s: float = 22.5
    """How long after a commit a partition may be POSTed for: half of the group's session timeout."""
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
        self._owned: dict[TopicPartition, Owned] = {}
        self._partitions_in_topics = 0
        self._journals = Journals(source, gate, clock, observe, self._schedule_pump)
        self._is_draining = False
        self._has_joined = False
        self._timer: asyncio.TimerHandle | None = None
        self._pump_scheduled = False
        self._failure: Exception | None = None
        self._failed = asyncio.Event()

    def state(self) -> WorkerState:
        """Return what the worker is doing at this moment."""
        limits, now = self._gate.limits, self._clock.monotonic()
        return WorkerState(
            has_joined=self._has_joined,
            is_draining=self._is_draining,
            partitions=[owned.state(now) for owned in self._owned.values()],
            halts=dict(self._gate.halts),
            bytes_held=sum(owned.partition.held_bytes for owned in self._owned.values()),
            bottleneck=self._bottleneck(),
            concurrency_limit=limits.concurrency,
            request_rate=limits.rate,
            jobs_in_flight=limits.jobs,
            operations_in_flight=limits.operations,
            polled_at=self._source.polled_at,
            client=self._source.figures,
            finding=self._gate.responses.finding(now),
            next_try_s=None if (chance := limits.next_chance(now)) is None else chance - now,
        )

    def open(self, destination: str) -> None:
        """Let records and requests through, now that it is known whose key this is; `destination` is a digest of it."""
        self._journals.open(destination)
        for owned in self._owned.values():
            self._journals.recover(owned)
        self._gate.open()
        self._schedule_pump()

    async def run(self, stop: asyncio.Event) -> Mapping[HaltReason, ActiveHalt]:
        """Work until `stop` is set, then leave; raise what made it impossible to go on.

        Return the halts that were in force when it was told to stop.
        """
        self._gate.watch(self._schedule_pump)
        self._source.start(self)
        stopping = asyncio.ensure_future(stop.wait())
        failing = asyncio.ensure_future(self._failed.wait())
        try:
            await asyncio.wait({stopping, failing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._is_draining = True
            halts = dict(self._gate.halts)
            self._gate.leave()
            stopping.cancel()
            failing.cancel()
            await self._source.stop()
            for owned in self._owned.values():
                owned.drop_all()
            await self._schemas.close()
            if self._timer is not None:
                self._timer.cancel()
        if self._failure is not None:
            raise self._failure
        return halts

    # SourceListener

    def assigned(self, assignments: Sequence[Assignment], partitions_in_topics: int) -> None:
        """Take over partitions."""
        self._has_joined = True
        for each in assignments:
            lease = Lease(self._clock, self._settings.lease_s, self._schedule_pump)
            acknowledged = None if each.is_new else (each.start, each.metadata)
            partition = Partition(each.id, each.epoch, each.start)
            self._owned[each.id] = Owned(partition, lease, each.place, each.metadata, acknowledged)
            self._journals.recover(self._owned[each.id])
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
                taken = owned.partition.append(part.records, part.bytes, now)
                self._observe(Consumed(part.id.topic, taken))
        self._schedule_pump()

    def at_end(self, positions: Mapping[TopicPartition, int]) -> None:
        """Wait for no more of a planned range than there is."""
        for each in self._of(list(positions)):
            each.partition.at_end(positions[each.partition.id])
        self._schedule_pump()

    async def revoking(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Commit]:
        """Wait for answers that are under way, within the drain time; return what to commit, and forget the partitions.

        Jobs, back-offs and halts are not waited for: the journal tells the next owner of them.
        """
        going = self._of(partitions)
        for owned in going:
            owned.is_going = True
        batches = [(owned, batch) for owned in going for batch in owned.batches.values()]
        if worth := set[asyncio.Task[Any]]().union(*(owned.stop() for owned in going)):
            _, late = await asyncio.wait(worth, timeout=self._drain_s)
            for task in late:
                task.cancel()
        for owned, batch in batches:
            if not batch.opened.settled and (settled := self._delivery.settled(batch)) is not None:
                self._settle(owned, batch.opened, settled)
        going = self._of(partitions)  # some may have been lost meanwhile
        commits = {
            owned.partition.id: commit for owned in going if (commit := self._journals.last_commit(owned)) is not None
        }
        self._forget(going, ReleaseReason.SHUTDOWN if self._is_draining else ReleaseReason.REVOKED)
        self._observe(Rebalanced("revoked", tuple(partitions)))
        return commits

    @property
    def _drain_s(self) -> float:
        grace_s = self._settings.grace_s
        return (
            min(self._settings.drain_s, max(grace_s - LEAVING_S, grace_s / 2))
            if self._is_draining
            else self._settings.drain_s
        )

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Drop the partitions; somebody else owns them already."""
        self._forget(self._of(partitions), ReleaseReason.LOST)
        self._observe(Rebalanced("lost", tuple(partitions)))

    def committed(self, commits: Mapping[TopicPartition, Commit], faults: Mapping[TopicPartition, CommitFault]) -> None:
        """Take note of what the broker acknowledged."""
        self._journals.committed(commits, faults)

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
        cause, action = _gap(partition, position, first, end)
        owned.halts.enter_context(self._gate.held(HaltReason.GAP, cause, action, is_cured_at_end=False))

    def faults(self, faults: Mapping[HaltReason, SourceFault]) -> None:
        """Halt while Kafka is not there to read from."""
        for reason in SOURCE_HALTS & self._gate.halts.keys() - faults.keys():
            self._gate.resume(reason)
        for reason, fault in faults.items():
            self._gate.halt(reason, fault.cause, fault.action)

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
        self._journals.commit(self._owned.values(), now)
        self._set_timer(now)

    def _form_batches(self, now: float) -> None:
        """Form every batch that is due and has a slot, oldest partition first, one for each in turn.

        What the journal tells of needs no slot: jobs that go on hold their part of the limits until they are followed.
        """
        if self._is_draining:
            return
        for owned in self._owned.values():
            while owned.partition.is_recovering and self._is_due(owned, now) and self._form_next(owned):
                pass
        room = self._gate.room - self._awaiting_commits
        formed = True
        while formed and room > 0:
            formed = False
            for owned in sorted(self._owned.values(), key=_oldest):
                if room > 0 and self._is_free(owned) and self._is_due(owned, now):
                    parts = self._form(owned)
                    if parts is not None:
                        formed = True
                        room -= parts

    @property
    def _awaiting_commits(self) -> int:
        """How many requests are going to be sent when their plans are acknowledged."""
        return sum(len(owned.lease.waiting) for owned in self._owned.values())

    def _is_free(self, owned: Owned) -> bool:
        partition = owned.partition
        is_held_up = partition.is_recovering or owned.order.is_held_up or owned.had_better_grow(self._settings.limits)
        return not is_held_up and partition.open_ranges < self._settings.depth

    def _is_due(self, owned: Owned, now: float) -> bool:
        due_at = owned.partition.due_at(self._settings.limits)
        return not owned.is_going and due_at is not None and due_at <= now

    def _form(self, owned: Owned) -> int | None:
        """Make a batch of the partition's oldest records and set it on its way.

        Return how many requests it is going to send at first; None while a schema is missing, or while it would only
        wait for an earlier identify of one of its users: then it grows until its turn comes.
        """
        partition = owned.partition
        limits = self._settings.limits
        ids = schema_ids(islice(partition.buffered(), limits.max_records))
        if not self._schemas.has_all(ids, partition.id, self._schedule_pump):
            return None
        owned.growing = owned.growing or self._builder(partition.position, self._payload_limits)
        payload = owned.growing.build(partition.buffered())
        if not partition.is_recovering and owned.had_better_grow(limits):
            return None
        owned.growing = None
        plan = self._delivery.plan(payload, self._nonce()) if payload.users or payload.events else None
        self._set_out(owned, payload, plan)
        return bool(payload.users) + bool(payload.events)

    def _form_next(self, owned: Owned) -> bool:
        """Make the batch that the journal tells of and do what is left to do of it; False while a schema is missing."""
        partition, plan = owned.partition, owned.partition.planned
        if plan is None:
            return self._form(owned) is not None
        if not self._schemas.has_all(schema_ids(partition.buffered()), partition.id, self._schedule_pump):
            return False
        payload = self._builder(partition.position, WHOLE_RANGE).build(partition.buffered())
        told = set(plan.entries)
        self._delivery.resume(plan, payload, self._nonce())
        for entry in owned.adopted & told - set(plan.entries):
            self._gate.finished(Cost.of_job(entry.items))
        owned.adopted -= told
        self._set_out(owned, payload, plan)
        return True

    def _set_out(self, owned: Owned, payload: Payload, plan: Plan | None) -> None:
        opened = owned.partition.open(plan.end if plan else payload.range.end, _body_bytes(payload), plan)
        self._observe(Built(len(payload.users), len(payload.events), payload.changes))
        owned.lease.is_behind = True
        if plan is None and not payload.rejected:
            self._settle(owned, opened, Settled(Counter(), payload.filtered, Counter(), ()))
            return
        batch = self._batch(owned, opened, payload, plan or Plan(opened.range.end, b"", 0, []))
        task = asyncio.get_running_loop().create_task(self._carry(owned, batch))
        owned.batches[task] = batch
        task.add_done_callback(owned.batches.pop)
        task.add_done_callback(partial(self._ended, batch))

    def _builder(self, start: int, limits: PayloadLimits) -> PayloadBuilder:
        return PayloadBuilder(start, self._mapping, self._schemas.readers, limits)

    def _batch(self, owned: Owned, opened: OpenRange, payload: Payload, plan: Plan) -> Batch:
        uids = frozenset(item.uid for item in payload.users)
        has_users = any(entry.kind is Kind.USER for entry in plan.entries)
        return Batch(
            owned.partition.id,
            opened,
            payload,
            self._delivery.sending(plan, owned.lease),
            partial(self._journals.has_room_for, owned),
            owned.order,
            owned.order.enter(opened.range.start, uids) if has_users else None,
            owned.changed,
            self._rebuild,
            self._clock.monotonic(),
        )

    @property
    def _payload_limits(self) -> PayloadLimits:
        return PayloadLimits(self._settings.limits.max_records, self._delivery.max_body_bytes)

    def _rebuild(self, record: Record) -> Item:
        return self._builder(record.offset, self._payload_limits).build([record]).items(Kind.USER)[0]

    async def _carry(self, owned: Owned, batch: Batch) -> None:
        settled = await self._delivery.deliver(batch)
        self._settle(owned, batch.opened, settled)

    def _settle(self, owned: Owned, opened: OpenRange, settled: Settled) -> None:
        if self._owned.get(owned.partition.id) is not owned:
            return
        owned.partition.settle(opened)
        owned.lease.is_behind = True
        self._observe(settled)
        self._schedule_pump()

    def _ended(self, batch: Batch, task: asyncio.Task[None]) -> None:
        """A batch's task never ends by an exception unless the program is wrong: then the process must not go on."""
        self._delivery.abandon(batch)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed(error if isinstance(error, Exception) else RuntimeError(repr(error)))
        self._schedule_pump()

    def _bottleneck(self) -> Bottleneck:
        """Say what holds throughput back at this moment, as far as that can be seen without a clock of the CPU."""
        now, gate = self._clock.monotonic(), self._gate
        limits = self._settings.limits
        waiting = [
            owned for owned in self._owned.values() if self._is_due(owned, now) and not owned.had_better_grow(limits)
        ]
        is_closing = [any(batch.is_closing for batch in owned.batches.values()) for owned in waiting]
        return bottleneck(
            gate.halts.keys(),
            is_fetching_schemas=bool(waiting) and self._schemas.is_fetching,
            is_closed_by_destination=gate.is_blocked_for(0) or gate.is_waited_for,
            writes_dead_letters=bool(waiting) and all(is_closing),
            awaits_commits=any(owned.lease.waiting for owned in waiting),
            is_waiting=bool(waiting),
            is_behind=any(owned.unconsumed > self._settings.limits.max_records for owned in self._owned.values()),
        )

    def _balance_demand(self) -> None:
        """Pause and resume; one partition that needs more to go on with what the journal tells is read in any case."""
        ready = {each: owned.partition for each, owned in self._owned.items() if owned.is_recovered}
        demands = {each: Demand(partition.demand_bytes, partition.paused) for each, partition in ready.items()}
        exempt = next((each for each, partition in ready.items() if partition.awaits_planned), None)
        changes = balance(demands, self._settings.held_budget_bytes, exempt)
        for each, paused in changes.items():
            ready[each].paused = paused
        epochs = {
            paused: {each: ready[each].epoch for each in changes if changes[each] is paused} for paused in (True, False)
        }
        if epochs[True]:
            self._source.pause(epochs[True])
        if epochs[False]:
            self._source.resume(epochs[False])

    def _set_timer(self, now: float) -> None:
        """Look again when the next batch has lingered, when a commit is due, or when time alone opens the gate."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        dues = [
            due for owned in self._owned.values() if (due := owned.partition.due_at(self._settings.limits)) is not None
        ]
        is_due = min(dues, default=now + 1) <= now
        chance = self._gate.limits.next_chance(now, before=self._awaiting_commits) if is_due else None
        others = (chance, self._journals.next_commit(self._owned.values(), now))
        moments = [due for due in dues if due > now] + [moment for moment in others if moment is not None]
        if moments:
            wait_s = max(min(moments) - now, LEAST_WAIT_S)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._schedule_pump)

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
            for entry in owned.adopted:
                self._gate.finished(Cost.of_job(entry.items))
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


def _gap(partition: TopicPartition, position: int, first: int, end: int) -> tuple[str, str]:
    """Say why the next record cannot be consumed, and what to do."""
    holds = f"{partition} holds the offsets {first} to {end}, and the next one to consume is {position}"
    if position > first:
        return f"{holds}: the topic was recreated or truncated", "Reset the group's offset of this partition."
    return (
        f"{holds}: {first - position} records were deleted before they were consumed",
        "Set PROCESSOR_KAFKA__ON_GAP=continue to skip them. Other partitions continue.",
    )
