"""Letters of records that came back too often: copied to a topic of their own, for a person to look at."""

from collections.abc import Iterable, Mapping
from contextlib import closing

from processor.adapters.kafka.chosen_letters import ChosenLetters
from processor.adapters.kafka.config import KafkaSettings
from processor.adapters.kafka.letters import for_all, letters_in
from processor.adapters.kafka.offsets import offsets_in
from processor.adapters.kafka.reading import TopicReader
from processor.adapters.kafka.redriving import Addressed, TransactionalWriter, in_group
from processor.events.letters import EVERY, Letter
from processor.model.records import OffsetRange, TopicPartition

TRANSACTION_LETTERS = 500
"""At most, in one transaction."""


def parked_in(topic: str | None, letters: Iterable[Letter]) -> list[Addressed]:
    """Return what is written of letters that are parked; nothing if there is no topic for them."""
    return [] if topic is None else [Addressed(letter.parked, topic) for letter in letters]


def park(
    kafka: KafkaSettings, topic: str, name: str, parked: Mapping[TopicPartition, ChosenLetters], *, begins_anew: bool
) -> int:
    """Copy these letters to the topic, and return how many were; it blocks, and raises `SourceError`.

    The group and the transactions of this name hold how far that is. So what an earlier process copied is not copied
    again, unless this one `begins_anew`.
    """
    kafka, count = in_group(for_all(kafka), name), 0
    with TransactionalWriter(kafka, topic, name) as writer, TopicReader(kafka) as reader:
        stored = {} if begins_anew else offsets_in(reader.committed(parked))
        for partition, letters in parked.items():
            reached = stored.get(partition, 0)
            left = letters.behind(reached if reached <= letters.end else 0)  # beyond the end: of an earlier topic
            if not left.offsets:
                continue
            held = OffsetRange(left.offsets[0], left.offsets[-1] + 1)
            with closing(letters_in(reader, {partition: held}, EVERY)) as batches:
                for batch in batches:
                    meant = [letter for _, letter in batch.letters if letter.record.offset in left]
                    for start in range(0, len(meant), TRANSACTION_LETTERS):
                        part = meant[start : start + TRANSACTION_LETTERS]
                        writer.write(parked_in(topic, part), {partition: part[-1].record.offset + 1}, reader)
                        count += len(part)
    return count
