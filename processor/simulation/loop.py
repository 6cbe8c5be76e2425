"""An event loop whose time passes only when nothing else can happen, and then all at once.

A day of waiting takes no longer than the work done in it, and the same program runs the same way every time. Nothing
may wait for a real thread or a socket: an idle loop would jump over it.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

START_S = 1_000.0
"""Not zero, so that no code takes the first moment for "never"."""

ROUNDS_A_TICK, TICK_S = 10_000, 1e-6
"""Work takes a little time, too: else a timer for the smallest fraction of a second, which asyncio takes for due, would
be set again and again."""

_T = TypeVar("_T")


class StalledError(Exception):
    """Everything waits for something else, and no timer will change that."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time jumps to the next timer; `on_idle` are called before each jump, when all that can happen has happened."""

    def __init__(self) -> None:
        self.on_idle: list[Callable[[], None]] = []
        self._now = START_S
        self._rounds = 0
        super().__init__(_JumpingSelector(self._jump))

    def time(self) -> float:
        """Return the virtual time, in seconds."""
        return self._now

    def _jump(self, timeout: float | None) -> None:
        if timeout == 0:
            self._rounds += 1
            if self._rounds % ROUNDS_A_TICK == 0:
                self._now += TICK_S
            return
        for each in self.on_idle:
            each()
        if timeout is None:
            raise StalledError("nothing will ever happen again")
        self._now += timeout


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: what would be waited for is told to `jump` instead."""

    def __init__(self, jump: Callable[[float | None], None]) -> None:
        super().__init__()
        self._jump_by = jump

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            self._jump_by(timeout)
        return ready


def run_virtually(story: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end on virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(story)
