"""A real Kafka to measure with: the one that `KAFKA_BOOTSTRAP_SERVERS` names, else one of our own."""

import os
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import orjson

from processor.cli.generator import GeneratedRecord
from tests.kafka.cluster import Cluster, ExternalCluster, KafkaCluster, available
from tests.kafka.conftest import Names


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


def paced(records: Iterable[GeneratedRecord], rate: float, stop: threading.Event) -> Iterator[GeneratedRecord]:
    """Yield so many records a second, in bursts of a hundredth of a second, until told to stop."""
    started = time.monotonic()
    for number, record in enumerate(records):
        wait_s = started + number / rate - time.monotonic()
        if stop.is_set() or (wait_s > 0.01 and stop.wait(wait_s)):
            return
        yield record


def keep(file: Path | None, result: dict[str, object]) -> None:
    """Write a result file, where one is asked for."""
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
