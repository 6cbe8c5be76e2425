"""The Helm chart: what it makes is what Kubernetes and its operators take, whatever is switched on."""

import copy
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import pytest
import yaml

from docs.generate import VALUES_SCHEMA, values_schema
from processor import __version__
from processor.commands.main import main
from processor.settings import load
from tests.needs import need
from tests.operation.helm import CHART, DEFINITIONS, LEAST, definition, helm, missing, rendered, said
from tests.operation.prometheus import ROOT

OLDEST, NEWEST = "1.27.0", kubernetes_validate.latest_version()
BACKFILL = ["--topic", "segment", "--since", "2026-01-01", "--until", "2026-01-02"]
JOBS: dict[str, dict[str, Any]] = {"redrive": {"to": "fullstory"}, "backfill": {"named": "segment"}}
"""What delivers beside the workers, with what it is to be told."""
SWITCHES: dict[str, dict[str, Any]] = {
    "properties": {"properties": {"existingSecret": "logins", "schemaRegistryKey": "registry.json"}},
    "configFile": {"configFile": {"existingSecret": "kafka-login"}},
    "digest": {"image": {"digest": f"sha256:{'0' * 64}"}, "imagePullSecrets": [{"name": "pull"}]},
    "cache": {"schemaCache": {"enabled": False}},
    "disruption": {"podDisruptionBudget": {"enabled": False}},
    "spread": {"topologySpread": {"enabled": False}},
    "monitor": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}},
    "rules": {"prometheusRule": {"enabled": True, "runbookBase": "https://example.com/repository/"}},
    "dashboards": {"dashboards": {"enabled": True}},
    "network": {
        "networkPolicy": {
            "enabled": True,
            "extraEgress": [{"ports": [{"port": 8081}]}],
            "ingressFrom": [{"namespaceSelector": {}}],
        }
    },
    "autoscaling": {"autoscaling": {"enabled": True, "partitions": 24}},
    "redrive": {"redrive": {"enabled": True, "options": ["--since", "2h"], "suspend": True}},
    "backfill": {"backfill": {"enabled": True, "options": BACKFILL, "suspend": True}},
    "account": {"serviceAccount": {"create": False}},
    "extras": {
        "podLabels": {"team": "data"},
        "podAnnotations": {"note": "x"},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
        "extraEnv": [{"name": "SSL_CERT_FILE", "value": "/ca/ca.pem"}],
        "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
        "extraVolumeMounts": [{"name": "ca", "mountPath": "/ca"}],
        "resources": {"limits": {"memory": "1Gi"}},
    },
}


@pytest.fixture(autouse=True, scope="module")
def _has_helm() -> None:
    """Skip where there is no Helm, or fail where everything must be tested."""
    need(missing())


