"""What the worker told so far, added up."""

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, final

from processor.engine.notices import Answered, Consumed, Notice, Rebalanced, Redelivered, Released, Retried, Settled
from processor.engine.verdict import RetryReason
from processor.model.reasons import DeadLetterReason, FilterReason, Kind

RECENT = 2_000
"""How many of the records delivered last make up the freshness shown."""


RATE_S = 5.0
"""How far back the rate looks."""


@final
class Rate:
    """How fast a count has grown lately."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def see(self, at_s: float, count: int) -> float:
        """Return the growth per second since the first count seen in the last `RATE_S` seconds."""
        self._seen.append((at_s, count))
        while self._seen[0][0] < at_s - RATE_S:
            self._seen.popleft()
        since_s, before = self._seen[0]
        return (count - before) / (at_s - since_s) if at_s > since_s else 0.0


class Freshness(NamedTuple):
    """From Kafka's timestamp to delivery, in seconds."""

    median_s: float
    p95_s: float


@final
@dataclass(slots=True)
class WorkerTally:
    """An `Observer`; `wall` returns seconds since the epoch."""

    wall: Callable[[], float] = time.time
    consumed: int = 0
    released: int = 0
    redelivered: int = 0
    has_lost_partitions: bool = False
    """The group took partitions away without asking: what was not committed is read again."""
    delivered: Counter[Kind] = field(default_factory=Counter)
    filtered: Counter[FilterReason] = field(default_factory=Counter)
    dead_lettered: Counter[DeadLetterReason] = field(default_factory=Counter)
    requests: int = 0
    retries: Counter[RetryReason] = field(default_factory=Counter)
    _ages_s: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    def __call__(self, notice: Notice) -> None:
        """Add one notice."""
        match notice:
            case Consumed():
                self.consumed += notice.records
            case Settled():
                self._settled(notice)
            case Released():
                self.released += notice.records
            case Redelivered():
                self.redelivered += notice.records
            case Rebalanced(kind="lost"):
                self.has_lost_partitions = True
            case Answered():
                self.requests += 1
            case Retried():
                self.retries[notice.reason] += 1
            case _:
                pass

    @property
    def settled(self) -> int:
        """Records that have met their end."""
        return self.delivered.total() + self.filtered.total() + self.dead_lettered.total()

    def freshness(self) -> Freshness | None:
        """Return how old the records delivered lately were then; None before the first."""
        ages = sorted(self._ages_s)
        return Freshness(ages[len(ages) // 2], ages[len(ages) * 95 // 100]) if ages else None

    def _settled(self, notice: Settled) -> None:
        self.delivered.update(notice.delivered)
        self.filtered.update(notice.filtered)
        self.dead_lettered.update(notice.dead_lettered)
        now = self.wall()
        self._ages_s.extend(max(now - timestamp / 1_000, 0.0) for timestamp in notice.timestamps_ms)
