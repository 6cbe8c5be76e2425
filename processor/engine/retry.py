"""How long to wait before something is tried again: full jitter over a capped exponential, and a budget for all.

The jitter stays when the exponential has reached its cap, so that workers that failed together do not return together.
"""

from collections.abc import Callable
from dataclasses import dataclass

from processor.engine.suspicion import POISON_AFTER_S, Suspects
from processor.engine.verdict import Retry, RetryReason

Chance = Callable[[], float]
"""Gives numbers in [0, 1); seeded where a run must be repeatable."""

LONGEST_PROBE_S = 10.0
"""Between two requests that find out whether FullStory is back; no longer, so that delivery is back soon, too."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """The delays before the attempts after the first."""

    initial_s: float = 0.5
    cap_s: float = 30.0

    def delay_s(self, failures: int, chance: Chance) -> float:
        """Return the wait after so many failures in a row (1 for the first)."""
        ceiling: float = min(self.cap_s, self.initial_s * 2 ** min(failures - 1, 32))
        return ceiling * chance()


class RetryBudget:
    """Keeps repeats in proportion to what succeeds, so that they never become most of the load.

    Each success earns a fifth of a repeat, and each second half a one, so that a quiet worker goes on trying.
    """

    EARNED_BY_A_SUCCESS = 0.2
    EARNED_IN_A_SECOND = 0.5
    MOST = 20.0

    def __init__(self) -> None:
        self._left = self.MOST
        self._at = 0.0

    def succeeded(self) -> None:
        """Earn."""
        self._left = min(self._left + self.EARNED_BY_A_SUCCESS, self.MOST)

    def wait_s(self, now: float) -> float:
        """Spend one repeat; return how long it has to wait for that. `now` is monotonic."""
        self._left = min(self._left + (now - self._at) * self.EARNED_IN_A_SECOND, self.MOST) - 1
        self._at = now
        return max(-self._left, 0.0) / self.EARNED_IN_A_SECOND


_THROTTLED_FOR_S = 1.0
"""How long a 429 is obeyed that names no time, or less: FullStory counts in whole seconds."""


class Retries:
    """When something is tried again; shared by all requests and questions of a process.

    `now` is monotonic.
    """

    def __init__(self, chance: Chance, poison_after_s: float = POISON_AFTER_S) -> None:
        self.suspects = Suspects(poison_after_s)
        self._chance = chance
        self._backoff = Backoff()
        self._budget = RetryBudget()
        self._refusals = 0
        """In a row, and without a time to wait for."""

    def succeeded(self, now: float) -> None:
        """A request was taken."""
        self.suspects.succeeded(now)
        self._refusals = 0
        self._budget.succeeded()

    def delay_s(self, verdict: Retry, failures: int, now: float, *, is_broken: bool, is_suspect: bool = False) -> float:
        """Return how long to wait after so many failures in a row.

        Where FullStory named a time the gate waits, for all. While FullStory fails as a whole (`is_broken`) the gate
        lets few through, so the wait is short; it is one all the same, or a request that always fails would take every
        chance from the others. A suspect waits alone for what was named to it, and spends nothing of the budget.
        """
        if (is_suspect and verdict.speaks_of_body) or not _silences_all(verdict):
            return max(self._backoff.delay_s(failures, self._chance), verdict.after_s or 0.0)
        if verdict.after_s or verdict.reason is RetryReason.THROTTLED:
            return 0.0
        delay_s = self._backoff.delay_s(failures, self._chance)
        if is_broken:
            delay_s = min(delay_s, LONGEST_PROBE_S * self._chance())
        return max(delay_s, self._budget.wait_s(now))

    def block_s(self, verdict: Retry, *, is_blocked: bool) -> float:
        """Return for how long nobody may send anything after this answer; `is_blocked`: nobody was to send it."""
        after_s = verdict.after_s or 0.0 if _silences_all(verdict) else 0.0
        if verdict.reason is not RetryReason.THROTTLED or after_s >= _THROTTLED_FOR_S:
            return after_s
        if not is_blocked:
            self._refusals += 1
        return max(self._backoff.delay_s(self._refusals, self._chance), _THROTTLED_FOR_S)


def _silences_all(verdict: Retry) -> bool:
    """Say whether a time that is named is for all: what something in between says is so with a 503 alone."""
    return verdict.after_s is None or verdict.reason is not RetryReason.GATEWAY or verdict.status == 503
