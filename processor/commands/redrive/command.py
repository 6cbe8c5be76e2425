"""The command line of `redrive`."""

import asyncio
import sys
import time
from typing import Any

import click

from processor.commands.common.beside import Beside, beside_workers
from processor.commands.common.letter_selection import selecting, selection_name
from processor.commands.common.opened_topic import Opened, opening
from processor.commands.common.terminal import Terminal, echo_json
from processor.commands.redrive.choice import Permissions
from processor.commands.redrive.dry_run import histogram_of, show_histogram
from processor.commands.redrive.order import Order
from processor.commands.redrive.text import show_brought, show_delivered
from processor.commands.redrive.to_fullstory import delivered
from processor.commands.redrive.to_topic import brought_back
from processor.events.letters import LetterFilter

NOT_DONE = 1


@click.command
@opening
@selecting
@click.option("--dry-run", "is_dry", is_flag=True, help="Show what would happen; write and send nothing.")
@click.option(
    "--to",
    type=click.Choice(["topic", "fullstory"]),
    help="Write the records to a topic that workers read, or deliver them to FullStory.",
)
@click.option(
    "--into",
    metavar="NAME",
    help="The topic, if not that of PROCESSOR_KAFKA__REDRIVE_TOPIC; everything that reads it gets the records.",
)
@click.option("--force", "is_forced", is_flag=True, help="Also what would fail again, or be filtered.")
@click.option(
    "--max-count",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Skip records that came back so often before.",
)
@beside_workers
@click.option(
    "--allow-duplicates", "allows_duplicates", is_flag=True, help="Also unattributed ones: most of them were delivered."
)
@click.option(
    "--from-beginning",
    "begins_anew",
    is_flag=True,
    help="Do not go on where the last run of the same selection ended; what it brought back comes back again.",
)
@click.option("--yes", "is_agreed", is_flag=True, help="Do not ask.")
def redrive(
    *,
    opened: Opened,
    is_json: bool,
    wanted: LetterFilter,
    is_dry: bool,
    to: str | None,
    into: str | None,
    beside: Beside,
    begins_anew: bool,
    is_agreed: bool,
    **allowed: Any,
) -> None:
    """Bring dead letters back: write their records, as they were, to a topic that workers read, or deliver them.

    First look at what would happen, with --dry-run: each letter's record is mapped as the worker would map it with
    these settings. With --to topic, each record is written once, with one more header that counts how often it came
    back. With --to fullstory, this process delivers them as a worker does. The same command again goes on where it
    ended, or was killed, and then brings back what is new.

    Exit codes: 0 done, 1 you did not agree, or it was stopped before the end, 2 a topic, the registry or the settings
    cannot be used.
    """
    if is_dry:
        histogram = asyncio.run(histogram_of(opened, wanted))
        if is_json:
            echo_json(histogram.as_json(opened.topic))
        else:
            show_histogram(histogram, opened.topic, Terminal())
        return
    permissions = Permissions(round(time.time() * 1_000), **allowed)

    def order_of(*target: str) -> Order:
        parking = opened.settings.kafka.parking_topic
        parking = parking if parking != opened.topic else None
        return Order(wanted, selection_name(wanted, *target), permissions, beside.rate, begins_anew, is_agreed, parking)

    if to == "fullstory":
        if into is not None:
            raise click.UsageError("--into names a topic: it goes with --to topic")
        told = asyncio.run(delivered(opened, order_of("--to", to), beside))
        if is_json:
            echo_json({"topic": opened.topic, "target": to, **told.as_json()})
        else:
            show_delivered(told, opened)
        sys.exit(NOT_DONE if told.delivery.left else 0)
    if to is None:
        raise click.UsageError("say what to do: --dry-run, --to topic, or --to fullstory")
    target = _target(opened, into)
    account = asyncio.run(brought_back(opened, order_of(target), target))
    if is_json:
        echo_json({"topic": opened.topic, "target": target, **account.as_json()})
    else:
        show_brought(account, opened, target)


def _target(opened: Opened, into: str | None) -> str:
    kafka = opened.settings.kafka
    target = into or kafka.redrive_topic
    if target is None:
        raise click.UsageError("no topic to write to: set PROCESSOR_KAFKA__REDRIVE_TOPIC, or name one with --into")
    if target in (opened.topic, kafka.dead_letter_topic, kafka.parking_topic):
        raise click.UsageError(f"{target} holds dead letters: its records would be read as such again")
    return target
