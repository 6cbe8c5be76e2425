"""How long to wait before something is tried again: full jitter over a capped exponential, and a budget for all.

The jitter stays when the exponential has reached its cap, so that workers that failed together do not return together.
"""

from collections.abc import Callable
from dataclasses import dataclass

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


POISON_AFTER_S = 3_600.0
"""How long a request may fail with 5xx while others succeed, before its records are taken for the cause."""

_SUSPECT_PATIENCE_S = 60.0
"""How long each part may fail of a request that has long failed alone."""

_LEAST_SUSPICIOUS_FAILURES = 20
"""So often a request has to fail in a row: a service that fails often and not always is no fault of a record."""

_OTHERS_SUCCEED_S = 60.0
"""How lately another request has to have succeeded, for a fault to be the record's."""

_THROTTLED_FOR_S = 1.0
"""How long a 429 is obeyed that names no time, or less: FullStory counts in whole seconds."""


@dataclass(slots=True)
class Suspicion:
    """How long a request has been failing with 5xx and nothing else."""

    _since: float | None = None
    _failures: int = 0

    def failed(self, now: float, reason: RetryReason) -> float:
        """Count a failure; return for how many seconds it has lasted, 0 while that is no reason to suspect anything."""
        if reason is not RetryReason.SERVER_ERROR:
            self._since, self._failures = None, 0
            return 0.0
        self._since = now if self._since is None else self._since
        self._failures += 1
        return now - self._since if self._failures >= _LEAST_SUSPICIOUS_FAILURES else 0.0


class Retries:
    """When something is tried again, and when never; shared by all requests and questions of a process.

    `now` is monotonic.
    """

    def __init__(self, chance: Chance, poison_after_s: float = POISON_AFTER_S) -> None:
        self._chance = chance
        self._poison_after_s = poison_after_s
        self._backoff = Backoff()
        self._budget = RetryBudget()
        self._refusals = 0
        """In a row, and without a time to wait for."""
        self._succeeded_at = float("-inf")

    def succeeded(self, now: float) -> None:
        """A request was taken."""
        self._succeeded_at = now
        self._refusals = 0
        self._budget.succeeded()

    def delay_s(self, verdict: Retry, failures: int, now: float, *, is_broken: bool) -> float:
        """Return how long to wait after so many failures in a row.

        Where FullStory named a time the gate waits, for all. While FullStory fails as a whole (`is_broken`) the gate
        lets few through, so the wait is short; it is one all the same, or a request that always fails would take every
        chance from the others.
        """
        if verdict.after_s or verdict.reason is RetryReason.THROTTLED:
            return 0.0
        delay_s = self._backoff.delay_s(failures, self._chance)
        if is_broken:
            return min(delay_s, LONGEST_PROBE_S * self._chance())
        return max(delay_s, self._budget.wait_s(now))

    def block_s(self, verdict: Retry, *, is_blocked: bool) -> float:
        """Return for how long nobody may send anything after this answer; `is_blocked`: nobody was to send it."""
        after_s = verdict.after_s or 0.0
        if verdict.reason is not RetryReason.THROTTLED or after_s >= _THROTTLED_FOR_S:
            return after_s
        if not is_blocked:
            self._refusals += 1
        return max(self._backoff.delay_s(self._refusals, self._chance), _THROTTLED_FOR_S)

    def is_poison(self, suspicion: Suspicion, verdict: Retry, now: float, *, is_suspect: bool) -> bool:
        """Say whether this request alone makes FullStory fail, as far as that can be known.

        `is_suspect`: it is a part of a request that has failed for long.
        """
        patience_s = min(self._poison_after_s, _SUSPECT_PATIENCE_S) if is_suspect else self._poison_after_s
        others_succeed = now - self._succeeded_at <= _OTHERS_SUCCEED_S
        return suspicion.failed(now, verdict.reason) >= patience_s and others_succeed
