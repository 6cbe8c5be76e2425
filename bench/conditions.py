"""`python -m bench conditions`: what an event costs as one thing after the other is changed.

Each row is one run of its own, of as many workers as it says, over a new topic. It differs from the first row in what
its name says, and in nothing else. CPU is user and system time of all workers' processes, after start-up.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import click

from bench.end_to_end import Result, sink, steady, until_delivered
from bench.kafka import cpu_s, create, kafka
from bench.machine import command, load, machine
from bench.peers.runs import compiled_program
from bench.stages import CLEAN
from processor.workload import GeneratedRecord, generate
from tests.kafka.cluster import Cluster
from tests.kafka.compressed import event
from tests.kafka.programs import PROGRAM, environment_of, wait_until, worker
from tests.kafka.topics import produce_all, producing
from tests.results import keep

PARTITIONS, IDLE_PARTITIONS = 8, 64
RATE = 2_000.0
PACED_S = 20.0
IDLE_S = 20.0
STARTED_S = 5.0
"""What a start leaves to do is done by then."""
LATENCY_S = 0.2
BUSY_USERS = 1_000
"""Nearly every batch has an identify of most of them."""
LARGE_TEXT_BYTES = 8_000
"""FullStory takes texts of 8,192 bytes."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a run is like."""

    partitions: int = PARTITIONS
    workers: int = 1
    part: float = 1.0
    """Of the events that the command names."""
    users: int = 100_000
    """Active at any moment."""
    text_bytes: int | None = None
    """JSON events with a text of so many bytes; None: events of the shipped schemas, of about 480 bytes."""
    is_paced: bool = False
    sink: Sequence[str] = ()
    settings: dict[str, object] = field(default_factory=dict)


BASE = "a backlog, 8 partitions, 480 bytes"
CONDITIONS = {
    BASE: Condition(),
    "1 partition": Condition(partitions=1),
    "64 partitions": Condition(partitions=64),
    f"{BUSY_USERS:,} users": Condition(users=BUSY_USERS),
    "JSON events of 240 bytes": Condition(text_bytes=0),
    "JSON events of 8,240 bytes": Condition(text_bytes=LARGE_TEXT_BYTES, part=0.2),
    f"paced: {RATE:,.0f} events a second": Condition(is_paced=True),
    f"sent singly, answered after {LATENCY_S * 1_000:.0f} ms": Condition(
        part=0.1, sink=("--latency", str(LATENCY_S)), settings={"DELIVERY__MODE": "single"}
    ),
    "2 workers": Condition(workers=2),
    "4 workers": Condition(workers=4),
}


@click.command
@click.option("--events", default=200_000, show_default=True, type=click.IntRange(min=10_000), help="In a topic.")
@click.option("--compiled", is_flag=True, help="The worker of `make native`.")
@click.option("--only", multiple=True, type=click.Choice(list(CONDITIONS)), help="Rows; all without.")
@click.option("--result", "file", type=click.Path(path_type=Path), help="Write the result to this file, as JSON.")
def conditions(*, events: int, compiled: bool, only: tuple[str, ...], file: Path | None) -> None:
    """Measure under one condition after the other, and an idle worker of 64 partitions at the end.

    Compare figures of one sitting only.
    """
    program, own = compiled_program() if compiled else (PROGRAM, {})
    began_with = load()
    rows = []
    click.echo(f"{'':<40} CPU µs/event   events/s   peak MiB   first record")
    with kafka() as cluster:
        for name in only or CONDITIONS:
            result, first_record_s = _run(cluster, CONDITIONS[name], events, program, own)
            rows.append({"condition": name, **asdict(result), "first_record_s": first_record_s})
            click.echo(
                f"{name:<40} {result.cpu_us:>12.1f} {result.events_per_s:>10,.0f} {result.peak_mib:>10.0f} "
                f"{first_record_s:>12.2f} s"
            )
        idle = _idle(cluster, program, own)
    click.echo(f"idle, 64 partitions: {idle:.2%} of a core")
    found = {"machine": machine(), "load": began_with, "command": command("bench"), "compiled": compiled, "idle": idle}
    keep(file, found | {"rows": rows})


def _run(
    cluster: Cluster, condition: Condition, events: int, program: Sequence[str], own: dict[str, str]
) -> tuple[Result, float]:
    """Return what is reached, and the seconds from the start of the processes to the first record that is consumed."""
    names = create(cluster, condition.partitions)
    wanted = int(RATE * PACED_S) if condition.is_paced else int(events * condition.part)
    feed: AbstractContextManager[None] = nullcontext()
    given: Iterator[GeneratedRecord] = generate(
        1, None if condition.is_paced else wanted, replace(CLEAN, users=condition.users)
    )
    if (text := condition.text_bytes) is not None:
        given = (replace(each, value=event(number, text), headers=[]) for number, each in enumerate(given))
    if condition.is_paced:
        feed = producing(cluster, names.topic, given, RATE)
    else:
        produce_all(cluster, names.topic, given)
    with tempfile.TemporaryDirectory() as folder, sink(*condition.sink) as url, ExitStack() as stack:
        environment = environment_of(cluster, names, url, **condition.settings) | own
        began_at = time.monotonic()
        programs = [
            stack.enter_context(worker(environment, Path(folder) / f"{number}.log", program=program))
            for number in range(condition.workers)
        ]
        stack.enter_context(feed)
        moments = list(until_delivered(wanted, programs))
        first = next(each.at_s for each in moments if each.consumed) - began_at
        return steady(wanted, programs, moments), first


def _idle(cluster: Cluster, program: Sequence[str], own: dict[str, str]) -> float:
    """Return what part of a core a worker takes that has nothing to do."""
    names = create(cluster, IDLE_PARTITIONS)
    with (
        tempfile.TemporaryDirectory() as folder,
        sink() as url,
        worker(environment_of(cluster, names, url) | own, Path(folder) / "log", program=program) as running,
    ):
        running.wait_until_joined()
        wait_until(lambda: running.metrics()["partitions_assigned"] == IDLE_PARTITIONS, "it has its partitions")
        time.sleep(STARTED_S)
        begun = cpu_s(running.process.pid)
        time.sleep(IDLE_S)
        return (cpu_s(running.process.pid) - begun) / IDLE_S


def table(told: dict[str, Any]) -> str:
    """Return it as docs/performance.md shows it."""
    rows = [
        "| | CPU per event | events per second | peak memory | first record after |",
        "|---|---|---|---|---|",
        *(
            f"| {row['condition']} | {row['cpu_us']:.1f} µs | {row['events_per_s']:,.0f} | {row['peak_mib']:.0f} MiB "
            f"| {row['first_record_s']:.1f} s |"
            for row in told["rows"]
        ),
    ]
    return "\n".join(rows)


def caption(told: dict[str, Any]) -> str:
    """Return what was measured, and how to repeat it."""
    build = "the compiled worker" if told["compiled"] else "the worker in pure Python"
    return (
        f"This is {build} on {told['machine']}, with a load of {told['load']:.1f} by other programs when it began: "
        f"`{told['command']}` ([result](results/conditions.json)). An idle worker of 64 partitions took "
        f"{told['idle']:.1%} of a core."
    )
