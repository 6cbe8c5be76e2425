"""What the owner of a partition asks for; whoever performs it reports back by the event named here."""

from typing import TYPE_CHECKING, NamedTuple

from processor.engine.halts import CLOSING
from processor.engine.partition.request import Request
from processor.events.dead_letters import Attempts
from processor.model.outcomes import Rejected
from processor.model.reasons import HaltReason
from processor.model.records import Record, TopicPartition

if TYPE_CHECKING:
    from processor.engine.partition.batch import Batch


class Post(NamedTuple):
    """POST this as soon as there is room, if `may_post` still says so; then `answered`."""

    request: Request


class AskJob(NamedTuple):
    """Ask for the request's job until it has ended; then `job_ended`."""

    request: Request


class WriteLetters(NamedTuple):
    """Write these dead letters; when all of them are acknowledged, `letters_acknowledged`."""

    batch: "Batch"
    letters: list[tuple[Record, Rejected]]
    attempts: Attempts | None


class StandStill(NamedTuple):
    """Show a halt until the epoch ends: nothing in this process ends it."""

    reason: HaltReason
    cause: str
    action: str = ""
    """What an operator does about it, where more is known than what is always said for this reason."""

    @property
    def place(self) -> str:
        """Where it is so: the cause names the partition, and what of it; empty where everything stands still."""
        return "" if self.reason in CLOSING else self.cause


def stand_at_gap(partition: TopicPartition, position: int, first: int, end: int) -> StandStill:
    """Return the halt of a partition that holds the offsets `[first, end)`, and not the next one to consume."""
    holds = f"{partition} holds the offsets {first} to {end}, and the next one to consume is {position}"
    if position > first:
        cause = f"{holds}: the topic was truncated, or the offset was never one of this topic"
        action = "Stop the workers and reset the group's offset of this partition. Other partitions continue."
    else:
        cause = f"{holds}: up to {first - position} records were deleted before they were consumed"
        action = "Set PROCESSOR_KAFKA__ON_GAP=continue to skip them. Other partitions continue."
    return StandStill(HaltReason.GAP, cause, action)


def stand_before_another_topic(partition: TopicPartition) -> StandStill:
    """Return the halt of a partition whose topic is not the one of which the group has a position."""
    cause = f"{partition} is of a topic that was deleted and created anew: the group's position is one of the old topic"
    return StandStill(HaltReason.RECREATED, cause)


class Seek(NamedTuple):
    """Go on from this offset, where a gap had stopped the partition."""

    offset: int


Action = Post | AskJob | WriteLetters | StandStill | Seek
