"""A member of a group: the real source, and a listener that keeps what it is told."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import wraps
from typing import Any, Literal, ParamSpec, final

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient

from processor.adapters.kafka.config import KafkaSettings
from processor.adapters.kafka.source import KafkaSource
from processor.adapters.loop_watch import AskingLoopWatch, LoopAlarm
from processor.engine.beginnings import GroupStart
from processor.engine.commits import CommitFault
from processor.engine.notices import WaitsFor
from processor.engine.partition.owner import Assignment, End
from processor.model.reasons import HaltReason
from processor.model.records import Commit, Record, TopicPartition
from processor.runtime.ports import Fetched, SourceFault
from tests.kafka.cluster import VERSION, Cluster
from tests.kafka.conftest import Names
from tests.kafka.topics import append

DRAIN_S = 5.0
DEADLINE_S = 30.0
"""Below the 45 s after which a group forgets a member that has gone without a word."""
LOOK_S = 0.02

NOW_MS = 1_767_225_600_123

Protocol = Literal["cooperative", "eager", "broker"]
"""Who assigns, and whether rebalances tell only what changes."""

PROPERTIES: dict[Protocol, dict[str, Any]] = {
    "cooperative": {"heartbeat.interval.ms": 500},
    "eager": {"heartbeat.interval.ms": 500, "partition.assignment.strategy": "range"},
    "broker": {"group.protocol": "consumer"},
}


IMPATIENT: dict[Protocol, dict[str, int]] = {
    "cooperative": {"session.timeout.ms": 6_000, "max.poll.interval.ms": 6_000},
    "eager": {"session.timeout.ms": 6_000, "max.poll.interval.ms": 6_000},
    "broker": {"max.poll.interval.ms": 6_000},
}
"""A member that does not poll is soon given up."""

kip_848 = pytest.mark.skipif(VERSION.startswith("3."), reason="Kafka 3 has no group.protocol=consumer")
"""Marks what needs it; the brokers of the gate have it."""

assigned_by_brokers = pytest.param("broker", marks=kip_848)
protocols = pytest.mark.parametrize("protocol", ["cooperative", "eager", assigned_by_brokers])

P = ParamSpec("P")


def on_a_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an asynchronous test on an event loop of its own."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


def numbered(count: int, size: int = 10) -> list[Record]:
    """Return so many different records."""
    return [Record(0, NOW_MS + each, b"%d" % (each % 7), b"%0*d" % (size, each), None) for each in range(count)]


def fill(kafka: Cluster, topic: str, partitions: int, records: int) -> list[TopicPartition]:
    """Create a topic with so many records in each partition; return the partitions."""
    kafka.create_topic(topic, partitions)
    created = [TopicPartition(topic, each) for each in range(partitions)]
    for each in created:
        append(kafka, *each, numbered(records))
    return created


async def until(holds: Callable[[], bool], what: str) -> None:
    """Return when it holds; raises with `what` when it does not in time."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not holds():  # noqa: ASYNC110 - what happens, happens on threads and brokers
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        raise AssertionError(f"not within {DEADLINE_S:.0f} s: {what}") from None


async def nothing() -> None:
    """Return at once."""


def stay_paused(epochs: Mapping[TopicPartition, int]) -> None:
    """Leave partitions as they were assigned."""


class Listener:
    """A `SourceListener` that keeps what it is told; what it is to commit, and when it lets go, are a test's to set."""

    def __init__(self) -> None:
        self.events: list[tuple[str, list[TopicPartition]]] = []
        """What happened to partitions, in order."""
        self.owned: dict[TopicPartition, Assignment] = {}
        self.starts: dict[tuple[TopicPartition, int], int] = {}
        """Of every epoch."""
        self.partitions_in_topics = -1
        self.records: dict[tuple[TopicPartition, int], list[Record]] = {}
        """By partition and epoch."""
        self.stale: list[Fetched] = []
        """What was fetched of partitions after their epoch."""
        self.commits: list[tuple[dict[TopicPartition, Commit], dict[TopicPartition, CommitFault]]] = []
        """What each call has committed, and its faults."""
        self.ends_reached: list[tuple[TopicPartition, int, int]] = []
        """Partition, offset, and which offset would have followed what had been fetched by then."""
        self.ends_told: dict[TopicPartition, End | WaitsFor] = {}
        self.gaps: list[tuple[TopicPartition, int, tuple[int, int]]] = []
        self.source_faults: list[dict[HaltReason, Sequence[SourceFault]]] = []
        self.troubles: list[str] = []
        self.failures: list[Exception] = []
        self.to_commit: dict[TopicPartition, int] = {}
        self.journal = ""
        """The metadata of what is committed."""
        self.let_go: Callable[[], Awaitable[object]] = nothing
        self.resume: Callable[[Mapping[TopicPartition, int]], None] = stay_paused

    def assigned(self, assignments: Sequence[Assignment], partitions_in_topics: int) -> None:
        """Take over partitions."""
        self.events.append(("assigned", [each.id for each in assignments]))
        self.owned |= {each.id: each for each in assignments}
        self.starts |= {(each.id, each.epoch): each.start for each in assignments}
        self.partitions_in_topics = partitions_in_topics
        self.resume({each.id: each.epoch for each in assignments})

    def fetched(self, chunk: Sequence[Fetched]) -> None:
        """Keep records."""
        for each in chunk:
            if each.id in self.owned and self.owned[each.id].epoch == each.epoch:
                self.records.setdefault((each.id, each.epoch), []).extend(each.records)
            else:
                self.stale.append(each)

    def at_end(self, positions: Mapping[TopicPartition, int]) -> None:
        """Keep the ends."""
        self.ends_reached += [
            (each, end, [self.owned[each].start - 1, *self.offsets(each)][-1] + 1) for each, end in positions.items()
        ]

    async def revoking(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Commit]:
        """Give back partitions."""
        self.events.append(("revoking", list(partitions)))
        await self.let_go()
        commits = self.commits_of({each: self.to_commit[each] for each in partitions if each in self.to_commit})
        self._drop(partitions)
        return commits

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Forget partitions."""
        self.events.append(("lost", list(partitions)))
        self._drop(partitions)

    def committed(self, commits: Mapping[TopicPartition, Commit], faults: Mapping[TopicPartition, CommitFault]) -> None:
        """Keep the answer to a commit."""
        self.commits.append((dict(commits), dict(faults)))

    def ends(self, ends: Mapping[TopicPartition, End | WaitsFor]) -> None:
        """Keep the newest ends."""
        self.ends_told |= ends

    def gap(self, partition: TopicPartition, position: int, available: tuple[int, int]) -> None:
        """Keep the gap."""
        self.gaps.append((partition, position, available))

    def faults(self, faults: Mapping[HaltReason, Sequence[SourceFault]]) -> None:
        """Keep what keeps the source from reading."""
        self.source_faults.append(dict(faults))

    def trouble(self, detail: str) -> None:
        """Keep the fault."""
        self.troubles.append(detail)

    def failed(self, error: Exception) -> None:
        """Keep the failure."""
        self.failures.append(error)

    def happened(self, what: str) -> list[list[TopicPartition]]:
        """Return which partitions this happened to, each time."""
        return [partitions for event, partitions in self.events if event == what]

    def commits_of(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, Commit]:
        """Return commits of these offsets, with the journal, in the present epochs of what is owned."""
        return {
            each: Commit(self.owned[each].epoch, offset, self.journal)
            for each, offset in offsets.items()
            if each in self.owned
        }

    def offsets(self, partition: TopicPartition) -> list[int]:
        """Return the offsets of the records of the partition's present epoch."""
        return [record.offset for record in self.records.get((partition, self.owned[partition].epoch), [])]

    def wrong_starts(self) -> list[tuple[TopicPartition, int]]:
        """Return the partitions and epochs whose first record is not at their start."""
        return [each for each, records in self.records.items() if records[0].offset != self.starts[each]]

    def _drop(self, partitions: Sequence[TopicPartition]) -> None:
        for each in partitions:
            self.owned.pop(each, None)


