"""From a real Kafka to a local sink: events a second, CPU an event, memory. The worker is a process of its own."""

import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
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
EARLY_SCRAPE_S = 0.05
"""Before its first record, when nothing is measured but how long that takes."""
DEADLINE_S = 600.0


@dataclass(frozen=True, slots=True)
class Result:
    """One run, after start-up."""

    cpu_us: float
    """User and system time of all workers' processes, per event."""
    events_per_s: float
    peak_mib: float
    """Of the largest worker."""


def run(kafka: Cluster, topic: str, events: int, **settings: object) -> Result:
    """Let a new group deliver a whole topic."""
    names = Names(topic, f"{topic}-dlq", f"bench-{uuid.uuid4().hex[:8]}")
    with (
        tempfile.TemporaryDirectory() as folder,
        sink() as url,
        worker(environment_of(kafka, names, url, **settings), Path(folder) / "log") as program,
    ):
        program.wait_until_joined()
        return steady(events, [program], list(until_delivered(events, [program])))


@dataclass(frozen=True, slots=True)
class Moment:
    """What workers have come to, all together."""

    consumed: float
    delivered: float
    cpu_s: float
    """User and system time of their processes."""
    at_s: float


def until_delivered(events: int, programs: Sequence[WorkerProgram]) -> Iterator[Moment]:
    """Look at the workers until they have delivered so many events: often until they have consumed the first one."""
    deadline, consumed = time.monotonic() + DEADLINE_S, 0.0
    while True:
        asked = [each.metrics() for each in programs if each.ready()]
        consumed, delivered = (
            sum(each.get(f"records_{what}_total", 0.0) for each in asked) for what in ("consumed", "delivered")
        )
        yield Moment(consumed, delivered, sum(cpu_s(each.process.pid) for each in programs), time.monotonic())
        if len(asked) == len(programs) and delivered >= events:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {delivered:,.0f} of {events:,} events came in time")
        time.sleep(SCRAPE_S if consumed else EARLY_SCRAPE_S)


def steady(events: int, programs: Sequence[WorkerProgram], moments: Sequence[Moment]) -> Result:
    """Return what workers have reached that delivered so many events, as the moments tell."""
    begin = next(each for each in moments if each.delivered > events * WARM)
    end = moments[-1]
    delivered = end.delivered - begin.delivered
    return Result(
        (end.cpu_s - begin.cpu_s) / delivered * 1e6,
        delivered / (end.at_s - begin.at_s),
        max(memory_mib(each.process.pid, "VmHWM") for each in programs),
    )


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