def combinations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield nothing switched, everything, each alone, and each alone left out."""
    yield "nothing", LEAST
    yield "everything", _with(*SWITCHES)
    for name in SWITCHES:
        yield name, _with(name)
        yield f"all but {name}", _with(*(each for each in SWITCHES if each != name))


def _with(*names: str) -> dict[str, Any]:
    values: dict[str, Any] = copy.deepcopy(LEAST)
    for name in names:
        for key, value in copy.deepcopy(SWITCHES[name]).items():
            values[key] = {**values[key], **value} if isinstance(values.get(key), dict) else value
    return values


COMBINATIONS = dict(combinations())


@pytest.mark.parametrize("values", list(COMBINATIONS.values()), ids=list(COMBINATIONS))
def test_kubernetes_and_its_operators_take_what_is_made(values: dict[str, Any], tmp_path: Path) -> None:
    """What the chart makes is valid for the oldest and the newest Kubernetes, without unknown fields."""
    for version in (OLDEST, NEWEST):
        for manifest in rendered(values, tmp_path, version):
            if manifest["kind"] in DEFINITIONS:
                jsonschema.validate(manifest, definition(manifest["kind"]))
            else:
                kubernetes_validate.validate(manifest, version, strict=True)


def test_helm_has_nothing_to_complain_about(tmp_path: Path) -> None:
    """`helm lint --strict` passes, and the package holds what the chart's links lead to."""
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(_with(*SWITCHES)), encoding="utf-8")
    linted = helm("lint", "--strict", str(CHART), "-f", str(file))
    assert linted.returncode == 0, said(linted)
    packed = helm("package", str(CHART), "--destination", str(tmp_path))
    assert packed.returncode == 0, said(packed)
    again = helm("template", "r", *map(str, tmp_path.glob("*.tgz")), "--kube-version", NEWEST, "-f", str(file))
    assert again.returncode == 0, said(again)
    assert "segment-fullstory-overview.json" in again.stdout
    assert "alert: SegmentFullstoryLate" in again.stdout


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"config": {}}, "config.KAFKA__BOOTSTRAP_SERVERS is not set"),
        ({"apiKey": {"existingSecret": ""}}, "apiKey.existingSecret is not set"),
        ({"config": {**LEAST["config"], "KAFKA__TOPIC": "slip"}}, "KAFKA__TOPIC"),
        ({"config": {**LEAST["config"], "FULLSTORY__API_KEY": "na1.secret"}}, "FULLSTORY__API_KEY"),
        ({"memoryBudgetMiB": 480}, "memoryBudgetMiB of 480 needs at least 604Mi"),
        ({"resources": {"limits": {"memory": "512M"}}}, "memory"),
        ({"autoscaling": {"enabled": True}}, "autoscaling.partitions is not set"),
        ({"autoscaling": {"enabled": True, "partitions": 2, "minReplicas": 3}}, "above autoscaling.partitions"),
        ({"redrive": {"options": ["--from-beginning"]}}, "/redrive/options/0"),
        ({"backfill": {"options": ["--from-beginning"]}}, "/backfill/options/0"),
        ({"backfill": {"enabled": True, "options": ["--topic", "segment"]}}, "/backfill/options"),
        ({"replica": 3}, "replica"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_work_is_refused_before_it_is_installed(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    """Values that cannot work are refused with a message that says what is wrong."""
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump({**LEAST, **changes}), encoding="utf-8")
    done = helm("template", "r", str(CHART), "--kube-version", NEWEST, "-f", str(file))
    assert done.returncode != 0
    assert words in said(done)


def test_the_documented_values_are_taken(tmp_path: Path) -> None:
    """The values of docs/kubernetes.md, together, make a worker and what scales it."""
    page = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    [begun] = re.findall(r"(?ms)^cat > values.yaml <<END\n(.+?)^END$", page)
    values = yaml.safe_load(begun)
    for more in re.findall(r"(?ms)^```yaml\n(.+?)^```$", page):
        values |= yaml.safe_load(more)
    kinds = {each["kind"] for each in rendered(values, tmp_path, NEWEST)}

    assert {"Deployment", "ScaledObject"} <= kinds


def deployment(tmp_path: Path, *names: str) -> dict[str, Any]:
    """Return the Deployment with these switched."""
    return next(each for each in rendered(_with(*names), tmp_path, NEWEST) if each["kind"] == "Deployment")


def test_the_worker_takes_the_settings_that_the_chart_gives_it(tmp_path: Path) -> None:
    """The worker's settings accept the chart's environment and key file, numbers as they were written."""
    numbers = {"BATCH__MAX_BYTES": 4_194_304, "DELIVERY__ORG_SHARE": 0.25, "READY__FAIL_ON_HALT": True}
    values = {**LEAST, "config": {**LEAST["config"], **numbers}}
    made = next(each for each in rendered(values, tmp_path, NEWEST) if each["kind"] == "Deployment")
    container = made["spec"]["template"]["spec"]["containers"][0]
    environment = {each["name"]: each["value"] for each in container["env"]}
    assert environment["PROCESSOR_BATCH__MAX_BYTES"] == "4194304"
    assert environment["PROCESSOR_DELIVERY__ORG_SHARE"] == "0.25"
    assert environment["PROCESSOR_READY__FAIL_ON_HALT"] == "true"
    key = tmp_path / "api-key"
    key.write_text("na1.key\n", encoding="utf-8")
    settings = load({**environment, "PROCESSOR_FULLSTORY__API_KEY_FILE": str(key)})
    assert settings.memory.budget_bytes == 256 * 2**20
    assert settings.kafka.topics == ("segment",)


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_a_pod_like_the_workers_that_nothing_takes_for_one(name: str, tmp_path: Path) -> None:
    """The Job has what the workers have and other labels; with other options it is another Job, which the CLI takes."""
    made = {each["kind"]: each for each in rendered(_with(name, "configFile"), tmp_path, NEWEST)}
    job, worker = made["Job"], made["Deployment"]
    pod, others = job["spec"]["template"]["spec"], worker["spec"]["template"]["spec"]
    (own,), (its,) = pod["containers"], others["containers"]
    assert {each for each in pod | others if pod.get(each) != others.get(each)} == {
        *("containers", "restartPolicy", "topologySpreadConstraints")
    }
    assert {each for each in own | its if own.get(each) != its.get(each)} == {
        *("name", "args", "startupProbe", "livenessProbe", "readinessProbe")
    }
    selector = worker["spec"]["selector"]["matchLabels"]
    assert not selector.items() <= job["spec"]["template"]["metadata"]["labels"].items()
    assert job["spec"]["suspend"] is True

    command_name, *options = own["args"]
    assert command_name == name
    config = options[options.index("--config") + 1]
    assert config == its["args"][-1]
    Path(file := tmp_path / "settings.toml").touch()
    command = main.get_command(click.Context(main), name)
    assert command is not None
    context = command.make_context(name, [str(file) if each == config else each for each in options])
    assert context.params.items() >= {"is_agreed": True, "http_port": 8080, **JOBS[name]}.items()

    again = rendered(_with(name), tmp_path, NEWEST)
    assert job["metadata"]["name"] not in [each["metadata"]["name"] for each in again]


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_watched_and_guarded_like_the_workers(name: str, tmp_path: Path) -> None:
    """The network policy holds for both; Prometheus finds the Job's pod, and learns nothing of its records' age."""
    made = {each["kind"]: each for each in rendered(_with(name, "monitor", "network"), tmp_path, NEWEST)}
    job, worker = (made[kind]["spec"]["template"] for kind in ("Job", "Deployment"))
    labels = [each["metadata"]["labels"] for each in (job, worker)]

    guarded = made["NetworkPolicy"]["spec"]["podSelector"]
    (label,) = guarded["matchExpressions"]
    assert all(guarded["matchLabels"].items() <= each.items() for each in labels)
    assert [each[label["key"]] in label["values"] for each in labels] == [True, True]

    monitor = made["PodMonitor"]["spec"]
    assert [monitor["selector"]["matchLabels"].items() <= each.items() for each in labels] == [True, False]
    (endpoint,) = monitor["podMetricsEndpoints"]
    assert endpoint["port"] in [each["name"] for each in job["spec"]["containers"][0]["ports"]]
    (drop,) = endpoint["metricRelabelings"]
    dropped = re.compile(drop["regex"])
    freshness, lag = "segment_fullstory_freshness_seconds", "segment_fullstory_consumer_lag_records"
    assert all(dropped.fullmatch(each) for each in (freshness, f"{freshness}_bucket", f"{freshness}_count"))
    assert not dropped.fullmatch(lag)
    assert made["PodMonitor"]["metadata"]["labels"]["release"] == "prometheus"


def test_a_redrive_and_a_backfill_go_on_beside_each_other(tmp_path: Path) -> None:
    """Each has a Job and a monitor of its own, which selects no pod of the other."""
    made = rendered(_with("redrive", "backfill", "monitor"), tmp_path, NEWEST)
    jobs, monitors = ([each for each in made if each["kind"] == kind] for kind in ("Job", "PodMonitor"))
    assert len({each["metadata"]["name"] for each in (*jobs, *monitors)}) == 4
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in jobs]
    for monitor in monitors:
        selected = monitor["spec"]["selector"]["matchLabels"].items()
        assert len([each for each in labels if selected <= each.items()]) == 1


