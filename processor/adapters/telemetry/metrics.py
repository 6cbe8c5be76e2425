"""The worker's notices and state as Prometheus metrics."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.registry import Collector

from processor.adapters.telemetry import catalogue
from processor.adapters.telemetry.instruments import Definition, Distribution, Tally, Type, gauge
from processor.engine.notices import (
    Answered,
    Begun,
    Built,
    Committed,
    Consumed,
    DeadLetterWrite,
    Gap,
    Halted,
    HeldInOrder,
    HeldUp,
    JobEnded,
    JobIsLate,
    JournalIgnored,
    JournalResumed,
    KeyKnown,
    MemoryIsShort,
    Notice,
    Rebalanced,
    Recreated,
    Redelivered,
    RegistryAsked,
    Released,
    Resumed,
    Retried,
    SchemaCacheTrouble,
    Settled,
    SourceTrouble,
    Throttled,
    WaitsFor,
)
from processor.engine.worker_state import StateOf, WorkerState
from processor.model.reasons import Bottleneck, HaltReason, Kind
from processor.runtime.ports import Clock

UNCOUNTED = (
    *(Begun, Halted, Resumed, KeyKnown, SourceTrouble, SchemaCacheTrouble),
    *(JobIsLate, HeldUp, HeldInOrder, MemoryIsShort, Throttled),
)
"""Notices for logs only: the state says what is halted or held up, and how much of a wait has passed."""


def new_registry() -> CollectorRegistry:
    """Return a registry that knows the process's own memory, CPU time and files."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


@final
@dataclass(frozen=True, slots=True)
class Facts:
    """What does not change while the process runs."""

    version: str
    is_compiled: bool
    mapping_fingerprint: str
    topics: tuple[str, ...]
    memory_budget_bytes: int
    group_id: str
    fullstory: str
    """The base URL in use."""
    instance: str
    """What tells this process from others of its group, for people."""
    started_at: float
    """In wall-clock seconds."""


