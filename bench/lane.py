"""`python -m bench.lane`: what live traffic notices of a redrive beside it, behind a limit that nobody was told."""

import json
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click

from bench.freshness import aged, noted
from bench.kafka import create, kafka
from bench.limits import BURST_S, Count, count_now
from bench.stages import CLEAN
from processor.model.reasons import DeadLetterReason
from processor.simulation.play import Ages
from processor.workload import generate
from tests.chaos.evidence import effects
from tests.commands.program import started
from tests.kafka.cluster import Cluster, free_port
from tests.kafka.programs import SandboxProgram, WorkerProgram, ask, environment_of, sandbox, wait_until, worker
from tests.kafka.test_redriving import letter
from tests.kafka.topics import append, paced, produce_all
from tests.results import keep

PARTITIONS, LETTER_PARTITIONS = 8, 4
WARM_UP_S, ALONE_S, STEP_S, WINDOW_S = 20, 100, 5, 30
LATENCY_S, JOB_S = 0.05, (0.5, 1.0)
SMALL = {"BATCH__MAX_RECORDS": 5, "BATCH__LINGER_S": 0.5}
"""Few records a batch, so that it is the rate of requests that limits."""
REDRIVEN = "Redriven"
WRITTEN_AT_ONCE = 10_000
FULL = 0.95


class Look(NamedTuple):
    """What was seen at a moment."""

    at_wall: float
    counted: Count
    by_live: int
    """Requests that the worker made, and of those, below, what was refused."""
    refused_of_live: int


