"""The command line of `audit`."""

import asyncio
import sys
import time

import click

from processor.commands.audit.limits import limits_of
from processor.commands.audit.proving import Period, audited
from processor.commands.audit.text import show_account
from processor.commands.common.moments import moment
from processor.commands.common.opened_topic import Opened, opening
from processor.commands.common.terminal import Terminal, echo_json
from processor.events.timestamps import iso_of_ms

UNBALANCED = 1


@click.command
@opening
@click.option(
    "--since",
    "since_ms",
    callback=moment,
    metavar="TIME",
    help="Records of then or later, by Kafka's timestamp: a time (UTC), or 30min, 2h, 3d.",
)
@click.option("--until", "until_ms", callback=moment, metavar="TIME", help="Records of before then.")
def audit(*, opened: Opened, is_json: bool, since_ms: int | None, until_ms: int | None) -> None:
    """Account for every record of the topics: delivered, filtered, dead-lettered, pending, or unaccounted for.

    It reads what the group has committed, the dead letters, and the records, which it maps with these settings. It only
    reads: it joins no group, commits nothing and sends nothing, so it can run beside the workers. Kafka cannot tell
    everything; what it cannot is printed below the account.

    Exit codes: 0 balanced, 1 something is unaccounted for, 2 a topic, the registry or the settings cannot be used.
    """
    account = asyncio.run(audited(opened, Period(since_ms, until_ms)))
    if is_json:
        times = {"from": since_ms, "to": until_ms}
        echo_json(
            {
                "group": opened.kafka.group_id,
                "dead_letter_topic": opened.topic,
                "at": iso_of_ms(round(time.time() * 1_000)),
                **{name: None if each is None else iso_of_ms(each) for name, each in times.items()},
                **account.as_json(),
                "limits": list(limits_of(account)),
            }
        )
    else:
        show_account(account, opened.kafka.group_id, opened.topic, Terminal())
    sys.exit(0 if account.is_balanced else UNBALANCED)
