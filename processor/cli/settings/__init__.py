"""What the operator may set: from the environment, and from a TOML file that the environment outranks."""

from processor.cli.settings.loading import load
from processor.cli.settings.memory import MemorySplit
from processor.cli.settings.model import Settings

__all__ = ["MemorySplit", "Settings", "load"]
