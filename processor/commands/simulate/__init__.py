"""`segment-fullstory simulate`: how workers would fare with somebody's numbers."""

from processor.commands.simulate.command import simulate

__all__ = ["simulate"]
