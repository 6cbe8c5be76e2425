"""Groups that change from the classic protocol to the brokers' (KIP-848) and back, under load: docs/kip-848.md."""

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, final

import pytest

from processor.adapters.kafka import probing
from processor.adapters.kafka.described import client
from processor.adapters.kafka.membership import members
from processor.workload import GeneratedRecord, generate
from processor.workload.account import Account
from tests.commands.program import run
from tests.kafka.cluster import Cluster
from tests.kafka.conftest import Names
from tests.kafka.members import PROPERTIES, kip_848, member, on_a_loop, settings_of, until, until_shared
from tests.kafka.programs import SandboxProgram, WorkerProgram, sandbox, wait_until
from tests.kafka.test_end_to_end import GRACE_S, SANDBOX_BODY_BYTES, SMALL, Traffic, environment
from tests.kafka.test_refusals import refusal
from tests.kafka.topics import producing

pytestmark = kip_848

SEED = 20_261_128
PARTITIONS = 6
WORKERS = 3
RATE = 200.0
ANSWER_S = 10.0

SOON = {"session.timeout.ms": 6_000, "heartbeat.interval.ms": 1_000}
"""Members hear of each other soon."""
COOPERATIVE: Mapping[str, Any] = {"partition.assignment.strategy": "cooperative-sticky", **SOON}
RANGE: Mapping[str, Any] = {"partition.assignment.strategy": "range", **SOON}
CONSUMER: Mapping[str, Any] = {"group.protocol": "consumer"}

JOBS = ("--max-body-bytes", str(SANDBOX_BODY_BYTES), "--job-seconds", "0.3", "1", "--latency", "0.05")


@contextmanager
def load(kafka: Cluster, names: Names) -> Iterator[Traffic]:
    """Create the topics, and produce at a steady rate until the end of the `with`."""
    sys.stdout.write(f"seed {SEED}\n")
    kafka.create_topic(names.topic, PARTITIONS)
    kafka.create_topic(names.dead_letters, 2, {"max.message.bytes": "2000000"})
    traffic = Traffic(kafka, names, Account(), {}, {})

    def told(record: GeneratedRecord, partition: int, offset: int) -> None:
        traffic.account.produced(partition, offset, record.expectation)

    with producing(kafka, names.topic, generate(SEED, None, SMALL), RATE, told):
        yield traffic


@final
class Fleet:
    """Workers of one group, each with the Kafka properties that it was started with."""

    def __init__(self, traffic: Traffic, server: SandboxProgram, folder: Path, stack: ExitStack) -> None:
        self.redelivered = 0.0
        self.workers: list[WorkerProgram] = []
        self._traffic = traffic
        self.server = server
        self._folder = folder
        self._stack = stack
        self._started = 0

    def environment(self, properties: Mapping[str, Any]) -> dict[str, str]:
        """Return what a worker is started with."""
        return environment(self._traffic, self.server, KAFKA__PROPERTIES=json.dumps(properties))

    def start(self, properties: Mapping[str, Any]) -> WorkerProgram:
        """Start one more."""
        self._started += 1
        program = WorkerProgram(self.environment(properties), self._folder / f"worker-{self._started}")
        self._stack.callback(program.kill)
        self.workers.append(program)
        return program

    def end(self, program: WorkerProgram) -> None:
        """End one with SIGTERM, in good order."""
        self.workers.remove(program)
        self.redelivered += program.metrics()["records_redelivered_total"]
        assert program.terminate(GRACE_S) == 0

    def wait_until_shared(self) -> None:
        """Return when each has partitions, and every partition is somebody's."""

        def shared() -> bool:
            owned = [each.metrics()["partitions_assigned"] if each.ready() else 0 for each in self.workers]
            return all(owned) and sum(owned) == PARTITIONS

        wait_until(shared, f"the partitions are shared: {[each.ready() for each in self.workers]}")

    def roll(self, properties: Mapping[str, Any]) -> None:
        """Replace one after the other, each when all before have partitions."""
        for program in list(self.workers):
            self.end(program)
            self.start(properties)
            self.wait_until_shared()

    def is_classic(self) -> bool:
        """Say whether the group is one of the classic protocol."""
        own = settings_of(self._traffic.kafka, self._traffic.names, {})
        return members(client(own), own.group_id, ANSWER_S).is_classic


