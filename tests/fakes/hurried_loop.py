"""An event loop for sockets whose clock runs fast: what waits a minute waits a fraction of a second.

Unlike on the virtual loop, real servers may answer. A busy machine makes time-outs of slow answers, so whoever uses
this asserts what holds whatever comes in time.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

SPEED = 100.0

_T = TypeVar("_T")


class HurriedLoop(asyncio.SelectorEventLoop):
    """Its seconds are `SPEED` times as short."""

    def __init__(self) -> None:
        super().__init__(_HurriedSelector())

    def time(self) -> float:
        """Return its own seconds."""
        return super().time() * SPEED


class _HurriedSelector(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> Any:
        return super().select(None if timeout is None else timeout / SPEED)


def run_hurriedly(main: Coroutine[Any, Any, _T]) -> _T:
    """Run it to its end; raises what it raises."""
    with asyncio.Runner(loop_factory=HurriedLoop) as runner:
        return runner.run(main)
