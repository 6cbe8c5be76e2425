"""Records read from a topic without joining a group or committing anything. All calls block."""

import sys
import time
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Self, cast, final

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from processor.adapters.kafka.config import KafkaSettings, consumer_config, refusals
from processor.adapters.kafka.described import client
from processor.adapters.kafka.faults import said
from processor.adapters.kafka.membership import members
from processor.adapters.kafka.messages import record_of
from processor.adapters.kafka.offsets import Stored, committed, named
from processor.adapters.kafka.unreached import Reports, faults, unreached
from processor.model.errors import SourceError
from processor.model.records import OffsetRange, Record, TopicPartition

ASK_S = 10.0
"""For one question to a broker, with the connection to it."""

SILENCE_S = 15.0
"""How long records may take to come that are said to be there."""

MIN_ASK_S = 0.1
"""For a question when time is nearly up."""

_NO_COORDINATOR = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)

CONSUME_RECORDS = 500
CONSUME_WAIT_S = 0.1


class RecordBatch(NamedTuple):
    """Some records, each with its partition."""

    records: Sequence[tuple[TopicPartition, Record]]
    left: int
    """Offsets that are still to come."""


@dataclass(slots=True)
class _Unread:
    """What is still to be read of a partition."""

    partition: TopicPartition
    position: int
    end: int
    count: int


