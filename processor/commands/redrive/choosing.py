"""Which letters `redrive --to fullstory` brings back: decided for all of them before the first one is sent."""

from array import array
from collections.abc import Iterator, Mapping
from contextlib import closing

from processor.adapters.kafka.chosen_letters import ChosenLetters
from processor.adapters.kafka.letters import LetterBatch, letters_in
from processor.adapters.kafka.reading import TopicReader
from processor.commands.common.learned_readers import LearnedReaders
from processor.commands.common.letter_topic import Opened
from processor.commands.common.reading_progress import ReadingProgress
from processor.commands.redrive.choice import Chooser, RedriveAccount
from processor.commands.redrive.order import Order, Ranges
from processor.commands.redrive.outcomes import Forecast
from processor.events.mapping import Mapping as EventMapping
from processor.model.records import TopicPartition

Chosen = Mapping[TopicPartition, ChosenLetters]


async def chosen_of(
    opened: Opened, reader: TopicReader, order: Order, ranges: Ranges, reached: Mapping[TopicPartition, int]
) -> tuple[Chosen, RedriveAccount]:
    """Choose of the letters in these ranges, and count the others; raise `SourceError` and what schemas raise.

    Of the letters before an offset of `reached`, earlier runs have dealt with all; they are looked at all the same, to
    know another letter of the same record. One partition is read after the other, so that the same letters give the
    same choice, whenever it is made.
    """
    progress, account = ReadingProgress(), RedriveAccount()
    behind = sum(held.end - held.start for held in ranges.values())
    progress.show(behind)
    chosen = {}
    async with opened.schemas() as schemas:
        learned = LearnedReaders(schemas)
        chooser = Chooser(Forecast(EventMapping(opened.settings.mapping.rules()), learned.readers), order.permissions)
        for each, held in sorted(ranges.items()):
            behind -= held.end - held.start
            offsets = array("q")
            with closing(letters_in(reader, {each: held}, order.wanted)) as batches:
                for batch in batches:
                    await learned.demand(
                        letter.original for _, letter in batch.letters if letter.record.offset >= reached[each]
                    )
                    offsets.extend(_choose(batch, reached[each], chooser, account))
                    progress.show(behind + batch.left)
            chosen[each] = ChosenLetters(held.end, offsets)
    progress.clear()
    return chosen, account


def _choose(batch: LetterBatch, reached: int, chooser: Chooser, account: RedriveAccount) -> Iterator[int]:
    account.others += batch.others
    for _, letter in batch.letters:
        offset = letter.record.offset
        if offset < reached:
            chooser.pass_over(letter)
            account.earlier += 1
        elif (skip := chooser.skip_of(letter)) is None:
            yield offset
        else:
            account.selected += 1
            account.skipped[skip] += 1
