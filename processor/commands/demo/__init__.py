"""The demo: the whole system on embedded defaults in one process, from Kafka to FullStory, and its closing account."""

from processor.commands.demo.command import demo

__all__ = ["demo"]
