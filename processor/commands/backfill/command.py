"""The command line of `backfill`."""

import asyncio
import sys
import time

import click

from processor.commands.backfill.account import BackfillAccount
from processor.commands.backfill.dry_run import BackfillForecast, forecast
from processor.commands.backfill.planning import BackfillOrder, BackfillPlan
from processor.commands.backfill.to_fullstory import delivered_again
from processor.commands.common.beside import Beside, beside_workers
from processor.commands.common.moments import moment, short_name, times_said
from processor.commands.common.opened_topic import Opened, opening_source
from processor.commands.common.terminal import NAME, TITLE, Terminal, complain, echo_json, have_agreed
from processor.events.timestamps import iso_of_ms

NOT_DONE = 1


@click.command
@opening_source
@click.option(
    "--since",
    "since_ms",
    callback=moment,
    required=True,
    metavar="TIME",
    help="From the first record written then or later: a time (UTC), or 30min, 2h, 3d.",
)
@click.option(
    "--until",
    "until_ms",
    callback=moment,
    metavar="TIME",
    help="Up to the first record written then or later; at most as far as the workers have come.",
)
@click.option("--dry-run", "is_dry", is_flag=True, help="Show what would happen; send nothing.")
@beside_workers
@click.option(
    "--from-beginning",
    "begins_anew",
    is_flag=True,
    help="Do not go on with what the same command began; what it delivered is delivered again.",
)
@click.option("--yes", "is_agreed", is_flag=True, help="Do not ask.")
def backfill(
    *,
    opened: Opened,
    is_json: bool,
    since_ms: int,
    until_ms: int | None,
    is_dry: bool,
    max_age_s: int,
    allows_stale: bool,
    beside: Beside,
    begins_anew: bool,
    is_agreed: bool,
) -> None:
    """Deliver records of a topic again, beside the workers, whose offsets stay where they are.

    Events that were delivered before take effect twice. First look at what would happen, with --dry-run. What is
    delivered is fixed when it begins: at most what the workers have dealt with by then. The same command again goes on
    where it was killed or stopped; once it has ended, it delivers nothing more.

    Exit codes: 0 done, 1 you did not agree, or it was stopped before the end, 2 there is nothing to deliver, or a
    topic, the registry or the settings cannot be used.
    """
    if until_ms is not None and until_ms <= since_ms:
        raise click.UsageError("--until is not later than --since")
    now_ms, selection = round(time.time() * 1_000), short_name([opened.topic, times_said()])
    order = BackfillOrder(selection, now_ms, since_ms, until_ms, max_age_s, allows_stale, begins_anew)
    if is_dry:
        told = asyncio.run(forecast(opened, order))
        if is_json:
            echo_json({"topic": opened.topic, **told.as_json()})
        else:
            _show_forecast(told, opened, Terminal())
        return

    def agree(plan: BackfillPlan) -> None:
        complain(plan.notes)
        if not is_agreed:
            have_agreed(lambda: _question(plan, opened))

    account = asyncio.run(delivered_again(opened, order, beside, agree))
    if is_json:
        echo_json({"topic": opened.topic, **account.as_json()})
    else:
        _show(account, opened, Terminal())
    sys.exit(NOT_DONE if account.delivery.left else 0)


def _question(plan: BackfillPlan, opened: Opened) -> str:
    deleted = " Users who were deleted since come back." if opened.settings.mapping.rules().deletes_users else ""
    since = iso_of_ms(plan.terms.since_ms or 0)
    return (
        f"{plan.left:,} offsets of {opened.topic}, from {since} on, are to be delivered to FullStory again. "
        f"Events that were delivered before take effect twice.{deleted} Go on?"
    )


def _show(account: BackfillAccount, opened: Opened, terminal: Terminal) -> None:
    terminal.print((f"{opened.topic}: {account.selected:,} offsets to deliver", TITLE))
    if account.earlier:
        terminal.print(f"{account.earlier:,} more were dealt with by earlier runs of the same command")
    for each in account.plan.notes:
        terminal.print(each)
    account.show(terminal)


def _show_forecast(told: BackfillForecast, opened: Opened, terminal: Terminal) -> None:
    terminal.print((f"{opened.topic}: {told.records:,} records would be delivered again; nothing was sent", TITLE))
    for each in told.plan.notes:
        terminal.print(each)
    if not told.records:
        return
    if told.period:
        terminal.print(f"written from {' to '.join(map(str, told.period))}")
    terminal.print("")
    terminal.print((f"{'would be':<34} {'records':>12} {'share':>7}", NAME))
    for outcome, count in told.outcomes.most_common():
        terminal.print(f"{f'{outcome.fate}: {outcome.what}':<34} {count:>12,} {count / told.records:>7.1%}")
        if outcome.next_step:
            terminal.print(f"  {outcome.next_step}")
