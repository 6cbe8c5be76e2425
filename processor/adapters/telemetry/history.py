"""What the page remembers of the past: the last quarter of an hour in small steps, and sums since the start."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, final

from processor.adapters.telemetry.memory import ACTION as MEMORY_ACTION
from processor.adapters.telemetry.memory import MemoryLook
from processor.engine.causes import Causes
from processor.engine.notices import (
    Answered,
    CallKind,
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
    WrittenLetter,
)
from processor.engine.service_health import FORGET_AFTER_S
from processor.engine.worker_state import WorkerState
from processor.model.reasons import DeadLetterReason
from processor.runtime.ports import Clock

STEP_S = 5.0
STEPS = 180


@dataclass(slots=True)
class Step:
    """What happened in a few seconds."""

    number: int
    delivered: int = 0
    dead_lettered: Counter[DeadLetterReason] = field(default_factory=Counter)
    oldest_s: float = 0.0
    """The highest age of a record that was consumed and not yet settled, from Kafka's timestamp."""


LAST_LETTERS = 8
"""So many dead letters are remembered one by one."""


class LastLetter(NamedTuple):
    """A dead letter, and when it was written, in wall-clock seconds."""

    letter: WrittenLetter
    at: float


class Refused(NamedTuple):
    """The dead letters of one reason, since the start of the process."""

    reason: DeadLetterReason
    records: int
    last_at: float
    """When the last one was written, in wall-clock seconds."""


OVER_AFTER_S = 10.0
"""So long after a success without another error, the errors before are past."""


@dataclass(slots=True)
class Trouble:
    """Errors of one kind in a row, of which each was tried again; times are in wall-clock seconds."""

    what: str
    since: float
    last_at: float
    causes: Causes = field(default_factory=Causes)
    success_at: float | None = None
    """The first after the last error."""

    def is_over(self, now: float) -> bool:
        """Say whether it has gone well since, for long enough, or was not tried again for longer."""
        is_well = self.success_at is not None and now - self.success_at >= OVER_AFTER_S
        return is_well or now - self.last_at >= FORGET_AFTER_S


_CALLS: Mapping[CallKind, str] = {
    "request": "FullStory, requests",
    "question": "FullStory, questions about jobs",
    "key": "FullStory, whose key this is",
}
_COMMITS, _CLIENT, _LETTERS = "Commits to Kafka", "Kafka's client", "Dead-letter topic"
_REGISTRY, _CACHE = "Schema registry", "Cache of schemas"


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
        self._letters: deque[LastLetter] = deque(maxlen=LAST_LETTERS)
        self._troubles: dict[str, Trouble] = {}
        self._cache: Warned | None = None
        self._log: Warned | None = None
        self._memory: Warned | None = None
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
                self._succeed(_CLIENT)
            case Released():
                self.totals.released += notice.records
            case KeyKnown():
                self.key = notice
                self._succeed(_CALLS["key"])
            case SchemaCacheTrouble():
                self._note_cache(notice.detail)
            case _:
                self._note_call(notice)

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

    def letters(self) -> list[LastLetter]:
        """Return the last dead letters, the latest first."""
        return [*reversed(self._letters)]

    def troubles(self) -> list[Trouble]:
        """Return the last errors of each kind, the latest first; those that are over, too."""
        return sorted(self._troubles.values(), key=lambda each: each.last_at, reverse=True)

    def warnings(self) -> list[Warned]:
        """Return what an operator should see to."""
        return [each for each in (self._cache, self._log, self._memory) if each is not None]

    def note_log(self, lost: int, fault: str) -> None:
        """Remember whether lines of the log are being lost: how many in a row, and why."""
        if not lost:
            self._log = None
            return
        since = self._clock.wall() if self._log is None else self._log.since
        cause = f"the log cannot be written ({fault}; {lost:,} lines lost)"
        self._log = Warned(cause, since, LOG_ACTION)

    def note_memory(self, found: MemoryLook) -> None:
        """Remember whether memory is short."""
        if not found.is_short or found.limit_bytes is None:
            self._memory = None
            return
        since = self._clock.wall() if self._memory is None else self._memory.since
        mib = f"{found.resident_bytes / 2**20:.0f} of {found.limit_bytes / 2**20:.0f} MiB"
        self._memory = Warned(f"memory is short ({mib} in use)", since, MEMORY_ACTION)

    def _settled(self, notice: Settled) -> None:
        step, now, totals = self._step(), self._clock.wall(), self.totals
        step.delivered += notice.delivered.total()
        step.dead_lettered.update(notice.dead_lettered)
        totals.delivered += notice.delivered.total()
        totals.filtered += notice.filtered.total()
        totals.dead_lettered += notice.dead_lettered.total()
        for reason, count in notice.dead_lettered.items():
            before = self._refused[reason].records if reason in self._refused else 0
            self._refused[reason] = Refused(reason, before + count, now)

    def _note_call(self, notice: Notice) -> None:
        """Remember how it goes with whatever the worker talks to."""
        match notice:
            case Retried():
                self._fail(_CALLS[notice.call], notice.cause)
            case Answered(endpoint, "2xx"):
                self._succeed(_CALLS["question" if endpoint.endswith(("/job", "/errors")) else "request"])
            case SourceTrouble():
                self._fail(_CLIENT, notice.detail)
            case Committed("ok"):
                self._succeed(_COMMITS)
                self._succeed(_CLIENT)
            case Committed():
                self._fail(_COMMITS, notice.detail)
            case DeadLetterWrite():
                self._note_letter(notice)
            case RegistryAsked("unavailable"):
                self._fail(_REGISTRY, notice.detail)
            case RegistryAsked():
                self._succeed(_REGISTRY)
            case _:
                pass  # metrics and logs tell of everything else

    def _note_letter(self, notice: DeadLetterWrite) -> None:
        if notice.outcome != "ok":
            self._fail(_LETTERS, notice.detail)
            return
        self._succeed(_LETTERS)
        if notice.letter is not None:
            self._letters.append(LastLetter(notice.letter, self._clock.wall()))

    def _fail(self, what: str, cause: str) -> None:
        now = self._clock.wall()
        trouble = self._troubles.get(what)
        if trouble is None or trouble.is_over(now):
            trouble = self._troubles[what] = Trouble(what, now, now)
        trouble.causes.add(cause)
        trouble.last_at, trouble.success_at = now, None

    def _succeed(self, what: str) -> None:
        trouble = self._troubles.get(what)
        if trouble is not None and trouble.success_at is None:
            trouble.success_at = self._clock.wall()

    def _note_cache(self, detail: str) -> None:
        if not detail:
            self._cache = None
            self._succeed(_CACHE)
            return
        self._fail(_CACHE, detail)
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
