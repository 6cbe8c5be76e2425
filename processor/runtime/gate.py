"""Admission: who may send a request, and when; first come, first served.

Also the one place that knows why delivery stands still. A halt is raised by whoever meets its cause and ends with the
first thing that shows the cause to be gone: an answer as it should be, or an acknowledged dead letter.
"""

from collections import deque

from processor.engine.limits import Limits
from processor.model.reasons import HaltReason
from processor.runtime.notices import Halted, Observer, Resumed
from processor.runtime.ports import Clock
from processor.runtime.signal import Signal

DESTINATION_HALTS = frozenset(
    {HaltReason.UNAUTHORIZED, HaltReason.FORBIDDEN, HaltReason.WRONG_ORG, HaltReason.UNEXPECTED_ANSWER}
)
"""Halts that a good answer of FullStory ends; while one lasts only probes are sent."""


class Gate:
    """Hands out the right to send; owned by the event loop's thread."""

    def __init__(self, limits: Limits, clock: Clock, observe: Observer) -> None:
        self.limits = limits
        self.halts: dict[HaltReason, str] = {}
        self._clock = clock
        self._observe = observe
        self._queue: deque[object] = deque()
        self._changed = Signal()

    @property
    def is_open(self) -> bool:
        """Whether a request could be sent at once: nothing blocks, and nobody waits already."""
        return not self._queue and self._is_unblocked(self._clock.monotonic()) and not self.limits.is_halted

    async def admit(self, operations: int) -> None:
        """Wait for the right to send one request; it is counted as sent when this returns."""
        ticket = object()
        self._queue.append(ticket)
        try:
            while True:
                now = self._clock.monotonic()
                if self._queue[0] is ticket and self._is_unblocked(now, operations):
                    self.limits.sent(operations)
                    return
                chance = self.limits.next_chance(now) if self._queue[0] is ticket else None
                await self._changed.wait(None if chance is None else max(chance - now, 0.0))
        finally:
            self._queue.remove(ticket)
            self._changed.notify()

    def answered(self, *, overloaded: bool) -> None:
        """Count an answer to a request that was admitted."""
        self.limits.answered(self._clock.monotonic(), overloaded=overloaded)
        self._changed.notify()

    def finished(self, operations: int) -> None:
        """What an admitted request held is given back."""
        self.limits.finished(operations)
        self._changed.notify()

    def changed(self) -> None:
        """Something outside changed that admission depends on."""
        self._changed.notify()

    def halt(self, reason: HaltReason, detail: str) -> None:
        """Stand still for this reason; said once until it is resumed."""
        if reason not in self.halts:
            self._observe(Halted(reason, detail))
        self.halts[reason] = detail
        if reason in DESTINATION_HALTS:
            self.limits.halt(self._clock.monotonic())

    def resume(self, *reasons: HaltReason) -> None:
        """The causes are gone."""
        ended = [reason for reason in reasons if self.halts.pop(reason, None) is not None]
        for reason in ended:
            self._observe(Resumed(reason))
        if ended:
            if not DESTINATION_HALTS & self.halts.keys():
                self.limits.resume()
            self._changed.notify()

    def _is_unblocked(self, now: float, operations: int = 1) -> bool:
        return HaltReason.DEAD_LETTER_TOPIC not in self.halts and self.limits.admits(now, operations)
