"""`python -m bench.soak`: whether anything of a worker grows that should not, over an hour of ordinary traffic.

Users come and go, a part of the records is poison, and a second worker joins the group and leaves it again and again.
What is looked at is the first worker: the least that there was of each thing in the second quarter, by when all that a
worker learns is there, and in the last one. More comes and goes with what is on its way. Connections to FullStory are
no part of it: there are as many as there ever were requests at once, which the limit of concurrency bounds.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import orjson

from bench.end_to_end import sink
from bench.kafka import create, kafka, memory_mib
from bench.machine import command, machine
from processor.workload import Mix, generate
from tests.kafka.cluster import Cluster
from tests.kafka.programs import WorkerProgram, ask, environment_of, wait_until, worker
from tests.kafka.topics import producing
from tests.results import keep

PARTITIONS = 16
VISITS = 8
"""Of the second worker: two in each quarter, so that quarters are alike."""
LOOKS = 240
EIGHTHS = 8
LEAST_LOOK_S = 1.0

ALLOWED = {
    "resident MiB": 1.05,
    "objects": 1.05,
    "tasks": 1.2,
    "threads": 1.1,
    "descriptors": 1.2,
    "series": 1.05,
}
"""How many times as much of each there may be in the last quarter, at its least."""

Look = dict[str, float]


@click.command
@click.option("--minutes", default=60.0, show_default=True, type=click.FloatRange(min=0.5))
@click.option("--rate", default=500, show_default=True, type=click.IntRange(min=1), help="Records a second.")
@click.option("--result", "file", type=click.Path(path_type=Path), help="Write the result to this file, as JSON.")
def main(*, minutes: float, rate: int, file: Path | None) -> None:
    """Let a worker deliver for so long, and see what of it grows."""
    with kafka() as cluster, tempfile.TemporaryDirectory() as folder:
        looks, delivered = soak(cluster, Path(folder), minutes * 60, rate)
    course = least(looks)
    told = {
        "command": command("bench.soak"),
        "machine": machine(),
        "minutes": minutes,
        "rate": rate,
        "delivered": delivered,
        "looks": len(looks),
        "least": course,
    }
    keep(file, told)
    click.echo(table(told))
    if found := grown(course):
        raise click.ClickException(f"this grows: {', '.join(found)}")


def soak(cluster: Cluster, folder: Path, seconds: float, rate: float, visits: int = VISITS) -> tuple[list[Look], int]:
    """Run it; return what was seen of the worker, and how many records it has delivered."""
    names = create(cluster, PARTITIONS)
    counted = folder / "counted"
    program = [sys.executable, "-m", "bench.counted", str(counted)]
    looks: list[Look] = []
    with sink("--latency", "0.05") as url:
        environment = environment_of(cluster, names, url)
        with worker(environment, folder / "log", program=program) as running:
            running.wait_until_joined()
            wait_until(lambda: counted.exists() and b"\n" in counted.read_bytes(), "it counts what it holds")
            seen = partial(_seen, running, counted, urlsplit(url).port or 0)
            begun = time.monotonic()
            with producing(cluster, names.topic, generate(1, None, Mix()), rate):
                for visit in range(visits):
                    until = begun + seconds * (visit + 1) / visits
                    with worker(environment, folder / f"visit-{visit}.log") as visitor:
                        visitor.wait_until_joined()
                        _look_until(until - seconds / visits / 2, seconds / LOOKS, seen, looks)
                        visitor.terminate(60)
                    _look_until(until, seconds / LOOKS, seen, looks)
            metrics = running.metrics()
    return looks, int(metrics["records_delivered_total"])


def _look_until(until: float, every_s: float, seen: Callable[[], Look], looks: list[Look]) -> None:
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(max(every_s, LEAST_LOOK_S), left))
        looks.append(seen())


def _seen(running: WorkerProgram, counted: Path, port: int) -> Look:
    process = Path("/proc") / str(running.process.pid)
    text = ask(f"http://{running.address}/metrics").decode()
    open_files = set(_links(process / "fd")) - {f"socket:[{inode}]" for inode in _connected_to(port)}
    return {
        "resident MiB": memory_mib(running.process.pid, "VmRSS"),
        "threads": len(list((process / "task").iterdir())),
        "descriptors": len(open_files),
        "series": sum(not line.startswith("#") for line in text.splitlines()),
        **orjson.loads(counted.read_bytes().splitlines()[-1]),
    }


def _links(folder: Path) -> Iterator[str]:
    """Yield what the descriptors of a process lead to; one may close meanwhile."""
    for each in folder.iterdir():
        with suppress(FileNotFoundError):
            yield str(each.readlink())


def _connected_to(port: int) -> Iterator[str]:
    """Yield the inodes of connections to this port of the machine (proc(5))."""
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[2].endswith(f":{port:04X}"):
            yield fields[9]


def least(looks: Sequence[Look]) -> dict[str, list[float]]:
    """Return how much there was of each thing at its least, in each eighth of the looks, at least eight."""
    cuts = [len(looks) * each // EIGHTHS for each in range(EIGHTHS + 1)]
    return {
        name: [round(min(look[name] for look in looks[begin:end]), 1) for begin, end in pairwise(cuts)]
        for name in ALLOWED
    }


def grown(course: dict[str, list[float]]) -> list[str]:
    """Return of which things there was more in the last quarter than in the second one, by more than is allowed."""
    return [name for name, seen in course.items() if min(seen[6:]) > min(seen[2:4]) * ALLOWED[name]]


def table(told: dict[str, Any]) -> str:
    """Return it for people, an eighth in each column."""
    eighths = range(1, EIGHTHS + 1)
    rows = [f"| | {' | '.join(f'{each}/{EIGHTHS}' for each in eighths)} |", f"|---|{'---|' * EIGHTHS}"]
    rows += [f"| {name} | {' | '.join(f'{each:,.0f}' for each in seen)} |" for name, seen in told["least"].items()]
    return "\n".join(rows)


if __name__ == "__main__":
    main()
