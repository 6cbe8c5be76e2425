"""Which letters `redrive --to fullstory` brings back: decided for all of them before the first one is sent."""

from array import array
from collections.abc import Mapping
from contextlib import closing
from typing import NamedTuple, final

from processor.adapters.kafka.chosen_letters import ChosenLetters
from processor.adapters.kafka.letters import LetterBatch, letters_in
from processor.adapters.kafka.reading import TopicReader
from processor.commands.common.learned_readers import LearnedReaders
from processor.commands.common.opened_topic import Opened
from processor.commands.common.reading_progress import ReadingProgress
from processor.commands.redrive.choice import Chooser, RedriveAccount, SkipReason
from processor.commands.redrive.order import Order, Ranges
from processor.commands.redrive.outcomes import Forecast
from processor.events.mapping import Mapping as EventMapping
from processor.model.records import TopicPartition

Chosen = Mapping[TopicPartition, ChosenLetters]

SKIPPED = -1
"""In place of the offset of a letter that is not brought back; if it is to be parked, its offset below that."""


class Choice(NamedTuple):
    """What is to be done."""

    chosen: Chosen
    """To be sent."""
    parked: Chosen
    """To be parked, because their records came back too often."""
    account: RedriveAccount
    """Of those that are not sent."""


async def chosen_of(
    opened: Opened, reader: TopicReader, order: Order, ranges: Ranges, reached: Mapping[TopicPartition, int]
) -> Choice:
    """Choose of the letters in these ranges, and count the others; raise `SourceError` and what schemas raise.

    Of the letters before an offset of `reached`, earlier runs have dealt with all; they are looked at all the same, to
    know another letter of the same record. One partition is read after the other, so that the same letters give the
    same choice, whenever it is made.
    """
    progress = ReadingProgress()
    behind = sum(held.end - held.start for held in ranges.values())
    progress.show(behind)
    begins = {}
    async with opened.schemas() as schemas:
        learned = LearnedReaders(schemas)
        forecast = Forecast(EventMapping(opened.settings.mapping.rules()), learned.readers)
        choosing = Choosing(Chooser(forecast, order.permissions))
        for each, held in sorted(ranges.items()):
            behind -= held.end - held.start
            begins[each] = len(choosing.offsets)
            with closing(letters_in(reader, {each: held}, order.wanted)) as batches:
                for batch in batches:
                    await learned.demand(
                        letter.original for _, letter in batch.letters if letter.record.offset >= reached[each]
                    )
                    choosing.add(batch, reached[each])
                    progress.show(behind + batch.left)
    progress.clear()
    ends = [*begins.values(), len(choosing.offsets)][1:]
    chosen, parked = {}, {}
    for (each, begin), end in zip(begins.items(), ends, strict=True):
        chosen[each] = ChosenLetters(ranges[each].end, choosing.chosen(begin, end))
        parked[each] = ChosenLetters(ranges[each].end, choosing.parked(begin, end))
    return Choice(chosen, parked, choosing.account)


@final
class Choosing:
    """The choice so far.

    Of several letters of one record, that with the highest count is chosen, for the count is what ends a loop. An
    earlier one that was chosen before it came by is skipped after all.
    """

    def __init__(self, chooser: Chooser) -> None:
        self._chooser = chooser
        self.offsets = array("q")
        """Of the letters that earlier runs have not dealt with, or `SKIPPED`."""
        self.account = RedriveAccount()

    def add(self, batch: LetterBatch, reached: int) -> None:
        """Look at letters of a partition, which earlier runs have dealt with up to this offset."""
        self.account.others += batch.others
        for _, letter in batch.letters:
            offset = letter.record.offset
            if offset < reached:
                self.account.earlier += 1
                self._replace(self._chooser.pass_over(letter))
                continue
            skip, replaced = self._chooser.decide(letter, len(self.offsets) + 1)
            self._replace(replaced)
            if skip is not None:
                self.account.skip(skip)
            away = SKIPPED - 1 - offset if skip is SkipReason.REDRIVE_LIMIT else SKIPPED
            self.offsets.append(offset if skip is None else away)

    def chosen(self, begin: int, end: int) -> "array[int]":
        """Return what was chosen of the letters that were added as these, counted from 0."""
        return array("q", (offset for offset in self.offsets[begin:end] if offset > SKIPPED))

    def parked(self, begin: int, end: int) -> "array[int]":
        """Return which of those came back too often."""
        return array("q", (SKIPPED - 1 - offset for offset in self.offsets[begin:end] if offset < SKIPPED))

    def _replace(self, number: int) -> None:
        if not number:
            return
        if self.offsets[number - 1] > SKIPPED:
            self.account.skip(SkipReason.REPEATED)
        self.offsets[number - 1] = SKIPPED
