"""What one partition is doing at this moment, for those who show it."""

from dataclasses import dataclass

from processor.model.records import TopicPartition


@dataclass(frozen=True, slots=True)
class Blocked:
    """A batch that holds its partition up: later ones have settled."""

    offset: int
    """Of its first record."""
    age_s: float
    waits_for: str


@dataclass(frozen=True, slots=True)
class PartitionState:
    """One owned partition."""

    id: TopicPartition
    buffered_records: int
    in_flight_records: int
    is_paused: bool
    position: int
    """The lowest offset that is not settled."""
    end: int | None
    """The log end offset as Kafka last told it."""
    oldest_unsettled_ms: int | None
    """Kafka's timestamp of the record at `position`; None when everything consumed is settled."""
    blocked: Blocked | None = None
    """What holds it up."""
    waits_for_users: bool = False
    """Whether records that are due wait until earlier identifies of their users are complete."""

    @property
    def lag(self) -> int | None:
        """Records between the lowest unsettled one and the end of the partition; None while that is unknown."""
        return None if self.end is None else max(self.end - self.position, 0)
