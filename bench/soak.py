"""`python -m bench.soak`: whether anything of a worker grows that should not, over an hour of ordinary traffic.

Users come and go, a part of the records is poison, and a second worker joins the group and leaves it again and again.
What is looked at is the first worker: the least that there was of each thing in the second quarter, by when all that a
worker learns is there, and in the last one. More comes and goes with what is on its way.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import orjson

from bench.end_to_end import sink
from bench.kafka import create, kafka, memory_mib
from bench.machine import machine
from processor.workload import Mix, generate
from tests.kafka.cluster import Cluster
from tests.kafka.programs import WorkerProgram, ask, environment_of, wait_until, worker
from tests.kafka.topics import producing
from tests.results import keep

PARTITIONS = 16
VISITS = 8
"""Of the second worker: two in each quarter, so that quarters are alike."""
LOOKS = 240
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
    quantities = compared(looks)
    told = {
        "command": f"python -m bench.soak {' '.join(sys.argv[1:])}".partition(" --result")[0],
        "machine": machine(),
        "minutes": minutes,
        "rate": rate,
        "delivered": delivered,
        "looks": len(looks),
        "quantities": quantities,
    }
    keep(file, told)
    click.echo(table(told))
    if found := grown(quantities):
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
            begun = time.monotonic()
            with producing(cluster, names.topic, generate(1, None, Mix()), rate):
                for visit in range(visits):
                    until = begun + seconds * (visit + 1) / visits
                    with worker(environment, folder / f"visit-{visit}.log") as visitor:
                        visitor.wait_until_joined()
                        _look_until(until - seconds / visits / 2, seconds / LOOKS, running, counted, looks)
                        visitor.terminate(60)
                    _look_until(until, seconds / LOOKS, running, counted, looks)
            metrics = running.metrics()
    return looks, int(metrics["records_delivered_total"])


def _look_until(until: float, every_s: float, running: WorkerProgram, counted: Path, looks: list[Look]) -> None:
    wait_until(counted.exists, "the worker counts what it holds")
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(max(every_s, LEAST_LOOK_S), left))
        if lines := counted.read_bytes().splitlines():
            looks.append(_seen(running) | orjson.loads(lines[-1]))


def _seen(running: WorkerProgram) -> Look:
    process = Path("/proc") / str(running.process.pid)
    text = ask(f"http://{running.address}/metrics").decode()
    return {
        "resident MiB": memory_mib(running.process.pid, "VmRSS"),
        "threads": len(list((process / "task").iterdir())),
        "descriptors": len(list((process / "fd").iterdir())),
        "series": sum(not line.startswith("#") for line in text.splitlines()),
    }


def compared(looks: Sequence[Look]) -> dict[str, dict[str, float]]:
    """Return the least of the second quarter and of the last one, for each quantity; there are at least four looks."""
    quarter = len(looks) // 4
    return {
        name: {
            "before": round(min(each[name] for each in looks[quarter : 2 * quarter]), 1),
            "after": round(min(each[name] for each in looks[-quarter:]), 1),
        }
        for name in ALLOWED
    }


def grown(quantities: dict[str, dict[str, float]]) -> list[str]:
    """Return which of them have grown by more than may come and go."""
    return [name for name, found in quantities.items() if found["after"] > found["before"] * ALLOWED[name]]


def table(told: dict[str, Any]) -> str:
    """Return it as docs/performance.md shows it."""
    rows = ["| at its least | second quarter | last quarter | may be |", "|---|---|---|---|"]
    rows += [
        f"| {name} | {found['before']:,.0f} | {found['after']:,.0f} | {found['before'] * ALLOWED[name]:,.0f} |"
        for name, found in told["quantities"].items()
    ]
    return "\n".join(rows)


def caption(told: dict[str, Any]) -> str:
    """Return what was measured, and how to repeat it."""
    return (
        f"{told['delivered']:,} records in {told['minutes']:g} minutes on {told['machine']}: "
        f"`{told['command']}` ([result](results/soak.json))."
    )


if __name__ == "__main__":
    main()
