"""Whether FullStory fails as a whole: then one request at a time finds out when that is over.

Only faults of the service and of the way to it count: 5xx, timeouts, connections. What FullStory says of a record, of
our set-up or of its limits is an answer, and shows that it works.
"""

from collections import deque

from processor.engine.retry import LONGEST_PROBE_S, Chance

_WINDOW = 20
_MIN_ANSWERS = 10
_SHARE = 0.5
_FIRST_PROBE_S = 1.0


class Breaker:
    """Opens when half of the last answers were failures; closes with the first that is none."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._failed: deque[bool] = deque(maxlen=_WINDOW)
        self._interval_s = _FIRST_PROBE_S
        self.probe_at: float | None = None
        """When the next request may be tried; None while the breaker is closed."""

    def answered(self, now: float, *, failed: bool) -> None:
        """Count an answer, or its absence."""
        if self.probe_at is None:
            self._failed.append(failed)
            if len(self._failed) >= _MIN_ANSWERS and sum(self._failed) >= _SHARE * len(self._failed):
                self._interval_s = _FIRST_PROBE_S
                self._wait(now)
        elif failed:
            if now >= self.probe_at:  # else it was sent before
                self._interval_s = min(2 * self._interval_s, LONGEST_PROBE_S)
                self._wait(now)
        else:
            self.probe_at = None
            self._failed.clear()

    def _wait(self, now: float) -> None:
        """Set the next probe: half of the interval is left to chance, so that workers do not come back together."""
        self.probe_at = now + self._interval_s * (1 + self._chance()) / 2
