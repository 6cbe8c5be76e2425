"""Ordinary traffic for some seconds. `make soak` is the long form, which looks at memory and tasks, too."""

from pathlib import Path

import pytest

from bench.soak import ALLOWED, grown, least, soak
from tests.kafka.cluster import Cluster


@pytest.mark.kafka
@pytest.mark.timeout(200)
def test_nothing_is_left_of_a_rebalance(kafka: Cluster, tmp_path: Path) -> None:
    """A neighbour that comes and goes leaves neither descriptors nor threads behind."""
    looks, delivered = soak(kafka, tmp_path, 24, 200, visits=2)

    assert delivered > 0
    assert min(min(look[name] for look in looks) for name in ALLOWED) > 0
    assert not {"descriptors", "threads"} & set(grown(least(looks)))
