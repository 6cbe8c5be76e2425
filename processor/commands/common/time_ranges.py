"""Which offsets hold the records of a time."""

from collections.abc import Mapping

from processor.adapters.kafka.reading import TopicReader
from processor.model.records import OffsetRange, TopicPartition


def written_within(
    reader: TopicReader, held: Mapping[TopicPartition, OffsetRange], since_ms: int | None, until_ms: int | None
) -> dict[TopicPartition, OffsetRange]:
    """Return the offsets of each partition from its first record of the time on, up to the first one after.

    `held` is what the topic holds; None is without end. Raises `SourceError`.
    """
    starts = reader.at_time(held, since_ms) if since_ms is not None else {}
    ends = reader.at_time(held, until_ms) if until_ms is not None else {}

    def bound(partition: TopicPartition, told: Mapping[TopicPartition, int], default: int) -> int:
        """Return an offset within what is held; Kafka gives a negative one where no record is of the time."""
        start, end = held[partition]
        offset = told.get(partition, default)
        return end if offset < 0 else min(max(offset, start), end)

    found = {}
    for each, (start, end) in held.items():
        first = bound(each, starts, start)
        found[each] = OffsetRange(first, max(bound(each, ends, end), first))
    return found
