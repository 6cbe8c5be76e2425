"""From a real Kafka to a local sink: events a second, CPU an event, memory. The worker is a process of its own."""

import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.kafka import create, memory_mib
from bench.stages import CLEAN
from processor.workload import generate
from tests.kafka.cluster import Cluster, free_port
from tests.kafka.conftest import Names
from tests.kafka.programs import ROOT, WorkerProgram, ask, environment_of, wait_until, worker
from tests.kafka.topics import produce_all

PARTITIONS = 8
WARM = 1 / 3
"""Start-up is over when so many of the events are delivered; the rest is the steady state."""

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Result:
    """One run; `cpu_us` is user and system time of the whole worker process, per event, in the steady state."""

    events: int
    seconds: float
    events_per_s: float
    cpu_us: float
    peak_mib: float


def run(kafka: Cluster, topic: str, events: int, **settings: object) -> Result:
    """Let a new group deliver a whole topic."""
    names = Names(topic, f"{topic}-dlq", f"bench-{uuid.uuid4().hex[:8]}")
    with (
        tempfile.TemporaryDirectory() as folder,
        sink() as url,
        worker(environment_of(kafka, names, url, **settings), Path(folder) / "log") as program,
    ):
        program.wait_until_joined()
        wait_until(lambda: _delivered(program) > events * WARM, "start-up is over")
        warm_events, warm_cpu, warm_at = _delivered(program), cpu_s(program.process.pid), time.monotonic()
        wait_until(lambda: _delivered(program) >= events, "all is delivered", 600)
        cpu, seconds = cpu_s(program.process.pid) - warm_cpu, time.monotonic() - warm_at
        steady = events - warm_events
        return Result(events, seconds, steady / seconds, cpu / steady * 1e6, memory_mib(program.process.pid, "VmHWM"))


def fill(kafka: Cluster, events: int) -> str:
    """Create a topic with so many events to be delivered; return its name."""
    topic = create(kafka, PARTITIONS).topic
    produce_all(kafka, topic, generate(1, events, CLEAN))
    return topic


def _delivered(program: WorkerProgram) -> int:
    return int(program.metrics()["records_delivered_total"])


def cpu_s(pid: int) -> float:
    """Return user and system time of a process, and of the children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS


@contextmanager
def sink(*options: str) -> Iterator[str]:
    """Run a destination that costs next to nothing (`bench/sink.py`); give its URL."""
    port = free_port()
    with subprocess.Popen([sys.executable, "-m", "bench.sink", str(port), *options], cwd=ROOT) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            wait_until(lambda: _answers(url), "the sink listens")
            yield url
        finally:
            process.kill()


def _answers(url: str) -> bool:
    try:
        return bool(ask(f"{url}/me"))
    except ConnectionError:
        return False
