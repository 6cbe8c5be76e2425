"""The worker: owns the partitions on the event loop, and looks at all of them after every change.

Rules:

1. `_pump` is the one place that looks: a synchronous, complete look at the state, called after every change. It has
   performed what the partitions ask for, forms the batches that are due, pauses and resumes, commits, and sets the
   timer for the next moment that matters. What is decided is decided in the engine.
2. State changes are whole: none spans an `await`. What is done for a partition is done by the driver's tasks, which
   report to its owner.
3. What is reported to a partition whose epoch has ended changes nothing (law 4).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from processor.engine.backpressure import PartitionLoad, pauses
from processor.engine.bottleneck import bottleneck
from processor.engine.commits import CommitFault, Commits, why
from processor.engine.notices import Begun, Committed, Consumed, Rebalanced, Released, SourceTrouble, WaitsFor
from processor.engine.partition.common import Common
from processor.engine.partition.owner import Assignment, End, Partition
from processor.engine.worker_state import Halts, WorkerState, states_of
from processor.model.reasons import Bottleneck, HaltReason, ReleaseReason
from processor.model.records import Commit, TopicPartition
from processor.runtime.driver import Driver
from processor.runtime.ports import Clock, Fetched, Source, SourceFault

LEAST_WAIT_S = 0.001
"""A timer for less would come before its moment by the rounding of floats, and find nothing to do, again and again."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How much the worker holds, and how it leaves."""

    held_budget_bytes: int
    """For records that are buffered or in flight; librdkafka's queues have their own part of the memory budget."""
    drain_s: float
    """How long a revoke waits for the answers to POSTs in flight."""
    last_drain_s: float
    """How long the one at a shutdown does: of its time, some is left for the last commit and for leaving the group."""
    process: str = ""
    """A name that no other process of the group has: by it, commits tell how many requests were made; else they do not.
    """


