"""The harness itself: a real broker that keeps what the worker relies on."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from processor.cli.generator import Mix, generate
from tests.kafka.cluster import Cluster
from tests.kafka.conftest import Names
from tests.kafka.topics import committed, end_offsets, produce_all, read_all

METADATA_LIMIT = 4_095
"""Kafka takes 4,096 characters, of which the Python client spends one on a terminating zero that it sends along."""

SMALL = Mix(oversize_bytes=10_000)


@contextmanager
def member(cluster: Cluster, names: Names, protocol: str) -> Iterator[Consumer]:
    """Give a consumer that has joined the group and owns the topic's only partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": cluster.bootstrap_servers,
            "group.id": names.group,
            "group.protocol": protocol,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    try:
        consumer.subscribe([names.topic])
        assert consumer.poll(30) is not None
        yield consumer
    finally:
        consumer.close()


def commit(consumer: Consumer, names: Names, offset: int, metadata: str) -> None:
    """Commit one offset with metadata and wait for the broker's answer; raises the partition's error."""
    partition = TopicPartition(names.topic, 0, offset, metadata)
    for answer in consumer.commit(offsets=[partition], asynchronous=False) or []:
        if answer.error:
            raise KafkaException(answer.error)


def test_records_come_back_as_they_were_produced(kafka: Cluster, names: Names) -> None:
    """Key, value, headers and timestamp survive the way through the broker, tombstones and null keys included."""
    records = list(generate(1, 2_000, SMALL))
    kafka.create_topic(names.topic, partitions=3)

    count = produce_all(kafka, names.topic, records)

    messages = read_all(kafka, names.topic)
    got = [(m.key(), m.value(), m.headers() or [], m.timestamp()[1]) for m in messages]
    sent = [(r.key, r.value, r.headers, r.timestamp_ms) for r in records]
    assert count == len(records)
    assert sorted(got, key=repr) == sorted(sent, key=repr)
    assert sum(end_offsets(kafka, names.topic).values()) == count


def test_a_topic_of_another_test_is_not_in_the_way(kafka: Cluster, names: Names) -> None:
    """A new topic is empty and its group has committed nothing."""
    kafka.create_topic(names.topic, partitions=2)

    assert read_all(kafka, names.topic) == []
    assert end_offsets(kafka, names.topic) == {0: 0, 1: 0}
    assert committed(kafka, names.group, names.topic) == {}


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_metadata_changes_at_an_unchanged_offset(kafka: Cluster, names: Names, protocol: str) -> None:
    """A second commit at the same offset replaces the metadata, by both group protocols."""
    kafka.create_topic(names.topic)
    produce_all(kafka, names.topic, generate(1, 10, SMALL))

    with member(kafka, names, protocol) as consumer:
        commit(consumer, names, 5, "first")
        commit(consumer, names, 5, "second")
        found = consumer.committed([TopicPartition(names.topic, 0)], timeout=30)

    assert [(partition.offset, partition.metadata) for partition in found] == [(5, "second")]
    assert committed(kafka, names.group, names.topic) == {0: 5}


def test_too_much_metadata_is_refused(kafka: Cluster, names: Names) -> None:
    """Metadata may fill the broker's limit to the last character, and one more is answered with an error of its own."""
    kafka.create_topic(names.topic)
    produce_all(kafka, names.topic, generate(1, 10, SMALL))

    with member(kafka, names, "classic") as consumer:
        commit(consumer, names, 1, "x" * METADATA_LIMIT)
        with pytest.raises(KafkaException) as refusal:
            commit(consumer, names, 2, "x" * (METADATA_LIMIT + 1))

    fault = refusal.value.args[0]
    assert isinstance(fault, KafkaError)
    assert fault.code() == KafkaError.OFFSET_METADATA_TOO_LARGE
    assert committed(kafka, names.group, names.topic) == {0: 1}


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
def test_a_restart_keeps_data_and_commits(own_kafka: Cluster, names: Names, *, killed: bool) -> None:
    """After a stop or a SIGKILL the same address serves the same messages and commits, and takes new ones."""
    own_kafka.create_topic(names.topic)
    produce_all(own_kafka, names.topic, generate(1, 100, SMALL))
    with member(own_kafka, names, "classic") as consumer:
        commit(consumer, names, 42, "journal")

    if killed:
        own_kafka.kill()
    own_kafka.restart()

    produce_all(own_kafka, names.topic, generate(2, 100, SMALL))
    assert len(read_all(own_kafka, names.topic)) == 200
    assert committed(own_kafka, names.group, names.topic) == {0: 42}
