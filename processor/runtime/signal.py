"""Waiting for a condition that other tasks of the loop bring about."""

import asyncio
from collections.abc import Callable


class Signal:
    """Wakes every waiter whenever something that they may wait for has changed."""

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []

    def notify(self) -> None:
        """Let every waiter look at its condition again, in the order of their arrival."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when the condition holds; it is asked after every notification."""
        while not condition():
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
