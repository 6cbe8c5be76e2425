"""The command line.

A new command is a module here, an entry of `COMMANDS`, and a name in the contract of pyproject.toml.
"""

import errno
import importlib
import os
import sys
from typing import Any, NamedTuple

import click

from processor import __version__, is_compiled


class Place(NamedTuple):
    """Where a command is, and what help says of it beside its name: listing commands imports none of them."""

    module: str
    name: str
    summary: str


COMMANDS = {
    "run": Place("processor.commands.run", "run", "Deliver events from Kafka to FullStory until SIGTERM."),
    "demo": Place(
        "processor.commands.demo", "demo", "Run the whole system in this terminal; needs nothing but Python."
    ),
    "settings": Place("processor.commands.settings", "settings", "Show the settings in force, or write a new file."),
    "check": Place(
        "processor.commands.check", "check", "Check settings, Kafka, FullStory and recent records; changes nothing."
    ),
    "explain": Place("processor.commands.explain", "explain", "Show what a record becomes, step by step."),
    "dead-letters": Place(
        "processor.commands.dead_letters", "dead_letters", "Count, list and show dead letters; changes nothing."
    ),
    "redrive": Place("processor.commands.redrive", "redrive", "Show what bringing dead letters back would do."),
    "backfill": Place(
        "processor.commands.backfill", "backfill", "Deliver records of a time again, beside the workers."
    ),
    "audit": Place("processor.commands.audit", "audit", "Account for every record of the topics; changes nothing."),
    "schemas": Place("processor.commands.schemas", "schemas", "List, compare and register the Avro schemas."),
    "sandbox": Place("processor.commands.sandbox", "sandbox", "Run an emulator of the FullStory API."),
    "simulate": Place(
        "processor.commands.simulate", "simulate", "Show how workers would fare with your numbers; connects to nothing."
    ),
    "generate": Place("processor.commands.generate", "generate_", "Write generated Segment events to a topic."),
}
"""Every command; its module is imported when it is used."""


UNWRITTEN = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""Errors of a file that can be open and takes nothing more; of a pipe that is closed, click takes care."""


class Commands(click.Group):
    """The group, with its commands imported one by one."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command; say in a line where what it prints cannot be written, and end with `EX_IOERR`."""
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            if error.errno not in UNWRITTEN or error.filename is not None:
                raise
            os.dup2(
                os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
            )  # else what is buffered fails at the end, too
            click.echo(f"Error: the output cannot be written: {error.strerror}", err=True)
            sys.exit(os.EX_IOERR)

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names, in the order in which users need them."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None when there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        place = COMMANDS[cmd_name]
        command: Any = getattr(importlib.import_module(place.module), place.name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.summary) for name, place in COMMANDS.items()])


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(f"{__version__}, compiled" if is_compiled() else __version__, prog_name="segment-fullstory")
def main() -> None:
    """Deliver Segment events from Kafka to FullStory: nothing lost, nothing silent.

    To try it: `segment-fullstory demo`. To deploy it: write a settings file with `settings init`, validate it with
    `check`, then `run`. Every command has --help.
    """