@final
class TopicReader:
    """Reads from partitions; closed by `with`. What fails is raised as `SourceError`, in plain words.

    With `within_s`, all that is asked takes no longer together. One question may take half of what is left, so that one
    without an answer leaves time for the next.
    """

    def __init__(self, settings: KafkaSettings, within_s: float = float("inf")) -> None:
        self._settings = settings
        self._until = time.monotonic() + within_s
        self._reports = Reports()
        with refusals():
            self._consumer = Consumer({**consumer_config(settings), **self._reports.config}, logger=self._reports)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._consumer.close()

    def partitions(self, topic: str) -> list[TopicPartition]:
        """Return the topic's partitions."""
        try:
            found = self._consumer.list_topics(topic, timeout=self._patience_s(ASK_S)).topics[topic]
        except KafkaException:
            self._consumer.poll(0)
            raise SourceError(unreached(self._settings.bootstrap_servers, self._reports.texts)) from None
        if found.error:
            raise SourceError(f"the topic {topic} cannot be read: {found.error.str()}")
        return [TopicPartition(topic, number) for number in sorted(found.partitions)]

    def available(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, OffsetRange]:
        """Return the offsets that each partition holds."""
        starts, ends = (self._bounds(partitions, which) for which in (OFFSET_BEGINNING, OFFSET_END))
        return {each: OffsetRange(starts[each], ends[each]) for each in partitions}

    def at_time(self, partitions: Collection[TopicPartition], time_ms: int) -> dict[TopicPartition, int]:
        """Return each partition's first offset with a timestamp of at least this; negative where there is none."""
        return self._bounds(partitions, time_ms)

    def _bounds(self, partitions: Collection[TopicPartition], which: int) -> dict[TopicPartition, int]:
        asked = [KafkaPartition(*each, which) for each in partitions]
        try:
            told = self._consumer.offsets_for_times(asked, timeout=self._patience_s(ASK_S)) if asked else []
        except KafkaException as error:
            raise self._error("the offsets of the topics cannot be read", error) from None
        for each in told:
            if each.error:
                raise SourceError(f"the offsets of {named(each)} cannot be read: {each.error.str()}")
        return {named(each): each.offset for each in told}

    def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Stored]:
        """Return what the group has committed of each partition.

        A group that is asked for the first time has no coordinator for a moment, nor has one whose broker restarts.
        """
        asked, until = [*partitions], time.monotonic() + self._patience_s(ASK_S)
        while True:
            try:
                return committed(self._consumer, asked, max(until - time.monotonic(), MIN_ASK_S))
            except KafkaException as error:
                code = cast("KafkaError", error.args[0]).code()
                if code in _NO_COORDINATOR and time.monotonic() <= until:
                    self._consumer.poll(MIN_ASK_S)
                    continue
                what = "the group's commits cannot be read"
                if self._is_hidden(code):
                    right = f"this client may not describe the group {self._settings.group_id}"
                    what = f"{what}: {right}. Allow it Describe on the group, or Read to bring letters back"
                    raise SourceError(what) from None
                raise self._error(what, error) from None

    def _is_hidden(self, code: int) -> bool:
        """Say whether it is a right that is missing; librdkafka (2.16) only says that there was no answer in time."""
        if code != KafkaError._TIMED_OUT:
            return code == KafkaError.GROUP_AUTHORIZATION_FAILED
        try:
            members(client(self._settings), self._settings.group_id, self._patience_s(ASK_S))
        except KafkaException as error:
            return cast("KafkaError", error.args[0]).code() == KafkaError.GROUP_AUTHORIZATION_FAILED
        return False

    @property
    def group(self) -> object:
        """The group that the settings name, as a producer wants it that commits offsets for it (KIP-447)."""
        return self._consumer.consumer_group_metadata()

    def read(self, partition: TopicPartition, offset: int, count: int) -> list[Record]:
        """Return the record at the offset and those that follow it, `count` in all or fewer at the partition's end."""
        if partition not in (known := self.partitions(partition.topic)):
            raise SourceError(f"{partition} is no partition: the topic has the partitions 0 to {len(known) - 1}")
        held = self.available([partition])[partition]
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
        """Return the first records of each range, at most `count` each, until `max_bytes` have come or time is up."""
        size = 0
        records: dict[TopicPartition, list[Record]] = {each: [] for each in ranges}
        with closing(self.batches(ranges, count)) as batches:
            for batch in batches:
                for partition, record in batch.records:
                    records[partition].append(record)
                    size += len(record.value or b"")
                if size >= max_bytes or (size and time.monotonic() >= self._until):
                    break
        return records

    def batches(
        self, ranges: Mapping[TopicPartition, OffsetRange], count: int = sys.maxsize
    ) -> Generator[RecordBatch, None, None]:
        """Give the records of each range as they come, at most `count` of each, a partition's in their order.

        A batch may be empty. Between two of them nothing grows but librdkafka's queue, to its bound.
        """
        unread: dict[tuple[str, int], _Unread] = {
            each: _Unread(each, held.start, held.end, count) for each, held in ranges.items() if held.start < held.end
        }
        self._consumer.assign([KafkaPartition(*each, left.position) for each, left in unread.items()])
        deadline = time.monotonic() + (silence_s := self._patience_s(SILENCE_S))
        try:
            while unread:
                messages = self._consumer.consume(CONSUME_RECORDS, CONSUME_WAIT_S)
                if messages:
                    deadline = time.monotonic() + silence_s
                elif time.monotonic() > deadline:
                    raise self._error(f"no record came for {silence_s:.1f} s")
                yield self._take(messages, unread)
        finally:
            self._consumer.unassign()

    def _take(self, messages: Sequence[Any], unread: dict[tuple[str, int], "_Unread"]) -> RecordBatch:
        """Keep what is wanted of the messages, and stop reading partitions of which nothing is any more.

        Messages are untyped because the stubs call everything optional that only error events lack.
        """
        records: list[tuple[TopicPartition, Record]] = []
        for message in messages:
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise SourceError(f"records of {message.topic()} cannot be read: {error.str()}")
            left = unread.get((message.topic(), message.partition()))
            if left is None:
                continue
            if error is None and (offset := message.offset()) < left.end:
                records.append((left.partition, record_of(message)))
                left.position = offset + 1
                left.count -= 1
            else:
                left.position = left.end
            if left.position >= left.end or not left.count:
                del unread[left.partition]
                self._consumer.incremental_unassign([KafkaPartition(*left.partition)])
        return RecordBatch(records, sum(left.end - left.position for left in unread.values()))

    def _patience_s(self, most_s: float) -> float:
        """Return how long the next question may take."""
        return min(most_s, max((self._until - time.monotonic()) / 2, MIN_ASK_S))

    def _error(self, what: str, error: KafkaException | None = None) -> SourceError:
        """Return the fault with what the client said of its connections, which tells more than a timeout."""
        self._consumer.poll(0)
        reasons = [*([said(error)] if error else []), *faults(self._reports.texts)]
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
