"""What the worker is doing at this moment, for those who show it: metrics, probes, pages. A value, made on demand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from processor.engine.partition.state import PartitionState
from processor.engine.service_health import Diagnosis
from processor.model.reasons import Bottleneck, HaltReason
from processor.runtime.ports import ClientFigures


@dataclass(frozen=True, slots=True)
class ActiveHalt:
    """One reason for which delivery stands still."""

    cause: str
    """What is wrong and where, without a full stop."""
    since: float
    """In wall-clock seconds."""
    action: str
    """What an operator does about it, in whole sentences."""


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
    next_try_s: float | None = None
    """In how many seconds the next request may be sent; None when one may be sent now, or when no time is set."""


StateOf = Callable[[], WorkerState]
"""Called on the event loop's thread."""
