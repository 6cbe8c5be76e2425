"""Who is in a group, and whether those members let another one in."""

from typing import Any, NamedTuple

from confluent_kafka.admin import AdminClient

from processor.adapters.kafka.config import KafkaSettings
from processor.runtime.ports import SourceFault

KEEPS_DATA = frozenset({"cooperative-sticky"})
"""Assignors of librdkafka (2.16, November 2026) that put data of their own into what they assign. Brokers (Kafka 4.1,
4.4) would lose it: to a worker of KIP-848 that joins such members they answer `GROUP_ID_NOT_FOUND`."""


class Membership(NamedTuple):
    """Who is in a group, and how its partitions are assigned."""

    members: frozenset[str]
    is_classic: bool
    assignor: str
    """Empty while classic members rebalance, and where there are none."""

    def refusal(self, settings: KafkaSettings) -> SourceFault | None:
        """Return why this worker cannot become a member as long as these are; None where it can, or nobody knows."""
        if not (self.members and self.is_classic and self.assignor):
            return None
        theirs = f"the members of the group assign by {self.assignor}"
        if not settings.is_classic and self.assignor in KEEPS_DATA:
            return SourceFault(
                f"{theirs}, and the brokers cannot let a worker with group.protocol=consumer join those",
                "Stop them: this worker joins when the last one has left (docs/kip-848.md).",
            )
        if settings.is_classic and self.assignor not in settings.assignors:
            return SourceFault(
                f"{theirs}, and this worker by {', '.join(settings.assignors)}",
                "Stop them, or set partition.assignment.strategy in PROCESSOR_KAFKA__PROPERTIES to theirs.",
            )
        return None


def members(admin: AdminClient, group: str, timeout_s: float) -> Membership:
    """Ask the group's coordinator who is in it; raise `KafkaException` where it does not tell.

    A group that it does not know has no members.
    """
    described: Any = admin.describe_consumer_groups([group], request_timeout=timeout_s)
    return membership_in(described[group].result())


def membership_in(described: Any) -> Membership:
    """Return what a description says of it; the stubs mistake what that is."""
    ids = frozenset(each.member_id for each in described.members)
    return Membership(ids, described.type.name != "CONSUMER", described.partition_assignor or "")
