"""The tests of the rules on tools of other versions than Debian's: `python -m tests.operation.rule_tools`.

They are built from their Go modules, which takes ten minutes of one processor the first time: too long for the gate.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.go_program import go_program
from tests.operation.prometheus import ROOT, RULES

CACHE = ROOT / ".cache" / "rule-tools"
PROMTOOL = "github.com/prometheus/prometheus/cmd/promtool", "v0.316.0"
VMALERT = "github.com/VictoriaMetrics/VictoriaMetrics/app/vmalert-tool", "v1.151.0"
TESTS = ("tests.yaml", "causes.yaml")
NATIVE = "native.yaml"
"""Histograms that only Prometheus 3 has."""


def for_vmalert(folder: Path) -> None:
    """Write rules and their tests as vmalert-tool wants them: it has another name for the field of queries."""
    for name in (RULES.name, *TESTS):
        text = (RULES.parent / name).read_text(encoding="utf-8")
        (folder / name).write_text(text.replace("promql_expr_test:", "metricsql_expr_test:"), encoding="utf-8")


def failed(folder: Path) -> Iterator[str]:
    """Run all tests on each tool; yield the commands that failed."""
    promtool, vmalert = (str(go_program(CACHE, *program)) for program in (PROMTOOL, VMALERT))
    for_vmalert(folder)
    for command, where in (
        (["promtool", "test", "rules", *TESTS], RULES.parent),
        ([promtool, "test", "rules", *TESTS, NATIVE], RULES.parent),
        ([promtool, "check", "rules", RULES.name], RULES.parent),
        *(([vmalert, "unittest", "--files", name], folder) for name in TESTS),
    ):
        said = " ".join([Path(command[0]).name, *command[1:]])
        sys.stdout.write(f"{command[0]}: {said}\n")
        sys.stdout.flush()
        if subprocess.run(command, cwd=where, check=False).returncode:
            yield said


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        if faults := list(failed(Path(place))):
            sys.exit("failed: " + "; ".join(faults))
