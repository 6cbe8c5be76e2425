"""`segment-fullstory explain`: what becomes of a record, and why."""

from processor.cli.explain.command import explain

__all__ = ["explain"]
