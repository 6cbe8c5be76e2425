"""The command line of `settings`."""

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from processor.commands.common.options import CONFIG
from processor.commands.common.terminal import Terminal, complain
from processor.commands.settings import text, toml
from processor.model.errors import ConfigurationError
from processor.settings.effective import Effective, effective
from processor.settings.loading import load_from
from processor.settings.sources import PLACEHOLDER, Sources

NEW_FILE = "segment-fullstory.toml"
STDOUT = "-"


@click.group(invoke_without_command=True)
@CONFIG
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "toml"]),
    default="text",
    show_default=True,
    help="toml can be used as a settings file; json is for programs.",
)
@click.option("--changed", is_flag=True, help="Show only settings that differ from their defaults.")
@click.pass_context
def settings(context: click.Context, config: Path | None, *, format_: str, changed: bool) -> None:
    """Show the settings in force: each value, and where it comes from.

    A value comes from an environment variable, from the file that --config names, or from the default. Secrets are
    masked. Settings that are missing or wrong are marked, and the errors follow, as `run` would report them.

    Exit codes: 0 if all settings are valid, 2 otherwise.
    """
    if context.invoked_subcommand is not None:
        return
    sources = Sources.read(os.environ, config)
    shown = [each for each in effective(sources) if each.is_changed or not changed]
    problems: list[str] = []
    try:
        load_from(sources)
    except ConfigurationError as error:
        problems = error.problems
    terminal = Terminal()
    match format_:
        case "json":
            report = {"settings": [_as_json(each) for each in shown], "problems": problems}
            click.echo(json.dumps(report))
        case "toml":
            for line in toml.current(shown):
                terminal.print(line)
        case _:
            text.show(shown, terminal)
    if problems:
        if format_ != "json":
            sys.stdout.flush()
            complain(["", *problems] if format_ == "text" else problems)
        sys.exit(2)


def _as_json(setting: Effective) -> dict[str, Any]:
    return {
        "setting": setting.variable.key,
        "property": setting.entry,
        "variable": setting.variable.name,
        "state": setting.state,
        "value": setting.value,
        "source": {"kind": setting.origin.kind, "name": setting.origin.name or None},
    }


@settings.command
@click.argument("file", type=click.Path(path_type=Path), default=NEW_FILE)
@click.option("--force", is_flag=True, help="Overwrite FILE if it exists.")
def init(file: Path, *, force: bool) -> None:
    """Write a new settings file, with every setting explained.

    FILE is segment-fullstory.toml unless you name another; - writes to standard output. Only you can read the file
    (mode 0600). An existing file is never overwritten without --force.
    """
    lines = "".join(f"{line}\n" for line in toml.template())
    if str(file) == STDOUT:
        click.echo(lines, nl=False)
        return
    try:
        _write(file, lines, force=force)
    except FileExistsError:
        raise click.UsageError(f"{file} already exists: name another file, or add --force to overwrite it") from None
    except OSError as error:
        raise click.UsageError(f"{file} cannot be written: {error.strerror}") from None
    click.echo(f"{file} is written. Replace each {PLACEHOLDER} in it, then:")
    for command in ("settings", "check", "run"):
        click.echo(f"  segment-fullstory {command} --config {shlex.quote(str(file))}")


def _write(file: Path, content: str, *, force: bool) -> None:
    """Write a file that only its owner can read, before anything is in it."""
    how = os.O_TRUNC if force else os.O_EXCL
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | how, 0o600), "w", encoding="utf-8") as stream:  # noqa: PTH123 - by its descriptor
        os.fchmod(stream.fileno(), 0o600)
        stream.write(content)
