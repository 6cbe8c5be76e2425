"""The ends of partitions on a real Kafka, where offsets hold no records and records may be hidden."""

import json
import re
import time
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from processor.adapters.kafka import figures
from processor.engine.notices import WaitsFor
from processor.engine.partition.owner import End
from processor.model.records import Record, TopicPartition
from tests.kafka.cluster import Cluster, KafkaCluster, java
from tests.kafka.conftest import Names
from tests.kafka.consumer_groups import lags
from tests.kafka.maven import run as command
from tests.kafka.members import (
    DEADLINE_S,
    NOW_MS,
    PROPERTIES,
    Protocol,
    assigned_by_brokers,
    member,
    numbered,
    on_a_loop,
    protocols,
    until,
)
from tests.kafka.programs import environment_of, sandbox, wait_until, worker
from tests.kafka.topics import abort_transaction, append, append_transaction, begin_transaction, committed, end_offsets

by_two_protocols = pytest.mark.parametrize("protocol", ["cooperative", assigned_by_brokers])

SHORT_SESSION = {"cooperative": {"session.timeout.ms": 6_000}, "broker": {}}
"""The group notices a killed member soon."""


def tracks(count: int) -> list[Record]:
    """Return so many events of one user."""
    track = b'{"type": "track", "userId": "u", "event": "Event", "timestamp": "2026-01-01T00:00:00Z"}'
    return [Record(0, NOW_MS, b"u", track, None)] * count


def settings(kafka: Cluster, names: Names, url: str, protocol: Protocol) -> dict[str, str]:
    """Return a worker's environment."""
    properties = json.dumps({**PROPERTIES[protocol], **SHORT_SESSION[protocol]})
    return environment_of(kafka, names, url, KAFKA__PROPERTIES=properties, BATCH__LINGER_S=0.1)


@by_two_protocols
def test_the_marker_of_a_transaction_is_committed_and_may_be_deleted(
    kafka: Cluster, names: Names, protocol: Protocol, tmp_path: Path
) -> None:
    """The group commits the log end behind markers and what was aborted, so retention leaves no gap, killed or not."""
    kafka.create_topic(names.topic)
    kafka.create_topic(names.dead_letters, 1, {"retention.ms": "2592000000"})
    append_transaction(kafka, names.topic, 0, tracks(5))

    with sandbox() as server:
        environment = settings(kafka, names, server.url, protocol)
        with worker(environment, tmp_path / "log-1") as program:
            wait_until(lambda: committed(kafka, names.group, names.topic) == {0: 6}, "the marker is committed", 30)
            abort_transaction(kafka, names.topic, 0, tracks(50))
            wait_until(lambda: committed(kafka, names.group, names.topic) == {0: 57}, "so is what was aborted", 30)
            program.kill()
        kafka.delete_records(names.topic, 0, 57)
        with worker(environment, tmp_path / "log-2") as program:
            program.wait_until_joined()
            append_transaction(kafka, names.topic, 0, tracks(3))
            wait_until(lambda: committed(kafka, names.group, names.topic) == {0: 61}, "what is new is delivered", 60)
            wait_until(lambda: program.metrics().get("consumer_lag_records") == 0, "there is no lag", 30)
            assert program.ready()["halts"] == {}
            assert lags(kafka, names.group) == {0: "0"}
        assert server.effects() == 8

    assert end_offsets(kafka, names.topic) == {0: 61}


@on_a_loop
async def test_the_end_of_an_open_transaction_is_told(kafka: Cluster, names: Names) -> None:
    """What is behind an open transaction counts to the log end, and is told apart from what may be read."""
    kafka.create_topic(names.topic)
    partition = TopicPartition(names.topic, 0)
    append(kafka, *partition, numbered(3))
    producer = begin_transaction(kafka, *partition, numbered(4))
    append(kafka, *partition, numbered(2))

    async with member(kafka, names) as one:
        await one.until_assigned(partition)
        await until(lambda: one.ends_told.get(partition) == End(9, 3), "the open transaction is told")
        producer.commit_transaction()
        await one.until_fetched(partition, 8)
        await until(lambda: one.ends_told.get(partition) == End(10, 10), "the end is told")


PATIENT = "broker.session.timeout.ms=600000\n"
"""A broker that stands still goes on to lead its partitions."""


