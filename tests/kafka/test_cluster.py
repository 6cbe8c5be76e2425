"""The harness itself: a real broker that keeps what the worker relies on."""

import pytest
from confluent_kafka import Consumer, TopicPartition

from processor.workload import Mix, generate
from tests.kafka.cluster import Cluster
from tests.kafka.conftest import Names
from tests.kafka.topics import committed, end_offsets, journals, produce_all, read_all

SMALL = Mix(oversize_bytes=10_000)


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


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
def test_a_restart_keeps_data_and_commits(own_kafka: Cluster, names: Names, *, killed: bool) -> None:
    """After a stop or a SIGKILL the same address serves the same messages and commits, and takes new ones."""
    own_kafka.create_topic(names.topic)
    produce_all(own_kafka, names.topic, generate(1, 100, SMALL))
    consumer = Consumer({"bootstrap.servers": own_kafka.bootstrap_servers, "group.id": names.group})
    consumer.commit(offsets=[TopicPartition(names.topic, 0, 42, "journal")], asynchronous=False)
    consumer.close()

    if killed:
        own_kafka.kill()
    own_kafka.restart()

    produce_all(own_kafka, names.topic, generate(2, 100, SMALL))
    assert len(read_all(own_kafka, names.topic)) == 200
    assert journals(own_kafka, names.group, names.topic) == {0: (42, "journal")}