class Worker:
    """Kafka to FullStory; a `SourceListener`."""

    def __init__(
        self,
        source: Source,
        driver: Driver,
        common: Common,
        clock: Clock,
        settings: WorkerSettings,
    ) -> None:
        self._source = source
        self._driver = driver
        self._common = common
        self._observe = common.observe
        self._clock = clock
        self._settings = settings
        self.gate = driver.gate
        """Where requests wait for room, and what delivery stands still for."""
        self._commits = Commits(common.room, common.limits, settings.process)
        self._owned: dict[TopicPartition, Partition] = {}
        self._partitions_in_topics = 0
        self._destination: str | None = None
        self._is_draining = False
        self._has_joined = False
        self._timer: asyncio.TimerHandle | None = None
        self._pump_scheduled = False
        self._failure: Exception | None = None
        self._failed = asyncio.Event()

    def state(self) -> WorkerState:
        """Return what the worker is doing at this moment."""
        limits, now = self.gate.limits, self._clock.monotonic()
        return WorkerState(
            has_joined=self._has_joined,
            is_draining=self._is_draining,
            partitions=states_of(self._owned.values(), now, self._clock.wall()),
            halts=dict(self.gate.halts),
            bytes_held=sum(each.queue.held_bytes for each in self._owned.values()),
            bottleneck=self._bottleneck(now),
            concurrency_limit=limits.concurrency,
            request_rate=limits.rate,
            jobs_in_flight=limits.jobs,
            operations_in_flight=limits.operations,
            polled_at=self._source.polled_at,
            client=self._source.figures,
            diagnosis=self.gate.health.diagnosis(now),
            throttled_s=limits.throttled_s(now),
            next_try_s=None if (chance := limits.next_chance(now)) is None else chance - now,
        )

    def open(self, destination: str) -> None:
        """Let records and requests through, now that it is known whose key this is; `destination` is a digest of it."""
        self._destination = destination
        for each in self._owned.values():
            each.recover(destination)
        self.gate.open()

    def use_batches(self, *, is_batch: bool) -> None:
        """Send requests of several items from now on, or of one."""
        self._common.is_batch = is_batch

    async def run(self, stop: asyncio.Event) -> Halts:
        """Work until `stop` is set, then leave; raise what made it impossible to go on.

        Return the halts that were in force when it was told to stop.
        """
        self.gate.wake = self._schedule_pump
        self._driver.failed = self.failed
        self._source.start(self)
        stopping = asyncio.ensure_future(stop.wait())
        failing = asyncio.ensure_future(self._failed.wait())
        try:
            await asyncio.wait({stopping, failing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._is_draining = True
            halts = dict(self.gate.halts)
            self.gate.leave()
            stopping.cancel()
            failing.cancel()
            await self._source.stop()
            for each in self._owned.values():  # where the source could not leave in good order
                each.drop()
            self._driver.drop(self._owned.values())
            await self._driver.close()
            if self._timer is not None:
                self._timer.cancel()
        if self._failure is not None:
            raise self._failure
        return halts

    # SourceListener

    def assigned(self, assignments: Sequence[Assignment], partitions_in_topics: int) -> None:
        """Take over partitions."""
        self._has_joined = True
        for assignment in assignments:
            partition = self._owned[assignment.id] = Partition(assignment, self._common)
            if self._destination is not None:
                partition.recover(self._destination)
        self._partitions_in_topics = partitions_in_topics
        self._take_share()
        self._observe(Rebalanced("assigned", tuple(each.id for each in assignments)))
        if new := tuple(each.id for each in assignments if each.is_new):
            self._observe(Begun(new))
        self._schedule_pump()

    def fetched(self, chunk: Sequence[Fetched]) -> None:
        """Buffer records of epochs that go on."""
        now = self._clock.monotonic()
        for part in chunk:
            partition = self._owned.get(part.id)
            if partition is not None and partition.epoch == part.epoch:
                taken = partition.fetched(part.records, part.bytes, now)
                self._observe(Consumed(part.id.topic, taken))
        self._schedule_pump()

    def at_end(self, positions: Mapping[TopicPartition, int]) -> None:
        """Wait for no more of a planned range than there is."""
        for each in self._of(list(positions)):
            each.at_end(positions[each.id])
        self._schedule_pump()

    async def revoking(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Commit]:
        """Wait for answers that are under way, within the drain time; return what to commit, and forget the partitions.

        Jobs, back-offs and halts are not waited for: the journal tells the next owner of them.
        """
        going = self._of(partitions)
        for each in going:
            each.revoking()
        await self._driver.finish(going, self._settings.last_drain_s if self._is_draining else self._settings.drain_s)
        going = self._of(partitions)  # some may have been lost meanwhile
        commits = {each.id: commit for each in going if (commit := each.last_commit()) is not None}
        self._forget(going, ReleaseReason.SHUTDOWN if self._is_draining else ReleaseReason.REVOKED)
        self._observe(Rebalanced("revoked", tuple(partitions)))
        return commits

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Drop the partitions; somebody else owns them already."""
        self._forget(self._of(partitions), ReleaseReason.LOST)
        self._observe(Rebalanced("lost", tuple(partitions)))

    def committed(self, commits: Mapping[TopicPartition, Commit], faults: Mapping[TopicPartition, CommitFault]) -> None:
        """Take note of what the broker acknowledged."""
        if faults:
            self._observe(Committed("failed", len(faults), why(faults.values())))
        if len(commits) > len(faults):
            self._observe(Committed("ok", len(commits) - len(faults)))
        self._commits.answered(commits, faults, self._clock.monotonic())
        self._schedule_pump()

    def ends(self, ends: Mapping[TopicPartition, End | WaitsFor]) -> None:
        """Remember the ends, for the lag."""
        now = self._clock.monotonic()
        for each in self._of(list(ends)):
            each.ends_at(ends[each.id], now)

    def gap(self, partition: TopicPartition, position: int, available: tuple[int, int]) -> None:
        """Pass over records that are gone where the operator said so; else the partition stands still and says why."""
        for each in self._of([partition]):
            each.gap(position, *available)
        self._schedule_pump()

    def faults(self, faults: Mapping[HaltReason, Sequence[SourceFault]]) -> None:
        """Halt while Kafka is not there to read from."""
        self.gate.source_faults(faults)

    def trouble(self, detail: str) -> None:
        """Tell of a passing fault of Kafka's client."""
        self._observe(SourceTrouble(detail))

    def failed(self, error: Exception) -> None:
        """End the process: it cannot go on."""
        self._failure = self._failure or error
        self._failed.set()

    # The look

    def _schedule_pump(self) -> None:
        """Look at the state once the loop has told all that has happened by now."""
        if not self._pump_scheduled:
            self._pump_scheduled = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_scheduled = False
        try:
            self._look(self._clock.monotonic())
        except Exception as error:  # noqa: BLE001 - a defect: in a callback of the loop nobody else would learn of it
            self.failed(error)

    def _look(self, now: float) -> None:
        chance = self._perform(now)
        while self._form_batches(now):  # once more: part of a batch may wait for its turn and need no room yet
            chance = self._perform(now)
        self._balance_demand()
        self._commit(now)
        self._set_timer(now, chance)

    def _perform(self, now: float) -> float | None:
        """Begin what the partitions ask for by now; return when time alone may let through what waits for room."""
        for each in self._owned.values():
            if actions := each.look(now):
                self._driver.perform(each, actions, self._source)
        return self.gate.serve()

    def _form_batches(self, now: float) -> bool:
        """Form every batch that is due and has a slot, oldest partition first, one for each in turn; say if any was.

        What the journal tells of needs no slot: jobs that go on hold their part of the limits until they are followed.
        """
        if self._is_draining:
            return False
        formed_any = False
        wall_s = self._clock.wall()
        for each in self._owned.values():
            while each.form_planned(now, wall_s):
                formed_any = True
        room = self.gate.room - self._awaiting_commits
        formed = True
        while formed and room > 0:
            formed = False
            for each in sorted(self._owned.values(), key=_oldest):
                is_free = room > 0 and each.is_due(now) and each.next.is_free
                if is_free and (requests := each.form(now, wall_s)) is not None:
                    formed = formed_any = True
                    room -= requests
        return formed_any

    @property
    def _awaiting_commits(self) -> int:
        """How many requests are going to be sent when their plans are acknowledged."""
        return sum(each.awaiting_commit for each in self._owned.values())

    def _balance_demand(self) -> None:
        """Pause and resume; one partition that needs more to go on with what the journal tells is read in any case."""
        ready = {each.id: each for each in self._owned.values() if each.is_recovered}
        demands = {each.id: PartitionLoad(each.queue.demand_bytes, each.is_paused) for each in ready.values()}
        exempt = next((each.id for each in ready.values() if each.queue.awaits_planned), None)
        changes = pauses(demands, self._settings.held_budget_bytes, exempt)
        for each, is_paused in changes.items():
            ready[each].pause(is_paused=is_paused)
        for is_paused, ask in ((True, self._source.pause), (False, self._source.resume)):
            if epochs := {each: ready[each].epoch for each in changes if changes[each] is is_paused}:
                ask(epochs)

    def _commit(self, now: float) -> None:
        if commits := self._commits.due(self._owned.values(), now):
            self._source.commit(commits)
        is_halted = HaltReason.OFFSET_METADATA in self.gate.halts
        if self._commits.is_refused and not is_halted:
            self.gate.halt(HaltReason.OFFSET_METADATA, self._commits.refusal)
        elif is_halted and not self._commits.is_refused:
            self.gate.resume(HaltReason.OFFSET_METADATA)

    def _set_timer(self, now: float, chance: float | None) -> None:
        """Look again when the next batch has lingered, when a commit is due, or when time alone opens the gate."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        owned = self._owned.values()
        limits = self._common.settings.limits
        dues = [due for each in owned if (due := each.queue.due_at(limits)) is not None]
        moments = [due for due in dues if due > now]
        others = [chance, self._commits.next_at(owned, now), *(each.wakes_at() for each in owned)]
        if min(dues, default=now + 1) <= now:
            others.append(self.gate.limits.next_chance(now, before=self._awaiting_commits))
        moments += [moment for moment in others if moment is not None]
        if moments:
            wait_s = max(min(moments) - now, LEAST_WAIT_S)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._schedule_pump)

    def _bottleneck(self, now: float) -> Bottleneck:
        """Say what holds throughput back at this moment, as far as that can be seen without a clock of the CPU."""
        gate = self.gate
        owned = self._owned.values()
        waiting = [each for each in owned if each.is_waiting(now)]
        lacking = [each for each in owned if each.lacks_memory]
        stopped = waiting + lacking
        # What stands still in some places only holds back nothing while nothing waits.
        halts = {reason for reason in gate.halts if stopped or "" in gate.faults_of(reason)}
        return bottleneck(
            halts,
            is_fetching_schemas=bool(waiting) and self._driver.is_fetching_schemas,
            is_closed_by_destination=gate.is_blocked_for(0) or gate.is_waited_for,
            writes_dead_letters=bool(stopped) and all(each.is_closing for each in stopped),
            awaits_commits=any(each.awaiting_commit for each in waiting),
            is_waiting=bool(waiting),
            waits_for_users=all(each.waits_for_users(now) for each in stopped),
            lacks_memory=bool(lacking),
            is_behind=any((each.is_behind and not each.is_paused) or each.withheld(now) for each in owned),
            is_throttled=self._source.figures.throttled_until > self._clock.wall(),
        )

    # Epochs

    def _of(self, partitions: Sequence[TopicPartition]) -> list[Partition]:
        return [self._owned[each] for each in partitions if each in self._owned]

    def _forget(self, going: Sequence[Partition], reason: ReleaseReason) -> None:
        unsettled = 0
        for each in going:
            unsettled += each.drop()
            del self._owned[each.id]
        self._driver.drop(going)
        if not self._owned:
            self.gate.leave_probes_to_others()
        if unsettled:
            self._observe(Released(reason, unsettled))
        self._take_share()
        self._schedule_pump()

    def _take_share(self) -> None:
        self.gate.limits.share(len(self._owned), self._partitions_in_topics)


def _oldest(partition: Partition) -> float:
    """Order partitions by the arrival of their first buffered record."""
    return partition.queue.waiting_since
