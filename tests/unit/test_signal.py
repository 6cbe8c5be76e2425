"""Waiting for a condition."""

import asyncio

from processor.runtime.signal import Signal
from tests.fakes.loop import run_virtually


def test_a_condition_that_holds_is_not_waited_for() -> None:
    """A waiter whose condition holds goes on without a notification."""
    run_virtually(Signal().until(lambda: True))


def test_waiters_are_woken_in_the_order_of_their_arrival() -> None:
    """Waiters are woken in order, and one whose condition does not hold waits on."""

    async def story() -> list[str]:
        signal, values, woken = Signal(), {"a": 2, "b": 1, "c": 2}, []
        step = 0

        async def wait(name: str) -> None:
            await signal.until(lambda: step >= values[name])
            woken.append(name)

        async with asyncio.TaskGroup() as group:
            for name in values:
                group.create_task(wait(name))
            for step in (0, 1, 2):  # noqa: B007 - the waiters look at it
                await asyncio.sleep(1.0)
                signal.notify()
        return woken

    assert run_virtually(story()) == ["b", "a", "c"]


def test_a_waiter_that_has_given_up_disturbs_nobody() -> None:
    """A notification passes over a waiter that has given up."""

    async def story() -> bool:
        signal, is_set = Signal(), False
        waiters = [asyncio.create_task(signal.until(lambda: is_set)) for _ in range(2)]
        await asyncio.sleep(0)
        waiters[0].cancel()
        is_set = True
        signal.notify()
        await waiters[1]
        return waiters[0].cancelled()

    assert run_virtually(story())
