"""The suites: `servers` marks every test that needs a server, and those that share one run in one process."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import SERVERS

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("program", sorted(SERVERS))
def test_a_test_that_is_not_marked_cannot_start_a_server(program: str) -> None:
    """A test without the marker `servers` fails when it starts one, whether or not the machine has the program."""
    with pytest.raises(AssertionError, match=f"starts {program}, but is not marked `servers`"):
        subprocess.run([program, "--version"], check=False)


def test_tests_that_share_a_server_go_to_one_process() -> None:
    """All tests that use the registry are in one group of pytest-xdist, which one process runs."""
    plan = ["--setup-plan", "--verbose", "--numprocesses", "1", "--dist", "loadgroup"]  # starts nothing
    command = [sys.executable, "-m", "pytest", *plan, "tests/registry", "tests/test_readme.py"]
    planned = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    groups = {tuple(found) for found in re.findall(r"(?m)^tests/(registry|test_readme).*::[^@\s]+(@\w+)?", planned)}

    assert groups == {("registry", "@servers"), ("test_readme", "")}
