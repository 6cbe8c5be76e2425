"""The command line of `redrive`."""

import asyncio
from contextlib import closing

import click

from processor.adapters.kafka.letters import for_all, read_letters
from processor.adapters.kafka.reading import TopicReader
from processor.commands.common.learned_readers import LearnedReaders
from processor.commands.common.letter_selection import selecting
from processor.commands.common.letter_topic import Opened, echo_json, opening
from processor.commands.common.reading_progress import ReadingProgress
from processor.commands.common.terminal import NAME, TITLE, Terminal
from processor.commands.redrive.outcomes import Histogram
from processor.events.letters import LetterFilter
from processor.events.mapping import Mapping


@click.command
@opening
@selecting
@click.option("--dry-run", "is_dry", is_flag=True, help="Required: this version can only show what would happen.")
def redrive(*, opened: Opened, is_json: bool, wanted: LetterFilter, is_dry: bool) -> None:
    """Show what bringing dead letters back would do: how many would be delivered now, and how many fail again and why.

    Each letter's record is mapped as the worker would map it with these settings. Nothing is written or sent. This
    version does not bring anything back yet.

    Exit codes: 0 done, 2 the topic, the registry or the settings cannot be used.
    """
    if not is_dry:
        raise click.UsageError("this version can only show what would happen: add --dry-run")
    histogram = asyncio.run(_histogram(opened, wanted))
    if is_json:
        echo_json(histogram.as_json(opened.topic))
    else:
        _show(histogram, opened.topic, Terminal())


async def _histogram(opened: Opened, wanted: LetterFilter) -> Histogram:
    progress = ReadingProgress()
    async with opened.schemas() as schemas:
        learned = LearnedReaders(schemas)
        histogram = Histogram(Mapping(opened.settings.mapping.rules()), learned.readers)
        with (
            TopicReader(for_all(opened.kafka)) as reader,
            closing(read_letters(reader, opened.topic, wanted)) as batches,
        ):
            for batch in batches:
                letters = [(each.letter, each.letter.original) for each in batch.letters]
                await learned.learn(original for _, original in letters)
                if learned.fault is not None:
                    raise learned.fault  # else records would seem to fail that do not
                histogram.add(letters)
                histogram.others += batch.others
                progress.show(batch.left)
    progress.clear()
    return histogram


def _show(histogram: Histogram, topic: str, terminal: Terminal) -> None:
    others = f"; {histogram.others:,} other records" if histogram.others else ""
    terminal.print((f"{topic}: {histogram.letters:,} dead letters{others}; nothing was written or sent", TITLE))
    if not histogram.letters:
        return
    terminal.print("")
    terminal.print((f"{'was':<20} {'would be':<34} {'letters':>12} {'share':>7}", NAME))
    for outcome, count in histogram.by_frequency():
        fate = outcome.fate if outcome.reason is None else f"{outcome.fate}: {outcome.reason}"
        terminal.print(f"{outcome.was:<20} {fate:<34} {count:>12,} {count / histogram.letters:>7.1%}")
        terminal.print(f"{'':<20} {outcome.next_step}")
