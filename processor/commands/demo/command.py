"""`segment-fullstory demo`: everything in one terminal and process."""

import asyncio
import io
import sys
from typing import TextIO, final

import click
from rich.console import Console

from processor.adapters.telemetry.logs import logging_to
from processor.adapters.telemetry.outlet import outlet_to
from processor.commands.common.terminal import BAD, BOLD, GOOD, NAME, PLAIN, Style, Terminal
from processor.commands.demo.closing import Closing
from processor.commands.demo.display import display_for
from processor.commands.demo.pasting import pasted
from processor.commands.demo.play import Addresses, play
from processor.commands.demo.rows import Row, efforts_of, lay_out, outcomes_of
from processor.commands.demo.scene import DEAD_LETTER_TOPIC, MIX, TOPIC, Script, Severity
from processor.commands.demo.wording import letters_explained, retries_explained
from processor.model.errors import SourceError

LOG_CHARACTERS = 4_000
"""How much of the log's end is shown when the account does not balance."""


@click.command
@click.option("--duration", default=20, show_default=True, type=click.IntRange(1, 3_600), help="Seconds of traffic.")
@click.option("--rate", default=500, show_default=True, type=click.IntRange(1, 100_000), help="Records per second.")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of the traffic and the faults."
)
@click.option(
    "--faults",
    default=Severity.SOME.value,
    show_default=True,
    type=click.Choice([each.value for each in Severity]),
    help="How much goes wrong at FullStory: rate limits, errors, lost answers, failing jobs and items; "
    "in a storm also an outage.",
)
@click.option("--keep", is_flag=True, help="Keep everything running after the account, until Ctrl-C.")
@click.option("--log", type=click.File("w", encoding="utf-8"), help="Write the worker's log to this file.")
def demo(*, duration: int, rate: int, seed: int, faults: str, keep: bool, log: TextIO | None) -> None:
    """Run the whole system in this terminal, with nothing but Python.

    Starts a Kafka and a FullStory inside this process, generates traffic, and runs the worker between them. Prints the
    addresses of their pages first, and at the end an account of every record: each one is looked up where it had to
    arrive. Ctrl-C ends the traffic early, a second Ctrl-C does not wait for delivery; the account is printed in both
    cases. Exit codes: 0 when the account balances, 1 when it does not.
    """
    script = Script(duration, rate, seed, Severity(faults), keep)
    kept = io.StringIO()
    with outlet_to(log or kept) as lines, logging_to(lines, "info" if log else "warning", "console") as logger:
        try:
            closing = asyncio.run(play(script, logger, Narrator(script)))
        except SourceError as error:
            raise click.ClickException(str(error)) from error
    if not closing.is_balanced:
        click.echo(kept.getvalue()[-LOG_CHARACTERS:], err=True, nl=False)
        sys.exit(1)


@final
class Narrator:
    """Tells the demo to the terminal."""

    def __init__(self, script: Script) -> None:
        self.display = display_for(Console())
        self._script = script
        self._terminal = Terminal()

    def opening(self, addresses: Addresses) -> None:
        """Say where the demo can be watched, and what is going to happen."""
        script = self._script
        self._say("Segment events from Kafka to FullStory, in one process", BOLD)
        self._print(
            *_pages(addresses),
            Row("Kafka", "", f"{addresses.kafka} (topics {TOPIC} and {DEAD_LETTER_TOPIC})"),
            Row("traffic", "", f"{script.rate:,} records/s for {script.duration_s} s, seed {script.seed}"),
            Row("faults", "", script.severity),
        )
        self._say()

    def closing(self, closing: Closing) -> None:
        """Give the account, and say what to try next."""
        balance, tally = closing.balance, closing.tally
        self._say(f"Account of {balance.records:,} records", BOLD)
        average = balance.delivered.total() / closing.elapsed_s if closing.elapsed_s else 0.0
        self._print(
            *outcomes_of(balance.delivered, balance.filtered, balance.dead_lettered),
            *([Row("undelivered", f"{balance.undelivered:,}", UNDELIVERED)] if closing.is_cut_short else []),
            Row("repeated", f"{balance.repeated:,}"),
            Row("lost", f"{balance.lost:,}", style=BAD if balance.lost else GOOD),
            Row("rate", f"{average:,.0f}/s", "(delivered, on average)"),
            *efforts_of(tally),
        )
        meant = [
            *letters_explained(balance.dead_lettered, closing.weather, MIX.poison),
            *retries_explained(tally.retries, closing.weather),
        ]
        if meant:
            self._say()
            self._say("What went wrong on purpose", BOLD)
            self._print(*(Row("-", "", each) for each in meant))
        self._judge(closing)
        self._say_next()

    def staying(self, addresses: Addresses) -> None:
        """Say that everything is still there."""
        self._say()
        self._say("Everything stays up until you press Ctrl-C:", BOLD)
        self._print(*_pages(addresses), Row("Kafka", "", addresses.kafka))

    def _judge(self, closing: Closing) -> None:
        faults = list(closing.faults())
        lost = f"lost: {closing.balance.lost:,}"
        self._say()
        if faults:
            self._say(f"The account does not balance; {lost}", BAD)
            findings = faults
        else:
            self._say(f"The account balances; {lost}", GOOD)
            findings = [
                SEARCHED,
                closing.equation,
                _left(closing)
                if closing.is_cut_short
                else f"all {len(closing.ends)} partitions are committed to their ends",
            ]
        if closing.tally.has_lost_partitions:
            findings.append("this process slept for so long that it lost its partitions: some records came again")
        self._print(*(Row("-", "", finding) for finding in findings))

    def _say_next(self) -> None:
        others = {
            Severity.STORM: ("--faults storm", "more faults, and an outage"),
            Severity.NONE: ("--faults none", "no faults"),
        }
        demos = [
            (pasted("demo", options), what) for each, (options, what) in others.items() if each != self._script.severity
        ]
        if not self._script.keep:
            demos.append((pasted("demo", "--keep"), "keeps everything running after the account"))
        self._say()
        self._say("Next:", BOLD)
        self._print(
            *(Row(command, "", what) for command, what in demos),
            Row(pasted("sandbox"), "", "a FullStory that stays, for a worker of your own"),
        )

    def _say(self, text: str = "", style: Style = PLAIN) -> None:
        self._terminal.print((text, style))

    def _print(self, *rows: Row) -> None:
        indent = "  "
        width = self._terminal.width
        for line in lay_out(rows, None if width is None else width - len(indent)):
            self._terminal.print(indent, *line)


SEARCHED = "every record was looked for: in FullStory by its own string, on the dead-letter topic by its offset"
UNDELIVERED = "(left in Kafka: not committed, so the next worker of the group delivers them)"


def _left(closing: Closing) -> str:
    unconfirmed = closing.balance.delivered.total() - closing.tally.delivered.total()
    return (
        f"{unconfirmed:,} records are in FullStory and not yet confirmed: the next worker would send them again under "
        "the same idempotency keys"
    )


def _pages(addresses: Addresses) -> list[Row]:
    return [
        Row("worker", "", f"{addresses.worker} (its page: open it in a browser)", NAME),
        Row("FullStory", "", f"{addresses.fullstory} (what arrives, and buttons for faults)", NAME),
    ]
