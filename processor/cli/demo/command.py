"""`segment-fullstory demo`: everything in one terminal and process."""

import asyncio
import io
import sys
from typing import TextIO

import click
from rich.console import Console

from processor.adapters.telemetry.logs import logging_to
from processor.cli.demo.closing import Closing
from processor.cli.demo.display import display_for
from processor.cli.demo.play import play
from processor.cli.demo.rows import Row, efforts_of, outcomes_of
from processor.cli.demo.scene import DEAD_LETTER_TOPIC, HOST, TOPIC, Script, Severity
from processor.model.errors import SourceError

LOG_CHARACTERS = 4_000
"""How much of the log's end is shown when the account does not balance."""


NEXT = """\
Next: --faults storm makes it harder, --faults none leaves it alone. `segment-fullstory sandbox` is a FullStory that
stays, for a worker of your own; README.md says how to deploy one."""


@click.command
@click.option("--duration", default=20, show_default=True, type=click.IntRange(1, 3_600), help="Seconds of traffic.")
@click.option("--rate", default=500, show_default=True, type=click.IntRange(1, 100_000), help="Records a second.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Of the traffic and the faults.")
@click.option(
    "--faults",
    default=Severity.SOME.value,
    show_default=True,
    type=click.Choice([each.value for each in Severity]),
    help="What goes wrong at FullStory: throttling, errors, lost answers, failing jobs and items.",
)
@click.option("--log", type=click.File("w", encoding="utf-8"), help="Write the worker's log to this file.")
def demo(*, duration: int, rate: int, seed: int, faults: str, log: TextIO | None) -> None:
    """Play the whole system in this terminal, with nothing but Python.

    A Kafka and a FullStory inside this process, generated traffic, and the worker between them. Ends by itself, or
    early by Ctrl-C, with an account of every record: each is looked for where it had to end. Exit codes: 0 when the
    account balances, 1 when it does not.
    """
    script = Script(duration, rate, seed, Severity(faults))
    kept = io.StringIO()
    with logging_to(log or kept, "info" if log else "warning", "console") as logger:

        def opening(kafka: str, fullstory: str, port: int) -> None:
            _open(script, kafka, fullstory, port)

        try:
            closing = asyncio.run(play(script, logger, opening, display_for(Console())))
        except SourceError as error:
            raise click.ClickException(str(error)) from error
    _close(closing)
    if not closing.is_balanced:
        click.echo(kept.getvalue()[-LOG_CHARACTERS:], err=True, nl=False)
        sys.exit(1)


def _open(script: Script, kafka: str, fullstory: str, port: int) -> None:
    """Say what is going to happen, and where it can be watched."""
    click.echo("Segment events from Kafka to FullStory, all inside this process; Ctrl-C ends it early.")
    traffic = f"{script.rate:,} records/s for {script.duration_s} s, faults: {script.severity}, seed: {script.seed}"
    click.echo(f"  traffic    {traffic}")
    click.echo(f"  Kafka      {kafka} (topics {TOPIC} and {DEAD_LETTER_TOPIC})")
    click.echo(f"  FullStory  {fullstory} (open it in a browser)")
    click.echo(f"  worker     http://{HOST}:{port}/metrics\n")


def _close(closing: Closing) -> None:
    """Give the account."""
    balance = closing.balance
    click.echo(f"Account of {balance.records:,} records")
    rows = [
        *outcomes_of(balance.delivered, balance.filtered, balance.dead_lettered),
        Row("repeated", f"{balance.repeated:,}"),
        Row("lost", f"{balance.lost:,}"),
        *efforts_of(closing.tally),
    ]
    for row in rows:
        click.echo(f"  {row.name:<13}  {row.number:>9}  {row.detail}".rstrip())
    faults = list(closing.faults())
    if faults:
        click.secho(f"\nThe account does not balance; lost: {balance.lost:,}", fg="red", bold=True)
        findings = faults
    else:
        click.secho(f"\nThe account balances; lost: {balance.lost:,}", fg="green", bold=True)
        findings = [
            "every record was looked for: in FullStory by a string of its own, on the dead-letter topic by its offset",
            closing.equation,
            f"all {len(closing.ends)} partitions are committed to their ends",
        ]
    if closing.tally.has_lost_partitions:
        findings.append("this process slept for so long that it lost its partitions: some of the records came again")
    for finding in findings:
        click.echo(f"  {finding}")
    click.echo("\n" + NEXT)
