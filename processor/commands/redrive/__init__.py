"""`segment-fullstory redrive`: brings dead letters back, or tells what that would do."""

from processor.commands.redrive.command import redrive

__all__ = ["redrive"]
