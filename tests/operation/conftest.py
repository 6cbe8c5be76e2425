"""Whether the programs are here that an operator uses, and a Prometheus that runs."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.needs import need
from tests.operation.alertmanager import Alertmanager


def demand(*programs: str) -> None:
    """Skip where one of the programs is missing, or fail where everything must be tested."""
    if missing := [program for program in programs if shutil.which(program) is None]:
        need(f"{', '.join(missing)} not found: Debian's prometheus, prometheus-alertmanager and chromium have them")


@pytest.fixture(scope="session")
def promtool() -> str:
    """Give Prometheus' tool for rules."""
    demand("promtool")
    return "promtool"


@pytest.fixture(scope="session")
def amtool() -> str:
    """Give Alertmanager's tool for configurations."""
    demand("amtool")
    return "amtool"


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Alertmanager]:
    """Give an Alertmanager that is not started yet."""
    demand("prometheus-alertmanager")
    server = Alertmanager(tmp_path)
    yield server
    server.stop()
