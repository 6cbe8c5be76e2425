"""The limit of requests that FullStory has and publishes nowhere."""

import math
from bisect import bisect_left
from typing import final

BURST_S = 2.0


@final
class HiddenLimit:
    """A rate of requests with a burst, as a bucket of tokens: what comes while it is empty is refused.

    The rate may be changed at any time. `now` never goes back.
    """

    def __init__(self, per_s: float, burst_s: float = BURST_S) -> None:
        self.per_s = per_s
        self.burst_s = burst_s
        self.taken: list[float] = []
        self.refused: list[float] = []
        self._tokens = per_s * burst_s
        self._at = 0.0

    def take(self, now: float) -> float | None:
        """Take a token; without one, return after how many seconds to come back: whole ones, as FullStory tells."""
        self._tokens = min(self._tokens + (now - self._at) * self.per_s, self.per_s * self.burst_s)
        self._at = now
        if self._tokens < 1:
            self.refused.append(now)
            return float(math.ceil((1 - self._tokens) / self.per_s))
        self._tokens -= 1
        self.taken.append(now)
        return None

    def used(self, since: float, until: float) -> float:
        """Return the part of the present allowance that was taken in this time."""
        return _within(self.taken, since, until) / (until - since) / self.per_s

    def refusals(self, since: float, until: float) -> float:
        """Return the part of the requests of this time that was refused."""
        refused = _within(self.refused, since, until)
        return refused / max(refused + _within(self.taken, since, until), 1)


def _within(moments: list[float], since: float, until: float) -> int:
    return bisect_left(moments, until) - bisect_left(moments, since)
