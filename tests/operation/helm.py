"""Helm, built once from its Go module, and the schemas of what the chart makes for operators.

`python -m tests.operation.helm ...` runs it.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.go_program import go_program
from tests.go_program import module as go_module
from tests.operation.prometheus import ROOT

CHART = ROOT / "deploy" / "helm" / "segment-fullstory"
MODULE, VERSION = "helm.sh/helm/v3/cmd/helm", "v3.18.6"
CACHE = ROOT / ".cache" / "helm"
DEFINITIONS = {
    "ScaledObject": ("github.com/kedacore/keda/v2@v2.17.0", "config/crd/bases/keda.sh_scaledobjects.yaml"),
    **{
        kind: (
            "github.com/prometheus-operator/prometheus-operator@v0.81.0",
            f"example/prometheus-operator-crd/monitoring.coreos.com_{kind.lower()}s.yaml",
        )
        for kind in ("ServiceMonitor", "PodMonitor", "PrometheusRule")
    },
}
"""Where the operators' own definitions are: a Go module, and a file of it."""
LEAST = {
    "config": {
        "KAFKA__BOOTSTRAP_SERVERS": "kafka:9092",
        "KAFKA__TOPICS": "segment",
        "KAFKA__GROUP_ID": "group",
        "KAFKA__DEAD_LETTER_TOPIC": "letters",
    },
    "apiKey": {"existingSecret": "fullstory"},
}
"""The values that nobody can do without."""


def missing() -> str | None:
    """Return why there is no Helm, or None."""
    return None if shutil.which("go") else "Go is needed to build Helm"


def binary() -> Path:
    """Return Helm's program; it is built once for each version, which takes minutes of two processors."""
    return go_program(CACHE, MODULE, VERSION)


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Helm."""
    return subprocess.run([str(binary()), *arguments], capture_output=True, text=True, check=False)


def rendered(values: Mapping[str, Any], folder: Path, version: str, chart: Path = CHART) -> list[dict[str, Any]]:
    """Return what a chart makes for a version of Kubernetes; raises `AssertionError` when it refuses."""
    file = folder / "values.json"
    file.write_text(json.dumps(values), encoding="utf-8")
    done = helm("template", "release", str(chart), "--namespace", "there", "--kube-version", version, "-f", str(file))
    assert done.returncode == 0, said(done)
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def said(done: subprocess.CompletedProcess[str]) -> str:
    """Return what Helm says, but for its remarks on links."""
    return "\n".join(line for line in (done.stdout + done.stderr).splitlines() if "walk.go" not in line)


@cache
def definition(kind: str) -> dict[str, Any]:
    """Return the operator's own JSON schema of a kind; fields that it does not know are refused."""
    schema: dict[str, Any] = yaml.safe_load(module_file(*DEFINITIONS[kind]))["spec"]["versions"][0]["schema"][
        "openAPIV3Schema"
    ]
    del schema["properties"]["metadata"]
    _close(schema)
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


def module_file(module: str, path: str) -> str:
    """Return a file of a Go module."""
    return (go_module(module) / path).read_text(encoding="utf-8")


def _close(schema: Any) -> None:
    if isinstance(schema, dict):
        if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
        if isinstance(pattern := schema.get("pattern"), str):  # Go allows flags anywhere, Python at the start alone
            schema["pattern"] = pattern.replace("^(?i)", "(?i)^")
        for each in schema.values():
            _close(each)
    elif isinstance(schema, Sequence) and not isinstance(schema, str):
        for each in schema:
            _close(each)


if __name__ == "__main__":
    if reason := missing():
        sys.exit(reason)
    sys.exit(subprocess.run([str(binary()), *sys.argv[1:]], check=False).returncode)
