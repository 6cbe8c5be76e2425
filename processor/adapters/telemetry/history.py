"""The last quarter of an hour in small steps, for the page: what settled, how fresh it was, what was dead-lettered."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, final

from processor.model.reasons import DeadLetterReason
from processor.runtime.notices import Notice, Settled
from processor.runtime.ports import Clock

STEP_S = 5.0
STEPS = 180


@dataclass(slots=True)
class Step:
    """What happened in a few seconds."""

    number: int
    delivered: int = 0
    dead_lettered: int = 0
    slowest_s: float = 0.0
    """The highest age, from Kafka's timestamp to the delivery."""


class Refused(NamedTuple):
    """The dead letters of one reason, since the start of the process."""

    reason: DeadLetterReason
    records: int
    last_at: float
    """When the last one was written, in wall-clock seconds."""


@final
class History:
    """An `Observer` that remembers; for the event loop's thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._steps: deque[Step] = deque(maxlen=STEPS)
        self._refused: dict[DeadLetterReason, Refused] = {}

    def __call__(self, notice: Notice) -> None:
        """Take what settled; everything else is told elsewhere."""
        if not isinstance(notice, Settled):
            return
        step, now = self._step(), self._clock.wall()
        step.delivered += notice.delivered.total()
        step.dead_lettered += notice.dead_lettered.total()
        ages = (now - timestamp / 1_000 for timestamp in notice.timestamps_ms if timestamp > 0)
        step.slowest_s = max(step.slowest_s, max(ages, default=0.0))
        for reason, count in notice.dead_lettered.items():
            before = self._refused[reason].records if reason in self._refused else 0
            self._refused[reason] = Refused(reason, before + count, now)

    def steps(self) -> Iterator[Step]:
        """Yield every step of the time remembered, the oldest first; those in which nothing happened, too."""
        last = self._number()
        known = {step.number: step for step in self._steps}
        return (known.get(number, Step(number)) for number in range(last - STEPS + 1, last + 1))

    def refused(self) -> list[Refused]:
        """Return the dead letters by reason, the latest first."""
        return sorted(self._refused.values(), key=lambda each: each.last_at, reverse=True)

    def _number(self) -> int:
        return int(self._clock.monotonic() / STEP_S)

    def _step(self) -> Step:
        number = self._number()
        if not self._steps or self._steps[-1].number != number:
            self._steps.append(Step(number))
        return self._steps[-1]
