"""Eleven faults on real parts: the page names the cause, since when, and what to do, as docs/status-page.md says."""

import json
from html import unescape
from pathlib import Path

import pytest

from tests.kafka.cluster import Cluster
from tests.kafka.conftest import Names
from tests.kafka.programs import ask, sandbox, wait_until
from tests.operation.conftest import demand
from tests.operation.faults import FAULTS, Stage, documented, shown_by


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


@pytest.mark.kafka
def test_log_page_and_probe_say_why_requests_fail(kafka: Cluster, names: Names, tmp_path: Path) -> None:
    """FullStory's port is closed while the worker delivers: each of the three says so in the runbook's words."""
    with sandbox("--job-seconds", "0.1", "0.2") as server:
        stage = Stage(kafka, server, tmp_path, names)
        stage.create_topics()
        program = stage.start()
        try:
            stage.produce()
            wait_until(lambda: program.metrics()["records_delivered_total"] == 1, "all is well at first")
            assert program.ready()["errors"] == []

            server.kill()
            stage.produce()
            why = (
                f"{server.url.removeprefix('http://')} refuses connections: "
                "check PROCESSOR_FULLSTORY__BASE_URL, and that it runs"
            )
            retried = f'"reason": "connection", "detail": "{why}", "call": "request", "event": "request retried"'
            wait_until(lambda: retried in program.said(), f"the log says why; it says: {program.said()[-2_000:]}")
            wait_until(lambda: why in json.dumps(program.ready()["errors"]), "the probe says why")
            page = unescape(ask(f"http://{program.address}/").decode())
            wait_until(lambda: "fullstory_unavailable" in program.ready()["halts"], "the outage is known")
        finally:
            stage.close()

    assert why in page
    assert why in program.said().partition('"reason": "fullstory_unavailable"')[2]
