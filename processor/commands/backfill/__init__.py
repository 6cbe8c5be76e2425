"""`segment-fullstory backfill`: delivers records of a time again, beside the workers."""

from processor.commands.backfill.command import backfill

__all__ = ["backfill"]
