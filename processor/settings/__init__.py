"""What the operator may set: from the environment, and from a TOML file that the environment outranks."""

from processor.settings.loading import load
from processor.settings.memory import MemorySplit
from processor.settings.model import Settings

__all__ = ["MemorySplit", "Settings", "load"]
