"""The worker and the sandbox as programs, started and watched as an operator would."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, final
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from processor.workload.account import Arrival
from tests.kafka.cluster import Cluster, free_port
from tests.kafka.conftest import Names

PROGRAM = [sys.executable, "-m", "processor"]
POLL_S = 0.05
ANSWER_S = 30.0
ROOT = Path(__file__).parents[2]


def wait_until(holds: Callable[[], bool], what: str, deadline_s: float = 120.0, poll_s: float = POLL_S) -> None:
    """Return when it holds; raises with `what` when it does not in time."""
    deadline = time.monotonic() + deadline_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {deadline_s:.0f} s: {what}")
        time.sleep(poll_s)


def ask(url: str, body: object = None, headers: Mapping[str, str] | None = None) -> bytes:
    """GET, or POST a JSON body; return the answer's body, whatever its status."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=ANSWER_S)
    try:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        text = None if body is None else json.dumps(body)
        connection.request("GET" if text is None else "POST", path, text, headers or {})
        return connection.getresponse().read()
    finally:
        connection.close()


@final
class SandboxProgram:
    """A running sandbox."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self._process = process
        self.url = url

    def stats(self) -> dict[str, Any]:
        """Return its counters."""
        stats: dict[str, Any] = json.loads(ask(f"{self.url}/sandbox/stats"))
        return stats

    def jobs(self) -> list[dict[str, Any]]:
        """Return its import jobs, in order of acceptance."""
        jobs: list[dict[str, Any]] = json.loads(ask(f"{self.url}/sandbox/jobs"))
        return jobs

    def truth(self) -> list[dict[str, Any]]:
        """Return everything that took effect, in order, each with the number of its request."""
        return [json.loads(line) for line in ask(f"{self.url}/sandbox/truth").splitlines()]

    def arrivals(self) -> list[Arrival]:
        """Return everything that took effect, in order."""
        return [arrival_of(effect) for effect in self.truth()]

    def effects(self) -> int:
        """Count what took effect."""
        return sum(self.stats()["effects"].values())

    def faults(self) -> dict[str, Any]:
        """Return the faults in force."""
        faults: dict[str, Any] = json.loads(ask(f"{self.url}/sandbox/faults"))
        return faults

    def set_faults(self, **faults: object) -> None:
        """Change the faults in force."""
        ask(f"{self.url}/sandbox/faults", faults)

    def kill(self) -> None:
        """End it: then nothing listens at its port."""
        self._process.kill()
        self._process.wait()

    def set_keys(self, **roles: str | None) -> None:
        """Grant keys or revoke them; `_` stands for the dot in a key."""
        ask(f"{self.url}/sandbox/keys", {key.replace("_", "."): role for key, role in roles.items()})


def arrival_of(effect: dict[str, Any]) -> Arrival:
    """Return what an effect says of its record."""
    return Arrival(effect["kind"], effect["item"])


@contextmanager
def sandbox(*options: str, program: Sequence[str] = PROGRAM, root: Path = ROOT) -> Iterator[SandboxProgram]:
    """Run a sandbox with these options on a free port; the ids of its jobs are hard, unlike in other tests."""
    command = [*program, "sandbox", "--port", "0", "--hard-job-ids", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None
            yield SandboxProgram(process, process.stdout.readline().split()[-1])
        finally:
            process.kill()


@final
class WorkerProgram:
    """A running worker, started by `program` in folder `root`; `log` is what it has said."""

    def __init__(
        self, environment: dict[str, str], log: Path, root: Path = ROOT, program: Sequence[str] = PROGRAM
    ) -> None:
        self._port = free_port()
        self.log = log
        self._command = [*program, "run"]
        self._environment = {**_bare_environment(), **environment, "PROCESSOR_HTTP__PORT": str(self._port)}
        self._root = root
        self.process = self._started()

    @property
    def address(self) -> str:
        """Where it answers: host and port."""
        return f"127.0.0.1:{self._port}"

    def metrics(self) -> dict[str, float]:
        """Return every sample by name, summed over its labels, and by name and labels."""
        samples: dict[str, float] = {}
        text = ask(f"http://127.0.0.1:{self._port}/metrics").decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                name = sample.name.removeprefix("segment_fullstory_")
                samples[name] = samples.get(name, 0.0) + sample.value
                if sample.labels:
                    labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
                    samples[f"{name}{{{labels}}}"] = sample.value
        return samples

    def ready(self) -> dict[str, Any]:
        """Return the body of the readiness probe; empty while it does not listen yet."""
        try:
            body: dict[str, Any] = json.loads(ask(f"http://127.0.0.1:{self._port}/readyz"))
        except ConnectionError:
            return {}
        return body

    def wait_until_joined(self) -> None:
        """Return when the group has given it its part."""
        wait_until(lambda: self.ready().get("joined", False), f"the worker joins; it says: {self.said()[-2_000:]}")

    def said(self) -> str:
        """Return its log so far."""
        return self.log.read_text(encoding="utf-8")

    def start_again(self) -> None:
        """Start one that has ended once more, at the same address."""
        self.process = self._started()

    def suspend(self) -> None:
        """Stop it where it is."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let a suspended one go on."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.process.kill()
        self.process.wait()

    def terminate(self, deadline_s: float) -> int:
        """End it with SIGTERM; return its exit code."""
        self.process.terminate()
        return self.process.wait(deadline_s)

    def _started(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as output:
            return subprocess.Popen(self._command, env=self._environment, stdout=output, stderr=output, cwd=self._root)


@final
class UnreadPipe:
    """A named pipe that is full and that nobody reads, until somebody does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._fill()
        os.set_blocking(self._reading, True)
        self._is_read = False
        self._thread: threading.Thread
        self._text = bytearray()

    def read(self) -> None:
        """Read from now on, on a thread, until its writers have ended."""
        self._is_read = True
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def leave(self) -> None:
        """Read no longer; the pipe is full again."""
        self._is_read = False
        self._fill()  # which wakes a thread that waits for something to read
        self._thread.join()
        self._fill()

    def lines(self) -> list[str]:
        """Return what has been read by now."""
        return [line for line in self._text.decode().splitlines() if not line.startswith(".")]

    def _fill(self) -> None:
        writing = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        with suppress(BlockingIOError):
            while True:
                os.write(writing, b"." * 4_095 + b"\n")
        os.close(writing)

    def _read(self) -> None:
        while self._is_read and (part := os.read(self._reading, 65_536)):
            self._text += part


HALF = b"GET /metrics HTTP/1.1\r\nHost: here\r\n"


@contextmanager
def half_open(program: WorkerProgram, count: int) -> Iterator[None]:
    """Hold so many connections to a worker's port, each with half a request."""
    host, port = program.address.split(":")
    with ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection((host, int(port)), ANSWER_S))
            connection.sendall(HALF)
        yield


