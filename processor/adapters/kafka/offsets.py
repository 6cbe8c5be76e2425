"""Where partitions begin: what the group has committed, and what the topics hold. For the consumer's thread alone."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, final

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from processor.adapters.kafka.config import KafkaSettings
from processor.adapters.kafka.described import Described
from processor.adapters.kafka.patience import ASK_S, LOOK_S
from processor.engine.beginnings import Beginnings
from processor.engine.notices import WaitsFor
from processor.engine.partition.journal_format import JournalPlace, is_copied
from processor.engine.partition.owner import End
from processor.model.records import TopicPartition

MISSING = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)
"""Of a topic that does not exist."""


class Stored(NamedTuple):
    """What a group has committed of a partition; the offset is negative where there is nothing."""

    offset: int
    metadata: str


class Start(NamedTuple):
    """Where a partition begins; new is what the group never committed."""

    offset: int
    is_new: bool
    metadata: str


@final
class Offsets:
    """Answers of the brokers; every method blocks, and most raise `SourceError` when none comes in time."""

    def __init__(self, consumer: Consumer, settings: KafkaSettings, described: Described) -> None:
        self._consumer = consumer
        self._settings = settings
        self._described = described
        self._patience = described.patience
        self._beginnings = Beginnings(settings.start)

    def begin(self) -> None:
        """Find out, before the group is joined, what it begins to read; commit where it begins if that is at the end.

        Kafka takes the commit of no member only while the group has none, so nobody's offsets are set back; who is
        refused comes to a group that is at work. Raise `KafkaException` where the questions are not answered.
        """
        if self._settings.start == "earliest":  # the first record is the first record, whoever asks, and whenever
            return
        listed = self._described.topics()
        there = [TopicPartition(name, number) for name, topic in listed.items() for number in topic.partitions]
        found = committed(self._consumer, there, ASK_S) if there else {}
        unseen = (name for name, topic in listed.items() if topic.error and topic.error.code() not in MISSING)
        self._beginnings.came(there, offsets_in(found), unseen)
        told = self.ends(self._beginnings.to_commit, ASK_S)
        if ends := [KafkaPartition(*each, end.readable) for each, end in told.items() if isinstance(end, End)]:
            with suppress(KafkaException):
                self._consumer.commit(offsets=ends, asynchronous=False)

    def starts(self, partitions: Sequence[KafkaPartition]) -> dict[TopicPartition, Start]:
        """Return where the group goes on in each partition, or where it begins."""
        if not partitions:
            return {}
        found = self._patience.insist(lambda: committed(self._consumer, map(named, partitions), ASK_S))
        return {each: self._start(each, stored) for each, stored in found.items()}

    def _start(self, partition: TopicPartition, found: Stored) -> Start:
        if found.offset >= 0:
            return Start(found.offset, is_new=False, metadata=found.metadata)
        first, end = self.available(partition)
        return Start(end if self._beginnings.of(partition) == "end" else first, is_new=True, metadata="")

    def lost(self, starts: Mapping[TopicPartition, Start], topic_ids: Mapping[str, str]) -> list[TopicPartition]:
        """Return the partitions of which the group had an offset that is gone; remember which have one."""
        for each, start in starts.items():
            if not start.is_new:
                self.remember(each, topic_ids[each.topic])
        return [
            each
            for each, start in starts.items()
            if start.is_new
            and (self._beginnings.of(each) == "lost" or self._beginnings.remembers(each, topic_ids[each.topic]))
        ]

    def remember(self, partition: TopicPartition, topic_id: str) -> None:
        """Remember that the group has committed a partition of this topic."""
        self._beginnings.remember(partition, topic_id)

    def copied_behind(self, start: Start, partition: TopicPartition, place: JournalPlace) -> int:
        """Count the records behind an offset that was copied from another cluster, most likely with them; else 0.

        All of them may have been sent there: how far its group came since is not told.
        """
        return max(self.available(partition)[1] - start.offset, 0) if is_copied(start.metadata, place) else 0

    def available(self, partition: TopicPartition) -> tuple[int, int]:
        """Return the first offset that the partition holds, and its end."""
        asked = KafkaPartition(partition.topic, partition.partition)
        return self._patience.insist(lambda: self._consumer.get_watermark_offsets(asked, timeout=ASK_S))

    def ends(
        self, partitions: Iterable[TopicPartition], within_s: float = LOOK_S
    ) -> dict[TopicPartition, End | WaitsFor]:
        """Return the ends, or for which of them a leader is missing; nothing where a leader does not answer in time.

        librdkafka (2.16) asks for the end of what may be read, and keeps the log end offset that the last fetch told.
        """
        asked = [KafkaPartition(each.topic, each.partition, OFFSET_END) for each in partitions]
        try:
            told = self._consumer.offsets_for_times(asked, timeout=within_s) if asked else []
        except KafkaException:
            return {}
        ends: dict[TopicPartition, End | WaitsFor] = {}
        for each in told:
            if each.error and each.error.code() == KafkaError.LEADER_NOT_AVAILABLE:
                ends[named(each)] = WaitsFor.LEADER
            elif not each.error:
                _, fetched_to = self._consumer.get_watermark_offsets(each, cached=True)
                ends[named(each)] = End(max(fetched_to, each.offset), each.offset)
        return ends

    def does_group_answer(self) -> bool:
        """Say whether the group's coordinator answers in a moment."""
        try:
            self._consumer.committed([KafkaPartition(self._settings.topics[0], 0)], timeout=LOOK_S)
        except KafkaException:
            return False
        return True


def committed(
    consumer: Consumer, partitions: Iterable[TopicPartition], timeout_s: float
) -> dict[TopicPartition, Stored]:
    """Ask the group what it has of each partition; raise `KafkaException` where there is no answer."""
    return stored(checked(consumer.committed([KafkaPartition(*each) for each in partitions], timeout=timeout_s)))


def offsets_in(found: Mapping[TopicPartition, Stored]) -> dict[TopicPartition, int]:
    """Return the offsets of the partitions that have one."""
    return {each: stored.offset for each, stored in found.items() if stored.offset >= 0}


def stored(partitions: Iterable[KafkaPartition]) -> dict[TopicPartition, Stored]:
    """Return what librdkafka gives of commits."""
    return {named(each): Stored(each.offset, _metadata(each)) for each in partitions}


def _metadata(partition: KafkaPartition) -> str:
    """Return metadata, of which what is not text is nothing of ours.

    confluent-kafka (2.16) ends its own with a zero, and reads to the next one: of what another tool has committed it
    gives some more bytes, whatever stands there.
    """
    try:
        return partition.metadata or ""
    except UnicodeDecodeError:
        return ""


def checked(partitions: list[KafkaPartition]) -> list[KafkaPartition]:
    """Return what librdkafka gives; raise `KafkaException` where a partition has a fault."""
    for each in partitions:
        if each.error:
            raise KafkaException(each.error)
    return partitions


def named(partition: KafkaPartition) -> TopicPartition:
    """Return the name of what librdkafka gives with an offset or an error."""
    return TopicPartition(partition.topic, partition.partition)
