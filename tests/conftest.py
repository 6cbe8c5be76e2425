"""A running Kafka for all who need one, that nobody overlooks where there is none, and what may run side by side."""

import os
import signal
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.kafka.cluster import Cluster, ExternalCluster, KafkaCluster, available
from tests.kafka.conftest import Names
from tests.needs import SERVERS, need

settings.register_profile("busy", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
"""Hypothesis has no clock, because a busy machine is no failure."""

NOT_RUN = "real-Kafka suite: NOT RUN"
WITH_SERVERS = {"kafka", "registry", "operation", "gateways"}
"""Folders of which every test is marked `servers`; elsewhere a test is marked by itself."""
SHARED = {"kafka", "registry", "registry_3", "either"}
"""Servers that are started once for each process, so all of their tests run in few: those of tests/kafka, which take as
long as all others, in two halves, and the others in a third one; each has a Kafka of its own."""

missing_kafka = pytest.StashKey[str]()
"""Why there is no Kafka, once a run that wants one found out."""
running = pytest.StashKey[pytest.Item]()
"""The test that runs."""


def pytest_configure(config: pytest.Config) -> None:
    """Refuse servers to tests that are not marked as needing them, so that the marker can be relied on."""

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen" and (name := Path(os.fsdecode(arguments[0])).name) in SERVERS:
            item = config.stash.get(running, None)
            if item is not None and not item.get_closest_marker("servers"):
                raise AssertionError(f"{item.nodeid} starts {name}, but is not marked `servers`")

    sys.addaudithook(refuse)


@pytest.hookimpl(trylast=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark by folder which tests need servers, and keep tests that share a server together.

    This is done as a test is collected: pytest-xdist reads the groups before a later hook could add one.
    """
    needs_kafka = item.get_closest_marker("kafka") is not None
    if needs_kafka or item.path.parent.name in WITH_SERVERS:
        item.add_marker(pytest.mark.servers)
    if needs_kafka or not SHARED.isdisjoint(getattr(item, "fixturenames", ())):
        item.add_marker(pytest.mark.xdist_group(_group_of(item.path)))


def _group_of(file: Path) -> str:
    if file.parent.name != "kafka":
        return "servers"
    return "kafka-1" if file.stem < "test_n" else "kafka-2"  # halves by time, 20 minutes each


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let the tests that load the machine come at the end, and find out whether there is a Kafka if one is needed."""
    items.sort(key=lambda item: "/chaos/" in item.nodeid)
    if not any(item.get_closest_marker("kafka") for item in items) or (reason := available()) is None:
        return
    config.stash[missing_kafka] = reason
    if hasattr(config, "workeroutput"):
        config.workeroutput["missing_kafka"] = reason


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Without a Kafka skip the tests that need one; where `REQUIRE_KAFKA=1` says that it must be there, they fail."""
    item.config.stash[running] = item
    if item.get_closest_marker("kafka"):
        need(item.config.stash.get(missing_kafka, None))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a process of several found out."""
    if reason := getattr(node, "workeroutput", {}).get("missing_kafka"):
        node.config.stash[missing_kafka] = reason


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Say last of all, after pytest's own summary, that the suite did not run."""
    if missing_kafka in config.stash and not hasattr(config, "workeroutput"):
        terminal = config.get_terminal_writer()
        terminal.line(config.stash[missing_kafka])
        terminal.line(NOT_RUN)


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