def with_few_files(files: int) -> list[str]:
    """Return the program with so many descriptors at most, of which it has half until it asks for more."""
    return ["sh", "-c", f'ulimit -Sn {files // 2}; ulimit -Hn {files}; exec "$0" "$@"', *PROGRAM]


def is_conserved(metrics: dict[str, float]) -> bool:
    """Say whether the conservation equation holds (law 12)."""
    ended = ("delivered", "filtered", "dead_lettered", "released")
    return metrics["records_consumed_total"] == metrics["records_in_flight"] + sum(
        metrics[f"records_{end}_total"] for end in ended
    )


def environment_of(kafka: Cluster, names: Names, destination: str, **settings: object) -> dict[str, str]:
    """Return a worker's environment; `settings` are variables without their prefix."""
    own = {
        "KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA__TOPICS": names.topic,
        "KAFKA__GROUP_ID": names.group,
        "KAFKA__DEAD_LETTER_TOPIC": names.dead_letters,
        "FULLSTORY__API_KEY": "na1.architect",
        "FULLSTORY__BASE_URL": destination,
        "HTTP__HOST": "127.0.0.1",
        **settings,
    }
    return {f"PROCESSOR_{name}": str(value) for name, value in own.items()}


def memory_bytes(pid: int, name: str) -> int:
    """Return what the kernel says of a process' memory: `VmRSS` is resident now, `VmHWM` was at most."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024


@contextmanager
def worker(
    environment: dict[str, str], log: Path, root: Path = ROOT, program: Sequence[str] = PROGRAM
) -> Iterator[WorkerProgram]:
    """Run a worker until the end of the `with`, where it is killed if it still runs."""
    running = WorkerProgram(environment, log, root, program)
    try:
        yield running
    finally:
        running.kill()


def _bare_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PROCESSOR_")}
