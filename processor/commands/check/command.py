"""The command line of `check`."""

import asyncio
import os
from pathlib import Path

import click

from processor.commands.check import findings
from processor.commands.check.findings import Found
from processor.commands.check.probe import UID
from processor.commands.check.report import print_json, print_text, worst_of
from processor.commands.check.runner import WITHIN_S, check_all
from processor.commands.common.signals import end_on_interrupt
from processor.model.errors import ConfigurationError
from processor.settings import load


@click.command
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="TOML file with settings; environment variables take precedence (docs/configuration.md).",
)
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--timeout",
    "within_s",
    type=click.FloatRange(1.0),
    default=WITHIN_S,
    show_default=True,
    help="Seconds for all checks together; raise it on a slow network.",
)
@click.option(
    "--probe-idempotency",
    is_flag=True,
    help=f"Also test whether FullStory honours idempotency keys: send a batch with the user {UID} and a batch with one "
    "event of that user, each twice.",
)
@click.option(
    "--probe-group",
    "probes_group",
    is_flag=True,
    help="Also join the consumer group if it has no members, and commit an offset in a group of its own that is then "
    "deleted: shows whether the group takes the worker, and whether the brokers keep what is committed.",
)
@click.option("--yes", is_flag=True, help="Confirm that --probe-idempotency may write to FullStory.")
def check(
    config: Path | None, *, format_: str, within_s: float, probe_idempotency: bool, probes_group: bool, yes: bool
) -> None:
    """Check that the worker can run here: settings, Kafka, topics, group, schema registry, API key, clock, records.

    The check only reads, unless you ask it to probe: it joins no group, commits no offset and sends nothing. It prints
    errors first, and last the first thing to do. Each finding has an id (docs/check.md). Exit codes: 0 no errors and no
    warnings, 1 warnings, 2 errors.
    """
    if probe_idempotency and not yes:
        raise click.UsageError(
            f"--probe-idempotency writes the user {UID} and one or two events to the organisation of the key; "
            "add --yes to allow that"
        )
    end_on_interrupt()
    asyncio.run(_check(config, format_, within_s, probes=probe_idempotency, probes_group=probes_group))


async def _check(config: Path | None, format_: str, within_s: float, *, probes: bool, probes_group: bool) -> None:
    try:
        settings = load(os.environ, config)
        found = await check_all(settings, probes=probes, probes_group=probes_group, within_s=within_s)
    except ConfigurationError as error:
        found = [Found(findings.CONFIGURATION_INVALID, problem) for problem in error.problems]
    (print_json if format_ == "json" else print_text)(found)
    os._exit(worst_of(found).exit_code)  # threads that still wait for an answer would hold the program up
