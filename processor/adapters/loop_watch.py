"""Whether the event loop answers, as another thread sees it."""

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Protocol, final

ASK_EVERY_S = 1.0

TELL_AFTER_S = 5.0
"""Far beyond the pauses of a busy loop: decoding the largest fetch takes a tenth of that."""

FRAMES = 12
"""The innermost; those around are asyncio's."""


class LoopAlarm(Protocol):
    """What is to be done about a loop that does not answer; called on the thread that watches."""

    def silent(self, seconds: float, where: Sequence[str]) -> None:
        """Tell that the loop has not answered for so long, and where it stands, the innermost call first."""
        ...

    def answers_again(self, seconds: float) -> None:
        """Tell that it answers, after so long."""
        ...

    def end(self, seconds: float, where: Sequence[str]) -> None:
        """End the process, whatever else goes on in it."""
        ...


@final
class AskingLoopWatch:
    """A `LoopWatch` that asks each second; made on the loop that it watches, and used by another thread.

    What counts is the time in which this thread itself ran: a step between two looks counts as a second at most. So a
    process that was suspended, or a machine that stood still, costs no loop its life, however long it took.
    """

    def __init__(
        self,
        limit_s: float,
        alarm: LoopAlarm,
        loop: asyncio.AbstractEventLoop | None = None,
        thread: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop = loop or asyncio.get_running_loop()
        self._thread = thread or threading.get_ident()
        self._limit_s = limit_s
        self._alarm = alarm
        self._monotonic = monotonic
        self._looked_at = self._asked_at = monotonic()
        self._asked = 0
        self._answered = 0  # written by the loop
        self._silent_s = 0.0
        self._is_told = False

    def look(self) -> bool:
        """Ask, and tell of what is strange; say whether the loop has not answered for the limit."""
        now = self._monotonic()
        ran_s, self._looked_at = min(now - self._looked_at, ASK_EVERY_S), now
        if self._answered == self._asked:
            if self._is_told:
                self._alarm.answers_again(self._silent_s)
            self._silent_s, self._is_told = 0.0, False
            if now >= self._asked_at + ASK_EVERY_S and not self._loop.is_closed():
                self._asked_at = now
                self._asked += 1
                self._loop.call_soon_threadsafe(self._answer)
            return False
        self._silent_s += ran_s
        if self._silent_s >= TELL_AFTER_S and not self._is_told:
            self._is_told = True
            self._alarm.silent(self._silent_s, self._where())
        return self._silent_s >= self._limit_s and not self._loop.is_closed()

    def end(self) -> None:
        """End the process."""
        self._alarm.end(self._silent_s, self._where())

    def _answer(self) -> None:
        self._answered += 1

    def _where(self) -> list[str]:
        """Return where the loop's thread stands: modules, lines and functions, never a value."""
        frames = traceback.walk_stack(sys._current_frames().get(self._thread))  # noqa: SLF001 - documented
        return [
            f"{frame.f_globals.get('__name__')}:{line} {frame.f_code.co_qualname}"
            for frame, line in islice(frames, FRAMES)
        ]
