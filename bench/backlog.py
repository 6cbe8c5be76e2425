"""`python -m bench.backlog`: a long backlog, and whether memory stays flat and below what was promised."""

import dataclasses
import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click

from bench.end_to_end import sink
from bench.kafka import create, kafka, memory_mib
from bench.stages import CLEAN
from processor.settings.memory import MIB
from processor.workload import GeneratedRecord, generate
from tests.kafka.programs import environment_of, wait_until, worker
from tests.kafka.topics import produce_all
from tests.results import keep

PARTITIONS = 8
DISTINCT = 200_000
"""Records that are generated; the topic repeats them, for they cost more to make than to deliver."""
SETTLED_AFTER_S = 60.0
PROMISED_MIB = 60
"""What the process needs beside the budget."""


@click.command
@click.option("--events", default=10_000_000, show_default=True, type=click.IntRange(min=DISTINCT))
@click.option("--budget-mib", default=256, show_default=True, type=click.IntRange(min=16), help="For records.")
@click.option("--result", "file", type=click.Path(path_type=Path), help="Write the result to this file, as JSON.")
def backlog(*, events: int, budget_mib: int, file: Path | None) -> None:
    """Deliver a backlog from a real Kafka to a local sink, and watch the memory of the worker each second."""
    with kafka() as cluster, tempfile.TemporaryDirectory() as folder, sink() as url:
        names = create(cluster, PARTITIONS)
        click.echo(f"{events:,} events, {PARTITIONS} partitions, a budget of {budget_mib} MiB")
        produce_all(cluster, names.topic, _repeated(events))
        environment = environment_of(cluster, names, url, MEMORY__BUDGET_BYTES=budget_mib * MIB)
        started = time.monotonic()
        resident: list[tuple[float, float]] = []
        with worker(environment, Path(folder) / "log") as program:

            def is_done() -> bool:
                resident.append((time.monotonic() - started, memory_mib(program.process.pid, "VmRSS")))
                return bool(program.ready()) and program.metrics()["records_delivered_total"] >= events

            wait_until(is_done, "all is delivered", 7_200, 1.0)
    first = max(mib for at, mib in resident if at <= SETTLED_AFTER_S)
    later = [mib for at, mib in resident if at > SETTLED_AFTER_S] or [first]
    result: dict[str, object] = {
        "command": f"python -m bench.backlog --events {events} --budget-mib {budget_mib}",
        "events": events,
        "seconds": round(resident[-1][0]),
        "budget_mib": budget_mib,
        "resident_mib_highest_in_the_first_minute": round(first),
        "resident_mib_lowest_after_it": round(min(later)),
        "resident_mib_highest_after_it": round(max(later)),
    }
    keep(file, result)
    for name, value in result.items():
        click.echo(f"  {name:<42} {value}")
    if max(later) > budget_mib + PROMISED_MIB or max(later) > 1.1 * first:
        raise click.ClickException("memory does not stay where it was promised to")


def _repeated(events: int) -> Iterator[GeneratedRecord]:
    records = [dataclasses.replace(each, timestamp_ms=0) for each in generate(1, DISTINCT, CLEAN)]
    return itertools.islice(itertools.cycle(records), events)


if __name__ == "__main__":
    backlog()
