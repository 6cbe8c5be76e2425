"""Where partitions begin: the group's committed offsets, and what the topics hold. For the consumer's thread alone."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar, final

from confluent_kafka import OFFSET_END, Consumer, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from processor.adapters.kafka.config import KafkaSettings
from processor.adapters.kafka.faults import said
from processor.model.errors import SourceError
from processor.model.records import TopicPartition

ASK_S = 5.0
"""For one question to a broker."""

LOOK_S = 1.0
"""For what is only looked at: without an answer it stays unknown."""

ASK_AGAIN_S = 1.0

PATIENCE_S = 60.0
"""How long a rebalance waits for a broker that just handed out partitions; then the process starts anew."""

_T = TypeVar("_T")


@final
class Offsets:
    """Answers of the brokers; every method blocks, and most raise `SourceError` when none comes in time."""

    def __init__(self, consumer: Consumer, settings: KafkaSettings, is_stopping: Callable[[float], bool]) -> None:
        self._consumer = consumer
        self._settings = settings
        self._is_stopping = is_stopping

    def committed(self, partitions: Sequence[KafkaPartition]) -> dict[TopicPartition, int | None]:
        """Return the group's committed offset of each partition; None where it never committed."""
        if not partitions:
            return {}
        bare = [KafkaPartition(each.topic, each.partition) for each in partitions]
        found = self._ask(lambda: _checked(self._consumer.committed(bare, timeout=ASK_S)))
        return {named(each): each.offset if each.offset >= 0 else None for each in found}

    def available(self, partition: TopicPartition) -> tuple[int, int]:
        """Return the first offset that the partition holds, and its end."""
        asked = KafkaPartition(partition.topic, partition.partition)
        return self._ask(lambda: self._consumer.get_watermark_offsets(asked, timeout=ASK_S))

    def chosen_start(self, partition: TopicPartition) -> int:
        """Return where the settings let a group begin that never committed."""
        first, end = self.available(partition)
        return first if self._settings.start == "earliest" else end

    def partitions_in_topics(self) -> int:
        """Count all partitions of the subscribed topics."""
        return sum(map(self._partitions_in, self._settings.topics))

    def _partitions_in(self, topic: str) -> int:
        listed = self._ask(lambda: self._consumer.list_topics(topic, timeout=ASK_S))
        return len(listed.topics[topic].partitions)

    def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the log end offsets that are told in a moment."""
        asked = [KafkaPartition(each.topic, each.partition, OFFSET_END) for each in partitions]
        try:
            told = self._consumer.offsets_for_times(asked, timeout=LOOK_S) if asked else []
        except KafkaException:
            return {}
        return {named(each): each.offset for each in told if not each.error}

    def idleness(self) -> list[str] | None:
        """Return which topics keep the member idle, in plain words; None where the group does not answer."""
        topics = self._settings.topics
        try:
            self._consumer.committed([KafkaPartition(topics[0], 0)], timeout=LOOK_S)
            listed = [self._consumer.list_topics(each, timeout=LOOK_S).topics[each] for each in topics]
        except KafkaException:
            return None
        return [f"{each.topic}: {each.error.str()}" for each in listed if each.error]

    def _ask(self, question: Callable[[], _T | None]) -> _T:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = question()
            except KafkaException as error:
                answer, fault = None, said(error)
            else:
                fault = "no answer"
            if answer is not None:
                return answer
            if self._is_stopping(ASK_AGAIN_S) or time.monotonic() > deadline:
                raise SourceError(f"Kafka did not tell where to begin: {fault}")


def _checked(partitions: list[KafkaPartition]) -> list[KafkaPartition]:
    for each in partitions:
        if each.error:
            raise KafkaException(each.error)
    return partitions


def named(partition: KafkaPartition) -> TopicPartition:
    """Return the name of what librdkafka gives with an offset or an error."""
    return TopicPartition(partition.topic, partition.partition)
