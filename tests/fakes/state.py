"""A worker's state, to be varied with `dataclasses.replace`."""

from processor.model.reasons import Bottleneck
from processor.runtime.state import WorkerState

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