@click.command
@click.option("--letters", default=200_000, show_default=True, type=click.IntRange(min=LETTER_PARTITIONS))
@click.option("--batch", default=50, show_default=True, help="How many of them a request carries at most.")
@click.option("--limit", default=40.0, show_default=True, help="Requests a second, with a burst of two seconds.")
@click.option("--rate", default=21.0, show_default=True, help="Live events a second.")
@click.option("--share", default="0.2", show_default=True, help="The option of the redrive.")
@click.option("--result", "file", type=click.Path(path_type=Path), help="Write the result to this file, as JSON.")
def lane(*, letters: int, batch: int, limit: float, rate: float, share: str, file: Path | None) -> None:
    """Deliver live traffic alone for a while, then beside `redrive --to fullstory` until its last letter settles."""
    produced: dict[tuple[str, str, str], float] = {}
    with ExitStack() as stack:
        cluster = stack.enter_context(kafka())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        limits = ("--requests-per-second", str(limit), "--burst", str(round(limit * BURST_S)))
        times = ("--latency", str(LATENCY_S), "--job-seconds", *map(str, JOB_S))
        server = stack.enter_context(sandbox(*limits, *times))
        names = create(cluster, PARTITIONS)
        names = replace(names, dead_letters=f"dlq.{names.topic}")
        cluster.create_topic(names.dead_letters, LETTER_PARTITIONS)
        write(cluster, names.dead_letters, letters)
        environment = environment_of(cluster, names, server.url, **SMALL)
        program = stack.enter_context(worker(environment, folder / "log"))
        program.wait_until_joined()
        stop = threading.Event()
        thread = stack.enter_context(ThreadPoolExecutor(1))
        stack.callback(stop.set)
        records = noted(paced(generate(1, None, CLEAN), rate, stop), produced)
        traffic = thread.submit(produce_all, cluster, names.topic, records)
        time.sleep(WARM_UP_S)
        alone = [look(server, program)]
        time.sleep(ALONE_S)
        alone.append(look(server, program))
        environment["PROCESSOR_BATCH__MAX_RECORDS"] = str(batch)
        beside, out = redriven(server, program, environment, share)
        stop.set()
        traffic.result()
        live = (each for each in effects(server) if each["item"].get("name") != REDRIVEN)
        ages = [(at, at - since) for since, at in aged(live, produced)]
    account: dict[str, Any] = json.loads(out)
    if account["delivered"] != {"event": letters}:
        raise click.ClickException(f"not all letters were delivered: {account}")
    found_after_s = _full_after_s(beside, limit)
    result: dict[str, object] = {
        "command": f"python -m bench.lane --letters {letters} --batch {batch} --limit {limit:g} --rate {rate:g} "
        f"--share {share}",
        "letters": letters,
        "seconds": round(beside[-1].counted.at - beside[0].counted.at),
        "live_requests_per_s_alone": round(rate_of(alone), 1),
        "live_requests_per_s_beside": round(
            (beside[-1].by_live - beside[0].by_live) / (beside[-1].at_wall - beside[0].at_wall), 1
        ),
        "alone": _told(ages, alone),
        "beside": _told(ages, beside),
        "used": round(rate_of(beside) / limit, 3),
        "used_to_95_percent_after_s": found_after_s,
        "used_from_then": None
        if found_after_s is None
        else round(rate_of(beside[found_after_s // STEP_S : -1]) / limit, 3),
        "refused": beside[-1].counted.refused - beside[0].counted.refused,
        "refused_of_live_traffic": beside[-1].refused_of_live - beside[0].refused_of_live,
    }
    keep(file, result)
    for name, value in result.items():
        click.echo(f"  {name:<27} {value}")


def redriven(
    server: SandboxProgram, program: WorkerProgram, environment: dict[str, str], share: str
) -> tuple[list[Look], bytes]:
    """Redrive to the end; return what was seen every few seconds, and the account."""
    port = free_port()
    options = ("--share", share, "--http-port", str(port), "--yes", "--format", "json")
    with started("redrive", "--to", "fullstory", *options, environment=environment) as process:
        try:
            wait_until(lambda: listens(port) or process.poll() is not None, "the redrive begins")
            looks = [look(server, program)]
            while process.poll() is None:
                time.sleep(STEP_S)
                looks.append(look(server, program))
                click.echo(_line(looks), err=True)
        finally:
            process.kill()
        return looks, process.communicate()[0]


def write(cluster: Cluster, topic: str, letters: int) -> None:
    """Write letters of events that FullStory would take."""
    value = b'{"type": "track", "userId": "u%d", "event": "%s", "messageId": "m%d"}'
    for start in range(0, letters, WRITTEN_AT_ONCE):
        made = [
            letter(each, value % (each % 5_000, REDRIVEN.encode(), each), DeadLetterReason.REJECTED)
            for each in range(start, min(start + WRITTEN_AT_ONCE, letters))
        ]
        for partition in range(LETTER_PARTITIONS):
            append(cluster, topic, partition, made[partition::LETTER_PARTITIONS])


def look(server: SandboxProgram, program: WorkerProgram) -> Look:
    """Look now."""
    metrics = program.metrics()
    made, refused = metrics["request_duration_seconds_count"], metrics["retries_total{reason=throttled}"]
    return Look(time.time(), count_now(server), round(made), round(refused))


def listens(port: int) -> bool:
    """Say whether the redrive has begun: what it brings back is chosen by then."""
    try:
        return bool(ask(f"http://127.0.0.1:{port}/livez"))
    except ConnectionError:
        return False


def rate_of(looks: Sequence[Look]) -> float:
    """Return how many requests a second were taken."""
    first, last = looks[0].counted, looks[-1].counted
    return (last.taken - first.taken) / (last.at - first.at)


def _full_after_s(looks: Sequence[Look], limit: float) -> int | None:
    """Return after how many seconds the first window began in which the limit was used."""
    steps = WINDOW_S // STEP_S
    windows = ((start, looks[start : start + steps + 1]) for start in range(len(looks) - steps))
    return next((start * STEP_S for start, each in windows if rate_of(each) >= FULL * limit), None)


def _told(ages: Sequence[tuple[float, float]], looks: Sequence[Look]) -> dict[str, float]:
    found = Ages.of([age for at, age in ages if looks[0].at_wall <= at < looks[-1].at_wall])
    assert found is not None, "nothing took effect"
    return {name: round(value, 2) for name, value in found._asdict().items()}


def _line(looks: Sequence[Look]) -> str:
    before, now = looks[-2:]
    refused = now.counted.refused - before.counted.refused
    return f"{now.counted.at - looks[0].counted.at:6.0f} s: {rate_of([before, now]):5.1f}/s, {refused} refused"


if __name__ == "__main__":
    lane()
