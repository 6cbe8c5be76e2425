"""What the commands that read a topic have in common: which one it is, the format, and how they fail."""

import gc
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import click

from processor.adapters.kafka.config import KafkaSettings
from processor.app.parts import kafka_settings, registry_of, schemas_of
from processor.commands.common.options import CONFIG
from processor.commands.common.signals import end_on_interrupt
from processor.commands.common.terminal import complain
from processor.model.errors import ConfigurationError, RegistryUnavailableError, SourceError
from processor.runtime.ports import Schemas
from processor.settings import Settings, load

UNUSABLE = 2

YOUNG_OBJECTS = 50_000
"""A batch of letters comes and goes without cycles: looking at its headers takes the collector a third of the time."""

WITH_DATA = click.option(
    "--with-data",
    is_flag=True,
    help="Also print what the record holds, which may be personal: its key; in JSON and of one letter, everything.",
)


class Opened(NamedTuple):
    """Where the records or the dead letters are, and what they would be mapped with."""

    settings: Settings
    kafka: KafkaSettings
    topic: str
    config: Path | None = None
    """The file that settings were read from, besides the environment."""

    @asynccontextmanager
    async def schemas(self) -> AsyncIterator[Schemas]:
        """Give the schemas, open until the end of the `async with`."""
        section = self.settings.schema_registry
        async with registry_of(section, self.settings.proxies) as registry:
            yield schemas_of(section, registry)


_FORMAT = click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
_LETTERS = click.option(
    "--topic", "named", metavar="NAME", help="Read this topic, not the dead-letter topic of the settings."
)
_RECORDS = click.option(
    "--topic", "named", metavar="NAME", required=True, help="The topic; one of those that the workers read."
)


def opening(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command about letters the options of all; it takes `opened` and `is_json`, and may raise as Kafka does."""
    return _opening(command, _LETTERS)


def opening_source(command: Callable[..., None]) -> Callable[..., None]:
    """Do the same for a command about a topic that the workers read."""

    @wraps(command)
    def carried_out(opened: Opened, **others: Any) -> None:
        if opened.topic not in (topics := opened.settings.kafka.consumed_topics):
            raise click.UsageError(f"the workers do not read {opened.topic}, but {', '.join(topics)}")
        command(opened=opened, **others)

    return _opening(carried_out, _RECORDS)


def _opening(command: Callable[..., None], topic: Callable[..., Any]) -> Callable[..., None]:
    @wraps(command)
    def carried_out(config: Path | None, named: str | None, format_: str, **others: Any) -> None:
        end_on_interrupt()
        gc.set_threshold(YOUNG_OBJECTS)
        try:
            settings = load(os.environ, config, unused=("fullstory",))
            opened = Opened(settings, kafka_settings(settings), named or settings.kafka.dead_letter_topic, config)
            command(opened=opened, is_json=format_ == "json", **others)
        except ConfigurationError as error:
            complain(error.problems)
            sys.exit(UNUSABLE)
        except (SourceError, RegistryUnavailableError) as error:
            complain([str(error)])
            sys.exit(UNUSABLE)

    for option in (_FORMAT, topic, CONFIG):
        carried_out = option(carried_out)
    return carried_out
