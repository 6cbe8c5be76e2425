"""Outages on the real stack, in hastened rules: of each its cause alone is told, once. `make drill` plays more."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from processor.settings.container import memory_limit
from tests.kafka.cluster import Cluster
from tests.operation.conftest import demand
from tests.operation.drill import OUTAGES, QUICK, Played, documented, played
from tests.operation.test_rules import DASHBOARDS

BESIDE = (
    "the key is revoked",
    "FullStory asks to wait, all the time",
    "FullStory answers 503",
    "the jobs of FullStory take long",
)


def queries() -> Iterator[tuple[str, str]]:
    """Yield the name and the query of every line of every panel, with what Grafana would put in."""
    for file in DASHBOARDS:
        for panel in json.loads(file.read_text(encoding="utf-8"))["panels"]:
            for target in panel["targets"]:
                query = target["expr"]
                for choice in ("$namespace", "$job", "$instance"):
                    query = query.replace(choice, ".*")
                yield f"{file.stem}: {panel['title']}", query.replace("$__rate_interval", "10s")


def assert_told(outcome: Played, names: Sequence[str]) -> None:
    """Assert that of each outage its cause is told, once, in whole sentences."""
    said = [text for told in outcome.told.values() for text in told.texts]

    assert {name: told.names for name, told in outcome.told.items()} == {name: [OUTAGES[name].cause] for name in names}
    assert not [text for text in said if "{{" in text or "error" in text]


def test_the_runbook_shows_that_each_outage_is_told_once() -> None:
    """The runbook has a row of each outage, by which its cause was told, and nothing else."""
    rows = documented()

    assert list(rows) == list(OUTAGES)
    for name, outage in OUTAGES.items():
        told = rf"{outage.cause} \| \d+ s \| 1 \| yes" if outage.cause else r"none \| \| 0 \| nothing is to be told"
        assert re.fullmatch(rf"\| {re.escape(name)} \| {told} \|\n", rows[name])


@pytest.mark.kafka
def test_the_cause_of_each_outage_is_told_once(kafka: Cluster, tmp_path: Path) -> None:
    """Four outages, each of a deployment of its own, are four notifications, also of what they leave behind.

    In the end every query of every dashboard gives data, but for the container's memory limit where there is none.
    """
    demand("prometheus", "prometheus-alertmanager")
    with played(BESIDE, kafka, tmp_path, QUICK) as outcome:
        empty = [name for name, query in queries() if not outcome.prometheus.query(query)]

    assert_told(outcome, BESIDE)
    assert empty == ([] if memory_limit() else ["kafka: Memory"])


@pytest.mark.kafka
def test_brokers_that_are_gone_are_told_once(own_kafka: Cluster, tmp_path: Path) -> None:
    """Brokers that are gone are one notification, and the worker goes on when they are back."""
    demand("prometheus", "prometheus-alertmanager")
    names = ("the broker is stopped",)
    with played(names, own_kafka, tmp_path, QUICK) as outcome:
        assert_told(outcome, names)
