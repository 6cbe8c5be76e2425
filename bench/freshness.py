"""`python -m bench.freshness`: from a record's production to its effect in FullStory, under a steady load."""

import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from bench.kafka import create, kafka
from bench.stages import CLEAN
from processor.engine.partition.range_queue import BatchLimits
from processor.workload import ExpectDelivered, GeneratedRecord, generate
from processor.workload.account import Arrival, uniques
from tests.chaos.evidence import effects
from tests.kafka.programs import environment_of, sandbox, wait_until, worker
from tests.kafka.topics import paced, produce_all
from tests.results import keep

PARTITIONS = 16
LATENCY_S, JOB_S = 0.2, 2.0
WARM_UP_S = 10.0
LINGER_S = BatchLimits().linger_s
ALLOWED_S = 5.0
"""Beside the linger, for the 99th percentile."""


@click.command
@click.option("--rate", default=2_000, show_default=True, type=click.IntRange(min=1), help="Events a second.")
@click.option("--seconds", default=60, show_default=True, type=click.IntRange(min=1))
@click.option("--result", "file", type=click.Path(path_type=Path), help="Write the result to this file, as JSON.")
def freshness(*, rate: int, seconds: int, file: Path | None) -> None:
    """Produce at a steady rate to a real Kafka; one worker delivers to a sandbox with a latency and slow jobs."""
    options = ("--latency", str(LATENCY_S), "--job-seconds", str(JOB_S), str(JOB_S))
    produced: dict[tuple[str, str, str], float] = {}
    with kafka() as cluster, tempfile.TemporaryDirectory() as folder, sandbox(*options) as server:
        names = create(cluster, PARTITIONS)
        environment = environment_of(cluster, names, server.url)
        with worker(environment, Path(folder) / "log") as program, ThreadPoolExecutor(1) as thread:
            program.wait_until_joined()
            stop = threading.Event()
            records = noted(paced(generate(1, None, CLEAN), rate, stop), produced)
            traffic = thread.submit(produce_all, cluster, names.topic, records)
            stop.wait(WARM_UP_S + seconds)
            stop.set()
            count = traffic.result()
            wait_until(lambda: program.metrics()["records_delivered_total"] >= count, "all takes effect")
        begin = min(produced.values()) + WARM_UP_S
        ages = sorted(at - since for since, at in aged(effects(server), produced) if since >= begin)
    p99 = ages[int(len(ages) * 0.99)]
    result: dict[str, object] = {
        "command": f"python -m bench.freshness --rate {rate} --seconds {seconds}",
        "events": len(ages),
        "p50_s": round(ages[len(ages) // 2], 2),
        "p99_s": round(p99, 2),
        "highest_s": round(ages[-1], 2),
    }
    keep(file, result)
    for name, value in result.items():
        click.echo(f"  {name:<10} {value}")
    if p99 > LINGER_S + ALLOWED_S:
        raise click.ClickException(f"the 99th percentile is above {LINGER_S + ALLOWED_S:g} s")


def noted(records: Iterator[GeneratedRecord], produced: dict[tuple[str, str, str], float]) -> Iterator[GeneratedRecord]:
    """Remember when each record was produced."""
    for record in records:
        assert isinstance(record.expectation, ExpectDelivered)
        expected = record.expectation
        produced[expected.kind, expected.uid, expected.unique] = record.timestamp_ms / 1_000
        yield record


def aged(
    found: Iterator[dict[str, object]], produced: dict[tuple[str, str, str], float]
) -> Iterator[tuple[float, float]]:
    """Yield when each event was produced, and when it took effect."""
    for effect in found:
        at, arrival = effect["at"], Arrival(effect["kind"], effect["item"])  # type: ignore[arg-type]
        for unique in uniques(arrival):
            yield produced[unique], float(at)  # type: ignore[arg-type]


if __name__ == "__main__":
    freshness()
