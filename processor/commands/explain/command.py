"""The command line of `explain`."""

import asyncio
import os
import sys
from pathlib import Path
from typing import NamedTuple

import click

from processor.app.parts import kafka_settings, registry_of, schemas_of
from processor.commands.common.explanation import Explainer
from processor.commands.common.signals import end_on_interrupt
from processor.commands.common.terminal import complain
from processor.commands.explain.difference import Comparison
from processor.commands.explain.inputs import InputError, Inputs, of_file, of_topic
from processor.commands.explain.output import Output
from processor.events.mapping import Mapping
from processor.model.errors import ConfigurationError, RegistryUnavailableError, SourceError
from processor.model.records import TopicPartition
from processor.settings import Settings, load

NOT_OF_FILES = ("kafka", "fullstory")
"""Sections of the settings that explaining a file does not take."""

DIFFERENT = 1
UNUSABLE = 2


class _Place(NamedTuple):
    """Where in Kafka to begin."""

    partition: TopicPartition
    offset: int
    records: int


@click.command
@click.argument("file", required=False)
@click.option("--topic", help="Read from this topic of the configured Kafka instead; no group is joined.")
@click.option("--partition", type=click.IntRange(min=0), help="Partition of the topic.")
@click.option("--offset", type=click.IntRange(min=0), help="Offset of the first record.")
@click.option("--count", type=click.IntRange(min=1), default=1, show_default=True, help="Number of records to read.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="TOML file with settings; environment variables take precedence (docs/configuration.md).",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    help="Second TOML file: show where its mapping gives another result. Environment variables do not apply to it.",
)
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def explain(
    file: str | None,
    *,
    topic: str | None,
    partition: int | None,
    offset: int | None,
    count: int,
    config: Path | None,
    against: Path | None,
    format_: str,
) -> None:
    """Show what the worker does with a record: framing, schema, event, rules, the exact request, the next step.

    FILE holds Segment messages as JSON (one per line), an Avro container, or the value of one Kafka record; `-` is
    standard input. A file needs neither Kafka nor FullStory nor an API key. Exit codes: 0 explained (with --against:
    no difference), 1 with --against: something differs, 2 the input or the settings cannot be used.
    """
    end_on_interrupt()
    place = _place(file, topic, partition, offset, count)
    try:
        settings = load(os.environ, config, unused=NOT_OF_FILES if place is None else ("fullstory",))
        other = None if against is None else load({}, against, unused=NOT_OF_FILES)
        source = of_file(str(file)) if place is None else of_topic(kafka_settings(settings), *place)
        sys.exit(asyncio.run(_explain(settings, other, source, Output(format_, str(against)))))
    except ConfigurationError as error:
        complain(error.problems)
    except (InputError, SourceError, RegistryUnavailableError) as error:
        complain([str(error)])
    sys.exit(UNUSABLE)


def _place(file: str | None, topic: str | None, partition: int | None, offset: int | None, count: int) -> _Place | None:
    """Return where in Kafka to read; None for a file."""
    coordinates = (topic, partition, offset)
    if (file is None) == (topic is None) or (file is not None and any(each is not None for each in coordinates)):
        raise click.UsageError("name a FILE (- for standard input), or --topic, --partition and --offset")
    if topic is None:
        return None
    if partition is None or offset is None:
        raise click.UsageError("--topic takes --partition and --offset, too")
    return _Place(TopicPartition(topic, partition), offset, count)


async def _explain(settings: Settings, other: Settings | None, source: Inputs, output: Output) -> int:
    async with registry_of(settings.schema_registry, settings.proxies) as registry:
        schemas = source.schemas or schemas_of(settings.schema_registry, registry)
        explainer = Explainer(Mapping(settings.mapping.rules()), schemas, settings.schema_registry.waits_s)
        another = (
            None if other is None else Explainer(Mapping(other.mapping.rules()), schemas, other.schema_registry.waits_s)
        )
        comparison = Comparison()
        is_broken = False
        for each in source.inputs:
            if each.fault is not None:
                complain([each.fault])
                is_broken = True
            explanation = await explainer.explain(each)
            if another is None:
                output.write(explanation)
            else:
                comparison.add(explanation, await another.explain(each))
    if another is not None:
        output.write_comparison(comparison)
    return UNUSABLE if is_broken else DIFFERENT if comparison.different else 0
