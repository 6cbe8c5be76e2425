"""What an administrator would ask a cluster: its topics, their settings, the group, and what this client may do.

Only questions: nothing is created, not even a topic that is asked for. All calls block.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, final

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient, ConfigResource, ResourceType

from processor.adapters.kafka.config import KafkaSettings, admin_config, refusals
from processor.adapters.kafka.described import MOCK_CLUSTER, allows, place_of
from processor.adapters.kafka.membership import Membership, membership_in
from processor.adapters.kafka.unreached import Reports, unreached
from processor.engine.partition.journal_format import JournalPlace, is_copied
from processor.model.errors import SourceError
from processor.model.records import TopicPartition
from processor.runtime.ports import SourceFault

ASK_S = 10.0
"""For all questions together, with the connections to the brokers, unless the caller has less time."""

MIN_ASK_S = 0.1
"""For an answer that may be there already, when time is up."""

INTERNAL = "__"
"""How the names of Kafka's own topics begin."""

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
    id: str = ""
    """What tells it from a topic of its name that was deleted; empty where the cluster does not tell."""


@final
@dataclass(frozen=True, slots=True)
class Group:
    """What is known of a consumer group."""

    state: str
    membership: Membership
    is_allowed: bool | None
    """Whether this client may join it and commit."""
    refusal: SourceFault | None = None
    """Why this client cannot join the members that there are, as far as that is known."""


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
    names: Collection[str] = ()
    """All topics that this client may know of, except those that Kafka keeps for itself."""

    def place(self, partition: TopicPartition, group: str) -> JournalPlace:
        """Return where a partition and the group's commits of it are."""
        topic = self.topics.get(partition.topic)
        return place_of(partition, topic.id if topic else "", self.id, group)

    def knows(self, topic: str) -> bool:
        """Say whether the cluster has told the topic's id."""
        return topic in self.topics and bool(self.topics[topic].id)

    def is_foreign(self, metadata: str, partition: TopicPartition, group: str) -> bool:
        """Say whether an offset of the group was copied from another cluster, by what was committed with it."""
        return is_copied(metadata, self.place(partition, group))


def try_out(settings: KafkaSettings) -> None:
    """Connect once, with a client that is gone when this returns; raise `SourceError` where no broker answers."""
    _reach(settings, ASK_S)


def _reach(settings: KafkaSettings, within_s: float) -> tuple[AdminClient, Any]:
    """Return a client and the cluster's metadata."""
    reports = Reports()
    with refusals():
        admin = AdminClient({**admin_config(settings), **reports.config}, logger=reports)
    try:
        return admin, admin.list_topics(timeout=within_s)  # of one topic, the question might create it
    except KafkaException:
        admin.poll(0)
        raise SourceError(unreached(settings.bootstrap_servers, reports.texts)) from None


def ask(settings: KafkaSettings, within_s: float = ASK_S) -> Cluster:
    """Ask for the worker's topics, its group and the brokers; raise `SourceError` where no broker answers.

    What is not told in time counts as not told.
    """
    until = time.monotonic() + within_s
    admin, listed = _reach(settings, within_s)
    left_s = max(until - time.monotonic(), MIN_ASK_S)
    names = [each for each in (*settings.topics, settings.dead_letter_topic) if each in listed.topics]
    tells = not (listed.cluster_id or "").startswith(MOCK_CLUSTER)
    broker = ConfigResource(ResourceType.BROKER, str(next(iter(listed.brokers), 0)))
    topics = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    # All are asked before the first answer is waited for.
    configs = admin.describe_configs([*topics, broker], request_timeout=left_s) if tells else {}
    rights = _rights(admin, names, left_s) if tells and names else {}
    groups = _groups(admin, settings.group_id, left_s) if tells else {}
    found = {
        name: Topic(
            [len(partition.replicas) for partition in listed.topics[name].partitions.values()],
            _settings(configs.get(resource)),
            _may(rights.get(name), AclOperation.READ),
            _may(rights.get(name), AclOperation.WRITE),
            _answer(rights.get(name), lambda topic: str(topic.topic_id)) or "",
        )
        for name, resource in zip(names, topics, strict=True)
    }
    return Cluster(
        listed.cluster_id or "",
        len(listed.brokers),
        found,
        _settings(configs.get(broker)),
        _answer(groups.get(settings.group_id), partial(_group, settings)),
        [each for each in listed.topics if not each.startswith(INTERNAL)],
    )


def _rights(admin: AdminClient, names: Collection[str], within_s: float) -> Mapping[str, Future[Any]]:
    topics = TopicCollection([*names])
    return admin.describe_topics(topics, include_authorized_operations=True, request_timeout=within_s)


def _groups(admin: AdminClient, group: str, within_s: float) -> Mapping[str, Future[Any]]:
    return admin.describe_consumer_groups(
        [group],
        include_authorized_operations=True,  # type: ignore[call-arg]  # which the stubs forget
        request_timeout=within_s,
    )


def _group(settings: KafkaSettings, described: Any) -> Group:
    membership = membership_in(described)
    is_allowed = allows(described.authorized_operations, AclOperation.READ)
    return Group(described.state.name.lower(), membership, is_allowed, membership.refusal(settings))


def _settings(answer: Future[Any] | None) -> Mapping[str, str] | None:
    return _answer(answer, lambda entries: {name: entry.value for name, entry in entries.items()})


def _may(answer: Future[Any] | None, operation: AclOperation) -> bool | None:
    return _answer(answer, lambda topic: allows(topic.authorized_operations, operation))


def _answer(future: Future[Any] | None, read: Callable[[Any], _T]) -> _T | None:
    """Return what an answer says; None where there is none, or where this client may not have it."""
    if future is None:
        return None
    try:
        return read(future.result(ASK_S))
    except (KafkaException, TimeoutError):
        return None
