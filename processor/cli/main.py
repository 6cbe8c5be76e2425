"""The command line."""

import importlib
from typing import Any

import click

from processor import __version__

COMMANDS = {
    "run": "processor.cli.run:run",
    "demo": "processor.cli.demo:demo",
    "check": "processor.cli.check:check",
    "explain": "processor.cli.explain:explain",
    "schemas": "processor.cli.schemas:schemas",
    "sandbox": "processor.cli.sandbox:sandbox",
    "generate": "processor.cli.generate:generate_",
}
"""Where each command is; a module is imported when its command is wanted."""


class Commands(click.Group):
    """The group, with its commands imported one by one."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names, in the order of a user's way."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None when there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: Any = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="segment-fullstory")
def main() -> None:
    """Segment events from Kafka to FullStory: nothing lost, nothing silent."""
