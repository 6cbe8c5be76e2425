"""The suites: tests/README.md lists them, and `servers` marks every test that needs a server."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import SERVERS

TESTS = Path(__file__).parent
ROOT = TESTS.parent
ROWS = re.findall(r"(?m)^\| `(tests/.*?)` \|.*\| (.+?) \|$", (TESTS / "README.md").read_text(encoding="utf-8"))
"""The suites of tests/README.md, each with its commands."""


@pytest.mark.parametrize("program", sorted(SERVERS))
def test_a_test_that_is_not_marked_cannot_start_a_server(program: str) -> None:
    """A test without the marker `servers` fails when it starts one, whether or not the machine has the program."""
    with pytest.raises(AssertionError, match=f"starts {program}, but is not marked `servers`"):
        subprocess.run([program, "--version"], check=False)


def test_tests_that_share_a_server_go_to_one_process() -> None:
    """Tests of the registry are in one group of pytest-xdist, which one process runs, those of Kafka in two others."""
    plan = ["--setup-plan", "--verbose", "--numprocesses", "1", "--dist", "loadgroup"]  # starts nothing
    command = [
        sys.executable,
        "-m",
        "pytest",
        *plan,
        "tests/registry",
        "tests/kafka/test_cluster.py",
        "tests/kafka/test_order.py",
        "tests/test_readme.py",
    ]
    planned = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    groups = {
        tuple(found) for found in re.findall(r"(?m)^tests/(registry|kafka|test_readme).*::[^@\s]+(@[\w-]+)?", planned)
    }

    assert groups == {("registry", "@servers"), ("kafka", "@kafka-1"), ("kafka", "@kafka-2"), ("test_readme", "")}


def test_the_table_has_every_folder_with_tests_and_no_other() -> None:
    """Each folder below tests/ that holds tests has a row in tests/README.md, and each row names such a folder."""
    assert sorted(suite for suite, _ in ROWS) == sorted(
        "tests/*.py" if folder == TESTS else f"tests/{folder.name}/"
        for folder in {file.parent for file in TESTS.rglob("test_*.py")}
    )


@pytest.mark.parametrize(("suite", "commands"), ROWS, ids=[suite for suite, _ in ROWS])
def test_each_command_of_the_table_is_a_real_one(suite: str, commands: str) -> None:
    """The first command runs exactly the suite's tests; the others are targets of the Makefile, with its variables."""
    first, *others = re.findall(r"`(.+?)`", commands)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert re.fullmatch(r"make test ARGS='?([\w/*.]+)'?", first)
    assert {file for each in shlex.split(first)[2:] for file in files(each.removeprefix("ARGS="))} == files(suite)
    for command in others:
        _, target, *variables = command.split()
        assert re.search(rf"(?m)^{target}:.*## \S", makefile)
        assert [each for each in variables if f"$({each.partition('=')[0]})" not in makefile] == []


def files(named: str) -> set[Path]:
    """Return the files of tests that a folder or a pattern names."""
    return {file for each in ROOT.glob(named) for file in ([each] if each.is_file() else each.rglob("*.py"))} & set(
        TESTS.rglob("test_*.py")
    )
