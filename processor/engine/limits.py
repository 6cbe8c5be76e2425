"""How much may be in flight, and when nothing may be sent at all.

Rules:

1. FullStory's limits hold for the organisation: jobs and single operations in progress, users and events together
   (docs/fullstory-api.md#limits). We plan with half of its hard stop, times the configured share, times the share of
   partitions that this process owns; so processes need no other way to agree.
2. One request is always allowed, or a small share would never deliver anything.
3. A `Retry-After` blocks every request of this process until then.
4. Requests that await an answer are limited too: the limit grows by one for each limit's worth of good answers that
   were given while it was in use, and shrinks by a fifth, at most once a second, when FullStory is overloaded.
5. After a halt one request at a time is let through, each probe interval, until one is answered well.
"""

from dataclasses import dataclass

PLANNED_JOBS = 100
"""Half of the 200 in progress at which FullStory refuses everything."""
PLANNED_OPERATIONS = 250_000
"""Half of the 500,000 at which FullStory refuses everything."""

_DECREASE = 0.8
_DECREASE_AT_MOST_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What the operator may set."""

    org_share: float = 0.8
    """The part of the organisation's planned allowance that all workers together may use."""
    initial_concurrency: int = 4
    max_concurrency: int = 64
    probe_interval_s: float = 15.0


class Limits:
    """The state of the limits of one process; owned by the event loop's thread."""

    def __init__(self, settings: LimitSettings) -> None:
        self._settings = settings
        self._max_jobs = 1.0
        self._max_operations = 1.0
        self._concurrency = float(min(settings.initial_concurrency, settings.max_concurrency))
        self._good_answers = 0
        self._last_decrease = float("-inf")
        self._probe_at: float | None = None
        self._probing = False
        self.blocked_until = float("-inf")
        self.awaiting_answer = 0
        self.jobs = 0
        self.operations = 0

    @property
    def concurrency(self) -> int:
        """How many requests may await an answer."""
        return int(self._concurrency)

    @property
    def is_halted(self) -> bool:
        """Whether only probes are let through."""
        return self._probe_at is not None

    def share(self, owned: int, partitions: int) -> None:
        """Take the process's part of the organisation's allowance."""
        part = self._settings.org_share * owned / max(partitions, 1)
        self._max_jobs = max(1.0, PLANNED_JOBS * part)
        self._max_operations = max(1.0, PLANNED_OPERATIONS * part)

    def room(self, now: float) -> int:
        """Return how many requests may be sent now; large ones may find less, see `admits`."""
        if now < self.blocked_until:
            return 0
        if self._probe_at is not None:
            return int(now >= self._probe_at and not self._probing)
        return max(min(int(self._max_jobs) - self.jobs, self.concurrency - self.awaiting_answer), 0)

    def admits(self, now: float, operations: int) -> bool:
        """Say whether a request of so many operations may be sent now."""
        fits = self.jobs == 0 or self.operations + operations <= self._max_operations
        return fits and self.room(now) > 0

    def next_chance(self, now: float) -> float | None:
        """Return when time alone may let a request through; None when only an answer or a finished job can."""
        if now < self.blocked_until:
            return self.blocked_until
        if self._probe_at is not None and now < self._probe_at:
            return self._probe_at
        return None

    def sent(self, operations: int) -> None:
        """Count a request that is about to be sent; the caller asked `admits` at this very moment."""
        self.awaiting_answer += 1
        self.jobs += 1
        self.operations += operations
        self._probing = self.is_halted

    def unsent(self, operations: int) -> None:
        """Take back what `sent` counted: the request was not sent after all."""
        self.awaiting_answer -= 1
        self._probing = False
        self.finished(operations)

    def adopt(self, operations: int) -> None:
        """Count a job that goes on although nothing was sent for it here."""
        self.jobs += 1
        self.operations += operations

    @property
    def probe_interval_s(self) -> float:
        """How long a halt waits before it is tried whether its cause is gone."""
        return self._settings.probe_interval_s

    def block(self, until: float, now: float) -> float:
        """Let nothing through before `until`; return by how many seconds this made the wait longer."""
        added = until - max(self.blocked_until, now)
        self.blocked_until = max(self.blocked_until, until)
        return max(added, 0.0)

    def answered(self, now: float, *, overloaded: bool | None) -> None:
        """Count an answer, or its absence; what the request carries stays in flight until `finished`.

        `overloaded` is None where the answer says nothing about FullStory's load.
        """
        if overloaded:
            if now - self._last_decrease >= _DECREASE_AT_MOST_EVERY_S:
                self._concurrency = max(1.0, self._concurrency * _DECREASE)
                self._last_decrease = now
            self._good_answers = 0
        elif overloaded is False and self.awaiting_answer >= self.concurrency:
            self._good_answers += 1
            if self._good_answers >= self.concurrency:
                self._concurrency = min(self._concurrency + 1, float(self._settings.max_concurrency))
                self._good_answers = 0
        self.awaiting_answer -= 1
        if self._probing and self.is_halted:  # whatever it says: only a good answer, by `resume`, opens the gate
            self._probe_at = now + self._settings.probe_interval_s
        self._probing = False

    def finished(self, operations: int) -> None:
        """Give back what a request held: its job ended, or it was answered for good without one."""
        self.jobs -= 1
        self.operations -= operations

    def halt(self, now: float) -> None:
        """Let only probes through, the first one after the probe interval."""
        self._probe_at = now + self._settings.probe_interval_s

    def resume(self) -> None:
        """A request was answered as it should be: the cause of the halt is gone."""
        self._probe_at = None
