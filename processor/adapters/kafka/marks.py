"""Offsets, and text with them, committed for a group that has no members. It blocks."""

from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from processor.adapters.kafka.config import LIBRDKAFKA_LOG, KafkaSettings, consumer_config, refusals
from processor.adapters.kafka.faults import said
from processor.adapters.kafka.offsets import Stored, checked
from processor.model.errors import SourceError
from processor.model.records import TopicPartition


def mark(settings: KafkaSettings, marks: Mapping[TopicPartition, Stored]) -> None:
    """Commit them for the group of these settings; raise `SourceError` where Kafka refuses, as while it has members."""
    if not marks:
        return
    offsets = [KafkaPartition(*each, stored.offset, stored.metadata) for each, stored in marks.items()]
    with refusals():
        consumer = Consumer(consumer_config(settings), logger=LIBRDKAFKA_LOG)
    try:
        checked(consumer.commit(offsets=offsets, asynchronous=False) or [])
    except KafkaException as error:
        raise SourceError(f"nothing can be committed for the group {settings.group_id}: {said(error)}") from None
    finally:
        consumer.close()
