"""`python -m bench.memory`: what a worker with default settings holds while it reads a compressed backlog.

A fetch is limited as compressed and unpacked as a whole, so what matters is how well the topic is compressed. Each row
is a worker of its own, which has more to read than it can deliver.
"""

import itertools
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import click

from bench.end_to_end import sink
from bench.kafka import cpu_s, create, kafka, memory_mib
from processor.model.reasons import Bottleneck
from processor.settings.memory import MIB
from tests.kafka.compressed import fill
from tests.kafka.programs import WorkerProgram, environment_of, wait_until, worker
from tests.results import keep

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
@click.option(
    "--environment",
    "environments",
    default=[""],
    multiple=True,
    help="More variables for the worker, NAME=VALUE, separated by spaces; each value is a row.",
)
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
    environments: tuple[str, ...],
    file: Path | None,
) -> None:
    """Measure the resident memory of a worker, and what it delivers, by how well its topic is compressed."""
    rows: list[dict[str, object]] = []
    click.echo(
        "compressed   bytes/event   budget MiB  events/s   CPU µs   peak MiB   end MiB   held MiB   held back by  ended"
    )
    with kafka() as cluster:
        for text in text_bytes:
            names = create(cluster, partitions)
            size, ratio = fill(cluster, names.topic, text, mib * MIB)
            for number, (budget, more) in enumerate(itertools.product(budget_mib, environments)):
                settings: dict[str, object] = {**dict(each.split("=", 1) for each in variables)}
                if budget:
                    settings["MEMORY__BUDGET_BYTES"] = budget * MIB
                own = replace(names, group=f"{names.group}-{number}")
                with tempfile.TemporaryDirectory() as folder, sink() as url:
                    environment = environment_of(cluster, own, url, **settings)
                    environment |= dict(each.split("=", 1) for each in more.split())
                    with worker(environment, Path(folder) / "log") as program, _limited(program, limit_mib):
                        seen = _watch(program, seconds)
                row = {"compressed": round(ratio, 1), "event_bytes": size, "budget_mib": budget, "environment": more}
                rows.append(row := row | seen)
                click.echo(
                    f"{ratio:>8.1f}:1 {size:>13,} {budget or 'default':>12} {row['events_per_s']:>10,} "
                    f"{row['cpu_us']:>8} {row['peak_mib']:>10} {row['end_mib']:>9} {row['held_mib']:>10}   "
                    f"{row['held_back_by']:<12}   {row['ended'] or 'no'}"
                    f"   {more}"
                )
    keep(file, {"partitions": partitions, "seconds": seconds, "limit_mib": limit_mib, "rows": rows})


def _watch(program: WorkerProgram, seconds: int) -> dict[str, object]:
    """Let the worker deliver for a while, or until it has all; return what it reached, and how it ended."""
    program.wait_until_joined()
    peak, end, held, delivered, started = 0.0, 0.0, 0.0, 0.0, time.monotonic()
    pid = program.process.pid
    begun_s = spent_s = cpu_s(pid)
    held_back: Counter[str] = Counter()
    while (spent := time.monotonic() - started) < seconds and program.process.poll() is None:
        with suppress(ConnectionError, StopIteration, FileNotFoundError):
            peak, end = memory_mib(pid, "VmHWM"), memory_mib(pid, "VmRSS")
            spent_s = cpu_s(pid)
            metrics = program.metrics()
            held = max(held, metrics["bytes_held"] / MIB)
            held_back.update(kind for kind in Bottleneck if metrics[f"bottleneck{{kind={kind}}}"])
            delivered = metrics["records_delivered_total"]
            if delivered and not metrics.get("consumer_lag_records", 1):
                break
        time.sleep(LOOK_S)
    ended = program.process.poll()
    return {
        "events_per_s": round(delivered / spent),
        "cpu_us": round((spent_s - begun_s) / max(delivered, 1) * 1e6),
        "peak_mib": round(peak),
        "end_mib": round(end),
        "held_mib": round(held),
        "held_back_by": max(held_back, key=held_back.__getitem__, default=""),
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


if __name__ == "__main__":
    memory()
