"""The tests of the rules on tools of other versions than Debian's: `python -m tests.operation.rule_tools`.

They are built from their Go modules, which takes ten minutes of one processor the first time: too long for the gate.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.cached import cached
from tests.go_program import go, go_program, module
from tests.operation.prometheus import ROOT, RULES

CACHE = ROOT / ".cache" / "rule-tools"
PROMTOOL = "github.com/prometheus/prometheus/cmd/promtool", "v0.316.0"
VMALERT = "github.com/VictoriaMetrics/VictoriaMetrics/app/vmalert-tool", "v1.151.0"
ALERTMANAGER = "github.com/prometheus/alertmanager@v0.35.0"
TESTS = ("tests.yaml", "causes.yaml", "soon.yaml")
MOMENTS = re.compile(r"(series: '(?:\w+_timestamp_seconds|process_start_time_seconds)\{.*?\}', values: )('[^']*')")
YEAR_2000 = 946_684_800
INHIBITION = "tests/operation/test_inhibition.py"
NATIVE = "native.yaml"
"""Histograms that only Prometheus 3 has."""


def for_vmalert(folder: Path) -> None:
    """Write rules and their tests as vmalert-tool wants them: it names the field of queries otherwise.

    Its tests begin in the year 2000, not in 1970, so moments in them are so much later.
    """
    (folder / RULES.name).write_bytes(RULES.read_bytes())
    for name in TESTS:
        text = (RULES.parent / name).read_text(encoding="utf-8")
        text = MOMENTS.sub(lambda found: found[1] + later(found[2]), text)
        (folder / name).write_text(text.replace("promql_expr_test:", "metricsql_expr_test:"), encoding="utf-8")


def later(values: str) -> str:
    """Return the values of a series of moments, in the notation of the tests, as of the year 2000."""
    return re.sub(r"(?<=[' ])(-?\d+)(?=[+x' -])", lambda found: str(int(found[1]) + YEAR_2000), values)


def alertmanager() -> Path:
    """Return a folder that has Alertmanager and its tool, by the names that Debian gives them.

    Its module lacks the pages that it embeds, which are built at its releases. Here nobody looks at them.
    """

    def build(folder: Path) -> None:
        source = folder.parent / "source"
        subprocess.run(["cp", "-r", "--no-preserve=mode", module(ALERTMANAGER), source], check=True)
        for pages in ("elm", "mantine"):
            page = source / "ui" / "app" / "dist" / pages / "index.html"
            page.parent.mkdir(parents=True)
            page.touch()
        for package, name in (("alertmanager", "prometheus-alertmanager"), ("amtool", "amtool")):
            go("build", "-o", folder / name, f"./cmd/{package}", folder=source)

    return cached(CACHE, ALERTMANAGER.encode(), build)


def failed(folder: Path) -> Iterator[str]:
    """Run all tests on each tool; yield the commands that failed."""
    promtool, vmalert = (str(go_program(CACHE, *program)) for program in (PROMTOOL, VMALERT))
    for_vmalert(folder)
    environment = os.environ | {"PATH": f"{alertmanager()}:{os.environ['PATH']}"}
    for command, where in (
        (["promtool", "test", "rules", *TESTS], RULES.parent),
        ([promtool, "test", "rules", *TESTS, NATIVE], RULES.parent),
        ([promtool, "check", "rules", "--lint=all", "--lint-fatal", RULES.name], RULES.parent),
        *(([vmalert, "unittest", "--disableAlertgroupLabel", "--files", name], folder) for name in TESTS),
        ([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", INHIBITION], ROOT),
    ):
        said = " ".join([Path(command[0]).name, *command[1:]])
        sys.stdout.write(f"{command[0]}: {said}\n")
        sys.stdout.flush()
        if subprocess.run(command, cwd=where, env=environment, check=False).returncode:
            yield said


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        if faults := list(failed(Path(place))):
            sys.exit("failed: " + "; ".join(faults))
