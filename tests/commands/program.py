"""The command line as a user has it: a process, its exit code and what it says."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from processor.adapters.kafka.mock import MockCluster
from processor.sandbox import Sandbox

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
    with started(*arguments, environment=environment) as process:
        try:
            out, err = process.communicate(stdin, DEADLINE_S)
        except BaseException:
            process.kill()
            raise
    done = Done(process.returncode, out.decode(), err.decode())
    assert "Traceback" not in done.err, done.err
    return done


def started(*arguments: str, environment: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
    """Start a command, without the settings of whoever runs the tests."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PROCESSOR_")}
    return subprocess.Popen(
        [sys.executable, "-m", "processor", *arguments],
        env={**bare, **(environment or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )


def interrupt(process: "subprocess.Popen[bytes]") -> str:
    """Press Ctrl-C, and return what the process says of it when it has ended."""
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    said = process.stderr.read().decode()
    process.wait(DEADLINE_S)
    return said


def worker_settings(kafka: MockCluster, sandbox: Sandbox, key: str) -> dict[str, str]:
    """Return the settings of a worker between these two, which reads `segment` and dead-letters to `letters`."""
    return {
        "PROCESSOR_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "PROCESSOR_KAFKA__TOPICS": "segment",
        "PROCESSOR_KAFKA__GROUP_ID": "fullstory",
        "PROCESSOR_KAFKA__DEAD_LETTER_TOPIC": "letters",
        "PROCESSOR_FULLSTORY__API_KEY": key,
        "PROCESSOR_FULLSTORY__BASE_URL": sandbox.url,
        "PROCESSOR_HTTP__HOST": "127.0.0.1",
        "PROCESSOR_HTTP__PORT": "0",
    }
