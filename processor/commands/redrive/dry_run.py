"""`redrive --dry-run`: what bringing letters back would do."""

from processor.adapters.kafka.letters import for_all, read_letters
from processor.adapters.kafka.reading import TopicReader
from processor.commands.common.learned_readers import LearnedReaders
from processor.commands.common.opened_topic import Opened
from processor.commands.common.reading_progress import progressing
from processor.commands.common.terminal import NAME, TITLE, Terminal
from processor.commands.redrive.outcomes import Histogram
from processor.events.letters import LetterFilter
from processor.events.mapping import Mapping


async def histogram_of(opened: Opened, wanted: LetterFilter) -> Histogram:
    """Map the record of each letter as the worker would, and count what becomes of it."""
    async with opened.schemas() as schemas:
        learned = LearnedReaders(schemas)
        histogram = Histogram(Mapping(opened.settings.mapping.rules()), learned.readers)
        with (
            TopicReader(for_all(opened.kafka)) as reader,
            progressing(read_letters(reader, opened.topic, wanted)) as batches,
        ):
            for batch in batches:
                letters = [(each.letter, each.letter.original) for each in batch.letters]
                await learned.demand(original for _, original in letters)
                histogram.add(letters)
                histogram.others += batch.others
    return histogram


def show_histogram(histogram: Histogram, topic: str, terminal: Terminal) -> None:
    """Print it for people."""
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
