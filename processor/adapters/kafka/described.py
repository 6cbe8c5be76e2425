"""What a consumer is not told (confluent-kafka 2.16): ids of topics, what this client may do with them, its group.

A client is made for each question, and gone after it. What is asked of topics is asked for all at once. All raise
`KafkaException` where there is no answer.
"""

from collections.abc import Collection, Mapping
from typing import Any

from confluent_kafka import TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient, ConfigResource, ResourceType

from processor.adapters.kafka.config import LIBRDKAFKA_LOG, KafkaSettings, admin_config


def topic_ids(settings: KafkaSettings, topics: Collection[str], timeout_s: float) -> dict[str, str]:
    """Ask for the ids, by which a topic differs from one of its name that was deleted."""
    return {name: str(topic.topic_id) for name, topic in _described(settings, topics, timeout_s).items()}


def unreadable(settings: KafkaSettings, topics: Collection[str], timeout_s: float) -> frozenset[str]:
    """Ask which of these topics this client may describe, and not read."""
    described = _described(settings, topics, timeout_s, include_authorized_operations=True)
    return frozenset(
        name for name, topic in described.items() if allows(topic.authorized_operations, AclOperation.READ) is False
    )


def members(settings: KafkaSettings, timeout_s: float) -> frozenset[str]:
    """Ask the group's coordinator for the ids of the members."""
    admin = _client(settings)
    described: Any = admin.describe_consumer_groups([settings.group_id], request_timeout=timeout_s)
    return frozenset(each.member_id for each in described[settings.group_id].result().members)


def session_s(settings: KafkaSettings, timeout_s: float) -> float:
    """Ask after how long the brokers give away what a silent member of the group has, where they choose (KIP-848)."""
    admin = _client(settings)
    group = ConfigResource(ResourceType.GROUP, settings.group_id)
    entries = admin.describe_configs([group], request_timeout=timeout_s)[group].result()
    return float(entries["consumer.session.timeout.ms"].value) / 1_000


def allows(operations: Collection[AclOperation] | None, operation: AclOperation) -> bool | None:
    """Say whether an operation is allowed. Whoever is told of something may describe it, so nothing is no answer."""
    return operation in operations if operations else None


def _described(settings: KafkaSettings, topics: Collection[str], timeout_s: float, **what: bool) -> Mapping[str, Any]:
    admin = _client(settings)
    answers = admin.describe_topics(TopicCollection([*topics]), request_timeout=timeout_s, **what)
    return {topic: answer.result() for topic, answer in answers.items()}


def _client(settings: KafkaSettings) -> AdminClient:
    """Make a client; who asks it keeps it until the answers are there, for they end with it."""
    return AdminClient(admin_config(settings), logger=LIBRDKAFKA_LOG)
