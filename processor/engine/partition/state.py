"""What one partition is doing at this moment, for those who show it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from processor.engine.notices import WAITS_FOR, WaitsFor
from processor.engine.partition.request import Stage
from processor.events.timestamps import in_milliseconds
from processor.model.records import TopicPartition

if TYPE_CHECKING:
    from processor.engine.partition.batch import Batch
    from processor.engine.partition.owner import Partition

HELD_UP_S = 30.0
"""A batch that has been on its way for longer, while later ones settled, holds its partition up."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """What holds a partition up: a batch, while later ones have settled, or Kafka, which gives no more records."""

    offset: int
    """Of the batch's first record, or of the next one that Kafka has to give."""
    age_s: float
    waits_for: WaitsFor
    job_id: str = ""
    """Of the job that a batch waits for."""

    def __str__(self) -> str:
        """Say in words what it waits for."""
        return f"{WAITS_FOR[self.waits_for]} {self.job_id}".rstrip()


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
    """Kafka's timestamp of the record at `position`, or since when Kafka withholds it; None when everything consumed is
    settled and nothing is withheld."""
    blocked: Blocked | None = None
    """What holds it up."""
    unpassed: str | None = None
    """Which record something in between does not let pass, while it lets others."""
    waits_for_users: bool = False
    """Whether records that are due wait until earlier identifies of their users are complete."""
    lacks_schema: bool = False
    """Whether its next batch waits for a schema."""
    unreached: WaitsFor | None = None
    """Which broker is missing that could tell of it: a leader, or an answer of the leader's."""
    readable: int | None = None
    """The last stable offset: what lies between it and `end` waits for the end of a transaction."""

    @property
    def lag(self) -> int | None:
        """Records between the lowest unsettled one and the end of the partition; None while that is unknown."""
        return None if self.end is None else max(self.end - self.position, 0)

    @property
    def unreadable(self) -> int:
        """How much of the lag waits for the end of a transaction."""
        return 0 if self.end is None or self.readable is None else max(self.end - max(self.readable, self.position), 0)


def state_of(partition: "Partition", now: float, wall_s: float) -> PartitionState:
    """Return what the partition is doing at this moment, by the monotonic clock and by the other one."""
    queue, oldest = partition.queue, partition.queue.oldest_unsettled
    found = partition.withheld(now)
    withheld = None if found is None else Blocked(found.offset, now - found.since, found.waits_for)
    oldest_ms = in_milliseconds(oldest.timestamp_ms) if oldest else None
    if oldest_ms is None and withheld is not None:
        oldest_ms = int((wall_s - withheld.age_s) * 1_000)
    return PartitionState(
        id=partition.id,
        buffered_records=queue.buffered_records,
        in_flight_records=queue.open_records,
        is_paused=partition.is_paused,
        position=queue.first_unsettled,
        end=partition.end and partition.end.offset,
        oldest_unsettled_ms=oldest_ms,
        blocked=_blocked(partition, now) or withheld,
        unpassed=next((each.unpassed for each in partition.batches if each.unpassed), None),
        waits_for_users=partition.waits_for_users(now),
        lacks_schema=partition.next.lacks_schema,
        unreached=partition.unreached,
        readable=partition.end and partition.end.readable,
    )


def _blocked(partition: "Partition", now: float) -> Blocked | None:
    """Return the batch that holds the partition up, if one does."""
    first = partition.queue.overtaken
    batch = next((each for each in partition.batches if each.opened is first), None)
    if first is None or batch is None or now - batch.since < HELD_UP_S:
        return None
    return Blocked(partition.queue.first_unsettled, now - batch.since, *_waits_for(batch))


def _waits_for(batch: "Batch") -> tuple[WaitsFor, str]:
    """Say what a batch waits for at this moment, and for which job if it is one."""
    stages = {request.stage: request for request in reversed(batch.requests)}
    job = stages.get(Stage.IN_JOB)
    found = {
        WaitsFor.GATEWAY: any(request.suspicion.is_blocked for request in batch.requests),
        WaitsFor.DEAD_LETTER_TOPIC: batch.is_closing,
        WaitsFor.ANSWER: Stage.POSTED in stages,
        WaitsFor.JOB: job is not None,
        WaitsFor.USERS: Stage.HELD in stages,
        WaitsFor.COMMIT: Stage.READY in stages,
    }
    first = next((each for each, is_so in found.items() if is_so), WaitsFor.TURN)
    return first, (job.entry.job_id or "") if job and first is WaitsFor.JOB else ""
