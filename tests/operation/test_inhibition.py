"""One cause, one page: what a real Alertmanager tells of all that fires in an outage."""

import re
import subprocess
from collections.abc import Mapping
from typing import Any

import yaml

from processor.model.reasons import HaltReason
from tests.operation.alertmanager import CONFIG, Alertmanager, Labels, Webhook, labels_of
from tests.operation.prometheus import ROOT, RULES
from tests.operation.test_rules import FOLDER, alerts, text

LABEL = re.compile(r'(\w+)="([^"]*)"')
RUNBOOK = ROOT / "docs" / "runbook.md"
INHIBIT = yaml.safe_load(text(CONFIG))["inhibit_rules"]
ROUTE = yaml.safe_load(text(CONFIG))["route"]
CAUSES = yaml.safe_load(text(FOLDER / "causes.yaml"))["tests"]


def fired(case: Mapping[str, Any]) -> list[list[Labels]]:
    """Return what fires in a case, moment by moment, with the labels that Prometheus sends."""
    samples = [moment["exp_samples"] for moment in case["promql_expr_test"]]
    return [[dict(LABEL.findall(each["labels"])) for each in moment] for moment in samples]


def told(webhook: Webhook) -> list[tuple[str, str]]:
    """Return the job and the alert of each notification."""
    labels = [labels_of(each)[0] for each in webhook.told]
    return [(each["job"], each["alertname"].removeprefix("SegmentFullstory")) for each in labels if "step" not in each]


def names(matchers: list[str]) -> list[str]:
    """Return the alerts that the first matcher is about."""
    found = re.fullmatch(r"alertname =~? \"?SegmentFullstory\(?([\w|]+)\)?\"?", matchers[0])
    assert found, matchers
    return found[1].split("|")


