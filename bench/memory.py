"""`python -m bench.memory`: what a worker with default settings holds while it reads a compressed backlog.

A fetch is limited as compressed and unpacked as a whole, so what matters is how well the topic is compressed. Each row
is a worker of its own, which has more to read than it can deliver.
"""

import itertools
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import click
import orjson
from confluent_kafka import Producer

from bench.end_to_end import sink
from bench.kafka import create, kafka, memory_mib
from processor.settings.memory import MIB
from tests.kafka.cluster import Cluster
from tests.kafka.programs import WorkerProgram, environment_of, wait_until, worker
from tests.results import keep

DISTINCT = 50_000
"""Events that are generated; the topic repeats them."""
TEXT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 "
CGROUPS = Path("/sys/fs/cgroup/memory")
LOOK_S = 0.2


@click.command
@click.option(
    "--text-bytes",
    default=[0, 2_000, 20_000],
    show_default=True,
    multiple=True,
    help="Of each event: what all have alike.",
)
@click.option("--partitions", default=48, show_default=True, type=click.IntRange(min=1))
@click.option("--seconds", default=30, show_default=True, type=click.IntRange(min=5), help="For each row.")
@click.option(
    "--mib", default=600, show_default=True, type=click.IntRange(min=1), help="What a row has to read, unpacked."
)
@click.option("--budget-mib", default=[0], multiple=True, help="PROCESSOR_MEMORY__BUDGET_BYTES; 0 is the default.")
@click.option("--limit-mib", default=0, help="Of a control group for the worker (needs root and cgroup v1); 0 is none.")
@click.option("--set", "variables", multiple=True, help="A variable for the worker, NAME=VALUE.")
@click.option("--result", "file", type=click.Path(path_type=Path), help="Write the result to this file, as JSON.")
def memory(
    *,
    text_bytes: tuple[int, ...],
    partitions: int,
    seconds: int,
    mib: int,
    budget_mib: tuple[int, ...],
    limit_mib: int,
    variables: tuple[str, ...],
    file: Path | None,
) -> None:
    """Measure the resident memory of a worker, and what it delivers, by how well its topic is compressed."""
    rows: list[dict[str, object]] = []
    click.echo("compressed   bytes/event   budget MiB   events/s   peak MiB   bytes_held MiB   ended")
    with kafka() as cluster:
        for text in text_bytes:
            names = create(cluster, partitions)
            size, ratio = _fill(cluster, names.topic, text, mib * MIB)
            for budget in budget_mib:
                settings: dict[str, object] = {**dict(each.split("=", 1) for each in variables)}
                if budget:
                    settings["MEMORY__BUDGET_BYTES"] = budget * MIB
                own = replace(names, group=f"{names.group}-{budget}")
                with (
                    tempfile.TemporaryDirectory() as folder,
                    sink() as url,
                    worker(environment_of(cluster, own, url, **settings), Path(folder) / "log") as program,
                    _limited(program, limit_mib),
                ):
                    row = {"compressed": round(ratio, 1), "event_bytes": size, "budget_mib": budget} | _watch(
                        program, seconds
                    )
                rows.append(row)
                click.echo(
                    f"{ratio:>8.1f}:1 {size:>13,} {budget or 'default':>12} {row['events_per_s']:>10,} "
                    f"{row['peak_mib']:>10} {row['held_mib']:>16}   {row['ended'] or 'no'}"
                )
    keep(file, {"partitions": partitions, "seconds": seconds, "limit_mib": limit_mib, "rows": rows})


def _watch(program: WorkerProgram, seconds: int) -> dict[str, object]:
    """Let the worker deliver for a while, or until it has all; return what it reached, and how it ended."""
    program.wait_until_joined()
    peak, held, delivered, started = 0.0, 0.0, 0.0, time.monotonic()
    while (spent := time.monotonic() - started) < seconds and program.process.poll() is None:
        with suppress(ConnectionError, StopIteration, FileNotFoundError):
            peak = max(peak, memory_mib(program.process.pid, "VmHWM"))
            metrics = program.metrics()
            held = max(held, metrics["bytes_held"] / MIB)
            if metrics["records_delivered_total"] == delivered > 0:
                break
            delivered = metrics["records_delivered_total"]
        time.sleep(LOOK_S)
    ended = program.process.poll()
    return {
        "events_per_s": round(delivered / spent),
        "peak_mib": round(peak),
        "held_mib": round(held),
        "ended": "" if ended is None else signal.Signals(-ended).name if ended < 0 else str(ended),
    }


@contextmanager
def _limited(program: WorkerProgram, limit_mib: int) -> Iterator[None]:
    """Run the worker in a control group of its own, as a container does."""
    if not limit_mib:
        yield
        return
    group = CGROUPS / f"segment-fullstory-{os.getpid()}-{program.process.pid}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(limit_mib * MIB))
        (group / "cgroup.procs").write_text(str(program.process.pid))
        yield
    finally:
        program.process.kill()
        program.process.wait()
        wait_until(lambda: not (group / "cgroup.procs").read_text(), "the control group is empty")
        group.rmdir()


def _fill(cluster: Cluster, topic: str, text_bytes: int, total: int) -> tuple[int, float]:
    """Fill a topic; return the bytes of an event, and how many of them are one byte of what is stored."""
    sent = {"bytes": 0}

    def note(statistics: str) -> None:
        sent["bytes"] = sum(each["txbytes"] for each in orjson.loads(statistics)["brokers"].values())

    producer = Producer(
        {
            "bootstrap.servers": cluster.bootstrap_servers,
            "compression.type": "zstd",
            "linger.ms": 200,
            "batch.size": MIB,
            "batch.num.messages": 10_000,
            "queue.buffering.max.kbytes": 256 * 1024,
            "statistics.interval.ms": 200,
            "stats_cb": note,
            "log_level": 0,
        }
    )
    events = [_event(number, text_bytes) for number in range(min(DISTINCT, 200 * MIB // (text_bytes + 300)))]
    count = 0
    given = 0
    for count, event in enumerate(itertools.cycle(events), 1):
        if given >= total:
            break
        given += len(event)
        while True:
            try:
                producer.produce(topic, event, key=str(count))
                break
            except BufferError:
                producer.poll(0.1)
        if count % 1_000 == 0:
            producer.poll(0)
    if producer.flush(60):
        raise TimeoutError("the broker did not acknowledge all")
    producer.poll(0.5)  # the last statistics
    return given // count, given / sent["bytes"]


def _event(number: int, text_bytes: int) -> bytes:
    return orjson.dumps(
        {
            "type": "track",
            "event": "Product Viewed",
            "userId": f"user-{number % 20_000}",
            "messageId": f"{number:032x}",
            "timestamp": f"2026-11-{1 + number % 28:02}T12:{number % 60:02}:00.{number % 1_000:03}Z",
            "properties": {
                "product": f"sku-{number * 7919 % 100_003}",
                "price": number % 997 / 10,
                "quantity": number % 7,
            },
            "context": {"userAgent": (TEXT * (text_bytes // len(TEXT) + 1))[:text_bytes]},
        }
    )


if __name__ == "__main__":
    memory()
