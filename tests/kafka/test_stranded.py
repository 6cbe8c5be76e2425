"""A broker that says there is no broker: librdkafka drops all it knows, and never reaches Kafka again by itself.

`app.stranded` tells of the fault. The proxy says at will what a lone broker says at the end of an orderly stop.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer

from processor.adapters.kafka.dead_letters import KafkaDeadLetters
from processor.adapters.kafka.figures import figures
from processor.model.records import ClientFigures, Record
from processor.runtime.ports import DeadLetter
from tests.kafka.altering import AlteringProxy
from tests.kafka.cluster import Cluster, ExternalCluster, KafkaCluster, free_port
from tests.kafka.conftest import Names
from tests.kafka.members import LOOK_S, on_a_loop, settings_of
from tests.kafka.programs import environment_of, sandbox, wait_until, worker
from tests.kafka.topics import append, committed, end_offsets

PROPERTIES = {"session.timeout.ms": 6_000, "topic.metadata.refresh.interval.ms": 1_000}
BACK_S = 90.0
"""Two reports of librdkafka's without a broker, the end of the old member's session, and a start."""


@pytest.fixture(scope="module")
def kafka_and_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[KafkaCluster, AlteringProxy]]:
    """Give a broker, and a proxy by which its clients come and are told to come back."""
    with (
        AlteringProxy(free_port()) as proxy,
        KafkaCluster(tmp_path_factory.mktemp("lone"), proxies=[proxy.port]) as kafka,
    ):
        proxy.behind = kafka.behind[proxy.port]
        yield kafka, proxy


@pytest.fixture
def proxied(kafka_and_proxy: tuple[KafkaCluster, AlteringProxy], names: Names) -> tuple[Cluster, AlteringProxy]:
    """Give the broker as the proxy shows it, with the topics of these names, and the proxy."""
    kafka, proxy = kafka_and_proxy
    for each in (names.topic, names.dead_letters):
        kafka.create_topic(each)
    return ExternalCluster(f"127.0.0.1:{proxy.port}"), proxy


def track(number: int) -> Record:
    """Return an event."""
    value = {"type": "track", "userId": "u", "event": f"Event {number}", "timestamp": "2026-01-01T00:00:00Z"}
    return Record(0, 0, b"u", json.dumps(value).encode(), None)


def flickers(proxy: AlteringProxy) -> bool:
    """Hide the brokers now and then: it strands a client now and then, who asks each second."""
    proxy.hides_brokers = time.monotonic() % 1.7 < 1
    return True


POISON = Record(0, 0, b"u", b"{", None)


@pytest.mark.parametrize("strategy", ["rebootstrap", "none"])
def test_librdkafka_alone_stays_without_brokers(
    proxied: tuple[Cluster, AlteringProxy], names: Names, strategy: str
) -> None:
    """Ten reports on it still knows no broker, whatever it is to do then; what it is given anew is forgotten as well.

    If this fails, librdkafka has mended its issue 5301, and `app.stranded` can go.
    """
    kafka, proxy = proxied
    reports = [ClientFigures()]
    consumer = Consumer(
        {
            **PROPERTIES,
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.id": names.group,
            "log_level": 2,
            "metadata.recovery.strategy": strategy,
            "metadata.recovery.rebootstrap.trigger.ms": 1_000,
            "statistics.interval.ms": 500,
            "stats_cb": lambda text: reports.append(figures(text, reports[-1])),
        }
    )

    def hear(more: int) -> None:
        end = len(reports) + more
        wait_until(lambda: consumer.poll(0.1) is None and len(reports) >= end, "it has reported")

    try:
        consumer.subscribe([names.topic])
        wait_until(lambda: consumer.poll(0.1) is None and bool(consumer.assignment()), "it is a member")
        wait_until(lambda: flickers(proxy) and consumer.poll(0.1) is None and reports[-1].is_stranded, "it is stranded")
        proxy.hides_brokers = False
        hear(12)
        assert reports[-1].brokerless >= 10
    finally:
        consumer.close()


def test_a_worker_whose_consumer_is_stranded_begins_anew(
    proxied: tuple[Cluster, AlteringProxy], names: Names, tmp_path: Path
) -> None:
    """What is produced after that is delivered, once; what cannot be is a letter; nothing is wrong any more."""
    kafka, proxy = proxied
    append(kafka, names.topic, 0, [track(1), POISON])
    with sandbox() as server:
        environment = environment_of(kafka, names, server.url, KAFKA__PROPERTIES=json.dumps(PROPERTIES))
        with worker(environment, tmp_path / "log") as program:
            wait_until(lambda: server.effects() == 1, "the first is delivered")
            wait_until(lambda: committed(kafka, names.group, names.topic) == {0: 2}, "so is the first letter")
            wait_until(
                lambda: flickers(proxy) and "lost all brokers, and is" in program.said(), "the worker has noticed"
            )
            proxy.hides_brokers = False
            append(kafka, names.topic, 0, [track(2), POISON])

            wait_until(lambda: server.effects() == 2, "the second is delivered", BACK_S)
            wait_until(lambda: end_offsets(kafka, names.dead_letters) == {0: 2}, "the second letter is written", BACK_S)
            wait_until(lambda: program.ready()["halts"] == {}, "nothing is wrong any more")
            assert program.terminate(30) == 0
        assert server.effects() == 2


@on_a_loop
async def test_a_stranded_producer_of_letters_is_replaced(proxied: tuple[Cluster, AlteringProxy], names: Names) -> None:
    """The one in its place writes."""
    kafka, proxy = proxied
    properties = {**PROPERTIES, "statistics.interval.ms": 500}
    async with KafkaDeadLetters(settings_of(kafka, names, properties)) as letters:
        await letters.write(DeadLetter(b"k", b"1", []))
        stranded = letters._producer
        async with asyncio.timeout(BACK_S):
            while letters._producer is stranded:
                flickers(proxy)
                await asyncio.sleep(LOOK_S)
        proxy.hides_brokers = False
        await letters.write(DeadLetter(b"k", b"2", []))
    assert end_offsets(kafka, names.dead_letters) == {0: 2}