def test_amtool_accepts_the_configuration(amtool: str) -> None:
    """Alertmanager's own tool finds nothing wrong."""
    done = subprocess.run([amtool, "check-config", str(CONFIG)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_only_alerts_and_labels_that_there_are_are_matched() -> None:
    """Each matcher of an alert's name matches alerts that there are, and no rule inhibits its own source."""
    for rule in INHIBIT:
        sources, targets = names(rule["source_matchers"]), names(rule["target_matchers"])
        assert {f"SegmentFullstory{each}" for each in sources + targets} <= set(alerts())
        assert not set(sources) & set(targets)
        assert rule["equal"][:2] == ["namespace", "job"]


def test_halts_that_stop_everything_are_the_same_everywhere() -> None:
    """Rules and inhibition name the same halts that leave other partitions going on, and each of them exists."""
    (inhibits,) = {each for rule in INHIBIT for each in rule["source_matchers"] if each.startswith("reason !~")}
    (rules,) = re.findall(r'SegmentFullstoryHalted"[^}]*reason!~"([^"]*)"', text(RULES))

    assert inhibits == f'reason !~ "{rules}"'
    assert set(rules.split("|")) < {each.value for each in HaltReason}


def test_what_is_critical_is_sent_soon_but_for_symptoms_that_there_are() -> None:
    """The route of what is critical leaves out only alerts that there are, and those are critical, too."""
    (soon,) = ROUTE["routes"]
    severity, left_out = soon["matchers"]
    rules = [each for group in yaml.safe_load(text(RULES))["groups"] for each in group["rules"] if "alert" in each]
    critical = {each["alert"] for each in rules if each["labels"]["severity"] == "critical"}

    assert severity == "severity = critical"
    assert set(names([left_out.replace("!~", "=~")])) < {each.removeprefix("SegmentFullstory") for each in critical}


def test_each_section_of_the_runbook_begins_with_the_causes() -> None:
    """The section of an alert that others inhibit begins with links to those."""
    causes: dict[str, set[str]] = {}
    for rule in INHIBIT:
        for target in names(rule["target_matchers"]):
            causes.setdefault(target, set()).update(names(rule["source_matchers"]))
    sections = dict(re.findall(r"(?m)^## SegmentFullstory(\w+)\n\nCause first: ((?:.+\n)+)", text(RUNBOOK)))

    causes["Stalled"].add("KafkaUnreachable")  # the rules themselves know these
    causes["PartitionStuck"] = {"HeldUp", "CrashLooping", "Stalled"}

    assert {name: set(re.findall(r"\[(\w+)\]", first)) for name, first in sections.items()} == causes


def test_one_cause_is_one_notification_that_names_it(alertmanager: Alertmanager) -> None:
    """Of all that an outage makes fire, until hours after its end, its cause alone is told, once."""
    cases = [(case["name"].rpartition(": ")[2], fired(case)) for case in CAUSES]
    with Webhook() as webhook:
        alertmanager.start(webhook.url)
        for moment in zip(*(moments for _, moments in cases), strict=True):
            alertmanager.fires([alert for alerts_ in moment for alert in alerts_], webhook)
        alertmanager.fires([], webhook)
        jobs = {moments_job(moments): cause for cause, moments in cases}

        assert len(jobs) == len(cases)
        assert sorted(told(webhook)) == sorted(jobs.items())


def test_another_cause_is_another_notification(alertmanager: Alertmanager) -> None:
    """A cause hides what follows from it, and nothing of another worker, partition, deployment or namespace."""
    cases: dict[str, tuple[list[tuple[str, Labels]], set[str]]] = {
        "one partition halts, another one is stuck": (
            [("Halted", {"reason": "gap"}), ("PartitionStuck", {"topic": "t", "partition": "1"}), ("HeldUp", {})],
            {"Halted", "PartitionStuck", "HeldUp"},
        ),
        "a wrong key, and a partition that stood still before": (
            [("Halted", {"reason": "unauthorized"}), ("PartitionStuck", {}), ("RecordsGone", {})],
            {"Halted", "PartitionStuck", "RecordsGone"},
        ),
        "a worker without brokers, and another one stalls": (
            [("KafkaUnreachable", {}), ("Stalled", {"instance": "b"}), ("TopicUnread", {})],
            {"KafkaUnreachable", "Stalled"},
        ),
        "a worker restarts, and another one is down": (
            [("CrashLooping", {"instance": "a"}), ("Down", {"instance": "b"}), ("Late", {})],
            {"CrashLooping", "Down", "Late"},
        ),
        "the same worker": (
            [(name, {"instance": "a"}) for name in ("CrashLooping", "Down", "Stalled")],
            {"CrashLooping"},
        ),
        "in another namespace": (
            [("Halted", {"reason": "unauthorized", "namespace": "x"}), ("HeldUp", {"namespace": "y"})],
            {"Halted", "HeldUp"},
        ),
        "the dead-letter topic is missing": (
            [("Halted", {"reason": "dead_letter_topic"}), ("DeadLetterTopicRefuses", {"outcome": "refused"})],
            {"Halted"},
        ),
        "too many would be dead-lettered": (
            [("Halted", {"reason": "dead_letter_ratio"}), ("DeadLetters", {}), ("Throttled", {})],
            {"Halted"},
        ),
        "the brokers keep no metadata": ([("Halted", {"reason": "offset_metadata"}), ("CommitsFail", {})], {"Halted"}),
        "a wrong key, and a registry that is down": (
            [("Halted", {"reason": "unauthorized"}), ("RegistryDown", {}), ("DeadLetters", {})],
            {"Halted", "RegistryDown", "DeadLetters"},
        ),
        "FullStory asks to wait now and then": (
            [("Throttled", {}), ("LagGrows", {}), ("LateForLong", {})],
            {"Throttled"},
        ),
        "the registry is down": (
            [("RegistryDown", {}), ("HeldUp", {"topic": "t", "partition": "0"})],
            {"RegistryDown"},
        ),
    }
    fires = [
        {"alertname": f"SegmentFullstory{name}", "job": job, **labels}
        for job, (alerts_, _) in cases.items()
        for name, labels in alerts_
    ]
    with Webhook() as webhook:
        alertmanager.start(webhook.url)
        alertmanager.fires(fires, webhook)

        assert sorted(told(webhook)) == sorted((job, name) for job, (_, names) in cases.items() for name in names)


def moments_job(moments: list[list[Labels]]) -> str:
    """Return the job whose alerts these are."""
    (job,) = {alert["job"] for moment in moments for alert in moment}
    return job
