"""The suite of Kafka: every test of this folder needs one."""

from dataclasses import dataclass
from typing import final

import pytest

from tests.kafka.cluster import Cluster, ExternalCluster


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


@pytest.fixture
def own_kafka(kafka: Cluster) -> Cluster:
    """Give the cluster to a test that kills or restarts it; skips the test where the cluster is not ours."""
    if isinstance(kafka, ExternalCluster):
        pytest.skip("an external cluster is neither killed nor restarted")
    return kafka
