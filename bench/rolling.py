"""`python -m bench.rolling`: how long partitions are not read in a rolling deployment, by how they are assigned.

Members of one process stand for the workers, so that neither the start of a process nor FullStory is measured: only the
group. Sessions and heartbeats are those of librdkafka and of brokers by default.
"""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, final

import click

from bench.kafka import create
from bench.stages import CLEAN
from processor.adapters.kafka.source import KafkaSource
from processor.model.records import TopicPartition
from processor.runtime.ports import Fetched
from processor.workload import generate
from tests.kafka.cluster import Cluster, KafkaCluster
from tests.kafka.conftest import Names
from tests.kafka.members import DRAIN_S, Listener, settings_of
from tests.kafka.topics import producing
from tests.results import keep

PARTITIONS = 12
RATE = 360
PAUSE_S = 1.0
"""A partition that gets 30 records a second pauses when nothing is read of it for so long."""
IN_FLIGHT_S = 0.5
"""What is in flight takes so long, where a partition is given back."""
CALM_S = 10.0
"""Before the first stop and after the last start."""
DEADLINE_S = 90.0
LOOK_S = 0.05

BROKER = "group.consumer.heartbeat.interval.ms=5000\ngroup.consumer.session.timeout.ms=45000\n"
"""Kafka's own defaults, in place of the tests'."""

ASSIGNED: Mapping[str, Mapping[str, Any]] = {
    "cooperative-sticky": {"partition.assignment.strategy": "cooperative-sticky"},
    "range": {"partition.assignment.strategy": "range"},
    "consumer": {"group.protocol": "consumer"},
}
"""The classic protocol's assignors, and the brokers' (KIP-848)."""


@final
class Reader(Listener):
    """A member that notes when it reads what, and commits what it has read where it gives it back."""

    def __init__(
        self, cluster: Cluster, names: Names, assigned: str, seen: "Counter[tuple[TopicPartition, int]]"
    ) -> None:
        super().__init__()
        self.at: dict[TopicPartition, list[float]] = {}
        self._seen = seen
        self.let_go = lambda: asyncio.sleep(IN_FLIGHT_S)
        self.source = KafkaSource(settings_of(cluster, names, dict(ASSIGNED[assigned])), DRAIN_S)
        self.resume = self.source.resume
        self.source.start(self)

    def fetched(self, chunk: Sequence[Fetched]) -> None:
        """Note when what was read."""
        for each in chunk:
            self.at.setdefault(each.id, []).append(time.monotonic())
            self._seen.update((each.id, record.offset) for record in each.records)
            self.to_commit[each.id] = each.records[-1].offset + 1


@click.command
@click.option("--workers", default=4, show_default=True, type=click.IntRange(2, PARTITIONS))
@click.option("--surge", is_flag=True, help="Start the next one before the last one stops, as the chart does.")
@click.option("--result", "file", type=click.Path(path_type=Path), help="Write the result to this file, as JSON.")
def rolling(*, workers: int, surge: bool, file: Path | None) -> None:
    """Stop members one after the other under a steady load, and start another in the place of each."""
    with tempfile.TemporaryDirectory() as folder, KafkaCluster(Path(folder), properties=BROKER) as cluster:
        results = {each: _measured(cluster, each, workers, surge=surge) for each in ASSIGNED}
    command = f"python -m bench.rolling --workers {workers}{' --surge' if surge else ''}"
    keep(file, {"command": command, "partitions": PARTITIONS, "results": results})


def _measured(cluster: Cluster, assigned: str, workers: int, *, surge: bool) -> dict[str, float]:
    names = create(cluster, PARTITIONS)
    with producing(cluster, names.topic, generate(1, None, CLEAN), RATE):
        result = asyncio.run(_roll(cluster, names, assigned, workers, surge=surge))
    click.echo(f"{assigned:<20}" + "  ".join(f"{name} {value}" for name, value in result.items()))
    return result


async def _roll(cluster: Cluster, names: Names, assigned: str, workers: int, *, surge: bool) -> dict[str, float]:
    seen: Counter[tuple[TopicPartition, int]] = Counter()
    every = [Reader(cluster, names, assigned, seen) for _ in range(workers)]
    present = list(every)

    def shared() -> bool:
        return all(each.owned for each in present) and sum(len(each.owned) for each in present) == PARTITIONS

    await _until(shared)
    await asyncio.sleep(CALM_S)
    began = time.monotonic()
    for _ in range(workers):
        if surge:
            present.append(Reader(cluster, names, assigned, seen))
            await _until(shared)
            await present.pop(0).source.stop()
        else:
            await present.pop(0).source.stop()
            present.append(Reader(cluster, names, assigned, seen))
        every.append(present[-1])
        await _until(shared)
        await asyncio.sleep(2 * PAUSE_S)  # else a pause would go on into the next rebalance
    took_s = time.monotonic() - began
    await asyncio.sleep(CALM_S)
    for each in present:
        await each.source.stop()

    def pauses(*partitions: TopicPartition) -> list[float]:
        times = sorted(
            at for each in every for part in partitions for at in each.at.get(part, ()) if at >= began - PAUSE_S
        )
        return [later - earlier for earlier, later in pairwise(times) if later - earlier > PAUSE_S]

    partitions = [TopicPartition(names.topic, number) for number in range(PARTITIONS)]
    found = [pauses(part) for part in partitions]
    return {
        "took_s": round(took_s, 1),
        "pauses_a_partition": round(sum(map(len, found)) / PARTITIONS, 1),
        "unread_a_partition_s": round(sum(map(sum, found)) / PARTITIONS, 1),
        "longest_pause_s": round(max((max(one, default=0.0) for one in found), default=0.0), 1),
        "nothing_read_s": round(sum(pauses(*partitions)), 1),
        "read_twice": sum(count - 1 for count in seen.values()),
    }


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110 - what happens, happens on threads and brokers
            await asyncio.sleep(LOOK_S)


if __name__ == "__main__":
    rolling()
