"""Groups that refuse a member, and brokers that lack, forget or lose something: what the source tells of them."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient

from processor.adapters.kafka import looks, probing
from processor.adapters.kafka.commits import CommitCalls
from processor.adapters.kafka.config import consumer_config
from processor.adapters.kafka.dead_letters import KafkaDeadLetters
from processor.model.errors import DeadLetterError
from processor.model.reasons import HaltReason
from processor.model.records import Commit, TopicPartition
from processor.runtime.ports import DeadLetter
from tests.chaos.evidence import commits
from tests.kafka.altering import CONSUMER_GROUP_HEARTBEAT, AlteringProxy
from tests.kafka.cluster import Cluster, ExternalCluster, KafkaCluster, free_port
from tests.kafka.conftest import Names
from tests.kafka.members import DEADLINE_S, PROPERTIES, Member, Protocol, kip_848, member, on_a_loop, settings_of, until
from tests.kafka.topics import journals

SMALL = """
group.max.size=1
group.consumer.max.size=1
auto.create.topics.enable=true
"""
"""A broker with room for one member in each group, that creates whatever topic is asked for."""


@pytest.fixture(scope="module")
def altering() -> Iterator[AlteringProxy]:
    """Give a proxy that changes nothing until a test says so."""
    with AlteringProxy(free_port()) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, altering: AlteringProxy) -> Iterator[KafkaCluster]:
    """Give a small broker of our own, behind the proxy as well."""
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        pytest.skip("an external cluster's settings are not changed")
    with KafkaCluster(tmp_path_factory.mktemp("small"), proxies=[altering.port], properties=SMALL) as cluster:
        yield cluster


@asynccontextmanager
async def hanging_member(kafka: Cluster, names: Names) -> AsyncIterator[Consumer]:
    """Give a member of a classic group that sends heartbeats, never polls again, and so never gives anything back.

    By cooperative-sticky librdkafka (2.16) would join anew without being polled.
    """
    consumer = Consumer(consumer_config(settings_of(kafka, names, PROPERTIES["eager"])))
    try:
        consumer.subscribe([names.topic])
        await until(lambda: consumer.poll(0.1) is None and bool(consumer.assignment()), "it is a member")
        yield consumer
    finally:
        await asyncio.to_thread(consumer.close)


@pytest.fixture
def altered(small: KafkaCluster, altering: AlteringProxy) -> Iterator[tuple[Cluster, AlteringProxy]]:
    """Give the broker as the proxy shows it, and the proxy."""
    altering.behind = small.behind[altering.port]
    yield ExternalCluster(f"127.0.0.1:{altering.port}"), altering
    altering.hidden, altering.forgets_metadata = (), False


def refusal(joining: Member) -> str:
    """Return what is told to be wrong, with what to do; empty where nothing is."""
    told = joining.source_faults[-1].get(HaltReason.KAFKA_UNAVAILABLE, []) if joining.source_faults else []
    return " ".join(f"{each.cause}: {each.action}" for each in told)


@on_a_loop
async def test_a_full_group_is_told_and_joined_once_there_is_room(small: KafkaCluster, names: Names) -> None:
    """A group that has as many members as the broker allows is a fault, until one of them leaves."""
    small.create_topic(names.topic)
    whole = TopicPartition(names.topic, 0)
    async with member(small, names) as first:
        await first.until_assigned(whole)
        async with member(small, names) as second:
            await until(lambda: "group.max.size" in refusal(second), "the refusal is told")
            assert second.events == []
            await first.source.stop()
            await second.until_assigned(whole)
            await until(lambda: refusal(second) == "", "the refusal is over")


@on_a_loop
async def test_a_member_that_does_not_join_anew_is_told_by_those_that_wait_for_it(
    kafka: Cluster, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A classic group that waits for a hanging member is a fault of those that it keeps waiting, until it goes on."""
    monkeypatch.setattr(looks, "SETTLED_WITHIN_S", 2.0)
    kafka.create_topic(names.topic)
    whole = TopicPartition(names.topic, 0)
    async with hanging_member(kafka, names) as hanging, member(kafka, names, "eager") as waiting:
        await until(lambda: "does not settle" in refusal(waiting), "the wait is told")
        assert waiting.events == []
        await asyncio.to_thread(hanging.close)
        await waiting.until_assigned(whole)
        await until(lambda: refusal(waiting) == "", "the wait is over")


@kip_848
@on_a_loop
async def test_a_full_group_of_the_new_protocol_ends_the_client_and_says_what_to_do(
    small: KafkaCluster, names: Names
) -> None:
    """With KIP-848 the client of a refused member ends; the error says what to do, and nothing was joined."""
    small.create_topic(names.topic)
    async with member(small, names, "broker") as first:
        await first.until_assigned(TopicPartition(names.topic, 0))
        async with member(small, names, "broker") as second:
            await until(lambda: second.failures != [], "the client ends")
            assert "group.consumer.max.size" in str(second.failures[0])
            assert second.events == []


@on_a_loop
async def test_a_group_with_another_assignor_is_told(kafka: Cluster, names: Names) -> None:
    """A group whose members do not know the worker's assignor is a fault that names the setting."""
    kafka.create_topic(names.topic)
    async with member(kafka, names, "eager") as first:
        await first.until_assigned(TopicPartition(names.topic, 0))
        async with member(kafka, names, "cooperative") as second:
            await until(lambda: "partition.assignment.strategy" in refusal(second), "the refusal is told")
            assert second.events == []