def test_a_pod_is_given_more_time_than_the_worker_takes(tmp_path: Path) -> None:
    """The pod's grace period is longer than the worker's own."""
    pod = deployment(tmp_path)["spec"]["template"]["spec"]
    environment = {each["name"]: each["value"] for each in pod["containers"][0]["env"]}
    assert pod["terminationGracePeriodSeconds"] >= float(environment["PROCESSOR_SHUTDOWN__GRACE_S"]) + 10


def test_a_pod_may_do_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    """A pod meets Kubernetes' restricted profile, without a token, on a read-only root."""
    pod = deployment(tmp_path, *SWITCHES)["spec"]["template"]["spec"]
    own = pod["containers"][0]["securityContext"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "replicas" not in deployment(tmp_path, "autoscaling")["spec"]


@pytest.mark.parametrize(
    ("held_back", "value"),
    [
        (("none", "none"), 900_000),
        (("cpu", "kafka"), 900_000),
        (("destination", "none"), 900_000),
        (("destination", "destination"), 4_000_000),
        (("registry", "dead_letters"), 4_000_000),
    ],
    ids=str,
)
def test_autoscaling_asks_for_workers_only_where_they_would_help(
    held_back: tuple[str, str], value: int, tmp_path: Path, promtool: str
) -> None:
    """The query asks for more workers only if they would help, else for as many as there are."""
    metadata = scaled(tmp_path, lagPerWorker=2_000_000)["triggers"][0]["metadata"]
    assert metadata["threshold"] == "2000000"
    names = 'namespace="there", job="release-segment-fullstory"'
    series = {
        f'segment_fullstory_build_info{{{names}, pod="0"}}': "1x10",
        f'segment_fullstory_build_info{{{names}, pod="1"}}': "1x10",
        f'segment_fullstory_build_info{{{names}, pod="surge"}}': "_x4 1x6",
        f'segment_fullstory_consumer_lag_records{{{names}, topic="t", partition="0"}}': "900000x10",
        **{
            f'segment_fullstory_bottleneck{{{names}, pod="{pod}", kind="{kind}"}}': "1x10"
            for pod, kind in enumerate(held_back)
        },
    }
    _expect(metadata["query"], series, [{"labels": "{}", "value": value}], tmp_path, promtool)


def test_autoscaling_ends_no_worker_where_prometheus_knows_nothing(tmp_path: Path, promtool: str) -> None:
    """Without data in Prometheus, the number of workers stays as it is."""
    spec = scaled(tmp_path, minReplicas=3)
    metadata = spec["triggers"][0]["metadata"]
    _expect(metadata["query"], {'segment_fullstory_build_info{job="another"}': "1x10"}, [], tmp_path, promtool)
    assert metadata["ignoreNullValues"] == "false"
    assert spec["fallback"]["behavior"] == "currentReplicasIfHigher"
    assert spec["minReplicaCount"] <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"] == 24


def scaled(tmp_path: Path, **changes: int) -> dict[str, Any]:
    """Return what the ScaledObject says."""
    values = _with("autoscaling")
    values["autoscaling"] |= changes
    found: dict[str, Any] = next(
        each["spec"] for each in rendered(values, tmp_path, NEWEST) if each["kind"] == "ScaledObject"
    )
    return found


def _expect(query: str, series: dict[str, str], samples: list[dict[str, Any]], tmp_path: Path, promtool: str) -> None:
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": query, "eval_time": "6m", "exp_samples": samples}],
    }
    (tmp_path / "query.yaml").write_text(yaml.safe_dump({"tests": [test]}), encoding="utf-8")
    done = subprocess.run(
        [promtool, "test", "rules", "query.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_chart_goes_with_the_worker() -> None:
    """The chart's version and its schema of values are those of the worker."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == __version__
    assert VALUES_SCHEMA.read_text(encoding="utf-8") == values_schema()
