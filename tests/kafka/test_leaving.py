"""Members that leave a group leave it at once, whatever the group is doing at that moment."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, final

import pytest
from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient

from processor.adapters.kafka.config import KafkaSettings
from processor.adapters.kafka.source import KafkaSource
from processor.engine.commits import CommitFault
from processor.engine.notices import WaitsFor
from processor.engine.partition.owner import Assignment, End
from processor.model.reasons import HaltReason
from processor.model.records import Commit, TopicPartition
from processor.runtime.ports import Fetched, SourceFault
from tests.kafka.cluster import ANSWER_DEADLINE_S, Cluster
from tests.kafka.conftest import Names
from tests.kafka.members import kip_848

DRAIN_S = 2.0
JOIN_DEADLINE_S = 30.0
MEMBERS = 3


@final
class Listener:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.joined = asyncio.Event()
        self.source_faults: list[dict[HaltReason, Sequence[SourceFault]]] = []
        self.troubles: list[object] = []

    def assigned(self, assignments: Sequence[Assignment], partitions_in_topics: int) -> None:
        """Note that the group has given a part."""
        del assignments, partitions_in_topics
        self.joined.set()

    def fetched(self, chunk: Sequence[Fetched]) -> None:
        """Take nothing."""

    def at_end(self, positions: Mapping[TopicPartition, int]) -> None:
        """Take nothing."""

    async def revoking(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Commit]:
        """Have nothing to commit."""
        del partitions
        return {}

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Note it: nobody is lost here."""
        self.troubles.append(partitions)

    def committed(self, commits: Mapping[TopicPartition, Commit], faults: Mapping[TopicPartition, CommitFault]) -> None:
        """Take nothing."""

    def ends(self, ends: Mapping[TopicPartition, End | WaitsFor]) -> None:
        """Take nothing."""

    def gap(self, partition: TopicPartition, position: int, available: tuple[int, int]) -> None:
        """Take nothing."""

    def faults(self, faults: Mapping[HaltReason, Sequence[SourceFault]]) -> None:
        """Keep what keeps the source from reading."""
        self.source_faults.append(dict(faults))

    def trouble(self, detail: str) -> None:
        """Note it."""
        self.troubles.append(detail)

    def failed(self, error: Exception) -> None:
        """Note it."""
        self.troubles.append(error)


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"partition.assignment.strategy": "range"},
        pytest.param({"group.protocol": "consumer"}, marks=kip_848),
        {"debug": "cgrp", "log_level": "7"},  # a callback for every step of the group, inside of every call
    ],
    ids=["cooperative", "eager", "KIP-848", "with many callbacks"],
)
def test_members_that_stop_one_after_another_leave_no_ghost(
    kafka: Cluster, names: Names, properties: dict[str, str]
) -> None:
    """The group is empty as soon as its last member has stopped, without waiting for a session to end."""
    kafka.create_topic(names.topic, MEMBERS)
    settings = KafkaSettings(
        kafka.bootstrap_servers, (names.topic,), names.group, names.dead_letters, properties=properties
    )

    async def come_and_go() -> list[object]:
        sources, listeners = [], []
        for _ in range(MEMBERS):
            source, listener = KafkaSource(settings, DRAIN_S), Listener()
            source.start(listener)
            await asyncio.wait_for(listener.joined.wait(), JOIN_DEADLINE_S)
            sources.append(source)
            listeners.append(listener)
        for source in sources:
            await source.stop()
        return [trouble for listener in listeners for trouble in listener.troubles]

    troubles = asyncio.run(come_and_go())

    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    described: Any = admin.describe_consumer_groups([names.group])[names.group]  # the stubs mistake what it gives
    group = described.result(ANSWER_DEADLINE_S)
    assert troubles == []
    assert (group.state, group.members) == (ConsumerGroupState.EMPTY, [])
