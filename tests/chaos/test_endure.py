"""What anybody can do to a worker, for a minute. `make endure` is the long form, which bounds ages too."""

from pathlib import Path

import pytest

from tests.chaos.endure import endure
from tests.kafka.cluster import Cluster
from tests.kafka.conftest import Names


@pytest.mark.kafka
@pytest.mark.timeout(400)
def test_one_stops_no_other(kafka: Cluster, names: Names, tmp_path: Path) -> None:
    """A log that nobody reads, 2,000 half-open connections and unreadable headers together cost no record."""
    result = endure(kafka, names, tmp_path, 60, 200, print)

    assert result["faults"] == []
    assert result["log_lines_lost"] > 0
