"""The watch over the event loop: what counts as silence, and what is said of it."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from processor.adapters.loop_watch import FRAMES, TELL_AFTER_S, AskingLoopWatch

LIMIT_S = 45.0
STEP_S = 0.02
"""Between two looks, as `consume` waits."""


class Loop:
    """An event loop that answers when it is told to."""

    def __init__(self) -> None:
        self.is_stuck = False
        self._asked: list[Callable[[], None]] = []

    def call_soon_threadsafe(self, callback: Callable[[], None]) -> None:
        """Take a question."""
        self._asked.append(callback)
        self.go_on()

    def go_on(self) -> None:
        """Answer, unless it is stuck."""
        while self._asked and not self.is_stuck:
            self._asked.pop()()

    def is_closed(self) -> bool:
        """Say no."""
        return False


class Alarm:
    """Keeps what is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []
        self.where: Sequence[str] = ()

    def silent(self, seconds: float, where: Sequence[str]) -> None:
        """Keep it."""
        self.told.append(("silent", round(seconds)))
        self.where = where

    def answers_again(self, seconds: float) -> None:
        """Keep it."""
        self.told.append(("answers again", round(seconds)))

    def end(self, seconds: float, where: Sequence[str]) -> None:
        """Keep it."""
        self.told.append(("end", round(seconds)))
        self.where = where


class World:
    """A watch on a clock of its own."""

    def __init__(self, thread: int = 1) -> None:
        self.now = 100.0
        self.loop = Loop()
        self.alarm = Alarm()
        loop: Any = self.loop  # it has what a watch needs of one
        self.watch = AskingLoopWatch(LIMIT_S, self.alarm, loop, thread, lambda: self.now)

    def run(self, seconds: float) -> bool:
        """Look for so long, or until the loop is lost, and say whether it is."""
        until, is_lost = self.now + seconds, False
        while self.now < until and not is_lost:
            self.now += STEP_S
            is_lost = self.watch.look()
        return is_lost

    def stand_still(self, seconds: float) -> bool:
        """Let time pass in which no thread runs."""
        self.now += seconds
        return self.watch.look()


def test_a_loop_that_answers_is_left_alone() -> None:
    """While the loop answers, nothing is told, however long it runs."""
    world = World()

    assert not world.run(3 * LIMIT_S)
    assert world.alarm.told == []


def test_a_loop_that_stands_still_is_told_of_and_then_given_up() -> None:
    """Its silence is told once, and after the limit it is lost."""
    world = World()
    world.run(10)
    world.loop.is_stuck = True

    assert not world.run(LIMIT_S)
    assert world.alarm.told == [("silent", TELL_AFTER_S)]
    assert world.run(2)
    world.watch.end()
    assert world.alarm.told[1:] == [("end", round(LIMIT_S))]


def test_a_loop_that_goes_on_is_kept() -> None:
    """A loop that answers before the limit has its silence told, and begins anew with all of the limit."""
    world = World()
    for _ in range(2):
        world.loop.is_stuck = True
        assert not world.run(LIMIT_S - 5)
        world.loop.is_stuck = False
        world.loop.go_on()
        assert not world.run(5)

    assert [what for what, _ in world.alarm.told] == ["silent", "answers again"] * 2


def test_a_process_that_was_suspended_is_not_blamed() -> None:
    """Time in which the watching thread did not run either does not count, whatever was asked before it."""
    world = World()
    world.run(10)
    world.loop.is_stuck = True
    world.run(1.5)  # asked, and suspended before the loop could answer

    assert not any(world.stand_still(3_600) for _ in range(4))
    world.loop.is_stuck = False
    world.loop.go_on()
    assert not world.run(LIMIT_S)
    assert [what for what, _ in world.alarm.told] in ([], ["silent", "answers again"])


def test_it_says_where_the_loop_stands() -> None:
    """Modules, lines and functions are named, the innermost first, and no value is."""
    is_in, may_go = threading.Event(), threading.Event()

    def stand(secret: str) -> None:
        is_in.set()
        may_go.wait()
        assert secret

    thread = threading.Thread(target=stand, args=("jane@example.com",))
    thread.start()
    is_in.wait()
    world = World(thread.ident or 1)
    world.loop.is_stuck = True
    world.run(10)
    may_go.set()
    thread.join()

    where = [place.partition(" ")[2] for place in world.alarm.where]
    assert any(place.endswith("stand") for place in where)
    assert any(place.endswith("Event.wait") for place in where)
    assert len(where) <= FRAMES
    assert "jane" not in str(world.alarm.where)
