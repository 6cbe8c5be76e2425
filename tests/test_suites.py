"""The suites: tests that share a server run in one process."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_tests_that_share_a_server_go_to_one_process() -> None:
    """All tests that use the registry are in one group of pytest-xdist, which one process runs."""
    plan = ["--setup-plan", "--verbose", "--numprocesses", "1", "--dist", "loadgroup"]  # starts nothing
    command = [sys.executable, "-m", "pytest", *plan, "tests/registry", "tests/test_readme.py"]
    planned = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    groups = {tuple(found) for found in re.findall(r"(?m)^tests/(registry|test_readme).*::[^@\s]+(@\w+)?", planned)}

    assert groups == {("registry", "@servers"), ("test_readme", "")}