@final
class Member(Listener):
    """A listener with its source."""

    source: KafkaSource

    @property
    def is_stopped(self) -> bool:
        """Whether the source's thread has ended."""
        return self.source._ended is not None and self.source._ended.done()

    def epochs(self, *partitions: TopicPartition) -> dict[TopicPartition, int]:
        """Return the epochs of these partitions."""
        return {each: self.owned[each].epoch for each in partitions}

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit these offsets in their present epochs."""
        self.source.commit(self.commits_of(offsets))

    async def until_assigned(self, *partitions: TopicPartition) -> None:
        """Return when it owns exactly these."""
        wanted = set(partitions)
        await until(lambda: self.events != [] and self.owned.keys() == wanted, f"{wanted} are owned: {self.events}")

    async def until_fetched(self, partition: TopicPartition, last: int) -> None:
        """Return when the record at this offset was fetched in the present epoch."""
        await until(
            lambda: partition in self.owned and self.offsets(partition)[-1:] == [last], f"{partition} is read to {last}"
        )

    async def until_polled(self, times: int = 10) -> None:
        """Return when the source has turned to Kafka so often."""
        for _ in range(times):
            before = self.source.polled_at
            await until(lambda before=before: self.source.polled_at > before, "Kafka is polled")  # type: ignore[misc]


async def until_shared(*members: Member, partitions: int) -> None:
    """Return when every partition is owned by one of the members, and each has some."""
    await until(
        lambda: sum(len(each.owned) for each in members) == partitions and all(each.owned for each in members),
        f"the partitions are shared: {[each.events for each in members]}",
    )


def settings_of(
    kafka: Cluster, names: Names, properties: dict[str, Any], others: Sequence[str] = (), **settings: Any
) -> KafkaSettings:
    """Return a source's settings, for a topic and perhaps others."""
    topics = (names.topic, *others)
    return KafkaSettings(
        kafka.bootstrap_servers, topics, names.group, names.dead_letters, properties=properties, **settings
    )


@contextmanager
def stalled(member: Member) -> Iterator[None]:
    """Hold the member's thread until the end of the `with`."""
    goes_on = threading.Event()

    def hold(_consumer: Consumer) -> None:
        goes_on.wait()

    member.source._commands.append(hold)
    try:
        yield
    finally:
        goes_on.set()


@asynccontextmanager
async def member(
    kafka: Cluster,
    names: Names,
    protocol: Protocol = "cooperative",
    properties: Mapping[str, Any] | None = None,
    start: GroupStart = "earliest",
    *,
    others: Sequence[str] = (),
    resumes: bool = True,
    alarm: LoopAlarm | None = None,
) -> AsyncIterator[Member]:
    """Run a member until the end of the `async with`; it resumes whatever is assigned, unless told otherwise."""
    joined = Member()
    own = {**PROPERTIES[protocol], **(properties or {})}
    settings = settings_of(kafka, names, own, others, start=start)
    watch = None if alarm is None else AskingLoopWatch(settings.session_s, alarm)
    joined.source = KafkaSource(settings, DRAIN_S, watch=watch)
    if resumes:
        joined.resume = joined.source.resume
    joined.source.start(joined)
    try:
        yield joined
    finally:
        await joined.source.stop()


def members_of(kafka: Cluster, group: str) -> int:
    """Return how many members the group has."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    described: Any = admin.describe_consumer_groups([group])[group]  # the stubs mistake what it gives
    return len(described.result(DEADLINE_S).members)
