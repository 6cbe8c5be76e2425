"""Who may send a request, and when; and why delivery stands still."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import Any

import pytest

from processor.engine.halts import SHOWN_FAULTS
from processor.engine.limits import Cost, Limits, LimitSettings, Load
from processor.engine.notices import Halted, Resumed
from processor.engine.speaker import ApiCall
from processor.engine.verdict import Answer
from processor.model.reasons import ACTIONS, HaltReason
from processor.runtime.gate import Gate
from processor.runtime.ports import SourceFault
from processor.runtime.worker import LEAST_WAIT_S
from processor.simulation.loop import run_virtually
from tests.fakes.clock import FakeClock
from tests.fakes.observer import RecordingObserver


class Waiting:
    """A request that waits for room; `is_wanted` may be taken back, and `is_due` says what becomes of it then."""

    def __init__(self, scene: "Scene", name: str, cost: Cost) -> None:
        self.cost = cost
        self.failures = 0
        self.is_wanted = True
        self.is_due = True
        self._scene = scene
        self._name = name

    def send(self) -> bool:
        """Pass, if it still is to be sent."""
        if self.is_due:
            self._scene.passed(self._name)
        return self.is_due


class Scene:
    """A gate with room for two requests at a time, served as the worker does, and who was let through when."""

    def __init__(self, *, is_open: bool = True) -> None:
        limits = Limits(LimitSettings(initial_concurrency=2), lambda: 0.5)
        limits.share(1, 1)
        self.observer = RecordingObserver()
        self.gate = Gate(limits, FakeClock(), self.observer)
        self.names: list[str] = []
        """Who was let through, in order."""
        self.times: list[float] = []
        self.wakes = 0
        self.gate.wake = self.wake
        self._begun = FakeClock().monotonic()
        self._timer: asyncio.TimerHandle | None = None
        if is_open:
            self.gate.open()

    def wake(self) -> None:
        """Serve soon."""
        self.wakes += 1
        asyncio.get_running_loop().call_soon(self._serve)

    def _serve(self) -> None:
        loop, chance = asyncio.get_running_loop(), self.gate.serve()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if chance is None else loop.call_at(max(chance, loop.time() + LEAST_WAIT_S), self._serve)

    def passed(self, name: str) -> None:
        """Note one that was let through."""
        self.names.append(name)
        self.times.append(FakeClock().monotonic() - self._begun)

    def queue(self, name: str, operations: int = 1) -> Waiting:
        """Wait for the right to send; whoever queues something serves soon."""
        waiting = Waiting(self, name, Cost(operations, 1))
        self.gate.queue(waiting)
        asyncio.get_running_loop().call_soon(self._serve)
        return waiting

    def ask(self, name: str) -> asyncio.Task[None]:
        """Wait for the right to ask for a job."""

        async def ask() -> None:
            await self.gate.ask()
            self.passed(name)

        return asyncio.get_running_loop().create_task(ask())

    def end(self, operations: int = 1) -> None:
        """One of those let through is answered for good."""
        self.gate.answered(Load.UNKNOWN, 0.0)
        self.gate.limits.finished(Cost(operations, 1))


async def all_is_quiet() -> None:
    """Return when all that can happen now has happened."""
    await asyncio.sleep(0.0001)


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
        scene.queue("a")
        await asyncio.sleep(1.0)
        assert (scene.names, scene.gate.room, scene.gate.is_blocked_for(0.0)) == ([], 0, True)
        scene.gate.open()
        await all_is_quiet()
        assert (scene.names, scene.gate.room, scene.gate.is_blocked_for(0.0)) == (["a"], 1, False)

    play(story, is_open=False)


def test_it_is_short_while_requests_wait_for_a_rate() -> None:
    """Nobody waits at first; then for answers alone; and after a refusal for the rate, too."""

    async def story(scene: Scene) -> None:
        assert not scene.gate.is_short
        for name in "abc":
            scene.queue(name)
        await all_is_quiet()
        assert not scene.gate.is_short
        scene.gate.answered(Load.FINE, 0.0)
        scene.gate.answered(Load.THROTTLED, FakeClock().monotonic())
        assert scene.gate.is_short

    play(story)


def test_first_come_first_served() -> None:
    """Whoever waits is let through in order, each by the end of another."""

    async def story(scene: Scene) -> None:
        for name in "abcd":
            scene.queue(name)
        await asyncio.sleep(1.0)
        assert (scene.names, scene.gate.room) == (["a", "b"], 0)
        scene.end()
        await all_is_quiet()
        assert scene.names == ["a", "b", "c"]

    play(story)


def test_a_large_request_is_not_overtaken() -> None:
    """Else a stream of small ones would keep it waiting for ever."""

    async def story(scene: Scene) -> None:
        scene.queue("a")
        scene.queue("large", 300_000)
        scene.queue("c")
        await asyncio.sleep(1.0)
        assert (scene.names, scene.gate.room) == (["a"], 0)
        scene.end()
        await all_is_quiet()
        assert scene.names == ["a", "large"]

    play(story)


def test_time_alone_opens_what_it_closed() -> None:
    """A block ends by itself, also when it was prolonged meanwhile."""

    async def story(scene: Scene) -> None:
        assert scene.gate.block(5.0) == 5.0
        scene.queue("a")
        await asyncio.sleep(1.0)
        assert scene.gate.block(9.0) == 5.0
        assert (scene.gate.is_blocked_for(8.0), scene.gate.is_blocked_for(9.0)) == (True, False)
        await asyncio.sleep(20.0)
        assert scene.times == pytest.approx([10.0])

    play(story)


@pytest.mark.parametrize("is_blocked", [True, False])
def test_what_is_not_wanted_any_more_leaves_the_queue(*, is_blocked: bool) -> None:
    """Those behind it move up."""

    async def story(scene: Scene) -> None:
        if is_blocked:
            scene.gate.block(5.0)
        else:
            scene.queue("a", 150_000)
        first = scene.queue("b", 100_000)
        scene.queue("c")
        await asyncio.sleep(1.0)
        assert "c" not in scene.names
        first.is_wanted = False
        scene.wake()
        await asyncio.sleep(10.0)
        assert scene.names[-1] == "c"
        assert "b" not in scene.names

    play(story)


def test_one_that_is_not_wanted_when_its_turn_comes_is_passed_over() -> None:
    """The room that came is for the next one, and is counted once."""

    async def story(scene: Scene) -> None:
        for name in "ab":
            scene.queue(name)
        third = scene.queue("c")
        scene.queue("d")
        await all_is_quiet()
        third.is_wanted = False
        scene.end()
        await all_is_quiet()
        assert scene.names == ["a", "b", "d"]
        assert (scene.gate.limits.jobs, scene.gate.limits.operations) == (2, 2)

    play(story)


def test_what_is_not_sent_after_all_takes_no_room() -> None:
    """Its lease may have ended while it waited: nothing was sent, and the next one has the right."""

    async def story(scene: Scene) -> None:
        scene.queue("a")
        scene.queue("b").is_due = False
        scene.queue("c")
        await all_is_quiet()
        assert scene.names == ["a", "c"]
        assert (scene.gate.limits.jobs, scene.gate.limits.operations, scene.gate.is_waited_for) == (2, 2, False)

    play(story)


def test_it_wants_to_be_served_whenever_there_may_be_room() -> None:
    """When it opens, after an answer, for a question, at a halt that is probed and after it."""

    async def story(scene: Scene) -> None:
        assert scene.wakes == 1
        for name in "ab":
            scene.queue(name)
        await all_is_quiet()
        scene.end()
        assert scene.wakes == 2
        scene.gate.told(Load.FINE, 0.0)
        assert scene.wakes == 3
        scene.ask("question")
        await all_is_quiet()
        assert scene.wakes == 4
        scene.gate.halt(HaltReason.UNAUTHORIZED, "no")
        assert scene.wakes == 5
        scene.gate.resume(HaltReason.UNAUTHORIZED)
        assert scene.wakes == 6
        scene.gate.resume(HaltReason.UNAUTHORIZED)
        assert scene.wakes == 6, "there was nothing to resume"

    play(story)


def test_there_is_no_room_while_others_wait_for_it() -> None:
    """Whoever would form a batch now would only wait behind them."""

    async def story(scene: Scene) -> None:
        scene.queue("a")
        await all_is_quiet()
        assert (scene.gate.room, scene.gate.is_waited_for) == (1, False)
        scene.queue("large", 300_000)
        await all_is_quiet()
        assert (scene.gate.room, scene.gate.is_waited_for) == (0, True)

    play(story)


# Questions


def test_questions_go_before_requests_in_their_order() -> None:
    """What is in progress is to end before more is begun."""

    async def story(scene: Scene) -> None:
        scene.queue("a")
        scene.queue("b")
        await all_is_quiet()
        now = FakeClock().monotonic()
        scene.gate.answered(Load.FINE, now)
        scene.gate.block(1.0)
        scene.gate.answered(Load.THROTTLED, now)
        scene.queue("c")
        for name in "xy":
            scene.ask(name)
        await asyncio.sleep(10.0)
        assert scene.names == ["a", "b", "x", "y", "c"], "one at a time: since a refusal there is a rate"

    play(story)


@pytest.mark.parametrize("is_question", [True, False])
def test_a_block_holds_for_questions_and_for_requests(*, is_question: bool) -> None:
    """FullStory wishes to hear nothing at all."""

    async def story(scene: Scene) -> None:
        scene.gate.block(5.0)
        if is_question:
            scene.ask("x")
        else:
            scene.queue("x")
        await asyncio.sleep(20.0)
        assert scene.times == pytest.approx([5.0])

    play(story)


@pytest.mark.parametrize("reason", [HaltReason.UNAUTHORIZED, HaltReason.WRONG_ORG])
def test_a_halt_keeps_nobody_from_asking(reason: HaltReason) -> None:
    """Nor do requests that fill all room."""

    async def story(scene: Scene) -> None:
        for name in "abc":
            scene.queue(name)
        await all_is_quiet()
        scene.gate.halt(reason, "no")
        scene.ask("x")
        await all_is_quiet()
        assert scene.names == ["a", "b", "x"]

    play(story)


def test_a_question_that_nobody_waits_for_any_more_is_passed_over() -> None:
    """Its partition went meanwhile."""

    async def story(scene: Scene) -> None:
        scene.gate.block(5.0)
        first = scene.ask("x")
        scene.ask("y")
        await asyncio.sleep(1.0)
        first.cancel()
        await asyncio.sleep(5.0)
        assert scene.names == ["y"]

    play(story)


# Halts


def test_a_probed_halt_lets_one_through_each_interval() -> None:
    """And says once that it began and once that it ended."""

    async def story(scene: Scene) -> None:
        scene.gate.halt(HaltReason.UNAUTHORIZED, "no")
        scene.gate.halt(HaltReason.UNAUTHORIZED, "still no")
        for name in "ab":
            scene.queue(name)
        await asyncio.sleep(20.0)
        assert scene.names == ["a"]
        assert scene.times == pytest.approx([15.0])
        assert causes(scene.gate) == {HaltReason.UNAUTHORIZED: "still no"}
        assert scene.gate.is_blocked_for(0.0)
        scene.gate.resume(HaltReason.UNAUTHORIZED, HaltReason.FORBIDDEN)
        await all_is_quiet()
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
        scene.queue("a")
        await asyncio.sleep(3_600.0)
        assert (scene.names, scene.gate.room, scene.gate.is_blocked_for(0.0)) == ([], 0, True)
        scene.gate.resume(reason)
        await all_is_quiet()
        assert scene.names == ["a"]

    play(story)


def test_a_halt_that_several_hold_ends_with_the_last() -> None:
    """Of several in one place it shows what one of those says that still hold it."""

    async def story(scene: Scene) -> None:
        gate, reason = scene.gate, HaltReason.GAP
        with gate.held(reason, "t[0]", "first"):
            with gate.held(reason, "t[0]", "second"):
                assert causes(gate) == {reason: "second"}
            assert causes(gate) == {reason: "first"}
            assert gate.room == 2
        assert gate.halts == {}

    scene = play(story)
    assert scene.observer.notices == [
        Halted(HaltReason.GAP, "first", ACTIONS[HaltReason.GAP]),
        Resumed(HaltReason.GAP, 0.0, is_cured=True),
    ]


def test_a_halt_in_several_places_keeps_what_is_wrong_in_each() -> None:
    """Each is told once, has its own beginning, and goes with its place; the halt ends with the last one."""

    async def story(scene: Scene) -> None:
        gate, reason, begun = scene.gate, HaltReason.GAP, FakeClock().wall()
        with ExitStack() as first:
            first.enter_context(gate.held(reason, "t[0]", "t[0] lacks records", "Do this."))
            await asyncio.sleep(5.0)
            with gate.held(reason, "t[1]", "t[1] lacks records", "Do that."):
                gate.halt(reason, "t[1] lacks more records", where="t[1]")
                halt = gate.halts[reason]
                assert [(each.cause, each.since - begun) for each in halt.shown] == [
                    ("t[0] lacks records", 0.0),
                    ("t[1] lacks more records", 5.0),
                ]
                assert halt.cause == "t[0] lacks records; t[1] lacks more records"
                first.close()
                assert causes(gate) == {reason: "t[1] lacks more records"}
                assert gate.halts[reason].since == begun
        assert gate.halts == {}

    assert play(story).observer.notices == [
        Halted(HaltReason.GAP, "t[0] lacks records", "Do this.", 1),
        Halted(HaltReason.GAP, "t[1] lacks records", "Do that.", 2),
        Resumed(HaltReason.GAP, 5.0, is_cured=True),
    ]


def test_more_places_than_can_be_shown_are_counted() -> None:
    """The first ones are told one by one."""

    async def story(scene: Scene) -> None:
        for each in range(SHOWN_FAULTS + 3):
            scene.gate.halt(HaltReason.GAP, f"t[{each}] lacks records", where=f"t[{each}]")
        halt = scene.gate.halts[HaltReason.GAP]
        assert [each.cause for each in halt.shown] == [f"t[{each}] lacks records" for each in range(SHOWN_FAULTS)]
        assert halt.cause.endswith("; t[9] lacks records; and 3 more")
        assert halt.action == ACTIONS[HaltReason.GAP]

    play(story)


def test_faults_of_the_source_come_and_go_each_by_itself() -> None:
    """What is said of all of them replaces what was said before; other halts are none of its business."""
    topic, kafka = HaltReason.SOURCE_TOPIC, HaltReason.KAFKA_UNAVAILABLE

    async def story(scene: Scene) -> None:
        gate = scene.gate
        gate.halt(HaltReason.GAP, "t[0] lacks records")
        one, other = (SourceFault(f"topic {each} does not exist", where=each) for each in ("one", "other"))
        gate.source_faults({topic: [one, other]})
        assert gate.halts[topic].cause == "topic one does not exist; topic other does not exist"
        gate.source_faults({topic: [other], kafka: [SourceFault("no answer")]})
        assert (gate.halts[topic].cause, gate.halts[kafka].cause) == ("topic other does not exist", "no answer")
        gate.source_faults({})
        assert gate.halts.keys() == {HaltReason.GAP}

    told = play(story).observer
    assert [(each.reason, each.places) for each in told.of(Halted)[1:]] == [(topic, 1), (topic, 2), (kafka, 1)]
    assert {each.reason for each in told.of(Resumed)} == {topic, kafka}


def test_a_held_halt_may_be_resumed_for_all() -> None:
    """Whoever still holds it does not bring it back by letting go."""

    async def story(scene: Scene) -> None:
        gate, reason = scene.gate, HaltReason.DEAD_LETTER_TOPIC
        with gate.held(reason, "", "first"):
            with gate.held(reason, "", "second"):
                gate.resume(reason)
            assert gate.halts == {}

    play(story)


def test_a_halt_that_is_cancelled_or_another_workers_now_is_not_cured() -> None:
    """Nobody is to believe that its cause is gone."""

    async def hold(gate: Gate) -> None:
        with gate.held(HaltReason.STUCK_JOB, "j1", "it does not end"):
            await asyncio.Event().wait()

    async def story(scene: Scene) -> None:
        holding = asyncio.get_running_loop().create_task(hold(scene.gate))
        await asyncio.sleep(5.0)
        holding.cancel()
        await asyncio.wait({holding})
        with scene.gate.held(HaltReason.GAP, "t[0]", "records are gone", is_cured_at_end=False):
            await asyncio.sleep(3.0)

    assert play(story).observer.of(Resumed) == [
        Resumed(HaltReason.STUCK_JOB, 5.0, is_cured=False),
        Resumed(HaltReason.GAP, 3.0, is_cured=False),
    ]


def test_a_process_that_ends_reports_no_end_of_a_halt() -> None:
    """What ends with the process has not ended."""

    async def story(scene: Scene) -> None:
        with scene.gate.held(HaltReason.GAP, "t[0]", "records are gone"):
            scene.gate.leave()

    scene = play(story)
    assert scene.observer.of(Resumed) == []
    assert len(scene.observer.of(Halted)) == 1


def test_an_outage_is_a_halt_for_as_long_as_every_request_fails() -> None:
    """With its cause and its beginning; the first answer that is none of a failure ends it."""

    async def story(scene: Scene) -> None:
        gate, begun = scene.gate, FakeClock().wall()
        for _ in range(4):
            call = gate.health.asked(FakeClock().monotonic(), ApiCall.EVENT)
            gate.health.answered(call, FakeClock().monotonic(), Answer(503, {"code": "unavailable"}), ApiCall.EVENT)
            await asyncio.sleep(1.0)
        gate.judge()
        halt = gate.halts[HaltReason.FULLSTORY_UNAVAILABLE]
        assert halt.cause == "FullStory answers 503 to every request"
        assert gate.room == 2, "a halt of this kind keeps nobody from trying"
        await asyncio.sleep(10.0)
        call = gate.health.asked(FakeClock().monotonic(), ApiCall.EVENT)
        gate.health.answered(call, FakeClock().monotonic(), Answer(200, {}), ApiCall.EVENT)
        gate.judge()
        assert gate.halts == {}
        assert halt.since == pytest.approx(begun + 4.0)

    assert [type(each) for each in play(story).observer.notices] == [Halted, Resumed]


def test_an_outage_that_turns_into_refusals_has_not_ended_and_one_that_is_forgotten_is_not_cured() -> None:
    """Nothing was delivered in between."""

    async def story(scene: Scene) -> None:
        gate, clock = scene.gate, FakeClock()
        for status in [503] * 4 + [429] * 40:
            call = gate.health.asked(clock.monotonic(), ApiCall.EVENT)
            gate.health.answered(call, clock.monotonic(), Answer(status, {"code": "told"}), ApiCall.EVENT)
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
        with gate.held(HaltReason.GAP, "t[0]", "one", "Do this."):
            with gate.held(HaltReason.GAP, "t[0]", "other", "Do that."):
                assert gate.halts[HaltReason.GAP].action == "Do that."
            assert (gate.halts[HaltReason.GAP].cause, gate.halts[HaltReason.GAP].action) == ("one", "Do this.")

    play(story)
