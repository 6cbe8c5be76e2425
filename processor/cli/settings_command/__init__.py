"""`segment-fullstory settings`: the settings in force, and a file to begin with."""

from processor.cli.settings_command.command import settings

__all__ = ["settings"]
