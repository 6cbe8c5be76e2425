"""What every command does where what it prints cannot be written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.program import ROOT

FULL = Path("/dev/full")
"""Takes nothing: every write fails, as on a disk without space."""


ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith("PROCESSOR_") and name != "PYTHONUNBUFFERED"  # which would leave nothing for the end
}


@pytest.mark.parametrize(
    "arguments",
    [
        "--help",
        "--version",
        "settings",
        "settings --format json",
        "settings init -",
        "schemas list",
        "check",
        "explain -",
    ],
)
def test_an_output_that_cannot_be_written_is_told_in_a_line(arguments: str) -> None:
    """Neither a traceback nor the exit code of a success, or of a finding, says that the disk is full."""
    with FULL.open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "processor", *arguments.split()],
            input=b"{}\n",
            env=ENVIRONMENT,
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            check=False,
        )

    assert "Traceback" not in done.stderr.decode()
    assert done.stderr.decode().splitlines()[-1] == "Error: the output cannot be written: No space left on device"
    assert done.returncode == os.EX_IOERR
