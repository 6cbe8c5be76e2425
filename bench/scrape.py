"""`python -m bench.scrape`: what a scrape costs a worker of many partitions, and what Prometheus makes of it."""

import gzip
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from operator import sub
from pathlib import Path
from typing import Any

import click

from bench.kafka import cpu_s, create, kafka
from bench.machine import load, machine
from bench.stages import CLEAN
from processor.workload import generate
from tests.kafka.programs import WorkerProgram, ask, environment_of, sandbox, wait_until, worker
from tests.kafka.topics import produce_all
from tests.operation.prometheus import FASTER, Prometheus
from tests.results import keep

MIX = replace(CLEAN, users=100_000)
EVENTS_PER_PARTITION = 20
LEAST_HELD = 0.99
"""Of the partitions, before it counts as so that all of them have records that are not settled."""
SCRAPES = 100
ASKS_FOR = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "Accept-Encoding": "gzip"}
"""As Prometheus does."""
SCRAPE_S = 15 / FASTER
WINDOWS_S = 45.0
"""Until the windows of the rules that look at partitions are full: half an hour, and some more."""
GROUPS = 2
"""Of rules."""


@click.command
@click.option("--partitions", default=1_000, show_default=True, type=click.IntRange(min=1), help="Of the one worker.")
@click.option("--seconds", default=60, show_default=True, type=click.IntRange(min=10), help="For each row.")
@click.option("--result", "file", type=click.Path(path_type=Path), help="Write the result to this file, as JSON.")
def scrape(*, partitions: int, seconds: int, file: Path | None) -> None:
    """Have a real Prometheus scrape a worker of a real Kafka, and evaluate the rules, to which a minute is an hour.

    Shown is what the worker uses of a processor for a scrape. For an evaluation of all rules it is how long that takes
    (half of the times, and at least), and what Prometheus uses of a processor for it and for two scrapes.
    """
    found: dict[str, Any] = {
        "command": f"python -m bench.scrape --partitions {partitions} --seconds {seconds}",
        "machine": machine(),
        "load": load(),
        "rows": list(_rows(partitions, seconds)),
    }
    keep(file, found)
    click.echo("partitions                    samples   KiB   worker    rules (least)   Prometheus")
    for row in found["rows"]:
        click.echo(
            f"{row['partitions']:<29} {row['samples']:>7,} {row['kib']:>5,} {row['scrape_ms']:>5.1f} ms"
            f" {row['rules_ms']:>4} ms ({row['rules_least_ms']:>3} ms) {row['prometheus_ms']:>9} ms"
        )


def _rows(partitions: int, seconds: int) -> Iterator[dict[str, Any]]:
    jobs = ("--job-seconds", "3600", "3600")
    with kafka() as cluster, tempfile.TemporaryDirectory() as folder, sandbox(*jobs) as server:
        names = create(cluster, partitions)
        with worker(environment_of(cluster, names, server.url), Path(folder) / "log") as program:
            program.wait_until_joined()
            wait_until(lambda: program.metrics()["partitions_assigned"] == partitions, "it has all partitions")
            yield {"partitions": "of which all is settled", **_row(program, seconds)}
            produce_all(cluster, names.topic, generate(1, partitions * EVENTS_PER_PARTITION, MIX))
            wait_until(lambda: _held(program) >= LEAST_HELD * partitions, "all partitions have records")
            yield {"partitions": "whose records wait for jobs", **_row(program, seconds)}


def _held(program: WorkerProgram) -> int:
    return sum(name.startswith("oldest_unsettled_timestamp_seconds{") for name in program.metrics())


def _row(program: WorkerProgram, seconds: int) -> dict[str, Any]:
    url, pid = f"http://{program.address}/metrics", program.process.pid
    used_s, began_at = cpu_s(pid), time.monotonic()
    time.sleep(seconds)
    idle, used_s, began_at = (cpu_s(pid) - used_s) / (time.monotonic() - began_at), cpu_s(pid), time.monotonic()
    for _ in range(SCRAPES):
        text = ask(url, headers=ASKS_FOR)
    scrape_s = (cpu_s(pid) - used_s - idle * (time.monotonic() - began_at)) / SCRAPES
    return {
        "samples": sum(not line.startswith(b"#") for line in gzip.decompress(text).splitlines()),
        "kib": round(len(text) / 1_024),
        "scrape_ms": round(scrape_s * 1_000, 1),
        **_rules(program.address, seconds),
    }


def _rules(target: str, seconds: int) -> dict[str, int]:
    with tempfile.TemporaryDirectory() as folder:
        prometheus = Prometheus(Path(folder))
        try:
            prometheus.start({"worker": target}, scrape_s=SCRAPE_S)
            time.sleep(WINDOWS_S)
            before, took = _evaluated(prometheus), list[float]()
            for _ in range(seconds):
                time.sleep(1)
                took.append(prometheus.evaluation_s())
            cpu, evaluations = map(sub, _evaluated(prometheus), before)
        finally:
            prometheus.stop()
    figures = {"rules_ms": statistics.median(took), "rules_least_ms": min(took), "prometheus_ms": cpu / evaluations}
    return {name: round(figure * 1_000) for name, figure in figures.items()}


def _evaluated(prometheus: Prometheus) -> tuple[float, float]:
    """Return what it has used of a processor, and how often it has evaluated all rules."""
    count = prometheus.own("prometheus_rule_group_duration_seconds_count")
    return prometheus.own("process_cpu_seconds_total"), count / GROUPS


if __name__ == "__main__":
    scrape()
