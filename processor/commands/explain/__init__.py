"""`segment-fullstory explain`: what becomes of a record, and why."""

from processor.commands.explain.command import explain

__all__ = ["explain"]
