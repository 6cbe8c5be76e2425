"""A real Kafka to measure with: the one that `KAFKA_BOOTSTRAP_SERVERS` names, else one of our own."""

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

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
