"""What the worker is doing at this moment, for those who show it: metrics, probes, pages. A value, made on demand."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from processor.engine.halts import ActiveHalt
from processor.engine.partition.owner import Partition
from processor.engine.partition.state import PartitionState, state_of
from processor.engine.service_health import Diagnosis
from processor.model.reasons import Bottleneck, HaltReason
from processor.model.records import ClientFigures

Halts = Mapping[HaltReason, ActiveHalt]


@dataclass(frozen=True, slots=True)
class WorkerState:
    """The whole process."""

    has_joined: bool
    """Whether the group has given this process its part, which may be no partition at all."""
    is_draining: bool
    partitions: Sequence[PartitionState]
    halts: Halts
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
