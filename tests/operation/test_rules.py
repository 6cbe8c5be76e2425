"""Rules and dashboards: sound, tested, explained, and about metrics that there are."""

import json
import re
import runpy
import subprocess
from pathlib import Path

import pytest

from processor.adapters.telemetry.catalogue import CATALOGUE
from tests.operation.prometheus import FASTER, ROOT, RULES, faster
from tests.operation.rule_tools import TESTS

FOLDER = RULES.parent
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
ALERT = re.compile(r"(?m)^ +- alert: (\w+)$")
METRIC = re.compile(r"\bsegment_fullstory_([a-z_]+)\b")
HISTOGRAM_SUFFIX = re.compile(r"_(bucket|count|sum)\Z")


def text(file: Path) -> str:
    """Return what the file says."""
    return file.read_text(encoding="utf-8")


def alerts() -> list[str]:
    """Return the names of all alerts."""
    return ALERT.findall(text(RULES))


def unknown(source: str) -> set[str]:
    """Return the metrics that the source names and the worker does not have."""
    names = {each.name for each in CATALOGUE}
    return {name for name in METRIC.findall(source) if name not in names | {"build_info"}} - {
        name for name in METRIC.findall(source) if HISTOGRAM_SUFFIX.sub("", name) in names
    }


@pytest.mark.parametrize("command", ["check rules rules.yaml", *(f"test rules {each}" for each in TESTS)])
def test_prometheus_accepts_them(promtool: str, command: str) -> None:
    """The rules are well-formed, and each alert fires where it should and does not where it should not."""
    done = subprocess.run([promtool, *command.split()], cwd=FOLDER, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tested_both_ways_and_has_its_section() -> None:
    """Each alert has a case in which it fires, one in which it does not, and its section of the runbook."""
    cases, runbook, rules = text(FOLDER / "tests.yaml"), text(ROOT / "docs" / "runbook.md"), text(RULES)
    sections = re.findall(r"(?m)^## (\w+)$", runbook)

    assert sections == alerts()
    for alert in alerts():
        assert f'"{alert}: fires"' in cases
        assert len(re.findall(rf'"{alert}: (?!fires")', cases)) >= 1
        assert f"runbook_url: docs/runbook.md#{alert.lower()}" in rules


def test_the_runbook_says_of_each_how_soon_it_comes() -> None:
    """Each alert is in the section on how soon one is told, but for what is only for information."""
    section = text(ROOT / "docs" / "runbook.md").partition("\n## How soon you are told\n")[2].partition("\n## ")[0]

    assert {name for name in alerts() if name.removeprefix("SegmentFullstory") not in section} == {
        "SegmentFullstoryRedelivers"
    }


def test_each_says_what_is_wrong() -> None:
    """Each alert has a severity, a summary and a description."""
    found = text(RULES)
    for word in ("severity:", "summary:", "description:"):
        assert found.count(f"  {word}") == len(alerts())


@pytest.mark.parametrize("file", [RULES, *DASHBOARDS], ids=lambda file: file.name)
def test_the_worker_has_every_metric_that_is_asked_for(file: Path) -> None:
    """Rules and dashboards query only metrics that exist."""
    assert unknown(text(file)) == set()


@pytest.mark.parametrize("file", [RULES, *DASHBOARDS], ids=lambda file: file.name)
def test_no_bound_is_asked_for_in_one_form_alone(file: Path) -> None:
    """The bound of a histogram may be called 60 or 60.0, by whatever brings it to Prometheus."""
    for bound in re.findall(r"""\ble(?:=~|=|!=)\\?"([^"\\]*)""", text(file)):
        whole = bound.split("|")[0]
        assert bound == f"{whole}|{whole}[.]0"


def test_the_dashboards_are_what_their_source_makes() -> None:
    """The dashboards are what `make dashboards` writes now."""
    source = runpy.run_path(str(ROOT / "deploy" / "grafana" / "build.py"))
    made = {name: source["text_of"](name) for name in sorted(source["DASHBOARDS"])}

    assert made == {file.stem: text(file) for file in DASHBOARDS}


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.name)
def test_every_panel_shows_the_chosen_workers(file: Path) -> None:
    """Each query of a metric asks for the namespaces, deployments and workers that are chosen."""
    chosen = {"namespace", "job", "instance"}
    shown = json.loads(text(file))

    assert {each["name"] for each in shown["templating"]["list"]} == {"datasource"} | chosen
    for query in (target["expr"] for panel in shown["panels"] for target in panel["targets"]):
        for labels in re.findall(r"(?:segment_fullstory|process)_\w+\{(.*?)\}", query):
            assert set(re.findall(r'(\w+)=~"\$\1"', labels)) == chosen


def test_a_faster_world_has_no_slow_window_left() -> None:
    """Every duration of the rules is one that the staged outage has time for."""
    assert FASTER == 60
    assert faster("rate(x[1h]) and y offset 30m\n for: 2m\n") == "rate(x[60000ms]) and y offset 30000ms\n for: 2000ms\n"
    assert faster(" interval: 30s\n for: 0m\n") == " interval: 500ms\n for: 0ms\n"
    assert not re.search(r"\[\d+[mhd]\]|for: \d+[mhd]\b|offset \d+[mhd]\b", faster(text(RULES)))