@on_a_loop
async def test_brokers_without_the_protocol_are_told(altered: tuple[Cluster, AlteringProxy], names: Names) -> None:
    """With KIP-848 and brokers that do not know it, the worker is not said to have joined, and is told why."""
    cluster, proxy = altered
    proxy.hidden = [CONSUMER_GROUP_HEARTBEAT]
    cluster.create_topic(names.topic)
    settings = settings_of(cluster, names, PROPERTIES["broker"])
    probe = asyncio.ensure_future(asyncio.to_thread(probing.refusal, settings))
    async with member(cluster, names, "broker") as alone:
        await until(lambda: refusal(alone) != "", "it is told")
        assert "group.protocol=consumer needs Kafka 4.0" in refusal(alone)
        assert alone.events == []
    assert "group.protocol=consumer needs Kafka 4.0" in str(await probe)


@kip_848
@on_a_loop
async def test_a_spare_member_of_the_new_protocol_has_joined(kafka: Cluster, names: Names) -> None:
    """With KIP-848 a member for which no partition is left is said to have joined, and nothing is wrong."""
    kafka.create_topic(names.topic)
    async with member(kafka, names, "broker") as first, member(kafka, names, "broker") as second:
        await until(lambda: bool(first.events and second.events), "both have joined")
        assert sorted(len(each.owned) for each in (first, second)) == [0, 1]
        assert refusal(first) == refusal(second) == ""


@kip_848
@on_a_loop
async def test_the_session_that_the_brokers_choose_is_told(kafka: Cluster, names: Names) -> None:
    """With KIP-848 an assignment tells the brokers' session; the classic protocol's is the worker's own setting."""
    kafka.create_topic(names.topic)
    whole = TopicPartition(names.topic, 0)
    sessions: dict[Protocol, float | None] = {"broker": 6.0, "cooperative": None}  # 6.0: tests/kafka/cluster.py
    for protocol, told in sessions.items():
        async with member(kafka, names, protocol) as alone:
            await alone.until_assigned(whole)
            assert alone.owned[whole].session_s == told


@on_a_loop
async def test_commits_whose_answers_are_lost_are_made_again_in_order(
    altered: tuple[Cluster, AlteringProxy], small: KafkaCluster, names: Names
) -> None:
    """The last commit of a partition may follow one that awaits its answer: what the group has at the end is the last.

    When the connection breaks, librdkafka (2.16) makes both again, one after the other: for a moment the group has the
    first again. Nothing is POSTed meanwhile, for neither is acknowledged.
    """
    cluster, proxy = altered
    cluster.create_topic(names.topic)
    first, last = ({TopicPartition(names.topic, 0): Commit(1, offset, "")} for offset in (1, 2))

    def offsets() -> list[int]:
        return [each.offset for each in commits(small, names)]

    async with hanging_member(cluster, names) as consumer:
        calls = CommitCalls(consumer, lambda *_: None)
        proxy.loses_answers = True
        calls.send(first)
        await until(lambda: offsets() == [1], "the broker has taken the first")
        waiting = asyncio.create_task(asyncio.to_thread(calls.last, last))
        await until(lambda: offsets() == [1, 2], "the broker has taken the last")
        proxy.cut()
        await waiting

    assert offsets() == [1, 2, 1, 2]


@on_a_loop
async def test_metadata_that_the_brokers_forget_is_found_by_the_first_commit(
    altered: tuple[Cluster, AlteringProxy], names: Names
) -> None:
    """A commit whose metadata cannot be read back has failed, however often it is made, until the brokers keep it."""
    cluster, proxy = altered
    proxy.forgets_metadata = True
    cluster.create_topic(names.topic)
    whole = TopicPartition(names.topic, 0)
    assert not await asyncio.to_thread(probing.keeps_metadata, settings_of(cluster, names, {}), whole)
    async with member(cluster, names) as alone:
        await alone.until_assigned(whole)
        alone.journal = "journal"
        for count in (1, 2):
            alone.commit({whole: 0})
            await until(lambda count=count: len(alone.commits) == count, "the commit is answered")  # type: ignore[misc]
            assert alone.commits[-1][1][whole].is_forgotten
        proxy.forgets_metadata = False
        alone.commit({whole: 0})
        await until(lambda: len(alone.commits) == 3, "the commit is answered")
        assert alone.commits[-1][1] == {}
        assert journals(cluster, names.group, names.topic) == {0: (0, "journal")}


@on_a_loop
async def test_a_dead_letter_makes_no_topic(small: KafkaCluster, names: Names) -> None:
    """Where the brokers make any topic that is asked for, a missing dead-letter topic is still a refusal."""
    async with KafkaDeadLetters(settings_of(small, names, {})) as letters:
        with pytest.raises(DeadLetterError, match="does not exist") as refused:
            await letters.write(DeadLetter(b"key", b"value", []))
    listed = AdminClient({"bootstrap.servers": small.bootstrap_servers}).list_topics(timeout=DEADLINE_S)

    assert refused.value.fault == "refused"
    assert names.dead_letters not in listed.topics
