"""How far the group is in a partition, and who says so: what is committed, with the journal in its metadata."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import final

from processor.adapters.kafka.facts import Cluster
from processor.adapters.kafka.offsets import Stored
from processor.engine.partition.journal_format import JournalPlace, Plan, Range, SettledRange, decode, owner_of
from processor.model.records import TopicPartition


class Setter(StrEnum):
    """Who set the group's offset of a partition."""

    WORKER = "worker"
    """A worker of the group: its journal is in the metadata."""
    OTHER = "another tool"
    """Anything else, such as `kafka-consumer-groups.sh`, or a worker whose journal this release cannot read."""
    MIRROR = "a mirror"
    """A worker, on another cluster: the offset was copied."""
    EARLIER = "an earlier topic"
    """A worker, when another topic had the name."""
    NOBODY = "nobody"


class AuditStage(StrEnum):
    """How far the group is with an offset."""

    SETTLED = "settled"
    PLANNED = "planned"
    """It was or is to be sent."""
    WAITING = "waiting"


@final
@dataclass(frozen=True, slots=True)
class CommitStanding:
    """How far the group is in a partition."""

    set_by: Setter = Setter.NOBODY
    offset: int = 0
    """What is committed, if that is an offset of this topic; else 0."""
    beyond: Sequence[Range] = ()
    """What the journal tells of the offsets that follow."""

    @property
    def is_of_topic(self) -> bool:
        """Whether the group has an offset of this topic."""
        return self.set_by not in (Setter.NOBODY, Setter.EARLIER)

    def stage_of(self, offset: int) -> AuditStage:
        """Return how far the group is with an offset."""
        if offset < self.offset:
            return AuditStage.SETTLED
        number = bisect_right(self.beyond, offset, key=lambda each: each.end)
        if number == len(self.beyond):
            return AuditStage.WAITING
        match self.beyond[number]:
            case SettledRange():
                return AuditStage.SETTLED
            case Plan():
                return AuditStage.PLANNED
            case _:
                return AuditStage.WAITING


def standing_of(stored: Stored, place: JournalPlace, *, knows_topic: bool) -> CommitStanding:
    """Return what a commit says of a partition in this place.

    Without `knows_topic` the topic's id is not told, and an offset of an earlier topic of the name passes for one of
    this topic.
    """
    if stored.offset < 0:
        return CommitStanding()
    owner = owner_of(stored.metadata)
    if owner is None:
        return CommitStanding(Setter.OTHER, stored.offset)
    if owner.place.lineage != place.lineage:
        return CommitStanding(Setter.MIRROR, stored.offset)
    if knows_topic and owner.place.exact != place.exact:
        return CommitStanding(Setter.EARLIER)
    told = decode(stored.metadata, owner, stored.offset)
    return (
        CommitStanding(Setter.OTHER, stored.offset)
        if isinstance(told, str)
        else CommitStanding(Setter.WORKER, stored.offset, told)
    )


def standings(
    stored: Mapping[TopicPartition, Stored], cluster: Cluster, group: str
) -> dict[TopicPartition, CommitStanding]:
    """Return what a group's commits say of these partitions, which the cluster was asked for."""
    return {
        each: standing_of(found, cluster.place(each, group), knows_topic=cluster.knows(each.topic))
        for each, found in stored.items()
    }
