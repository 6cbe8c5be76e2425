"""`python -m bench life`: where the life of a batch goes, in a real worker with a backlog."""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import orjson

from bench.end_to_end import sink
from bench.kafka import cpu_s, create, kafka
from bench.machine import load as load_now
from bench.machine import machine
from bench.phases import MEANING, Phase, drawn
from bench.stages import CLEAN
from processor.workload import generate
from tests.kafka.programs import environment_of, sandbox, wait_until, worker
from tests.kafka.topics import committed, produce_all
from tests.results import keep


@click.command
@click.option("--events", default=300_000, show_default=True, type=click.IntRange(min=1_000), help="In the topic.")
@click.option("--partitions", default=8, show_default=True, type=click.IntRange(min=1))
@click.option("--users", default=100_000, show_default=True, type=click.IntRange(min=1), help="Active at any moment.")
@click.option("--poison", default=0.0, show_default=True, type=click.FloatRange(0, 1), help="Share to dead-letter.")
@click.option("--latency", type=float, help="Deliver to a sandbox that answers after so many seconds, not to a sink.")
@click.option("--job-seconds", default=0.0, show_default=True, help="How long the sandbox works on a job.")
@click.option("--result", "file", type=click.Path(path_type=Path), help="Write the result to this file, as JSON.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw it in this file, as SVG.")
def life(
    *,
    events: int,
    partitions: int,
    users: int,
    poison: float,
    latency: float | None,
    job_seconds: float,
    file: Path | None,
    plot: Path | None,
) -> None:
    """Have a worker deliver a backlog, and say what each of its batches waited for, and how long."""
    load = load_now()
    options = [f"--events {events}", f"--partitions {partitions}", f"--users {users}"]
    options += [f"--poison {poison:g}"] if poison else []
    options += [] if latency is None else [f"--latency {latency:g} --job-seconds {job_seconds:g}"]
    with (
        kafka() as cluster,
        tempfile.TemporaryDirectory() as folder,
        _destination(latency, job_seconds) as url,
    ):
        names = create(cluster, partitions)
        produce_all(cluster, names.topic, generate(1, events, replace(CLEAN, users=users, poison=poison)))
        noted = Path(folder) / "lives"
        program = [sys.executable, "-m", "bench.watched", str(noted)]
        environment = environment_of(cluster, names, url)
        with worker(environment, Path(folder) / "log", program=program) as running:
            running.wait_until_joined()
            wait_until(lambda: running.metrics()["records_consumed_total"] > 0, "records come")
            began_at, cpu = time.monotonic(), cpu_s(running.process.pid)

            def ended() -> bool:
                metrics = running.metrics()
                return metrics["records_delivered_total"] + metrics["records_dead_lettered_total"] >= events

            wait_until(ended, "all is delivered", 900)
            seconds, cpu = time.monotonic() - began_at, cpu_s(running.process.pid) - cpu
            wait_until(lambda: sum(committed(cluster, names.group, names.topic).values()) >= events, "all is committed")
        lives = [orjson.loads(line) for line in noted.read_bytes().splitlines()]
    told: dict[str, Any] = {
        "command": f"python -m bench life {' '.join(options)}",
        "events": events,
        "machine": machine(),
        "load": load,
        "batches": len(lives),
        "events_per_s": round(events / seconds),
        "busy": round(cpu / seconds, 2),
        "phases": dict(_phases(lives)),
    }
    keep(file, told)
    if plot is not None:
        plot.write_text(drawn(told), encoding="utf-8")
    click.echo(f"{told['batches']} batches, {told['events_per_s']:,} events/s, one core used for {told['busy']:.0%}")
    click.echo(f"{'':<10} {'a batch':<62} {'mean':>8} {'half':>8} {'90 %':>8} {'share':>6}")
    for phase, found in told["phases"].items():
        row = [f"{found[each] * 1_000:>5,.0f} ms" for each in ("mean_s", "p50_s", "p90_s")]
        click.echo(f"{phase:<10} {MEANING[Phase(phase)]:<62} {' '.join(row)} {found['share']:>6.1%}")


@contextmanager
def _destination(latency: float | None, job_seconds: float) -> Iterator[str]:
    if latency is None:
        with sink() as url:
            yield url
    else:
        jobs = str(job_seconds)
        with sandbox("--latency", str(latency), "--job-seconds", jobs, jobs) as server:
            yield server.url


def _phases(lives: list[dict[str, float]]) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield the phases in which any batch was, in their order, with the seconds of a batch in it."""
    whole = sum(sum(each.values()) for each in lives)
    for phase in Phase:
        spent = sorted(each.get(phase.value, 0.0) for each in lives)
        if any(spent):
            yield (
                phase.value,
                {
                    "mean_s": round(statistics.fmean(spent), 4),
                    "p50_s": round(spent[len(spent) // 2], 4),
                    "p90_s": round(spent[int(len(spent) * 0.9)], 4),
                    "share": round(sum(spent) / whole, 4),
                },
            )
