"""Whether the programs are here that an operator uses, and a Prometheus that runs."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operation.prometheus import Prometheus


def demand(*programs: str) -> None:
    """Skip where one of the programs is missing, or fail where everything must be tested."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        said = f"{', '.join(missing)} not found: on Debian the packages prometheus and chromium have them"
        (pytest.fail if os.environ.get("REQUIRE_KAFKA") == "1" else pytest.skip)(said)


@pytest.fixture(scope="session")
def promtool() -> str:
    """Give Prometheus' tool for rules."""
    demand("promtool")
    return "promtool"


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Prometheus]:
    """Give a Prometheus that is not started yet."""
    demand("prometheus")
    server = Prometheus(tmp_path)
    yield server
    server.stop()
