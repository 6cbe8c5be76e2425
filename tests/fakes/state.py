"""A worker's state, to be varied with `dataclasses.replace`."""

from processor.adapters.telemetry.metrics import Facts
from processor.engine.halts import ActiveHalt, HaltFault
from processor.engine.worker_state import WorkerState
from processor.model.reasons import ACTIONS, Bottleneck, HaltReason

FACTS = Facts(
    version="1.2.3",
    is_compiled=False,
    mapping_fingerprint="f00d",
    topics=("segment.identify", "segment.track"),
    memory_budget_bytes=256 * 2**20,
    group_id="segment-fullstory",
    fullstory="https://api.fullstory.com",
    instance="worker-7f9c, process 1",
    started_at=990_000.0,
)
"""Of some worker."""

IDLE = WorkerState(
    has_joined=True,
    is_draining=False,
    partitions=(),
    halts={},
    bytes_held=0,
    bottleneck=Bottleneck.NONE,
    concurrency_limit=4,
    request_rate=float("inf"),
    jobs_in_flight=0,
    operations_in_flight=0,
    polled_at=0.0,
)
"""It has joined its group, owns nothing, and does nothing."""


def halts(reason: HaltReason, *causes: str, since: float = 0.0) -> dict[HaltReason, ActiveHalt]:
    """Return one halt, as a state holds it, in as many places as there are causes."""
    return {reason: ActiveHalt(since, {cause: HaltFault(cause, since, ACTIONS[reason]) for cause in causes})}
