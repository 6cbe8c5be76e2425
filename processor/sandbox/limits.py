"""The request rate, and whether clients keep away for as long as they were told (docs/fullstory-api.md#limits)."""

import math
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import final

from processor.sandbox.wire import Json


def retry_after(now: float, seconds: float, *, as_date: bool) -> tuple[str, float]:
    """Return the header's value and the moment it means: whole seconds from now, or an HTTP date, rounded up."""
    if as_date:
        until = math.ceil(now + seconds)
        return format_datetime(datetime.fromtimestamp(until, UTC), usegmt=True), until
    whole_s = math.ceil(seconds)
    return str(whole_s), now + whole_s


@final
class TokenBucket:
    """A burst that refills at a steady rate; no rate means no limit."""

    def __init__(self, per_s: float | None, burst: int) -> None:
        self._per_s = per_s
        self._burst = burst
        self._tokens = float(burst)
        self._at: float | None = None

    def change(self, now: float, per_s: float | None, burst: int) -> None:
        """Set another rate and burst; what was saved up stays, as far as it fits."""
        self.take(now, 0)
        self._per_s, self._burst = per_s, burst
        self._tokens = min(self._tokens, burst)

    def as_json(self) -> Json:
        """Return the rate and the burst in force."""
        return {"requests_per_s": self._per_s, "burst": self._burst}

    def take(self, now: float, count: int = 1) -> float:
        """Take a token; returns 0, or the seconds until there will be one."""
        if self._per_s is None:
            return 0.0
        elapsed = 0.0 if self._at is None else max(0.0, now - self._at)
        self._at = now
        self._tokens = min(self._burst, self._tokens + elapsed * self._per_s)
        if self._tokens < count:
            return (count - self._tokens) / self._per_s
        self._tokens -= count
        return 0.0


@final
class RetryAfterWatch:
    """Counts the POSTs that came before an announced `Retry-After` had passed.

    A request that arrives within `grace_s` of the announcement was on its way already and is not counted.
    """

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._announced_at = 0.0
        self._quiet_until: float | None = None
        self.early_requests = 0
        self.earliest_margin_s: float | None = None  # arrival minus the announced end; negative: too early

    def announce(self, now: float, until: float) -> None:
        """Note that an answer sent now asks for silence until then."""
        if self._quiet_until is None or until > self._quiet_until:
            if self._quiet_until is None or now >= self._quiet_until:
                self._announced_at = now
            self._quiet_until = until

    def arrive(self, now: float) -> None:
        """Judge a POST that arrives now."""
        if self._quiet_until is None or now < self._announced_at + self._grace_s:
            return
        margin = now - self._quiet_until
        self.early_requests += margin < 0
        if self.earliest_margin_s is None or margin < self.earliest_margin_s:
            self.earliest_margin_s = margin
