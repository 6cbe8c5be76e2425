"""How much may be in flight, how fast requests may follow, and when nothing may be sent at all.

Rules:

1. FullStory's limits hold for the organisation: jobs and single operations in progress, users and events together
   (docs/fullstory-api.md#limits). We plan with half of its hard stop, times the configured share, times the share of
   partitions that this process owns; so processes need no other way to agree.
2. One request is always allowed, or a small share would never deliver anything.
3. A `Retry-After` blocks every request of this process until then.
4. Requests that await an answer are limited (`concurrency`), and so is their rate (`pace`): FullStory's failures speak
   of the one, its refusals of the other.
5. After a halt, and while FullStory fails as a whole (`breaker`), one request at a time is let through, from time to
   time, until one is answered well.
6. A process beside the workers may be told to give way to them (`leftover`), and to begin at most so many operations
   a second: a request that carries many is followed by a wait as long as they take.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from processor.engine.breaker import Breaker
from processor.engine.concurrency import Concurrency
from processor.engine.leftover import Leftover, Others
from processor.engine.pace import Pace
from processor.engine.retry import Chance
from processor.engine.verdict import Retry, RetryReason, Split

PLANNED_JOBS = 100
"""Half of the 200 in progress at which FullStory refuses everything."""
PLANNED_OPERATIONS = 250_000
"""Half of the 500,000 at which FullStory refuses everything."""


class Load(Enum):
    """What an answer says of FullStory's load."""

    FINE = auto()
    """It works, whatever it thinks of the request."""
    THROTTLED = auto()
    """Too many requests, or too much in progress."""
    FAILING = auto()
    """It fails, or cannot be reached."""
    UNKNOWN = auto()


def load_of(verdict: object) -> Load:
    """Say what a verdict tells of FullStory's load; None is a POST that was given up."""
    if verdict is None or (isinstance(verdict, Split) and verdict.is_foreign):
        return Load.UNKNOWN
    if not isinstance(verdict, Retry) or verdict.reason is RetryReason.CONFLICT:
        return Load.FINE
    return Load.THROTTLED if verdict.reason is RetryReason.THROTTLED else Load.FAILING


class Cost(NamedTuple):
    """What a request counts for while it is in progress."""

    operations: int
    jobs: int
    """1 where FullStory makes a job of it, else 0."""


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What the operator may set."""

    org_share: float = 0.8
    """The part of the organisation's planned allowance that all workers together may use."""
    initial_concurrency: int = 4
    max_concurrency: int = 64
    probe_interval_s: float = 15.0
    lane_share: float = 1.0
    """The part of that which this process takes where it is none of the workers; below 1 it gives way to them."""
    max_rate: float | None = None
    """How many operations it begins in a second, at most."""


