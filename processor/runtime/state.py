"""What the worker is doing at this moment, for those who show it: metrics, probes, pages. A value, made on demand."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from processor.engine.halts import SHOWN_FAULTS
from processor.engine.partition.owner import Partition
from processor.engine.partition.state import PartitionState, state_of
from processor.engine.service_health import Diagnosis
from processor.model.reasons import Bottleneck, HaltReason
from processor.model.records import TopicPartition
from processor.runtime.ports import ClientFigures


@dataclass(frozen=True, slots=True)
class HaltFault:
    """What is wrong in one place."""

    cause: str
    """And where, without a full stop."""
    since: float
    """In wall-clock seconds."""
    action: str
    """What an operator does about it, in whole sentences."""
    concerns: str = ""
    """The name of the topic or partition that stands still, empty where everything does that the reason stops."""


@dataclass(frozen=True, slots=True)
class ActiveHalt:
    """One reason for which delivery stands still, in every place where it does: partitions, topics, schemas, jobs."""

    since: float
    """In wall-clock seconds; the fault with which it began may have ended."""
    faults: Mapping[str, HaltFault]
    """By the name of the place, the oldest first, one at least; the name is empty for what concerns everything."""

    def stops(self, partition: TopicPartition) -> bool:
        """Say whether the partition stands still for it."""
        names = {"", partition.topic, str(partition)}
        return any(each.concerns in names for each in self.faults.values())

    @property
    def shown(self) -> Sequence[HaltFault]:
        """The faults that are told one by one."""
        return list(self.faults.values())[:SHOWN_FAULTS]

    @property
    def unshown(self) -> int:
        """How many more there are."""
        return max(len(self.faults) - SHOWN_FAULTS, 0)

    @property
    def cause(self) -> str:
        """What is wrong, and where, as one clause."""
        more = [f"and {self.unshown} more"] if self.unshown else []
        return "; ".join([*(each.cause for each in self.shown), *more])

    @property
    def action(self) -> str:
        """What an operator does about all that is shown, each thing once."""
        return " ".join(dict.fromkeys(each.action for each in self.shown))


@dataclass(frozen=True, slots=True)
class WorkerState:
    """The whole process."""

    has_joined: bool
    """Whether the group has given this process its part, which may be no partition at all."""
    is_draining: bool
    partitions: Sequence[PartitionState]
    halts: Mapping[HaltReason, ActiveHalt]
    """Why delivery stands still; empty while it does not."""
    bytes_held: int
    bottleneck: Bottleneck
    """What holds throughput back."""
    concurrency_limit: int
    request_rate: float
    """How many requests a second may be made; infinite while FullStory has refused none."""
    jobs_in_flight: int
    operations_in_flight: int
    polled_at: float
    """When Kafka's client was last polled, on the monotonic clock."""
    client: ClientFigures = field(default_factory=ClientFigures)
    """What it says of itself."""
    diagnosis: Diagnosis | None = None
    """What is wrong with FullStory's answers as a whole; its `since` is on the monotonic clock."""
    throttled_s: float = 0.0
    """For how long nothing could be sent until now at FullStory's wish, all in all."""
    next_try_s: float | None = None
    """In how many seconds the next request may be sent; None when one may be sent now, or when no time is set."""

    def halts_of(self, partition: PartitionState) -> Iterator[HaltReason]:
        """Yield why a partition stands still; where a schema is missing, those do that wait for one."""
        for reason, halt in self.halts.items():
            if halt.stops(partition.id) and (partition.lacks_schema or reason is not HaltReason.SCHEMA_REGISTRY):
                yield reason


StateOf = Callable[[], WorkerState]
"""Called on the event loop's thread."""


def states_of(partitions: Iterable[Partition], now: float, wall_s: float) -> list[PartitionState]:
    """Return what each is doing at this moment, by the monotonic clock and by the other one."""
    return [state_of(each, now, wall_s) for each in partitions]
