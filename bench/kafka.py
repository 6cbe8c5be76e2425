"""A real Kafka to measure with, the one that `KAFKA_BOOTSTRAP_SERVERS` names or else one of our own; and workers."""

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from tests.kafka.cluster import Cluster, ExternalCluster, KafkaCluster, available
from tests.kafka.conftest import Names
from tests.kafka.programs import WorkerProgram, memory_bytes, wait_until, worker


@contextmanager
def kafka() -> Iterator[Cluster]:
    """Give a cluster until the end of the `with`; raises `ClickException` where there is none."""
    if (reason := available()) is not None:
        raise click.ClickException(f"this needs a real Kafka: {reason}")
    if external := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield ExternalCluster(external)
        return
    with tempfile.TemporaryDirectory(prefix="bench-kafka-") as folder, KafkaCluster(Path(folder)) as cluster:
        yield cluster


def create(cluster: Cluster, partitions: int) -> Names:
    """Create a topic and its dead-letter topic; return their names, and that of a new group."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    cluster.create_topic(name, partitions)
    cluster.create_topic(f"{name}-dlq")
    return Names(name, f"{name}-dlq", name)


@contextmanager
def shared_out(environment: dict[str, str], folder: Path, count: int) -> Iterator[list[WorkerProgram]]:
    """Run so many workers, each of which has partitions; their logs are in the folder."""
    with ExitStack() as stack:
        programs = [stack.enter_context(worker(environment, folder / f"{each}.log")) for each in range(count)]
        wait_until(
            lambda: all(program.ready() and program.metrics()["partitions_assigned"] for program in programs),
            "every worker has partitions",
        )
        yield programs


def cpu_s(pid: int) -> float:
    """Return user and system time of a process, and of the children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int, name: str) -> float:
    """Return what the kernel says of a process' memory: `VmRSS` is resident now, `VmHWM` was at most."""
    return memory_bytes(pid, name) / 2**20
