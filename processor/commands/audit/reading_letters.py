"""The letters of a group's records, read into places."""

from collections.abc import Mapping

from processor.adapters.kafka.letters import letter_ranges, letters_in
from processor.adapters.kafka.reading import TopicReader
from processor.commands.audit.account import LettersRead
from processor.commands.audit.letter_places import LetterPlaces
from processor.commands.common.reading_progress import progressing
from processor.events.dead_letters import GROUP
from processor.events.letters import EVERY, Letter
from processor.model.records import TopicPartition


def read_into(
    places: Mapping[TopicPartition, LetterPlaces], reader: TopicReader, topic: str, group: str
) -> LettersRead:
    """Read all letters of the topic, and add those of the group's records to the places of their partitions."""
    counted = elsewhere = 0
    ranges = letter_ranges(reader, topic, EVERY)
    with progressing(letters_in(reader, ranges, EVERY)) as batches:
        for batch in batches:
            for each in batch.letters:
                if _is_placed(each.letter, places, group):
                    counted += 1
                else:
                    elsewhere += 1
    return LettersRead(counted, elsewhere, sum(held.start for held in ranges.values()))


def _is_placed(letter: Letter, places: Mapping[TopicPartition, LetterPlaces], group: str) -> bool:
    """Add a letter, if it is of one of these partitions and of this group."""
    partition, offset = letter.partition, letter.offset
    if partition is None or offset is None or letter.text(GROUP) != group:
        return False
    found = places.get(TopicPartition(letter.topic, partition))
    return found is not None and found.add(offset, letter.record)
