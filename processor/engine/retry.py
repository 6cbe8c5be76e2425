"""How long to wait before something is tried again: full jitter over a capped exponential, and a budget for all.

The jitter stays when the exponential has reached its cap, so that workers that failed together do not return together.
"""

from collections.abc import Callable
from dataclasses import dataclass

Chance = Callable[[], float]
"""Gives numbers in [0, 1); seeded where a run must be repeatable."""


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
