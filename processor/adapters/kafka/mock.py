"""A Kafka inside this process: librdkafka's mock cluster, for the demo and for tests.

It knows groups, rebalances and commits and needs nothing but this process, with which it ends. It is no store: of each
partition it keeps about 5 MB and deletes what is older, read or not, so whoever produces has to wait for who consumes.
"""

from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self, final

from confluent_kafka import Consumer, KafkaError, Message, Producer
from confluent_kafka import TopicPartition as KafkaPartition

from processor.adapters.kafka.config import LIBRDKAFKA_LOG
from processor.adapters.kafka.messages import record_of
from processor.model.errors import SourceError
from processor.model.records import Headers, Record

ASK_S = 10.0
"""For one answer of the cluster, on a computer that has other things to do."""

READ_RECORDS = 500

NO_GROUP = "nobody"
"""librdkafka wants a group's name even of a consumer that joins none."""

Acknowledged = Callable[[int, int], None]
"""Told the partition and the offset that a record got."""


@final
class MockCluster:
    """A cluster of one broker with these topics; lives between `with` and its end, for one thread.

    `serve` raises `SourceError` when a record was not taken.
    """

    def __init__(self, *topics: str) -> None:
        # The cluster belongs to the client that made it.
        self._producer = Producer(_config({"test.mock.num.brokers": 1, "linger.ms": 5}), logger=LIBRDKAFKA_LOG)
        self.bootstrap_servers = ",".join(
            f"{broker.host}:{broker.port}" for broker in self._producer.list_topics(timeout=ASK_S).brokers.values()
        )
        self._partitions = {topic: self._create(topic) for topic in topics}
        self._tails: list[Tail] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for tail in self._tails:
            tail.close()
        self._producer.purge()
        self._producer.flush(ASK_S)
        del self._producer

    def produce(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers, acknowledged: Acknowledged
    ) -> None:
        """Send a record, with the present as its timestamp; `serve` calls `acknowledged` once it is in the topic."""
        self._producer.produce(
            topic,
            value,
            key,
            headers=headers,  # type: ignore[arg-type]  # a header may be null, which the stubs forget
            on_delivery=partial(_report, acknowledged),
        )

    def serve(self) -> None:
        """Tell of the records that were acknowledged; never waits."""
        self._producer.poll(0)

    def tail(self, topic: str) -> "Tail":
        """Return a reader of the topic from its beginning; it is closed with the cluster."""
        self._tails.append(Tail(self._consumer(NO_GROUP), self._named(topic)))
        return self._tails[-1]

    def ends(self, topic: str) -> dict[int, int]:
        """Return the end offset of each partition: that of the next record."""
        consumer = self._consumer(NO_GROUP)
        try:
            return {each.partition: consumer.get_watermark_offsets(each, ASK_S)[1] for each in self._named(topic)}
        finally:
            consumer.close()

    def committed(self, topic: str, group: str) -> dict[int, int]:
        """Return the group's committed offset of each partition, 0 where it never committed."""
        consumer = self._consumer(group)
        try:
            found = consumer.committed(self._named(topic), timeout=ASK_S)
        finally:
            consumer.close()
        return {each.partition: max(each.offset, 0) for each in found}

    def _create(self, topic: str) -> Sequence[int]:
        """Ask for a topic: that is what makes it."""
        return sorted(self._producer.list_topics(topic, timeout=ASK_S).topics[topic].partitions)

    def _named(self, topic: str) -> list[KafkaPartition]:
        return [KafkaPartition(topic, number) for number in self._partitions[topic]]

    def _consumer(self, group: str) -> Consumer:
        return Consumer(
            _config(
                {
                    "bootstrap.servers": self.bootstrap_servers,
                    "group.id": group,
                    "enable.auto.commit": False,
                    "auto.offset.reset": "error",
                }
            ),
            logger=LIBRDKAFKA_LOG,
        )


@final
class Tail:
    """Reads a topic from its beginning, a little at a time."""

    def __init__(self, consumer: Consumer, partitions: Sequence[KafkaPartition]) -> None:
        self._consumer = consumer
        self.offsets = {each.partition: 0 for each in partitions}
        """The next offset of each partition."""
        consumer.assign([KafkaPartition(each.topic, each.partition, 0) for each in partitions])

    def read(self) -> list[Record]:
        """Return what has arrived; never waits. Raises `SourceError` where records were deleted unread."""
        return [self._record(message) for message in self._consumer.consume(READ_RECORDS, 0)]

    def close(self) -> None:
        """Read no more."""
        self._consumer.close()

    def _record(self, message: Any) -> Record:
        """Convert a message; it is untyped because the stubs call everything optional that only error events lack."""
        if message.error() is not None:
            raise SourceError(f"the embedded Kafka cannot be read: {message.error().str()}")
        self.offsets[message.partition()] = message.offset() + 1
        return record_of(message)


def _config(properties: dict[str, Any]) -> dict[str, Any]:
    """Add what keeps standard error clean: librdkafka tells of the mock, and what matters is raised anyway."""
    return {"client.id": "mock", "log_level": 2, **properties}


def _report(acknowledged: Acknowledged, fault: KafkaError | None, message: Message) -> None:
    if fault is not None:
        raise SourceError(f"the embedded Kafka did not take a record: {fault.str()}")
    partition, offset = message.partition(), message.offset()
    assert partition is not None
    assert offset is not None
    acknowledged(partition, offset)
