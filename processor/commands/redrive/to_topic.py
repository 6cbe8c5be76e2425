"""`redrive --to topic`: from the question to the account."""

import sys
from dataclasses import dataclass
from typing import final

import click

from processor.adapters.kafka.letters import for_all, letter_ranges
from processor.adapters.kafka.offsets import offsets_in
from processor.adapters.kafka.reading import TopicReader
from processor.adapters.kafka.redriving import TransactionalWriter, in_group
from processor.commands.common.learned_readers import LearnedReaders
from processor.commands.common.letter_topic import Opened
from processor.commands.redrive.bringing import Bringing, Ranges, Target
from processor.commands.redrive.choice import Permissions, RedriveAccount
from processor.commands.redrive.outcomes import Forecast
from processor.events.letters import LetterFilter
from processor.events.mapping import Mapping


@final
@dataclass(frozen=True, slots=True)
class Order:
    """What the operator wants done."""

    wanted: LetterFilter
    selection: str
    """Its name: runs of one selection go on where the one before ended."""
    target: str
    permissions: Permissions
    rate: int | None
    begins_anew: bool
    is_agreed: bool
    """Whether nobody needs to be asked."""


async def brought_back(opened: Opened, order: Order) -> RedriveAccount:
    """Bring back what is chosen; return what became of the letters. Raises `SourceError` and what schemas raise."""
    name = f"{opened.settings.kafka.group_id}.redrive"
    kafka = in_group(for_all(opened.kafka), f"{name}.{order.selection}")
    async with opened.schemas() as schemas:
        learned = LearnedReaders(schemas)
        forecast = Forecast(Mapping(opened.settings.mapping.rules()), learned.readers)
        with TopicReader(kafka) as reader:
            target = Target(order.target, len(reader.partitions(order.target)), order.rate)
            if not order.is_agreed:
                _ask(opened, order, _split(reader, opened.topic, order)[1])
            with TransactionalWriter(kafka, order.target, name) as writer:
                earlier, ranges = _split(reader, opened.topic, order)  # what is committed holds still from now on
                bringing = Bringing(reader, writer, target, learned, forecast, order.permissions)
                bringing.pass_over(earlier, order.wanted)
                await bringing.bring(ranges, order.wanted)
    return bringing.account


def _split(reader: TopicReader, topic: str, order: Order) -> tuple[Ranges, Ranges]:
    """Return what earlier runs of this selection have dealt with, and what is left.

    What is committed beyond a partition's end was of another topic of the name.
    """
    ranges = letter_ranges(reader, topic, order.wanted)
    stored = {} if order.begins_anew or not ranges else offsets_in(reader.committed(ranges))
    earlier, left = dict(ranges), dict(ranges)
    for each, held in ranges.items():
        reached = stored.get(each, held.start)
        middle = max(reached, held.start) if reached <= held.end else held.start
        earlier[each], left[each] = held._replace(end=middle), held._replace(start=middle)
    return earlier, left


def _ask(opened: Opened, order: Order, ranges: Ranges) -> None:
    """Have a person agree, or end the command."""
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask on: add --yes if this is what you want")
    count = sum(held.end - held.start for held in ranges.values())
    again = " Letters that were brought back before come back again: --from-beginning." if order.begins_anew else ""
    if order.target != opened.settings.kafka.redrive_topic:
        again += f" Everything that reads {order.target} gets these records again."
    click.confirm(
        f"{count:,} offsets of {opened.topic} are to be read; the records of the letters chosen there are written to "
        f"{order.target}.{again} Go on?",
        abort=True,
        err=True,
    )
