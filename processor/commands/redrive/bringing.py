"""`redrive --to topic`: brings the records of dead letters back, each once, whatever happens meanwhile."""

import asyncio
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import final

from processor.adapters.kafka.letters import LetterBatch, PlacedLetter, letters_in
from processor.adapters.kafka.producing import ANY_PARTITION
from processor.adapters.kafka.reading import TopicReader
from processor.adapters.kafka.redriving import Addressed, TransactionalWriter
from processor.commands.common.learned_readers import LearnedReaders
from processor.commands.common.reading_progress import ReadingProgress
from processor.commands.redrive.choice import Chooser, RedriveAccount, SkipReason
from processor.commands.redrive.order import Ranges
from processor.commands.redrive.parking import TRANSACTION_LETTERS, parked_in
from processor.events.letters import Letter, LetterFilter
from processor.model.records import TopicPartition


@final
@dataclass(frozen=True, slots=True)
class Target:
    """Where records go: to their own partition if it is their own topic, else where their key belongs."""

    topic: str
    partitions: int
    parking: str | None = None
    """Where the letters go, as they are, of records that came back too often."""
    rate: int | None = None
    """How many go there in a second at most."""

    def partition_of(self, letter: Letter) -> int:
        """Return the partition that a letter's record goes to."""
        own = letter.partition
        is_home = letter.topic == self.topic and own is not None and own < self.partitions
        return own if is_home and own is not None else ANY_PARTITION

    def brought(self, letter: Letter) -> Addressed:
        """Return what is written of a letter that is brought back."""
        return Addressed(letter.brought_back, self.topic, self.partition_of(letter))


@final
class Bringing:
    """One run: reads letters, decides, writes; `account` grows with each transaction that is done."""

    def __init__(
        self,
        reader: TopicReader,
        writer: TransactionalWriter,
        target: Target,
        learned: LearnedReaders,
        chooser: Chooser,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._target = target
        self._learned = learned
        self._chooser = chooser
        self.account = RedriveAccount()

    def pass_over(self, ranges: Ranges, wanted: LetterFilter) -> None:
        """Read what earlier runs have dealt with, so that a second letter of a record is known for one."""
        with closing(letters_in(self._reader, ranges, wanted)) as batches:
            for batch in batches:
                for each in batch.letters:
                    self._chooser.pass_over(each.letter)
                self.account.earlier += len(batch.letters)

    async def bring(self, ranges: Ranges, wanted: LetterFilter) -> None:
        """Bring back what is in these ranges; raise `SourceError` and `RegistryUnavailableError`."""
        progress = ReadingProgress()
        with closing(letters_in(self._reader, ranges, wanted)) as batches:
            for batch in batches:
                await self._learned.demand(each.letter.original for each in batch.letters)
                self.account.others += batch.others
                for letters, read_to in self._parts(batch):
                    began = time.monotonic()
                    sent = self._bring(letters, read_to)
                    progress.show(batch.left)
                    await asyncio.sleep(pause_s(sent, self._target.rate, time.monotonic() - began))
        ends = {each: held.end for each, held in ranges.items() if held.start < held.end}
        if ends:  # also what lies behind the last letters, and the marks of transactions
            self._writer.write((), ends, self._reader)
        progress.clear()

    def _parts(
        self, batch: LetterBatch
    ) -> Generator[tuple[Sequence[PlacedLetter], Mapping[TopicPartition, int]], None, None]:
        """Give a batch in parts for a transaction each, and how far the topic is read with each."""
        size = min(TRANSACTION_LETTERS, self._target.rate or TRANSACTION_LETTERS)
        for start in range(0, len(batch.letters), size):
            part = batch.letters[start : start + size]
            is_last = start + size >= len(batch.letters)
            topic = next(iter(batch.reached)).topic
            within = {TopicPartition(topic, each.partition): each.letter.record.offset + 1 for each in part}
            yield part, batch.reached if is_last else within

    def _bring(self, letters: Sequence[PlacedLetter], read_to: Mapping[TopicPartition, int]) -> int:
        """Deal with some letters in one transaction, count them when it is done, and return how many were sent."""
        decided = [(each.letter, self._chooser.decide(each.letter).skip) for each in letters]
        brought = [self._target.brought(letter) for letter, skip in decided if skip is None]
        over_limit = [letter for letter, skip in decided if skip is SkipReason.REDRIVE_LIMIT]
        parked = parked_in(self._target.parking, over_limit)
        self._writer.write([*brought, *parked], read_to, self._reader)
        self.account.selected += len(letters)
        self.account.sent += len(brought)
        self.account.parked += len(parked)
        self.account.skipped.update(skip for _, skip in decided if skip is not None)
        return len(brought)


def pause_s(sent: int, rate: int | None, took_s: float) -> float:
    """Return how long to wait so that no more is sent than the rate allows; time that was lost is not caught up."""
    return 0.0 if rate is None else max(0.0, sent / rate - took_s)
