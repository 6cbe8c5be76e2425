"""`segment-fullstory redrive`: what bringing dead letters back would do."""

from processor.commands.redrive.command import redrive

__all__ = ["redrive"]
