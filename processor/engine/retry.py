"""How long to wait before something is tried again: full jitter over a capped exponential.

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
