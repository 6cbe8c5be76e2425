"""The options, and what they ask for."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import orjson

from processor.commands.common.options import shortest_first
from processor.commands.common.terminal import Terminal
from processor.commands.simulate.text import show
from processor.engine.partition.range_queue import BatchLimits
from processor.settings.memory import LEAST_BUDGET
from processor.simulation.numbers import MIN_EVENT_BYTES, Numbers, Outage
from processor.simulation.picture import picture
from processor.simulation.play import OnProgress
from processor.simulation.verdict import WithOneMore, compare

DEFAULTS = Numbers()
BATCH = DEFAULTS.batch
SECONDS = click.FloatRange(0)
COUNT = click.IntRange(1)
PROGRESS_PARTS = 1_000


def _outage(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Outage | None:
    """Parse START:SECONDS."""
    if value is None:
        return None
    try:
        start_s, lasts_s = map(float, value.split(":"))
    except ValueError:
        start_s = lasts_s = -1.0
    if not (0 <= start_s < float("inf") and 0 < lasts_s < float("inf")):
        raise click.BadParameter(f"{value!r} is not START:SECONDS; for example 120:60")
    return Outage(start_s, lasts_s)


@click.command
@click.option("--partitions", type=click.IntRange(1, 10_000), default=DEFAULTS.partitions, show_default=True)
@click.option("--workers", type=COUNT, default=DEFAULTS.workers, show_default=True, help="Each has a core.")
@click.option(
    "--rate",
    type=SECONDS,
    default=DEFAULTS.rate,
    show_default=True,
    help="Events a second, evenly over the partitions.",
)
@click.option(
    "--event-bytes",
    type=click.IntRange(MIN_EVENT_BYTES),
    default=DEFAULTS.event_bytes,
    show_default=True,
    help="Size of a record's value.",
)
@click.option(
    "--identify-share",
    type=click.FloatRange(0, 1),
    default=DEFAULTS.identify_share,
    show_default=True,
    help="Share of identifies, from 0 to 1.",
)
@click.option("--users", type=COUNT, help="Users active at a time; default: each sends an event every ten seconds.")
@click.option(
    "--limit",
    type=click.FloatRange(0, min_open=True),
    help="Requests a second that FullStory accepts, of all workers together; default: no limit.",
)
@click.option(
    "--latency",
    "latency_s",
    type=SECONDS,
    default=DEFAULTS.latency_s,
    show_default=True,
    help="Of FullStory's answers.",
)
@click.option(
    "--job-seconds",
    "job_s",
    nargs=2,
    type=SECONDS,
    default=DEFAULTS.job_s,
    show_default=True,
    callback=shortest_first,
    help="Shortest and longest duration of a job.",
)
@click.option(
    "--outage",
    metavar="START:SECONDS",
    callback=_outage,
    help="Let FullStory answer 503 from START on, for so many seconds.",
)
@click.option("--backlog", type=click.IntRange(0), default=0, show_default=True, help="Records in Kafka at the start.")
@click.option(
    "--minutes",
    type=click.FloatRange(0.1, 24 * 60),
    default=DEFAULTS.minutes,
    show_default=True,
    help="Of virtual time.",
)
@click.option("--mode", type=click.Choice(["batch", "single"]), default="batch", show_default=True)
@click.option(
    "--cpu-us",
    type=SECONDS,
    default=DEFAULTS.cpu_us,
    show_default=True,
    help="Microseconds of CPU for each event; the default was measured (docs/performance.md).",
)
@click.option(
    "--batch-records",
    type=click.IntRange(1, 50_000),
    default=BATCH.max_records,
    show_default=True,
    help="BATCH__MAX_RECORDS.",
)
@click.option(
    "--batch-bytes",
    type=click.IntRange(1_024),
    default=BATCH.max_bytes,
    show_default=True,
    help="BATCH__MAX_BYTES.",
)
@click.option(
    "--budget-bytes",
    type=click.IntRange(LEAST_BUDGET),
    default=DEFAULTS.budget_bytes,
    show_default=True,
    help="MEMORY__BUDGET_BYTES.",
)
@click.option("--linger", "linger_s", type=SECONDS, default=BATCH.linger_s, show_default=True, help="BATCH__LINGER_S.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of everything random.")
@click.option(
    "--scale",
    type=click.IntRange(0, 1_000),
    default=0,
    show_default=True,
    help="Let one record stand for so many; 0: one for each, or up to ten where there are many.",
)
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--plot", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="Draw the run into this SVG file."
)
def simulate(
    *,
    mode: str,
    batch_records: int,
    batch_bytes: int,
    linger_s: float,
    format_: str,
    plot: Path | None,
    **numbers: Any,
) -> None:
    """Show how workers would fare with your numbers, and whether one more would help.

    The worker's own decisions run on virtual time, between a Kafka and a FullStory in memory, so minutes take seconds.
    It connects to nothing and reads no settings: what no option says is as by default. The same numbers give the same
    result. docs/sizing.md has examples.
    """
    begun = time.monotonic()
    batch = BatchLimits(batch_records, batch_bytes, linger_s)
    with _progress() as progress:
        found = compare(Numbers(is_batch=mode == "batch", batch=batch, **numbers), progress)
    if plot is not None:
        try:
            plot.write_text(picture(found.run), encoding="utf-8")
        except OSError as error:
            raise click.ClickException(f"cannot write {plot}: {error.strerror}") from error
    if format_ == "json":
        click.echo(orjson.dumps(_as_json(found), option=orjson.OPT_INDENT_2).decode())
    else:
        show(found, Terminal())
        click.echo(f"took {time.monotonic() - begun:.0f} s", err=True)


@contextmanager
def _progress() -> Iterator[OnProgress]:
    """Show a bar where standard error is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _part: None
        return
    with click.progressbar(length=PROGRESS_PARTS, label="simulating", file=sys.stderr) as bar:
        yield lambda part: bar.update(round(part * PROGRESS_PARTS) - bar.pos)


def _as_json(found: WithOneMore) -> dict[str, Any]:
    return {
        "numbers": asdict(found.run.numbers),
        "run": found.run.as_json(),
        "one_more": found.more and found.more.as_json(),
        "verdict": {"keeps_up": found.keeps_up, "one_more_helps": bool(found.gains), "text": found.words},
    }