class Limits:
    """The state of the limits of one process; owned by the event loop's thread.

    `now` is monotonic. Each request, and each question, is told when it was sent and when it was answered.
    """

    def __init__(self, settings: LimitSettings, chance: Chance) -> None:
        self._settings = settings
        self._max_jobs = 1.0
        self._max_operations = 1.0
        self._concurrency = Concurrency(settings.initial_concurrency, settings.max_concurrency)
        self._leftover = None if settings.lane_share == 1 else Leftover(chance, settings.lane_share)
        self._pace = self._leftover or Pace(chance)
        self._paid_until = float("-inf")
        self._breaker = Breaker(chance)
        self._halt_probe_at: float | None = None
        self._probing = False
        self.blocked_until = float("-inf")
        self._blocked_s = 0.0
        """How long it will have been blocked by then, all in all."""
        self.jobs = 0
        self.operations = 0
        self.taken = 0
        """How many requests and questions FullStory has taken, and, below, how many it has refused for their rate."""
        self.refused = 0

    @property
    def concurrency(self) -> int:
        """How many requests may await an answer."""
        return self._concurrency.limit

    @property
    def rate(self) -> float:
        """How many requests a second may follow; infinite before FullStory has refused one."""
        return self._pace.rate

    @property
    def is_halted(self) -> bool:
        """Whether only probes are let through until the cause of a halt is gone."""
        return self._halt_probe_at is not None

    @property
    def is_broken(self) -> bool:
        """Whether only probes are let through because FullStory fails as a whole."""
        return self._breaker.probe_at is not None

    @property
    def is_probing(self) -> bool:
        """Whether one request at a time is let through, for either reason."""
        return self._probe_at is not None

    def share(self, owned: int, partitions: int) -> None:
        """Take the process's part of the organisation's allowance."""
        part = self._settings.org_share * self._settings.lane_share * owned / max(partitions, 1)
        self._max_jobs = max(1.0, PLANNED_JOBS * part)
        self._max_operations = max(1.0, PLANNED_OPERATIONS * part)

    def room(self, now: float) -> int:
        """Return how many requests may be sent now, of any kind; large ones may find less, see `admits`."""
        return max(min(int(self._max_jobs) - self.jobs, self._chances(now)), 0)

    def _chances(self, now: float) -> int:
        """Return how many requests may be sent now as far as their content does not matter."""
        if now < max(self.blocked_until, self._paid_until):
            return 0
        probe_at = self._probe_at
        if probe_at is not None:
            return int(now >= probe_at and not self._probing)
        return max(min(self._concurrency.room, self._paced(now)), 0)

    def admits(self, now: float, cost: Cost) -> bool:
        """Say whether this request may be sent now."""
        fits = self.operations == 0 or self.operations + cost.operations <= self._max_operations
        has_room = cost.jobs == 0 or self.jobs == 0 or self.jobs + cost.jobs <= self._max_jobs
        return fits and has_room and self._chances(now) > 0

    def may_ask(self, now: float) -> bool:
        """Say whether a question for a job may be sent now: it counts for the pace alone."""
        return now >= self.blocked_until and self._paced(now) > 0

    def next_chance(self, now: float, *, before: int = 0, asks: bool = False) -> float | None:
        """Return when time alone may let a request through; None when only an answer or a finished job can.

        So many others are to be sent `before` it. With `asks` it is a question for a job that waits.
        """
        waits = [self.blocked_until] if asks else [self.blocked_until, self._paid_until]
        if not asks and self._probe_at is not None:
            waits.append(self._probe_at)
        elif (paced := self._pace.next_chance(now, before + 1)) is not None:
            waits.append(paced)
        chance = max(waits)
        return chance if chance > now else None

    def sent(self, now: float, cost: Cost) -> None:
        """Count a request that is about to be sent; the caller asked `admits` at this very moment."""
        self._concurrency.awaiting += 1
        self.adopt(cost)
        self._probing = self.is_probing
        self._pace.sent(now)
        if self._settings.max_rate is not None:
            self._paid_until = max(now, self._paid_until) + cost.operations / self._settings.max_rate

    def asked(self, now: float) -> None:
        """Count a question; the caller asked `may_ask` at this very moment."""
        self._pace.sent(now)

    def adopt(self, cost: Cost) -> None:
        """Count what is in progress."""
        self.jobs += cost.jobs
        self.operations += cost.operations

    def adopt_job(self, operations: int) -> None:
        """Count a job for which nothing was sent here."""
        self.adopt(Cost(operations, 1))

    @property
    def probe_interval_s(self) -> float:
        """How long a halt waits before it is tried whether its cause is gone."""
        return self._settings.probe_interval_s

    def block(self, until: float, now: float) -> float:
        """Let nothing through before `until`; return by how many seconds this made the wait longer."""
        added = max(until - max(self.blocked_until, now), 0.0)
        self.blocked_until = max(self.blocked_until, until)
        self._blocked_s += added
        return added

    def throttled_s(self, now: float) -> float:
        """Return for how long nothing could be sent by now because of such waits, all in all."""
        return self._blocked_s - max(self.blocked_until - now, 0.0)

    def answered(self, now: float, sent_at: float, load: Load) -> None:
        """Count an answer, or its absence; what the request carries stays in flight until `finished`.

        A wait that the answer asked for was told by `block` already.
        """
        if load is Load.FAILING:
            self._concurrency.failed(now)
        elif load is Load.FINE:
            self._concurrency.succeeded()
        self._concurrency.awaiting -= 1
        if load is not Load.UNKNOWN:
            self._breaker.answered(now, failed=load is Load.FAILING)
        if self._probing and self.is_halted:  # whatever it says: only a good answer, by `resume`, opens the gate
            self._halt_probe_at = now + self._settings.probe_interval_s
        self._probing = False
        self.told(now, sent_at, load)

    def told(self, now: float, sent_at: float, load: Load) -> None:
        """Count the answer to a question, or its absence."""
        if load is Load.THROTTLED:
            self.refused += 1
            self._pace.refused(now, sent_at, self.blocked_until)
        elif load is Load.FINE:
            self.taken += 1
            self._pace.taken(now)

    def beside(self, now: float, others: Others) -> None:
        """Others have come so far, to whom this process is to give way; an equal need not know."""
        if self._leftover is not None:
            self._leftover.beside(now, others)

    def finished(self, cost: Cost) -> None:
        """Give back what a request held: its job ended, or it was answered for good without one."""
        self.jobs -= cost.jobs
        self.operations -= cost.operations

    def job_ended(self, operations: int) -> None:
        """Give back what a job held."""
        self.finished(Cost(operations, 1))

    def halt(self, now: float) -> None:
        """Let only probes through, the first one after the probe interval."""
        self._halt_probe_at = now + self._settings.probe_interval_s

    def resume(self) -> None:
        """A request was answered as it should be: the cause of the halt is gone."""
        self._halt_probe_at = None

    @property
    def _probe_at(self) -> float | None:
        probes = [each for each in (self._halt_probe_at, self._breaker.probe_at) if each is not None]
        return max(probes, default=None)

    def _paced(self, now: float) -> int:
        return int(min(self._pace.room(now), self._settings.max_concurrency))
