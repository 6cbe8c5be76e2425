"""The command line of `check`."""

import asyncio
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import click
import orjson

from processor.cli.check import catalogue
from processor.cli.check.catalogue import Found, Level
from processor.cli.check.checks import check_all
from processor.cli.check.probe import UID
from processor.cli.settings import load
from processor.cli.signals import end_on_interrupt
from processor.cli.terminal import BAD, DOUBTFUL, GOOD, Terminal
from processor.model.errors import ConfigurationError

_STYLES = {Level.OK: GOOD, Level.WARNING: DOUBTFUL, Level.ERROR: BAD}


@click.command
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="A TOML file; the environment outranks it (docs/configuration.md).",
)
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--probe-idempotency",
    is_flag=True,
    help=f"Also send a batch of the user {UID} and one of an event of that user, each twice: does FullStory tell?",
)
@click.option("--yes", is_flag=True, help="Agree that --probe-idempotency writes to FullStory.")
def check(config: Path | None, *, format_: str, probe_idempotency: bool, yes: bool) -> None:
    """Check what the worker needs: settings, Kafka, topics, group, schema registry, key, clock, and recent records.

    Reads only, unless it is told to probe: no group is joined, nothing is committed, nothing is sent. Each finding
    has an id (docs/check.md). Exit codes: 0 all is well, 1 there are warnings, 2 there are errors.
    """
    if probe_idempotency and not yes:
        raise click.UsageError(
            f"--probe-idempotency writes the user {UID} and one or two events to the organisation of the key: "
            "add --yes if it may"
        )
    end_on_interrupt()
    report = _Report(format_)
    try:
        settings = load(os.environ, config)
        asyncio.run(check_all(settings, report.tell, probes=probe_idempotency))
    except ConfigurationError as error:
        report.tell(Found(catalogue.CONFIGURATION_INVALID, problem) for problem in error.problems)
    sys.exit(report.close())


class _Report:
    """Tells findings as they come, to people; all at once, to machines."""

    def __init__(self, format_: str) -> None:
        self._terminal = Terminal() if format_ == "text" else None
        self._found: list[Found] = []

    def tell(self, findings: Iterable[Found]) -> None:
        for each in findings:
            self._found.append(each)
            if self._terminal is not None:
                _show(each, self._terminal)

    def close(self) -> int:
        """End the report; return the exit code."""
        worst = max((each.finding.level for each in self._found), key=lambda level: level.exit_code)
        if self._terminal is None:
            click.echo(orjson.dumps({"level": worst, "findings": [each.as_json() for each in self._found]}))
        else:
            counts = [sum(each.finding.level is level for each in self._found) for level in Level]
            self._terminal.print("")
            self._terminal.print("ok {}, warnings {}, errors {}".format(*counts))
        return worst.exit_code


def _show(found: Found, terminal: Terminal) -> None:
    finding = found.finding
    seen, *listed = found.seen.splitlines() or [""]
    terminal.print((f"{finding.level:<9}", _STYLES[finding.level]), f"{finding.id:<28} {seen}".rstrip())
    for line in listed:
        terminal.print(f"{'':9}{line}")
    if finding.level is not Level.OK:
        terminal.print(f"{'':9}{finding.meaning}")
        terminal.print(f"{'':9}→ {finding.advice}")
