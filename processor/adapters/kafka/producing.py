"""Puts records into a topic, as they are."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from processor.adapters.kafka.config import refusals
from processor.adapters.kafka.unreached import Reports, unreached
from processor.model.errors import SourceError
from processor.model.records import NO_TIME, Headers, Record

ASK_S = 5.0
"""For the topic."""

FLUSH_S = 30.0
"""For the last acknowledgements."""


ANY_PARTITION = -1
"""The one that the key decides."""


def hand_over(
    producer: Producer,
    topic: str,
    record: Record,
    report: Callable[[KafkaError | None, Message], None],
    partition: int = ANY_PARTITION,
) -> None:
    """Give a record to a producer, whose `poll` calls `report`; waits where librdkafka's queue is full."""
    _, timestamp_ms, key, value, headers = record
    while True:
        try:
            producer.produce(
                topic,
                value,
                key,
                partition,
                headers=headers,  # type: ignore[arg-type]  # a header may be null, which the stubs forget
                timestamp=0 if timestamp_ms == NO_TIME else timestamp_ms,  # 0: now
                on_delivery=report,
            )
        except BufferError:
            producer.poll(0.1)
        else:
            return


@final
class TopicWriter:
    """Lives between `with` and its end, which waits until everything is acknowledged; for one thread.

    Raises `ConfigurationError` for properties that librdkafka refuses, and `SourceError` when the topic is missing or
    does not take a record.
    """

    def __init__(self, bootstrap_servers: str, topic: str, properties: Mapping[str, Any]) -> None:
        self.acknowledged = 0
        self._servers = bootstrap_servers
        self._topic = topic
        self._fault: str | None = None
        self._reports = Reports()
        own = {"client.id": "segment-fullstory-generate", "linger.ms": 20}
        fixed = {"bootstrap.servers": bootstrap_servers, "enable.idempotence": True, "acks": "all"}
        with refusals():
            self._producer = Producer({**own, **properties, **fixed, **self._reports.config}, logger=self._reports)

    def __enter__(self) -> Self:
        try:
            topic = self._producer.list_topics(self._topic, ASK_S).topics[self._topic]
        except KafkaException:
            self._producer.poll(0)
            raise SourceError(unreached(self._servers, self._reports.texts)) from None
        if topic.error is not None:
            raise SourceError(f"the topic {self._topic}: {topic.error.str()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        left = self._producer.flush(FLUSH_S)
        if kind is None and left:
            raise SourceError(f"{left} records were not acknowledged within {FLUSH_S:.0f} s")

    def produce(self, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        """Send a record, with the present as its timestamp; waits where librdkafka's queue is full."""
        hand_over(self._producer, self._topic, Record(0, NO_TIME, key, value, headers), self._report)
        self.serve(0)

    def serve(self, wait_s: float) -> None:
        """Take acknowledgements for so long."""
        self._producer.poll(wait_s)
        if self._fault is not None:
            raise SourceError(f"the topic {self._topic} did not take a record: {self._fault}")

    def _report(self, fault: KafkaError | None, _message: Message) -> None:
        if fault is None:
            self.acknowledged += 1
        else:
            self._fault = fault.str()