@final
class Metrics(Collector):
    """An `Observer` that counts, and a collector that adds the state of the moment; for one event loop's thread."""

    def __init__(self, registry: CollectorRegistry, state_of: StateOf, clock: Clock, facts: Facts) -> None:
        self._state_of = state_of
        self._clock = clock
        self._facts = facts
        self._log_lines_lost = 0
        self._throttled_s = 0.0
        self._memory_limit: int | None = None
        self._tallies = {each: Tally(each) for each in catalogue.CATALOGUE if each.type is Type.COUNTER}
        self._distributions = {each: Distribution(each) for each in catalogue.CATALOGUE if each.type is Type.HISTOGRAM}
        self._on: Mapping[type[Notice], Callable[[Any], None]] = {
            Consumed: self._consumed,
            Built: self._built,
            Answered: self._answered,
            Retried: self._retried,
            JobEnded: self._job_ended,
            Settled: self._settled,
            Redelivered: self._redelivered,
            JournalResumed: self._journal_resumed,
            JournalIgnored: self._journal_ignored,
            Gap: self._gap,
            Recreated: self._recreated,
            Released: self._released,
            DeadLetterWrite: self._dead_letter_write,
            Committed: self._committed,
            Rebalanced: self._rebalanced,
            RegistryAsked: self._registry_asked,
        }
        for topic in facts.topics:
            self._count(catalogue.RECORDS_CONSUMED, 0, topic)
        registry.register(self)

    def __call__(self, notice: Notice) -> None:
        """Count what the notice tells."""
        if not isinstance(notice, UNCOUNTED):
            self._on[type(notice)](notice)

    def collect(self) -> Iterator[Metric]:
        """Return every metric, as of one moment."""
        state = self._state_of()
        self._count(catalogue.THROTTLED, state.throttled_s - self._throttled_s)
        self._throttled_s = state.throttled_s
        gauges = self._gauges(state)
        for definition in catalogue.CATALOGUE:
            if definition.type is Type.COUNTER:
                yield self._tallies[definition].family()
            elif definition.type is Type.HISTOGRAM:
                yield self._distributions[definition].family()
            else:
                yield gauge(definition, gauges[definition])

    def note_log(self, ever_lost: int) -> None:
        """Count the lines of the log that could not be written, of which there were so many since the start."""
        self._count(catalogue.LOG_LINES_LOST, ever_lost - self._log_lines_lost)
        self._log_lines_lost = ever_lost

    def note_memory(self, limit_bytes: int | None) -> None:
        """Remember the container's limit."""
        self._memory_limit = limit_bytes

    # Notices

    def _count(self, definition: Definition, amount: float, *labels: str) -> None:
        self._tallies[definition].add(amount, *labels)

    def _count_each(self, definition: Definition, amounts: Mapping[Any, int]) -> None:
        for label, amount in amounts.items():
            self._tallies[definition].add(amount, label.value)

    def _consumed(self, notice: Consumed) -> None:
        self._count(catalogue.RECORDS_CONSUMED, notice.records, notice.topic)

    def _built(self, notice: Built) -> None:
        for kind, items in ((Kind.USER, notice.users), (Kind.EVENT, notice.events)):
            if items:
                self._distributions[catalogue.BATCH_RECORDS].observe((items,), kind.value)
        self._count_each(catalogue.PROPERTY_CHANGES, notice.changes)

    def _answered(self, notice: Answered) -> None:
        duration = self._distributions[catalogue.REQUEST_DURATION]
        duration.observe((notice.duration_s,), notice.endpoint, notice.outcome)

    def _retried(self, notice: Retried) -> None:
        self._count(catalogue.RETRIES, 1, notice.reason.value)

    def _job_ended(self, notice: JobEnded) -> None:
        self._distributions[catalogue.JOB_DURATION].observe((notice.duration_s,), notice.kind.value)

    def _settled(self, notice: Settled) -> None:
        self._count_each(catalogue.RECORDS_DELIVERED, notice.delivered)
        self._count_each(catalogue.RECORDS_FILTERED, notice.filtered)
        self._count_each(catalogue.RECORDS_DEAD_LETTERED, notice.dead_lettered)
        now = self._clock.wall()
        # A producer's clock may run ahead: what comes from the future is fresh. Old formats have no timestamp.
        ages = [max(now - timestamp / 1000, 0.0) for timestamp in notice.timestamps_ms if timestamp > 0]
        self._distributions[catalogue.FRESHNESS].observe(ages)
        self._distributions[catalogue.EVENT_AGE].observe([max(now - at, 0.0) for at in notice.event_times_s])

    def _redelivered(self, notice: Redelivered) -> None:
        self._count(catalogue.RECORDS_REDELIVERED, notice.records)

    def _journal_resumed(self, notice: JournalResumed) -> None:
        for part, count in notice.parts.items():
            self._count(catalogue.JOURNAL_RESUMED, count, part)

    def _journal_ignored(self, notice: JournalIgnored) -> None:
        self._count(catalogue.JOURNAL_IGNORED, 1, notice.fault)

    def _gap(self, notice: Gap) -> None:
        self._count(catalogue.RECORDS_LOST_TO_RETENTION, notice.records)

    def _recreated(self, _notice: Recreated) -> None:
        self._count(catalogue.PARTITIONS_RECREATED, 1)

    def _released(self, notice: Released) -> None:
        self._count(catalogue.RECORDS_RELEASED, notice.records, notice.reason.value)

    def _dead_letter_write(self, notice: DeadLetterWrite) -> None:
        self._count(catalogue.DEAD_LETTER_WRITES, 1, notice.outcome)

    def _committed(self, notice: Committed) -> None:
        self._count(catalogue.COMMITS, 1, notice.outcome)

    def _rebalanced(self, notice: Rebalanced) -> None:
        self._count(catalogue.REBALANCES, 1, notice.kind)

    def _registry_asked(self, notice: RegistryAsked) -> None:
        self._count(catalogue.REGISTRY_REQUESTS, 1, notice.outcome)

    # State

    def _gauges(self, state: WorkerState) -> Mapping[Definition, Iterable[tuple[tuple[str, ...], float]]]:
        owned = [((each.id.topic, str(each.id.partition)), each) for each in state.partitions]
        in_flight = sum(each.buffered_records + each.in_flight_records for _, each in owned)
        return {
            catalogue.RECORDS_IN_FLIGHT: _one(in_flight),
            catalogue.OLDEST_UNSETTLED: [
                (labels, oldest / 1000) for labels, each in owned if (oldest := each.oldest_unsettled_ms or 0) > 0
            ],
            catalogue.CONSUMER_LAG: [(labels, each.lag) for labels, each in owned if each.lag is not None],
            catalogue.CONCURRENCY_LIMIT: _one(state.concurrency_limit),
            catalogue.REQUEST_RATE_LIMIT: _one(state.request_rate),
            catalogue.BOTTLENECK: [((kind.value,), float(kind is state.bottleneck)) for kind in Bottleneck],
            catalogue.LAG_UNREADABLE: [(labels, each.unreadable) for labels, each in owned if each.unreadable],
            catalogue.HEAD_OF_LINE: [
                ((*labels, found.waits_for.value), found.offset) for labels, each in owned if (found := each.blocked)
            ],
            catalogue.JOBS_IN_FLIGHT: _one(state.jobs_in_flight),
            catalogue.OPERATIONS_IN_FLIGHT: _one(state.operations_in_flight),
            catalogue.HALTED: [((reason.value,), float(reason in state.halts)) for reason in HaltReason],
            catalogue.PARTITION_HALTED: [
                ((*labels, reason.value), 1.0) for labels, each in owned for reason in state.halts_of(each)
            ],
            catalogue.BYTES_HELD: _one(state.bytes_held),
            catalogue.MEMORY_BUDGET: _one(self._facts.memory_budget_bytes),
            catalogue.MEMORY_LIMIT: [] if self._memory_limit is None else _one(self._memory_limit),
            catalogue.PARTITIONS_ASSIGNED: _one(len(owned)),
            catalogue.PARTITIONS_PAUSED: _one(sum(each.is_paused for _, each in owned)),
            catalogue.FETCH_QUEUE_BYTES: _one(state.client.fetch_queue_bytes),
            catalogue.BROKER_ROUND_TRIP: _one(math.nan if (trip_s := state.client.round_trip_s) is None else trip_s),
            catalogue.BROKER_SILENCE: _one(self._silence_s(state.client.answered_at)),
            catalogue.ONE_BROKER_SILENCE: [
                ((str(node),), self._silence_s(heard)) for node, heard in sorted(state.client.heard_from.items())
            ],
            catalogue.PARTITIONS_UNREACHED: [
                ((what.value,), sum(each.unreached is what for _, each in owned))
                for what in (WaitsFor.LEADER, WaitsFor.BROKER)
            ],
            catalogue.BUILD_INFO: [((self._facts.version, str(self._facts.is_compiled).lower()), 1)],
            catalogue.CONFIG_INFO: [((self._facts.mapping_fingerprint,), 1)],
        }

    def _silence_s(self, answered_at: float | None) -> float:
        return 0.0 if answered_at is None else max(self._clock.wall() - answered_at, 0.0)


def _one(value: float) -> list[tuple[tuple[str, ...], float]]:
    return [((), value)]
