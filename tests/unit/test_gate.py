"""Who may send a request, and when; and why delivery stands still."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from processor.engine.limits import Cost, Limits, LimitSettings, Load
from processor.engine.verdict import Answer
from processor.model.reasons import ACTIONS, HaltReason
from processor.runtime.gate import Gate
from processor.runtime.notices import Halted, Resumed
from tests.fakes.clock import FakeClock
from tests.fakes.loop import run_virtually
from tests.fakes.observer import RecordingObserver


class Scene:
    """A gate with room for two requests at a time, and who was let through when."""

    def __init__(self, *, is_open: bool = True) -> None:
        limits = Limits(LimitSettings(initial_concurrency=2), lambda: 0.5)
        limits.share(1, 1)
        self.observer = RecordingObserver()
        self.gate = Gate(limits, FakeClock(), self.observer)
        self.names: list[str] = []
        """Who was let through, in order."""
        self.times: list[float] = []
        self.looks = 0
        self.gate.watch(self._look)
        self._begun = FakeClock().monotonic()
        if is_open:
            self.gate.open()

    def _look(self) -> None:
        self.looks += 1

    def ask(self, name: str, operations: int = 1) -> asyncio.Task[None]:
        """Ask for the right to send."""

        async def admit() -> None:
            await self.gate.admit(Cost.of_job(operations))
            self.names.append(name)
            self.times.append(FakeClock().monotonic() - self._begun)

        return asyncio.get_running_loop().create_task(admit())

    def end(self, operations: int = 1) -> None:
        """One of those let through is answered for good."""
        self.gate.answered(Load.UNKNOWN, 0.0)
        self.gate.finished(Cost.of_job(operations))


def causes(gate: Gate) -> dict[HaltReason, str]:
    """Return why delivery stands still, in words."""
    return {reason: halt.cause for reason, halt in gate.halts.items()}


def play(story: Callable[[Scene], Coroutine[Any, Any, None]], *, is_open: bool = True) -> Scene:
    """Tell a story of a gate on virtual time."""

    async def tell() -> Scene:
        scene = Scene(is_open=is_open)
        await story(scene)
        return scene

    return run_virtually(tell())


def test_nobody_passes_before_it_is_open() -> None:
    """Until it is known whose key this is."""

    async def story(scene: Scene) -> None:
        scene.ask("a")
        await asyncio.sleep(1.0)
        assert (scene.names, scene.gate.room, scene.gate.is_blocked_for(0.0)) == ([], 0, True)
        scene.gate.open()
        await asyncio.sleep(0)
        assert (scene.names, scene.gate.room, scene.gate.is_blocked_for(0.0)) == (["a"], 1, False)

    play(story, is_open=False)


def test_first_come_first_served() -> None:
    """Whoever waits is let through in order, each by the end of another."""

    async def story(scene: Scene) -> None:
        for name in "abcd":
            scene.ask(name)
        await asyncio.sleep(1.0)
        assert (scene.names, scene.gate.room) == (["a", "b"], 0)
        scene.end()
        await asyncio.sleep(0)
        assert scene.names == ["a", "b", "c"]

    play(story)


def test_a_large_request_is_not_overtaken() -> None:
    """Else a stream of small ones would keep it waiting for ever."""

    async def story(scene: Scene) -> None:
        scene.ask("a")
        scene.ask("large", 300_000)
        scene.ask("c")
        await asyncio.sleep(1.0)
        assert (scene.names, scene.gate.room) == (["a"], 0)
        scene.end()
        await asyncio.sleep(0)
        assert scene.names == ["a", "large"]

    play(story)


def test_time_alone_opens_what_it_closed() -> None:
    """A block ends by itself, also when it was prolonged meanwhile."""

    async def story(scene: Scene) -> None:
        assert scene.gate.block(5.0) == 5.0
        scene.ask("a")
        await asyncio.sleep(1.0)
        assert scene.gate.block(9.0) == 5.0
        assert (scene.gate.is_blocked_for(8.0), scene.gate.is_blocked_for(9.0)) == (True, False)
        await asyncio.sleep(20.0)
        assert scene.times == pytest.approx([10.0])

    play(story)


@pytest.mark.parametrize("is_blocked", [True, False])
def test_whoever_gives_up_waiting_leaves_the_queue(*, is_blocked: bool) -> None:
    """Those behind it move up."""

    async def story(scene: Scene) -> None:
        if is_blocked:
            scene.gate.block(5.0)
        else:
            scene.ask("a", 150_000)
        first = scene.ask("b", 100_000)
        scene.ask("c")
        await asyncio.sleep(1.0)
        first.cancel()
        await asyncio.sleep(10.0)
        assert scene.names[-1] == "c"
        assert "b" not in scene.names

    play(story)


def test_one_that_gave_up_is_passed_over() -> None:
    """Its turn comes before it has left the queue."""

    async def story(scene: Scene) -> None:
        for name in "ab":
            scene.ask(name)
        await asyncio.sleep(0)
        third = scene.ask("c")
        scene.ask("d")
        await asyncio.sleep(0)
        third.cancel()
        scene.end()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert scene.names == ["a", "b", "d"]
        assert scene.gate.limits.awaiting_answer == 2

    play(story)


def test_a_right_that_was_granted_to_one_that_gave_up_is_given_back() -> None:
    """Granted and cancelled at one moment: nothing was sent, and the next one has it."""

    async def story(scene: Scene) -> None:
        for name in "ab":
            scene.ask(name)
        await asyncio.sleep(0)
        third = scene.ask("c")
        scene.ask("d")
        await asyncio.sleep(0)
        scene.end()
        third.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert scene.names == ["a", "b", "d"]
        assert (scene.gate.limits.jobs, scene.gate.limits.operations) == (2, 2)

    play(story)


def test_the_watcher_is_told_when_there_may_be_room() -> None:
    """After an answer, after a job, at a halt and after it; not while somebody waits for the room himself."""

    async def story(scene: Scene) -> None:
        for name in "ab":
            scene.ask(name)
        await asyncio.sleep(0)
        before = scene.looks
        scene.ask("c", 300_000)
        await asyncio.sleep(0)
        assert scene.looks == before
        scene.end()
        assert scene.looks == before
        scene.end()
        assert scene.looks == before + 1
        await asyncio.sleep(0)
        scene.gate.halt(HaltReason.UNAUTHORIZED, "no")
        scene.gate.resume(HaltReason.UNAUTHORIZED)
        assert scene.looks == before + 3

    play(story)


def test_a_probed_halt_lets_one_through_each_interval() -> None:
    """And says once that it began and once that it ended."""

    async def story(scene: Scene) -> None:
        scene.gate.halt(HaltReason.UNAUTHORIZED, "no")
        scene.gate.halt(HaltReason.UNAUTHORIZED, "still no")
        for name in "ab":
            scene.ask(name)
        await asyncio.sleep(20.0)
        assert scene.names == ["a"]
        assert scene.times == pytest.approx([15.0])
        assert causes(scene.gate) == {HaltReason.UNAUTHORIZED: "still no"}
        assert scene.gate.is_blocked_for(0.0)
        scene.gate.resume(HaltReason.UNAUTHORIZED, HaltReason.FORBIDDEN)
        await asyncio.sleep(0)
        assert scene.names == ["a", "b"]

    scene = play(story)
    expected = [
        Halted(HaltReason.UNAUTHORIZED, "no", ACTIONS[HaltReason.UNAUTHORIZED]),
        Resumed(HaltReason.UNAUTHORIZED, 20.0, is_cured=True),
    ]
    assert scene.observer.notices == expected


def test_the_end_of_one_halt_is_not_the_end_of_another() -> None:
    """Probes go on for as long as any cause for them lasts."""

    async def story(scene: Scene) -> None:
        scene.gate.halt(HaltReason.UNAUTHORIZED, "no")
        scene.gate.halt(HaltReason.FORBIDDEN, "no")
        scene.gate.resume(HaltReason.UNAUTHORIZED)
        assert scene.gate.limits.is_halted
        scene.gate.resume(HaltReason.FORBIDDEN)
        assert not scene.gate.limits.is_halted

    play(story)


@pytest.mark.parametrize("reason", [HaltReason.WRONG_ORG, HaltReason.DEAD_LETTER_TOPIC, HaltReason.DEAD_LETTER_RATIO])
def test_some_halts_let_nothing_through_at_all(reason: HaltReason) -> None:
    """A probe would do harm, or help nobody."""

    async def story(scene: Scene) -> None:
        scene.gate.halt(reason, "no")
        scene.ask("a")
        await asyncio.sleep(3_600.0)
        assert (scene.names, scene.gate.room, scene.gate.is_blocked_for(0.0)) == ([], 0, True)
        scene.gate.resume(reason)
        await asyncio.sleep(0)
        assert scene.names == ["a"]

    play(story)


def test_a_halt_that_several_hold_ends_with_the_last() -> None:
    """And shows what one of those says that still hold it."""

    async def story(scene: Scene) -> None:
        gate, reason = scene.gate, HaltReason.GAP
        with gate.held(reason, "first"):
            with gate.held(reason, "second"):
                assert causes(gate) == {reason: "second"}
            assert causes(gate) == {reason: "first"}
            assert gate.room == 2
        assert gate.halts == {}

    scene = play(story)
    assert scene.observer.notices == [
        Halted(HaltReason.GAP, "first", ACTIONS[HaltReason.GAP]),
        Resumed(HaltReason.GAP, 0.0, is_cured=True),
    ]


def test_a_held_halt_may_be_resumed_for_all() -> None:
    """Whoever still holds it does not bring it back by letting go."""

    async def story(scene: Scene) -> None:
        gate, reason = scene.gate, HaltReason.DEAD_LETTER_TOPIC
        with gate.held(reason, "first"):
            with gate.held(reason, "second"):
                gate.resume(reason)
            assert gate.halts == {}

    play(story)


def test_a_halt_that_is_cancelled_or_another_workers_now_is_not_cured() -> None:
    """Nobody is to believe that its cause is gone."""

    async def hold(gate: Gate) -> None:
        with gate.held(HaltReason.STUCK_JOB, "it does not end"):
            await asyncio.Event().wait()

    async def story(scene: Scene) -> None:
        holding = asyncio.get_running_loop().create_task(hold(scene.gate))
        await asyncio.sleep(5.0)
        holding.cancel()
        await asyncio.wait({holding})
        with scene.gate.held(HaltReason.GAP, "records are gone", is_cured_at_end=False):
            await asyncio.sleep(3.0)

    assert play(story).observer.of(Resumed) == [
        Resumed(HaltReason.STUCK_JOB, 5.0, is_cured=False),
        Resumed(HaltReason.GAP, 3.0, is_cured=False),
    ]


def test_a_process_that_ends_reports_no_end_of_a_halt() -> None:
    """What ends with the process has not ended."""

    async def story(scene: Scene) -> None:
        with scene.gate.held(HaltReason.GAP, "records are gone"):
            scene.gate.leave()

    scene = play(story)
    assert scene.observer.of(Resumed) == []
    assert len(scene.observer.of(Halted)) == 1


def test_an_outage_is_a_halt_for_as_long_as_every_request_fails() -> None:
    """With its cause and its beginning; the first answer that is none of a failure ends it."""

    async def story(scene: Scene) -> None:
        gate, begun = scene.gate, FakeClock().wall()
        for _ in range(4):
            call = gate.responses.asked(FakeClock().monotonic(), is_question=False)
            gate.responses.answered(call, FakeClock().monotonic(), Answer(503), is_question=False)
            await asyncio.sleep(1.0)
        gate.judge()
        halt = gate.halts[HaltReason.FULLSTORY_UNAVAILABLE]
        assert halt.cause == "FullStory answers 503 to every request"
        assert gate.room == 2, "a halt of this kind keeps nobody from trying"
        await asyncio.sleep(10.0)
        call = gate.responses.asked(FakeClock().monotonic(), is_question=False)
        gate.responses.answered(call, FakeClock().monotonic(), Answer(200), is_question=False)
        gate.judge()
        assert gate.halts == {}
        assert halt.since == pytest.approx(begun + 4.0)

    assert [type(each) for each in play(story).observer.notices] == [Halted, Resumed]


def test_an_outage_that_turns_into_refusals_has_not_ended_and_one_that_is_forgotten_is_not_cured() -> None:
    """Nothing was delivered in between."""

    async def story(scene: Scene) -> None:
        gate, clock = scene.gate, FakeClock()
        for status in [503] * 4 + [429] * 40:
            call = gate.responses.asked(clock.monotonic(), is_question=False)
            gate.responses.answered(call, clock.monotonic(), Answer(status), is_question=False)
            await asyncio.sleep(1.0)
            gate.judge()
        assert "429" in gate.halts[HaltReason.FULLSTORY_UNAVAILABLE].cause
        await asyncio.sleep(1_000.0)
        gate.judge()

    notices = play(story).observer.notices
    assert [type(each) for each in notices] == [Halted, Resumed]
    assert not play(story).observer.of(Resumed)[0].is_cured


def test_a_halt_that_one_holder_leaves_shows_cause_and_action_of_the_other() -> None:
    """The advice for the one may do nothing for the other."""

    async def story(scene: Scene) -> None:
        gate = scene.gate
        with gate.held(HaltReason.GAP, "one", "Do this."):
            with gate.held(HaltReason.GAP, "other", "Do that."):
                assert gate.halts[HaltReason.GAP].action == "Do that."
            assert (gate.halts[HaltReason.GAP].cause, gate.halts[HaltReason.GAP].action) == ("one", "Do this.")

    play(story)