@on_a_loop
async def test_a_partition_without_a_leader_that_answers_is_told(
    names: Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the leader of a partition does not answer, or goes, that is told, and the ends of others go on to be."""
    monkeypatch.setattr(figures, "SILENT_S", 7.0)  # ends are asked for every five seconds
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    with KafkaCluster(tmp_path / "one", properties=PATIENT) as first:
        first.create_topic(f"{names.topic}-0")
        first.commit(names.group, f"{names.topic}-0", 0, 0)  # the group's offsets are with the broker that stays
        with KafkaCluster(tmp_path / "two", properties=PATIENT, beside=first) as second:
            admin = AdminClient({"bootstrap.servers": first.bootstrap_servers})
            topic = NewTopic(names.topic, num_partitions=2, replica_assignment=[[1], [2]])  # type: ignore[list-item]
            admin.create_topics([topic])[names.topic].result(DEADLINE_S)
            stays, goes = (TopicPartition(names.topic, each) for each in range(2))
            for each in (stays, goes):
                append(first, *each, numbered(5))

            async with member(first, names, properties={"statistics.interval.ms": 500}) as one:
                await one.until_assigned(stays, goes)
                await one.until_fetched(goes, 4)
                second.suspend()
                await until(lambda: one.ends_told.get(goes) is WaitsFor.BROKER, "its leader does not answer")
                del one.ends_told[stays]
                await until(lambda: one.ends_told.get(stays) == End(5, 5), "the other end is told")
                second.go_on()
                await until(lambda: one.ends_told.get(goes) == End(5, 5), "its leader answers again")
                second.stop()
                await until(lambda: one.ends_told.get(goes) is WaitsFor.LEADER, "it has no leader")
                append(first, *stays, numbered(5))
                await until(lambda: one.ends_told.get(stays) == End(10, 10), "the other end is told")
                assert [each for each in one.source_faults if each] == []


says_the_quota = re.compile(r".* answers nothing for \d+ s: a quota of the brokers limits this client").fullmatch


@on_a_loop
async def test_a_quota_is_told_with_how_long_it_lasts(own_kafka: Cluster, names: Names) -> None:
    """If a quota is smaller than what one fetch brings, the broker gives nothing, and is told with the time."""
    own_kafka.create_topic(names.topic)
    partition = TopicPartition(names.topic, 0)
    append(own_kafka, *partition, numbered(20, size=10_000))
    quota = ("--alter", "--add-config", "consumer_byte_rate=12000", "--entity-type", "clients")
    servers = ("--bootstrap-server", own_kafka.bootstrap_servers)
    command([*java(), "kafka.admin.ConfigCommand", *servers, *quota, "--entity-name", names.group])

    began = time.time()
    async with member(own_kafka, names, properties={"client.id": names.group}) as one:
        await one.until_assigned(partition)
        # The assignment asks for more by the connection that is held back, and may say first that nothing is told.
        await until(lambda: any(map(says_the_quota, one.troubles)), "the quota is told")
        assert one.source.figures.throttled_until > began

    assert one.records == {}


@protocols
@on_a_loop
async def test_what_follows_a_marker_is_a_gap_from_there_on(kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """If a marker is deleted while its partition is paused, nothing is missing; records behind it that are, are."""
    kafka.create_topic(names.topic)
    partition = TopicPartition(names.topic, 0)
    append_transaction(kafka, *partition, numbered(5))

    async with member(kafka, names, protocol) as one:
        await one.until_assigned(partition)
        await until(lambda: (partition, 6, 5) in one.ends_reached, "the end is told")
        one.source.pause(one.epochs(partition))
        await one.until_polled()
        kafka.delete_records(*partition, before=6)
        append(kafka, *partition, numbered(4))
        one.source.resume(one.epochs(partition))
        await one.until_fetched(partition, 9)
        append_transaction(kafka, *partition, numbered(1))
        await until(lambda: (partition, 12, 11) in one.ends_reached, "the next end is told")
        one.source.pause(one.epochs(partition))
        await one.until_polled()
        append(kafka, *partition, numbered(8))
        kafka.delete_records(*partition, before=15)
        one.source.resume(one.epochs(partition))
        await until(lambda: len(one.gaps) == 1, "the gap is told")

    assert one.gaps == [(partition, 12, (15, 20))]
