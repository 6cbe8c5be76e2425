"""The right to POST: what is acknowledged, and for how long."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from processor.engine.journal import Plan
from processor.runtime.lease import Lease
from tests.fakes.clock import FakeClock
from tests.fakes.loop import run_virtually

LASTS_S = 20.0


class Scene:
    """A lease, and how often it asked for a commit."""

    def __init__(self) -> None:
        self.wakes = 0
        self.lease = Lease(FakeClock(), LASTS_S, self._wake)
        self.plan = Plan(10, b"", 0, [])

    def _wake(self) -> None:
        self.wakes += 1

    def acknowledge(self, asked_s_ago: float = 0.0) -> None:
        """Let the broker take what the plan says by now."""
        self.lease.acknowledge([(self.plan, self.plan.revision)], asyncio.get_running_loop().time() - asked_s_ago)

    async def wait(self) -> asyncio.Task[None]:
        """Begin to wait for the right to POST."""
        task = asyncio.create_task(self.lease.until_covered(self.plan))
        await asyncio.sleep(0)
        return task


def play(story: Callable[[Scene], Coroutine[Any, Any, None]]) -> None:
    """Tell a story of a lease on virtual time."""

    async def tell() -> None:
        await story(Scene())

    run_virtually(tell())


def test_a_plan_is_covered_from_its_acknowledgement_until_the_lease_ends() -> None:
    """And nobody waits meanwhile."""

    async def story(scene: Scene) -> None:
        assert not scene.lease.covers(scene.plan)
        scene.acknowledge()
        assert scene.lease.covers(scene.plan)
        await scene.lease.until_covered(scene.plan)
        await asyncio.sleep(LASTS_S - 0.01)
        assert scene.lease.covers(scene.plan)
        await asyncio.sleep(0.01)
        assert not scene.lease.covers(scene.plan)
        assert scene.wakes == 0

    play(story)


def test_a_lease_counts_from_the_moment_at_which_its_commit_was_asked_for() -> None:
    """The broker may have looked at any time since."""

    async def story(scene: Scene) -> None:
        scene.acknowledge(asked_s_ago=LASTS_S)
        assert not scene.lease.covers(scene.plan)

    play(story)


def test_who_waits_asks_for_a_commit_and_goes_on_with_its_answer() -> None:
    """The plan stands among those waited for until then."""

    async def story(scene: Scene) -> None:
        waiting = [await scene.wait(), await scene.wait()]
        assert (scene.wakes, scene.lease.waiting) == (2, [scene.plan, scene.plan])
        scene.acknowledge()
        await asyncio.gather(*waiting)
        assert scene.lease.waiting == []

    play(story)


def test_a_plan_that_was_revised_waits_for_its_latest_revision() -> None:
    """A commit that was under way tells of the one before."""

    async def story(scene: Scene) -> None:
        waiting = await scene.wait()
        told = scene.plan.revision
        scene.plan.revise()
        scene.lease.acknowledge([(scene.plan, told)], asyncio.get_running_loop().time())
        await asyncio.sleep(0)
        assert not waiting.done()
        scene.acknowledge()
        await waiting

    play(story)


def test_who_is_cancelled_waits_no_more() -> None:
    """Its partition goes, and nobody needs the commit."""

    async def story(scene: Scene) -> None:
        waiting = await scene.wait()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert scene.lease.waiting == []

    play(story)


def test_what_is_noted_is_told_with_the_next_commit() -> None:
    """In no hurry: it is only said to be behind."""

    async def story(scene: Scene) -> None:
        assert not scene.lease.is_behind
        scene.lease.note()
        assert (scene.lease.is_behind, scene.wakes, scene.lease.waiting) == (True, 1, [])

    play(story)
