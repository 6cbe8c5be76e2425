"""`segment-fullstory settings`: the settings in force, and a file to begin with."""

from processor.commands.settings.command import settings

__all__ = ["settings"]
