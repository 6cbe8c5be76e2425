"""The command line as a user has it: a process, its exit code and what it says."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
DEADLINE_S = 120


class Done(NamedTuple):
    """How a process ended."""

    code: int
    out: str
    err: str

    def objects(self) -> list[dict[str, Any]]:
        """Return the JSON object of each line."""
        return [json.loads(line) for line in self.out.splitlines()]


def run(*arguments: str, environment: Mapping[str, str] | None = None, stdin: bytes = b"") -> Done:
    """Run a command to its end; whatever happens, there is no traceback."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PROCESSOR_")}
    process = subprocess.run(
        [sys.executable, "-m", "processor", *arguments],
        env={**bare, **(environment or {})},
        input=stdin,
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
        cwd=ROOT,
    )
    done = Done(process.returncode, process.stdout.decode(), process.stderr.decode())
    assert "Traceback" not in done.err
    return done
