"""From a real Kafka to a local sink: events a second, CPU an event, memory. The worker is a process of its own."""

import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.kafka import cpu_s, create, memory_mib
from bench.stages import CLEAN
from processor.workload import generate
from tests.kafka.cluster import Cluster, free_port
from tests.kafka.conftest import Names
from tests.kafka.programs import ROOT, WorkerProgram, ask, environment_of, wait_until, worker
from tests.kafka.topics import produce_all

PARTITIONS = 8
WARM = 1 / 3
"""Start-up is over when so many of the events are delivered; the rest is the steady state."""

SCRAPE_S = 0.5
"""How often the worker is asked: each answer costs it 10 ms, so twenty a second were an eighth of what was measured."""


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
        moments = [_moment(program)]
        wait_until(lambda: _reaches(events, program, moments), "all is delivered", 600, SCRAPE_S)
        begin = next(each for each in moments if each.delivered > events * WARM)
        end = next(each for each in moments if each.delivered >= events)
        steady, seconds = end.delivered - begin.delivered, end.at_s - begin.at_s
        cpu_us = (end.cpu_s - begin.cpu_s) / steady * 1e6
        return Result(events, seconds, steady / seconds, cpu_us, memory_mib(program.process.pid, "VmHWM"))


@dataclass(frozen=True, slots=True)
class _Moment:
    delivered: int
    cpu_s: float
    at_s: float


def _reaches(events: int, program: WorkerProgram, moments: list[_Moment]) -> bool:
    moments.append(_moment(program))
    return moments[-1].delivered >= events


def _moment(program: WorkerProgram) -> _Moment:
    delivered = int(program.metrics()["records_delivered_total"])
    return _Moment(delivered, cpu_s(program.process.pid), time.monotonic())


def fill(kafka: Cluster, events: int) -> str:
    """Create a topic with so many events to be delivered; return its name."""
    topic = create(kafka, PARTITIONS).topic
    produce_all(kafka, topic, generate(1, events, CLEAN))
    return topic


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
