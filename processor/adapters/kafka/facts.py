"""What an administrator would ask a cluster: its topics, their settings, the group, and what this client may do.

Only questions: nothing is created, not even a topic that is asked for. All calls block.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar, final

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient, ConfigResource, ResourceType

from processor.adapters.kafka.config import LIBRDKAFKA_LOG, KafkaSettings, admin_config, refusals
from processor.adapters.kafka.faults import said
from processor.adapters.kafka.offsets import MOCK_CLUSTER
from processor.model.errors import SourceError

ASK_S = 10.0
"""For one question to a broker, with the connection to it."""

_T = TypeVar("_T")


@final
@dataclass(frozen=True, slots=True)
class Topic:
    """What is known of a topic; None where the cluster does not tell."""

    replicas: Sequence[int]
    """Of each partition."""
    settings: Mapping[str, str] | None
    may_read: bool | None
    may_write: bool | None


@final
@dataclass(frozen=True, slots=True)
class Group:
    """What is known of a consumer group."""

    state: str
    members: int
    is_allowed: bool | None
    """Whether this client may join it and commit."""


@final
@dataclass(frozen=True, slots=True)
class Cluster:
    """The answers of one moment."""

    id: str
    brokers: int
    topics: Mapping[str, Topic]
    """Those that were asked for and exist, or that this client may know to exist."""
    broker_settings: Mapping[str, str] | None
    group: Group | None


def try_out(settings: KafkaSettings) -> None:
    """Connect once, with a client that is gone when this returns; raise `SourceError` where no broker answers."""
    _reach(settings)


def _reach(settings: KafkaSettings) -> tuple[AdminClient, Any]:
    """Return a client and the cluster's metadata."""
    heard: list[str] = []
    with refusals():
        admin = AdminClient(
            admin_config(settings) | {"error_cb": lambda error: heard.append(error.str())}, logger=LIBRDKAFKA_LOG
        )
    try:
        return admin, admin.list_topics(timeout=ASK_S)  # of one topic, the question might create it
    except KafkaException as error:
        admin.poll(0)
        raise SourceError("; ".join(dict.fromkeys([said(error), *heard]))) from None


def ask(settings: KafkaSettings) -> Cluster:
    """Ask for the worker's topics, its group and the brokers; raise `SourceError` where no broker answers."""
    admin, listed = _reach(settings)
    names = [each for each in (*settings.topics, settings.dead_letter_topic) if each in listed.topics]
    tells = not (listed.cluster_id or "").startswith(MOCK_CLUSTER)
    broker = ConfigResource(ResourceType.BROKER, str(next(iter(listed.brokers), 0)))
    topics = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    # All are asked before the first answer is waited for.
    configs = admin.describe_configs([*topics, broker], request_timeout=ASK_S) if tells else {}
    rights = _rights(admin, names) if tells and names else {}
    groups = _groups(admin, settings.group_id) if tells else {}
    found = {
        name: Topic(
            [len(partition.replicas) for partition in listed.topics[name].partitions.values()],
            _settings(configs.get(resource)),
            _may(rights.get(name), AclOperation.READ),
            _may(rights.get(name), AclOperation.WRITE),
        )
        for name, resource in zip(names, topics, strict=True)
    }
    return Cluster(
        listed.cluster_id or "",
        len(listed.brokers),
        found,
        _settings(configs.get(broker)),
        _answer(groups.get(settings.group_id), _group),
    )


def _rights(admin: AdminClient, names: Collection[str]) -> Mapping[str, Future[Any]]:
    return admin.describe_topics(TopicCollection([*names]), include_authorized_operations=True, request_timeout=ASK_S)


def _groups(admin: AdminClient, group: str) -> Mapping[str, Future[Any]]:
    return admin.describe_consumer_groups(
        [group],
        include_authorized_operations=True,  # type: ignore[call-arg]  # which the stubs forget
        request_timeout=ASK_S,
    )


def _group(described: Any) -> Group:
    is_allowed = allows(described.authorized_operations, AclOperation.READ)
    return Group(described.state.name.lower(), len(described.members), is_allowed)


def _settings(answer: Future[Any] | None) -> Mapping[str, str] | None:
    return _answer(answer, lambda entries: {name: entry.value for name, entry in entries.items()})


def _may(answer: Future[Any] | None, operation: AclOperation) -> bool | None:
    return _answer(answer, lambda topic: allows(topic.authorized_operations, operation))


def allows(operations: Collection[AclOperation] | None, operation: AclOperation) -> bool | None:
    """Say whether an operation is allowed. Whoever is told of something may describe it, so nothing is no answer."""
    return operation in operations if operations else None


def _answer(future: Future[Any] | None, read: Callable[[Any], _T]) -> _T | None:
    """Return what an answer says; None where there is none, or where this client may not have it."""
    if future is None:
        return None
    try:
        return read(future.result(ASK_S))
    except (KafkaException, TimeoutError):
        return None
