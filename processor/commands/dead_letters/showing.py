"""`dead-letters show`."""

import asyncio
import re

import click

from processor.adapters.kafka.letters import PlacedLetter
from processor.adapters.kafka.reading import TopicReader
from processor.commands.common.explanation import Explainer, Explanation, Input
from processor.commands.common.opened_topic import WITH_DATA, Opened, opening
from processor.commands.common.terminal import Terminal, echo_json
from processor.commands.dead_letters.documents import explanation_as_json, letter_as_json
from processor.commands.dead_letters.text import show_letter
from processor.events.letters import letter_of
from processor.events.mapping import Mapping
from processor.model.errors import SourceError
from processor.model.records import Record, TopicPartition

_PLACE = re.compile(r"(\d{1,9}):(\d{1,18})")


def _placed(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[int, int]:
    """Return a partition and an offset."""
    if (found := _PLACE.fullmatch(value)) is None:
        raise click.BadParameter(f"{value} is no place; for example 0:12, as `list` shows it")
    return int(found[1]), int(found[2])


@click.command
@opening
@click.argument("place", callback=_placed, metavar="PARTITION:OFFSET")
@WITH_DATA
def show(*, opened: Opened, is_json: bool, place: tuple[int, int], with_data: bool) -> None:
    """Show one dead letter: its headers, the record's own place, and what `explain` says of the record now."""
    partition, offset = place
    at = TopicPartition(opened.topic, partition)
    with TopicReader(opened.kafka) as reader:
        (record,) = reader.read(at, offset, 1)
    letter = letter_of(record)
    if letter is None:
        raise SourceError(f"{at} at {offset} is no dead letter: the record has none of the headers of one")
    explanation = asyncio.run(_explained(opened, f"{at} at {offset}", record))
    if is_json:
        document = letter_as_json(PlacedLetter(partition, letter), with_data=with_data)
        echo_json(document | {"now": explanation_as_json(explanation, with_data=with_data)})
    else:
        show_letter(explanation, letter, Terminal(), with_data=with_data)


async def _explained(opened: Opened, place: str, record: Record) -> Explanation:
    settings = opened.settings
    async with opened.schemas() as schemas:
        explainer = Explainer(Mapping(settings.mapping.rules()), schemas, settings.schema_registry.waits_s)
        return await explainer.explain(Input(place, record))
