"""`python -m bench.limits`: how much of a limit that nobody told is used, by one worker or several."""

import random
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import click

from bench.kafka import create, kafka, shared_out
from bench.stages import CLEAN
from processor.workload import GeneratedRecord, generate
from tests.kafka.programs import SandboxProgram, ask, environment_of, sandbox
from tests.kafka.topics import paced, produce_all
from tests.results import keep

PARTITIONS = 16
BURST_S = 2
WARM_UP_S, MEASURED_S, OUTAGE_S, WATCHED_S, WINDOW_S = 20, 90, 60, 45, 10
HOT = b"somebody"
"""The key of those records that shall stand in one partition."""

SETTINGS = {
    "batch": {"DELIVERY__MODE": "batch", "BATCH__MAX_RECORDS": 5, "BATCH__LINGER_S": 0.5},
    "single": {"DELIVERY__MODE": "single", "BATCH__MAX_RECORDS": 100, "BATCH__LINGER_S": 0.5},
}
"""Few records a batch, and quick jobs, so that it is the rate of requests that limits."""
SANDBOX = ("--latency", "0.02", "--latency-jitter", "0.06", "--job-seconds", "0.02", "0.05")


class Count(NamedTuple):
    """What a sandbox has counted at a moment."""

    at: float
    taken: int
    refused: int


@click.command
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, PARTITIONS))
@click.option("--mode", default="batch", show_default=True, type=click.Choice(list(SETTINGS)))
@click.option("--hot", is_flag=True, help="Put 80 % of the load into one partition.")
@click.option("--seed", default=1, show_default=True, help="The limit is drawn by it.")
@click.option("--result", "file", type=click.Path(path_type=Path), help="Write the result to this file, as JSON.")
def limits(*, workers: int, mode: str, hot: bool, seed: int, file: Path | None) -> None:
    """Let workers find a limit of requests with a burst of two seconds; double it; then let FullStory fail a minute."""
    rate = round(random.Random(seed).uniform(40, 50 if hot and mode == "batch" else 60), 1)
    burst = round(rate * BURST_S)
    click.echo(f"{rate} requests/s, a burst of {burst}; {workers} workers, {mode}{', hot' if hot else ''}")
    with ExitStack() as stack:
        cluster = stack.enter_context(kafka())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        options = ("--requests-per-second", str(rate), "--burst", str(burst), "--seed", str(seed))
        server = stack.enter_context(sandbox(*SANDBOX, *options))
        names = create(cluster, PARTITIONS)
        environment = environment_of(cluster, names, server.url, **SETTINGS[mode])
        stack.enter_context(shared_out(environment, folder, workers))
        stop = threading.Event()
        thread = stack.enter_context(ThreadPoolExecutor(1))
        stack.callback(stop.set)
        records = _spread(paced(generate(seed, None, CLEAN), rate * 3, stop), hot=hot)
        thread.submit(produce_all, cluster, names.topic, records)
        first = count_now(server)
        time.sleep(WARM_UP_S)
        begin = count_now(server)
        time.sleep(MEASURED_S)
        end = count_now(server)
        ask(f"{server.url}/sandbox/limit", {"requests_per_s": 2 * rate, "burst": 2 * burst})
        doubled = _recovery(server, 2 * rate)
        server.set_faults(outage_status=503)
        time.sleep(OUTAGE_S)
        server.set_faults(outage_status=None)
        mended = _recovery(server, 2 * rate)
        stats = server.stats()
        stop.set()
    result: dict[str, object] = {
        "command": f"python -m bench.limits --workers {workers} --mode {mode}{' --hot' if hot else ''} --seed {seed}",
        "requests_per_s": rate,
        "used": round((end.taken - begin.taken) / (end.at - begin.at) / rate, 3),
        "refused": round((end.refused - begin.refused) / (end.taken - begin.taken), 4),
        "refused_in_the_first_20_s": begin.refused - first.refused,
        "s_until_90_percent_after_the_limit_doubled": doubled,
        "s_until_90_percent_after_an_outage": mended,
        "jobs_in_progress_at_most": stats["jobs"]["max_in_progress"],
    }
    keep(file, result)
    for name, value in result.items():
        click.echo(f"  {name:<44} {value}")


def count_now(server: SandboxProgram) -> Count:
    """Count what the sandbox has taken and refused so far."""
    stats = server.stats()
    return Count(time.monotonic(), stats["requests_total"] - stats["throttled"], stats["throttled"])


def _recovery(server: SandboxProgram, rate: float) -> int | None:
    """Return after how many seconds the first window began in which 90 % of the rate were taken; None: not in time."""
    counts = [count_now(server)]
    for _ in range(WATCHED_S):
        time.sleep(1.0)
        counts.append(count_now(server))
    for start, (before, after) in enumerate(zip(counts, counts[WINDOW_S:], strict=False)):
        if after.taken - before.taken >= 0.9 * rate * (after.at - before.at):
            return start
    return None


def _spread(records: Iterator[GeneratedRecord], *, hot: bool) -> Iterator[GeneratedRecord]:
    """Key the records of four of five users alike, if so wished; those of one user stay in one partition."""
    for record in records:
        yield replace(record, key=HOT) if hot and crc32(record.key or b"") % 5 else record


if __name__ == "__main__":
    limits()
