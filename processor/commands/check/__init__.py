"""`segment-fullstory check`: whether the worker could do its work here, before it does."""

from processor.commands.check.command import check

__all__ = ["check"]