@contextmanager
def fleet(traffic: Traffic, folder: Path, properties: Mapping[str, Any]) -> Iterator[Fleet]:
    """Run workers; when the `with` has ended, everything is settled and they have left."""
    with sandbox(*JOBS) as server, ExitStack() as stack:
        workers = Fleet(traffic, server, folder, stack)
        for _ in range(WORKERS):
            workers.start(properties)
        workers.wait_until_shared()
        yield workers


def judge(traffic: Traffic, workers: Fleet) -> None:
    """Wait until all is settled; nothing may be lost, or have taken effect twice."""
    wait_until(traffic.is_committed, "everything is committed")
    for program in list(workers.workers):
        workers.end(program)
    balance = traffic.balance(workers.server)

    assert balance.faults == []
    assert (balance.lost, balance.repeated) == (0, 0)
    assert workers.redelivered == 0


@pytest.mark.timeout(420)
def test_a_group_changes_over_and_back_in_rolling_deployments(kafka: Cluster, names: Names, tmp_path: Path) -> None:
    """With range, workers of both protocols share the partitions until the last of one is replaced; both ways."""
    with ExitStack() as stack:
        with load(kafka, names) as traffic:
            workers = stack.enter_context(fleet(traffic, tmp_path, RANGE))
            assert workers.is_classic()
            workers.roll(CONSUMER)
            assert not workers.is_classic()
            workers.roll(RANGE)
            assert workers.is_classic()
        judge(traffic, workers)


@pytest.mark.timeout(420)
def test_a_fleet_with_the_default_assignor_changes_over_when_its_last_worker_stops(
    kafka: Cluster, names: Names, tmp_path: Path
) -> None:
    """Workers with group.protocol=consumer wait beside it, and take over when it stops; the way back is by rolling."""
    with ExitStack() as stack:
        with load(kafka, names) as traffic:
            workers = stack.enter_context(fleet(traffic, tmp_path, COOPERATIVE))
            old = list(workers.workers)
            new = [workers.start(CONSUMER) for _ in range(WORKERS)]
            for program in new:
                wait_until(lambda program=program: "kafka_unavailable" in program.ready().get("halts", {}), "it waits")  # type: ignore[misc]
                halt = program.ready()["halts"]["kafka_unavailable"]
                assert "assign by cooperative-sticky" in halt["cause"]
                assert "this worker joins when the last one has left" in halt["action"]
            done = run("check", "--format", "json", environment=workers.environment(CONSUMER))
            (report,) = done.objects()
            assert "cooperative-sticky" in {each["id"]: each["seen"] for each in report["findings"]}["group.refused"]
            for program in old:
                workers.end(program)
            workers.wait_until_shared()
            assert not workers.is_classic()
            workers.roll(COOPERATIVE)
            assert workers.is_classic()
        judge(traffic, workers)


@on_a_loop
async def test_a_worker_that_cannot_join_classic_members_waits_for_their_end(kafka: Cluster, names: Names) -> None:
    """With KIP-848, members by cooperative-sticky are a fault that says so, until the last one has left.

    Who joins all the same is refused, and told no more than that the group does not exist.
    """
    kafka.create_topic(names.topic, 2)
    async with member(kafka, names) as first:
        await until(lambda: len(first.owned) == 2, "the first one has all")  # its next assignment holds data
        async with member(kafka, names) as second:
            await until_shared(first, second, partitions=2)
            told = await asyncio.to_thread(probing.refusal, settings_of(kafka, names, PROPERTIES["broker"]))
            assert "The group id does not exist" in str(told)
            async with member(kafka, names, "broker") as third:
                await until(lambda: "cooperative-sticky" in refusal(third), "the refusal is told")
                await first.source.stop()
                await until(lambda: len(second.owned) == 2, "the second one has all")
                assert third.events == []
                await second.source.stop()
                await until(lambda: len(third.owned) == 2, "the third one has all")
                await until(lambda: refusal(third) == "", "the refusal is over")
                assert third.failures == []


@on_a_loop
async def test_a_worker_joins_classic_members_that_assign_by_range(kafka: Cluster, names: Names) -> None:
    """With KIP-848, members by range are joined, and members of both protocols share the partitions."""
    kafka.create_topic(names.topic, 2)
    async with member(kafka, names, "eager") as first:
        await until(lambda: len(first.owned) == 2, "the first one has all")
        async with member(kafka, names, "broker") as second:
            await until_shared(first, second, partitions=2)
            assert refusal(second) == ""
        await until(lambda: len(first.owned) == 2, "the first one has all again")
