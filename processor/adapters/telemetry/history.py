"""What the page remembers of the past: the last quarter of an hour in small steps, and sums since the start."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, final

from processor.engine.notices import (
    Committed,
    Consumed,
    DeadLetterWrite,
    KeyKnown,
    Notice,
    RegistryAsked,
    Released,
    Retried,
    SchemaCacheTrouble,
    Settled,
    SourceTrouble,
)
from processor.model.reasons import DeadLetterReason
from processor.runtime.ports import Clock
from processor.runtime.state import WorkerState

STEP_S = 5.0
STEPS = 180


@dataclass(slots=True)
class Step:
    """What happened in a few seconds."""

    number: int
    delivered: int = 0
    dead_lettered: int = 0
    oldest_s: float = 0.0
    """The highest age of a record that was consumed and not yet settled, from Kafka's timestamp."""


class Refused(NamedTuple):
    """The dead letters of one reason, since the start of the process."""

    reason: DeadLetterReason
    records: int
    last_at: float
    """When the last one was written, in wall-clock seconds."""


class RetriedError(NamedTuple):
    """Errors of one kind since the start of the process, of which each was retried."""

    what: str
    detail: str
    """Of the last one."""
    times: int
    last_at: float


class Warned(NamedTuple):
    """Something that an operator should see to, and that does not keep records from being delivered."""

    cause: str
    since: float
    """In wall-clock seconds."""
    action: str


@dataclass(slots=True)
class Totals:
    """Sums of records since the start of the process."""

    consumed: int = 0
    delivered: int = 0
    filtered: int = 0
    dead_lettered: int = 0
    released: int = 0


CACHE_ACTION = (
    "Free disk space or correct PROCESSOR_SCHEMA_REGISTRY__CACHE_DIR. Delivery continues; without the cache a restart "
    "needs the registry."
)


LOG_ACTION = "Let standard error be read, or free disk space where it goes. Delivery continues."


@final
class History:
    """An `Observer` that remembers; for the event loop's thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._steps: deque[Step] = deque(maxlen=STEPS)
        self._refused: dict[DeadLetterReason, Refused] = {}
        self._failed: dict[str, RetriedError] = {}
        self._cache: Warned | None = None
        self._log: Warned | None = None
        self.totals = Totals()
        self.key: KeyKnown | None = None
        """Whose key is in use; None while FullStory has not said so."""

    def __call__(self, notice: Notice) -> None:
        """Take what the page shows."""
        match notice:
            case Settled():
                self._settled(notice)
            case Consumed():
                self.totals.consumed += notice.records
            case Released():
                self.totals.released += notice.records
            case KeyKnown():
                self.key = notice
            case SchemaCacheTrouble():
                self._note_cache(notice.detail)
            case _:
                self._note_failure(notice)

    def look(self, state: WorkerState) -> None:
        """Remember the age of the oldest record that is not settled; call this every second."""
        step = self._step()
        step.oldest_s = max(step.oldest_s, oldest_s(state, self._clock.wall()))

    def steps(self) -> Iterator[Step]:
        """Yield every step of the time remembered, the oldest first; those in which nothing happened, too."""
        last = self._number()
        known = {step.number: step for step in self._steps}
        return (known.get(number, Step(number)) for number in range(last - STEPS + 1, last + 1))

    def refused(self) -> list[Refused]:
        """Return the dead letters by reason, the latest first."""
        return sorted(self._refused.values(), key=lambda each: each.last_at, reverse=True)

    def failed(self) -> list[RetriedError]:
        """Return the errors by kind, the latest first."""
        return sorted(self._failed.values(), key=lambda each: each.last_at, reverse=True)

    def warnings(self) -> list[Warned]:
        """Return what an operator should see to."""
        return [each for each in (self._cache, self._log) if each is not None]

    def note_log(self, lost: int, fault: str) -> None:
        """Remember whether lines of the log are being lost: how many in a row, and why."""
        if not lost:
            self._log = None
            return
        since = self._clock.wall() if self._log is None else self._log.since
        cause = f"the log cannot be written ({fault}; {lost:,} lines lost)"
        self._log = Warned(cause, since, LOG_ACTION)

    def _settled(self, notice: Settled) -> None:
        step, now, totals = self._step(), self._clock.wall(), self.totals
        step.delivered += notice.delivered.total()
        step.dead_lettered += notice.dead_lettered.total()
        totals.delivered += notice.delivered.total()
        totals.filtered += notice.filtered.total()
        totals.dead_lettered += notice.dead_lettered.total()
        for reason, count in notice.dead_lettered.items():
            before = self._refused[reason].records if reason in self._refused else 0
            self._refused[reason] = Refused(reason, before + count, now)

    def _note_failure(self, notice: Notice) -> None:
        match notice:
            case Retried(status=None):
                self._fail(f"FullStory: {notice.reason.value}", notice.detail)
            case Retried():
                self._fail(f"FullStory answered {notice.status}", "")
            case SourceTrouble():
                self._fail("Kafka's client", notice.detail)
            case Committed(outcome="failed"):
                self._fail("Commit to Kafka", "")
            case DeadLetterWrite(outcome="refused" | "too_large" | "retry" as outcome):
                self._fail("Write to the dead-letter topic", outcome)
            case RegistryAsked(outcome="unavailable"):
                self._fail("Schema registry", "no answer")
            case _:
                pass  # metrics and logs tell of everything else

    def _fail(self, what: str, detail: str) -> None:
        before = self._failed[what].times if what in self._failed else 0
        self._failed[what] = RetriedError(what, detail, before + 1, self._clock.wall())

    def _note_cache(self, detail: str) -> None:
        if not detail:
            self._cache = None
            return
        self._fail("Cache of schemas", detail)
        since = self._clock.wall() if self._cache is None else self._cache.since
        self._cache = Warned(f"the cache of schemas does not work: {detail}", since, CACHE_ACTION)

    def _number(self) -> int:
        return int(self._clock.monotonic() / STEP_S)

    def _step(self) -> Step:
        number = self._number()
        if not self._steps or self._steps[-1].number != number:
            self._steps.append(Step(number))
        return self._steps[-1]


def oldest_s(state: WorkerState, wall_s: float) -> float:
    """Return the age of the oldest record that was consumed and not yet settled; 0 without one."""
    times = [at for each in state.partitions if (at := each.oldest_unsettled_ms or 0) > 0]
    return max(wall_s - min(times) / 1_000, 0.0) if times else 0.0
