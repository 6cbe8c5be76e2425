"""Where chaos can be played."""

import os
from pathlib import Path

import pytest

from tests.chaos.toxiproxy import missing
from tests.needs import need


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder for the logs to a test that kills its broker and spoils connections; skips it where none can be."""
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        pytest.skip("an external cluster is neither killed nor restarted")
    need(missing())
    return tmp_path
