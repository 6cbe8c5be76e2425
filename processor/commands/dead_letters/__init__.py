"""`segment-fullstory dead-letters`: what stands in the dead-letter topic, and what would become of it now."""

from processor.commands.dead_letters.command import dead_letters

__all__ = ["dead_letters"]
