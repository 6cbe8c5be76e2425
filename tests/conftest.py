"""Whether the real-Kafka suite can run, and that nobody overlooks that it did not."""

import os

import pytest

from tests.kafka.cluster import available

NOT_RUN = "real-Kafka suite: NOT RUN"

missing_kafka = pytest.StashKey[str]()
"""Why there is no Kafka, once a run that wants one found out."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a Kafka skip the tests that need one; where `REQUIRE_KAFKA=1` says that it must be there, end the run."""
    needing = [item for item in items if item.get_closest_marker("kafka")]
    reason = available() if needing else None
    if reason is None:
        return
    if os.environ.get("REQUIRE_KAFKA") == "1":
        pytest.exit(f"REQUIRE_KAFKA=1, but there is no Kafka: {reason}", returncode=1)
    config.stash[missing_kafka] = reason
    for item in needing:
        item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Say last of all, after pytest's own summary, that the suite did not run."""
    if missing_kafka in config.stash:
        terminal = config.get_terminal_writer()
        terminal.line(config.stash[missing_kafka])
        terminal.line(NOT_RUN)
