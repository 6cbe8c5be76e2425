"""Dead letters read from their topic: without joining a group, and without committing anything."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple

from processor.adapters.kafka.config import KafkaSettings
from processor.adapters.kafka.reading import TopicReader
from processor.events.letters import EVERY, Letter, LetterFilter, letter_of
from processor.model.records import OffsetRange, TopicPartition

MIB = 1024 * 1024


class PlacedLetter(NamedTuple):
    """A dead letter and the partition of the dead-letter topic that it is in."""

    partition: int
    letter: Letter

    def __str__(self) -> str:
        return f"{self.partition}:{self.letter.record.offset}"


class LetterBatch(NamedTuple):
    """Some letters that are meant."""

    letters: Sequence[PlacedLetter]
    others: int
    """Records that are no dead letters."""
    left: int
    """Offsets that are still to be read."""
    reached: Mapping[TopicPartition, int]
    """The offset behind the last record of each partition that something was read of."""


def for_all(settings: KafkaSettings) -> KafkaSettings:
    """Return settings to read a whole topic with.

    Larger fetches take memory: letters are much alike, and unpack to a multiple of what is fetched.
    """
    return replace(settings, queue_bytes=16 * MIB, fetch_bytes=MIB, partition_fetch_bytes=MIB // 8)


def read_letters(reader: TopicReader, topic: str, wanted: LetterFilter) -> Generator[LetterBatch, None, None]:
    """Give the letters that are meant, from the topic's beginning to the end that it has now; raises `SourceError`."""
    return letters_in(reader, letter_ranges(reader, topic, wanted), wanted)


def letter_ranges(reader: TopicReader, topic: str, wanted: LetterFilter) -> dict[TopicPartition, OffsetRange]:
    """Return what there is to read of the topic now: nothing that was written before `wanted.since_ms`."""
    partitions = reader.partitions(topic)
    ranges = reader.available(partitions)
    if wanted.since_ms is None:
        return ranges
    return {
        each: OffsetRange(start, ranges[each].end)
        for each, start in reader.at_time(partitions, wanted.since_ms).items()
        if start >= 0
    }


def letters_in(
    reader: TopicReader, ranges: Mapping[TopicPartition, OffsetRange], wanted: LetterFilter
) -> Generator[LetterBatch, None, None]:
    """Give the letters of these ranges that are meant; the first batch is empty and tells how much there is to read."""
    yield LetterBatch((), 0, sum(max(held.end - held.start, 0) for held in ranges.values()), {})
    with closing(reader.batches(ranges)) as batches:
        for records, left in batches:
            letters = [
                PlacedLetter(at.partition, letter)
                for at, record in records
                if (letter := letter_of(record)) is not None
            ]
            meant = letters if wanted == EVERY else [each for each in letters if wanted.matches(each.letter)]
            reached = {partition: record.offset + 1 for partition, record in records}
            yield LetterBatch(meant, len(records) - len(letters), left, reached)
