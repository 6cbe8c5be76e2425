"""What librdkafka is told: the operator's properties, and those that nobody may change."""

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from processor.adapters.kafka.config import (
    CONSUMER_ONLY,
    KafkaSettings,
    admin_config,
    consumer_config,
    producer_config,
    refusals,
)
from processor.model.errors import ConfigurationError


def settings(**own: Any) -> KafkaSettings:
    """Return settings; a property is named as librdkafka does, in `properties`."""
    return KafkaSettings("broker:9092", ("events",), "the-group", "dead-letters", **own)


RESTS_ON: dict[str, Any] = {
    "bootstrap.servers": "broker:9092",
    "group.id": "the-group",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
}
"""What the consumer's correctness rests on."""


def test_an_operators_property_overrides_a_default() -> None:
    """An operator's property overrides a default of the consumer and of the producer, if that client knows it."""
    own = settings(properties={"client.id": "mine", "linger.ms": 7, "fetch.queue.backoff.ms": 50})

    consumer, producer = consumer_config(own), producer_config(own)

    assert (consumer["client.id"], consumer["fetch.queue.backoff.ms"]) == ("mine", 50)
    assert (producer["client.id"], producer["linger.ms"]) == ("mine", 7)


@pytest.mark.parametrize(
    ("properties", "rejoin_ms"),
    [
        ({}, 60_000),
        ({"session.timeout.ms": 6_000}, 60_000),
        ({"session.timeout.ms": 90_000}, 90_000),
        ({"max.poll.interval.ms": 300_000}, 300_000),
        ({"group.protocol": "consumer"}, 60_000),
    ],
)
def test_a_group_waits_a_minute_for_a_member_that_does_not_join_anew(
    properties: dict[str, Any], rejoin_ms: int
) -> None:
    """Unless a session, which librdkafka wants to be shorter, or the operator says more."""
    config = consumer_config(settings(properties=properties))

    assert config["max.poll.interval.ms"] == rejoin_ms
    Consumer(config).close()


@pytest.mark.parametrize("name", list(RESTS_ON))
def test_no_property_changes_what_the_consumer_rests_on(name: str) -> None:
    """No property overrides how the consumer commits, starts, or finds its cluster and group."""
    assert consumer_config(settings(properties={name: "wrong"}))[name] == RESTS_ON[name]


@pytest.mark.parametrize("name", ["bootstrap.servers", "enable.idempotence", "acks"])
def test_no_property_changes_what_the_producer_rests_on(name: str) -> None:
    """No property overrides that a letter is acknowledged by all replicas in sync and written once."""
    expected = {"bootstrap.servers": "broker:9092", "enable.idempotence": True, "acks": "all"}

    assert producer_config(settings(properties={name: "wrong"}))[name] == expected[name]


@pytest.mark.parametrize("config", [consumer_config, producer_config, admin_config])
def test_no_client_makes_a_topic_by_asking_for_it(config: Callable[..., dict[str, Any]]) -> None:
    """No property has a client create topics, whatever the brokers allow."""
    assert config(settings(properties={"allow.auto.create.topics": True}))["allow.auto.create.topics"] is False


@pytest.mark.parametrize("config", [producer_config, admin_config])
def test_what_only_consumers_know_does_not_reach_other_clients(config: Callable[..., dict[str, Any]]) -> None:
    """A consumer's own properties go to the consumer alone; shared ones, such as the login, to every client."""
    own = settings(properties={**dict.fromkeys(CONSUMER_ONLY, "1"), "sasl.username": "me", "ssl.ca.location": "ca.pem"})

    found = config(own)

    assert found.keys() & CONSUMER_ONLY == set()
    assert (found["sasl.username"], found["ssl.ca.location"]) == ("me", "ca.pem")
    assert found["bootstrap.servers"] == "broker:9092"


@pytest.mark.parametrize(
    ("properties", "is_classic", "is_incremental"),
    [
        ({}, True, True),
        ({"partition.assignment.strategy": "cooperative-sticky"}, True, True),
        ({"partition.assignment.strategy": "range,roundrobin"}, True, False),
        ({"group.protocol": "classic"}, True, True),
        ({"group.protocol": "consumer"}, False, True),
        ({"group.protocol": "CONSUMER"}, False, True),
    ],
)
def test_how_a_group_assigns_follows_from_its_properties(
    properties: dict[str, str], *, is_classic: bool, is_incremental: bool
) -> None:
    """The group protocol in the properties, in any case, decides how the group assigns."""
    own = settings(properties=properties)

    assert (own.is_classic, own.is_incremental) == (is_classic, is_incremental)


@pytest.mark.parametrize("protocol", ["consumer", "Consumer"])
def test_a_group_that_the_broker_assigns_has_no_assignor_of_its_own(protocol: str) -> None:
    """With the broker's assignment, the property for an assignor is refused, even with its default."""
    own = settings(properties={"group.protocol": protocol})

    assert "partition.assignment.strategy" not in consumer_config(own)


@pytest.mark.parametrize("properties", [{}, {"group.protocol": "consumer"}, {"partition.assignment.strategy": "range"}])
@pytest.mark.parametrize("size", [1_000, 100_000, 16 * 1024 * 1024, 256 * 1024 * 1024])
def test_librdkafka_takes_whatever_memory_the_settings_give(properties: dict[str, str], size: int) -> None:
    """The consumer's configuration is valid for librdkafka with every budget and kind of group."""
    own = settings(properties=properties, queue_bytes=size, fetch_bytes=size, partition_fetch_bytes=size)

    consumer = Consumer(consumer_config(own))
    consumer.close()


def test_librdkafka_takes_the_producers_configuration() -> None:
    """The producer's configuration is valid beside every property that only a consumer knows."""
    own = settings(properties={"group.protocol": "consumer", "session.timeout.ms": 6_000})

    with refusals():  # which it raises
        Producer(producer_config(own))


def test_librdkafka_takes_the_configuration_of_a_client_that_asks() -> None:
    """The admin client's configuration is valid beside the properties of the other two."""
    own = settings(properties={"group.protocol": "consumer", "session.timeout.ms": 6_000, "linger.ms": 7})

    with refusals():  # which it raises
        AdminClient(admin_config(own))


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"no.such.property": "1"}, "no.such.property"),
        ({"security.protocol": "carrier pigeon"}, "carrier pigeon"),
        ({"group.protocol": "consumer", "session.timeout.ms": 6_000}, "session.timeout.ms"),
    ],
)
def test_a_property_that_librdkafka_refuses_is_a_configuration_error(properties: dict[str, Any], said: str) -> None:
    """If librdkafka refuses a property, the error names the setting and librdkafka's reason."""
    with pytest.raises(ConfigurationError) as caught, refusals():
        Consumer(consumer_config(settings(properties=properties)))

    (problem,) = caught.value.problems
    assert problem.startswith("PROCESSOR_KAFKA__PROPERTIES: ")
    assert said in problem


@pytest.mark.parametrize("cause", ["text", KafkaError(KafkaError._INVALID_ARG, "text")])
def test_a_refusal_is_told_in_words(cause: Any) -> None:
    """A refusal reads well whether librdkafka gives a text or an error of its own."""
    with pytest.raises(ConfigurationError, match=r"PROPERTIES: text$"), refusals():
        raise KafkaException(cause)
