"""Records read from a topic without joining a group or committing anything. All calls block."""

import sys
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self, final

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from processor.adapters.kafka.config import LIBRDKAFKA_LOG, KafkaSettings, consumer_config, refusals
from processor.adapters.kafka.faults import said
from processor.adapters.kafka.offsets import Stored, committed
from processor.model.errors import SourceError
from processor.model.records import OffsetRange, Record, TopicPartition

ASK_S = 10.0
"""For one question to a broker, with the connection to it."""

SILENCE_S = 15.0
"""How long records may take to come that are said to be there."""

CONSUME_RECORDS = 500
CONSUME_WAIT_S = 0.1


@final
class Reader:
    """Reads from partitions; closed by `with`. What fails is raised as `SourceError`, in plain words."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._heard: list[str] = []
        with refusals():
            self._consumer = Consumer(consumer_config(settings, error_cb=self._hear), logger=LIBRDKAFKA_LOG)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._consumer.close()

    def partitions(self, topic: str) -> list[TopicPartition]:
        """Return the topic's partitions."""
        try:
            found = self._consumer.list_topics(topic, timeout=ASK_S).topics[topic]
        except KafkaException as error:
            raise self._error("Kafka does not answer", error) from None
        if found.error:
            raise SourceError(f"the topic {topic} cannot be read: {found.error.str()}")
        return [TopicPartition(topic, number) for number in sorted(found.partitions)]

    def available(self, partition: TopicPartition) -> OffsetRange:
        """Return the offsets that the partition holds."""
        try:
            bounds = self._consumer.get_watermark_offsets(KafkaPartition(*partition), timeout=ASK_S)
        except KafkaException as error:
            raise self._error(f"{partition} does not tell what it holds", error) from None
        if bounds is None:
            raise SourceError(f"{partition} does not tell what it holds: no answer within {ASK_S:g} s")
        return OffsetRange(*bounds)

    def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Stored]:
        """Return what the group has committed of each partition."""
        try:
            return committed(self._consumer, partitions, ASK_S)
        except KafkaException as error:
            raise self._error("the group's commits cannot be read", error) from None

    def read(self, partition: TopicPartition, offset: int, count: int) -> list[Record]:
        """Return the record at the offset and those that follow it, `count` in all or fewer at the partition's end."""
        if partition not in (known := self.partitions(partition.topic)):
            raise SourceError(f"{partition} is no partition: the topic has the partitions 0 to {len(known) - 1}")
        held = self.available(partition)
        if not held.start <= offset < held.end:
            holds = f"it holds the offsets {held.start} to {held.end - 1}" if held.start < held.end else "it is empty"
            raise SourceError(f"{partition} has no offset {offset}: {holds}")
        records = self.read_ranges({partition: OffsetRange(offset, held.end)}, count)[partition]
        if not records or records[0].offset != offset:
            following = f"; the next record is {records[0].offset}" if records else ""
            raise SourceError(
                f"the offset {offset} of {partition} holds no record: it was compacted away, "
                f"or marks the end of a transaction{following}"
            )
        return records

    def read_ranges(
        self, ranges: Mapping[TopicPartition, OffsetRange], count: int, max_bytes: int = sys.maxsize
    ) -> dict[TopicPartition, list[Record]]:
        """Return the first records of each range, at most `count` of each, until `max_bytes` have come."""
        size = 0
        records: dict[TopicPartition, list[Record]] = {each: [] for each in ranges}
        missing = {each for each, held in ranges.items() if held.start < held.end}
        self._consumer.assign([KafkaPartition(*each, ranges[each].start) for each in missing])
        deadline = time.monotonic() + SILENCE_S
        while missing and size < max_bytes:
            messages = self._consumer.consume(CONSUME_RECORDS, CONSUME_WAIT_S)
            if messages:
                deadline = time.monotonic() + SILENCE_S
            elif time.monotonic() > deadline:
                raise self._error(f"no record came for {SILENCE_S:g} s")
            for message in messages:
                partition, position = self._take(message, records)
                size += len(message)
                if position >= ranges[partition].end or len(records[partition]) >= count:
                    missing.discard(partition)
        self._consumer.unassign()
        return {each: found[:count] for each, found in records.items()}

    def _take(self, message: Any, records: Mapping[TopicPartition, list[Record]]) -> tuple[TopicPartition, int]:
        """Keep a record, and return the position after it.

        The message is untyped because the stubs call everything optional that only error events lack.
        """
        partition = TopicPartition(message.topic(), message.partition())
        error = message.error()
        if error is None:
            offset = message.offset()
            records[partition].append(
                Record(offset, message.timestamp()[1], message.key(), message.value(), message.headers())
            )
            return partition, offset + 1
        if error.code() == KafkaError._PARTITION_EOF:
            return partition, message.offset()
        raise SourceError(f"records cannot be read: {error.str()}")

    def _hear(self, error: KafkaError) -> None:
        self._heard.append(error.str())

    def _error(self, what: str, error: KafkaException | None = None) -> SourceError:
        """Return the fault with what the client said of its connections, which tells more than a timeout."""
        self._consumer.poll(0)
        reasons = dict.fromkeys([*([said(error)] if error else []), *self._heard])
        return SourceError(": ".join([what, "; ".join(reasons)]) if reasons else what)


def latest(available: Mapping[TopicPartition, OffsetRange], count: int) -> dict[TopicPartition, OffsetRange]:
    """Return the ends of partitions, `count` offsets in all, evenly as far as each has so many."""
    left = count
    ends: dict[TopicPartition, OffsetRange] = {}
    by_size = sorted(available.items(), key=lambda item: item[1].end - item[1].start)
    for number, (partition, held) in enumerate(by_size):
        taken = min(held.end - held.start, left // (len(by_size) - number))
        left -= taken
        if taken:
            ends[partition] = OffsetRange(held.end - taken, held.end)
    return ends
