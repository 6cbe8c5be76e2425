"""`python -m bench peers`: the worker and others that do its work, side by side on one topic."""

import platform
import re
import statistics
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import click

from bench.kafka import kafka
from bench.machine import load as load_now
from bench.machine import machine
from bench.peers.install import HERE, POM
from bench.peers.runs import BATCH, CONCURRENCY, PARTITIONS, PEERS, Result, filled, run
from bench.peers.sameness import differences
from bench.stages import CLEAN
from bench.typed import SCHEMA, SCHEMA_ID
from processor import __version__
from tests.results import keep

DEFAULT = ("worker", "worker-json", "quix", "parallel-consumer")
OURS = ("worker", "worker-compiled")
"""Of whom ratios to all others are told."""
CPU = {"cpu_us": "CPU", "steady_cpu_us": "CPU after start-up"}
"""Figures of which ratios are told."""
IN_JSON_TEXT = ("worker-json", "worker-json-compiled")
"""Who reads the other topic, in which values with members of their own stay such."""
USERS = 100_000
SAMPLE = 2_000
LEAST = 20_000
"""Quix Streams delivers 10,000 at once: of fewer events nothing would be left after start-up."""
DISTINCT = replace(CLEAN, users=10**9)
"""Hardly any two events of a user."""


@click.command
@click.option("--events", default=300_000, show_default=True, type=click.IntRange(min=LEAST), help="In each topic.")
@click.option(
    "--pairs", default=5, show_default=True, type=click.IntRange(min=1), help="Rounds in which each runs once."
)
@click.option("--only", default=DEFAULT, show_default=True, multiple=True, type=click.Choice(list(PEERS)), help="Who.")
@click.option("--users", default=USERS, show_default=True, type=click.IntRange(min=1), help="Active at any moment.")
@click.option("--result", "file", type=click.Path(path_type=Path), help="Write the result to this file, as JSON.")
def peers(*, events: int, pairs: int, only: tuple[str, ...], users: int, file: Path | None) -> None:
    """Let Quix Streams (Python) and Confluent's Parallel Consumer (Java) do the worker's work, beside the worker.

    Each delivers the same events from a real Kafka to the same sink, round after round, the order of the round before
    turned round. First it is made sure that each makes the items that the worker makes. Where the worker takes part,
    ratios are those of the worker to each other within the same round; compare nothing else. Those called compiled need
    `make native` first.
    """
    results: dict[str, list[Result]] = {name: [] for name in only}
    load = load_now()
    with kafka() as cluster:
        with filled(cluster, SAMPLE, DISTINCT) as sample:
            for name in (each for each in only if each not in IN_JSON_TEXT):
                for said in differences(name, cluster, sample, SCHEMA, SCHEMA_ID):
                    raise click.ClickException(said)
        click.echo(f"each makes the same items of {SAMPLE:,} events")
        click.echo(f"{events:,} events twice, {PARTITIONS} partitions, {users:,} users")
        click.echo(f"{'':<30} CPU µs   steady   events/s      s   peak MiB")
        with filled(cluster, events, replace(CLEAN, users=users)) as topics:
            for number in range(pairs):
                for name in only if number % 2 == 0 else reversed(only):
                    results[name].append(result := run(name, cluster, topics))
                    click.echo(_row(f"{number + 1} {name}", result))
    click.echo("medians")
    medians = {name: median(found) for name, found in results.items()}
    for name, result in medians.items():
        click.echo(_row(f"  {name}", result))
    ratios = {
        own: {
            name: {figure: ratios_to(results[own], found, figure) for figure in CPU}
            for name, found in results.items()
            if name != own
        }
        for own in OURS
        if own in only
    }
    for own, of_own in ratios.items():
        for name, of in of_own.items():
            for figure, each in of.items():
                rounds = ", ".join(f"{ratio:.2f}" for ratio in each)
                click.echo(f"{CPU[figure]} of {own} to {name}: {statistics.median(each):.2f} ({rounds})")
    chosen = "".join(f" --only {name}" for name in only) if only != DEFAULT else ""
    told: dict[str, object] = {
        "command": f"python -m bench peers --events {events} --pairs {pairs}{chosen}",
        "events": events,
        "partitions": PARTITIONS,
        "users": users,
        "batch": BATCH,
        "concurrency": CONCURRENCY,
        "machine": machine(),
        "load": load,
        "versions": _versions(),
        "medians": {name: _rounded(each) for name, each in medians.items()},
        "ratios": ratios,
        "runs": {name: [_rounded(each) for each in found] for name, found in results.items()},
    }
    keep(file, told)


def median(results: Sequence[Result]) -> Result:
    """Return the medians, each of one figure."""
    rows = [asdict(each) for each in results]
    return Result(**{name: statistics.median(row[name] for row in rows) for name in rows[0]})


def ratios_to(ours: Sequence[Result], theirs: Sequence[Result], figure: str) -> list[float]:
    """Return how much the worker took in parts of what the other took, round by round."""
    return [round(getattr(own, figure) / getattr(other, figure), 2) for own, other in zip(ours, theirs, strict=True)]


def _row(name: str, result: Result) -> str:
    return (
        f"{name:<30} {result.cpu_us:>6.1f} {result.steady_cpu_us:>8.1f} {result.events_per_s:>10,.0f} "
        f"{result.seconds:>6.1f} {result.peak_mib:>10.0f}"
    )


def _rounded(result: Result) -> dict[str, float]:
    return {name: round(value, 1) for name, value in asdict(result).items()}


def _versions() -> dict[str, str]:
    peers = re.findall(r"(?m)^(quixstreams)==(\S+)", (HERE / "quix" / "requirements.lock").read_text("utf-8"))
    peers += re.findall(r"<artifactId>(parallel-consumer-core)</artifactId>\s*<version>(.*?)<", POM.read_text("utf-8"))
    own = {"segment-fullstory": __version__, "Python": platform.python_version()}
    return own | {"confluent-kafka": version("confluent-kafka"), **dict(peers)}
