"""`dead-letters stats`."""

import asyncio

import click

from processor.adapters.kafka.letters import for_all, read_letters
from processor.adapters.kafka.reading import TopicReader
from processor.commands.common.learned_readers import LearnedReaders
from processor.commands.common.letter_selection import selecting
from processor.commands.common.opened_topic import Opened, opening
from processor.commands.common.reading_progress import progressing
from processor.commands.common.terminal import Terminal, complain, echo_json
from processor.commands.dead_letters.event_names import NAMING_FIELDS, event_name
from processor.commands.dead_letters.statistics import Statistics
from processor.commands.dead_letters.text import show_statistics
from processor.events.letters import LetterFilter


@click.command
@opening
@selecting
def stats(*, opened: Opened, is_json: bool, wanted: LetterFilter) -> None:
    """Count dead letters by reason, source topic, event and time of writing.

    Without options, all letters of the topic count. A name of an event is shown as it was sent.
    """
    statistics = asyncio.run(_statistics(opened, wanted))
    if is_json:
        echo_json(statistics.as_json(opened.topic))
    else:
        show_statistics(statistics, opened.topic, Terminal())


async def _statistics(opened: Opened, wanted: LetterFilter) -> Statistics:
    statistics = Statistics()
    async with opened.schemas() as schemas:
        learned = LearnedReaders(schemas, NAMING_FIELDS)
        with (
            TopicReader(for_all(opened.kafka)) as reader,
            progressing(read_letters(reader, opened.topic, wanted)) as batches,
        ):
            for batch in batches:
                originals = [each.letter.original for each in batch.letters]
                await learned.learn(originals)
                for placed, original in zip(batch.letters, originals, strict=True):
                    statistics.add(placed.letter, event_name(original, learned.readers))
                statistics.others += batch.others
    if learned.fault is not None:
        complain([f"some events are not named: {learned.fault}"])
    return statistics
