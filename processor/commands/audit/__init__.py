"""`segment-fullstory audit`: what became of each record of a topic, as far as Kafka can tell."""

from processor.commands.audit.command import audit

__all__ = ["audit"]
