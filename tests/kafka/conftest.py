"""A running Kafka for the suite, and names of their own for its tests."""

import os
import signal
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import pytest

from tests.kafka.cluster import Cluster, ExternalCluster, KafkaCluster


@final
@dataclass(frozen=True, slots=True)
class Names:
    """Names that no other test uses, on a cluster that all share."""

    topic: str
    dead_letters: str
    group: str


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark every test of this folder."""
    item.add_marker(pytest.mark.kafka)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Give the cluster that the whole suite shares."""
    external = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if external:
        yield ExternalCluster(external)
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a run that is ended must not leave its broker behind
    with KafkaCluster(tmp_path_factory.mktemp("kafka")) as cluster:
        yield cluster


@pytest.fixture
def own_kafka(kafka: Cluster) -> Cluster:
    """Give the cluster to a test that kills or restarts it; skips the test where the cluster is not ours."""
    if isinstance(kafka, ExternalCluster):
        pytest.skip("an external cluster is neither killed nor restarted")
    return kafka


@pytest.fixture
def names() -> Names:
    """Give a test its own topics and group; the topics are not created yet."""
    unique = uuid.uuid4().hex[:12]
    return Names(topic=f"segment-{unique}", dead_letters=f"segment-{unique}-dlq", group=f"group-{unique}")
