"""The command line of `check`."""

import asyncio
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import click
import orjson
from rich.console import Console
from rich.text import Text

from processor.cli.check import catalogue
from processor.cli.check.catalogue import Found, Level
from processor.cli.check.checks import check_all
from processor.cli.check.probe import UID
from processor.cli.settings import load
from processor.model.errors import ConfigurationError

_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "bold red"}


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
        self._console = Console(highlight=False) if format_ == "text" else None
        self._found: list[Found] = []

    def tell(self, findings: Iterable[Found]) -> None:
        for each in findings:
            self._found.append(each)
            if self._console is not None:
                _show(each, self._console)

    def close(self) -> int:
        """End the report; return the exit code."""
        worst = max((each.finding.level for each in self._found), key=lambda level: level.exit_code)
        if self._console is None:
            click.echo(orjson.dumps({"level": worst, "findings": [each.as_json() for each in self._found]}))
        else:
            counts = [sum(each.finding.level is level for each in self._found) for level in Level]
            self._console.print("\n{} ok, {} warnings, {} errors".format(*counts))
        return worst.exit_code


def _show(found: Found, console: Console) -> None:
    finding = found.finding
    head = Text.assemble((f"{finding.level.value:<8}", _STYLES[finding.level]), f" {finding.id:<28} {found.seen}")
    console.print(Text(head.plain.rstrip(), spans=head.spans) if not found.seen else head, soft_wrap=True)
    if finding.level is not Level.OK:
        console.print(Text(f"{'':9}{finding.meaning}"), soft_wrap=True)
        console.print(Text(f"{'':9}→ {finding.advice}"), soft_wrap=True)
