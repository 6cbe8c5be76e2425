"""Ten faults on real parts: the page names the cause, since when, and what to do, as docs/status-page.md says."""

from pathlib import Path

import pytest

from tests.kafka.cluster import Cluster
from tests.operation.conftest import demand
from tests.operation.faults import FAULTS, documented, shown_by


def test_every_fault_is_documented() -> None:
    """docs/status-page.md has a row for each staged fault, in their order."""
    assert list(documented()) == list(FAULTS)


@pytest.mark.kafka
@pytest.mark.parametrize("fault", FAULTS)
def test_the_first_line_names_cause_time_and_action(fault: str, kafka: Cluster, tmp_path: Path) -> None:
    """For each fault, the page shows what docs/status-page.md says, but for names and numbers."""
    demand("chromium")
    expected = documented()[fault]
    shown, _ = shown_by(fault, kafka, tmp_path, lambda seen: seen == expected)

    assert shown == expected
