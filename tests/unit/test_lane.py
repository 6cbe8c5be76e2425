"""A process beside the workers: how it learns what they do, and says when it cannot."""

import asyncio
import io
import json
from collections.abc import Collection

from processor.adapters.telemetry.logs import logging_to
from processor.app.lane import MAIN, UNTOLD, Lane, LaneTexts
from processor.engine.leftover import Others
from processor.engine.limits import Limits, LimitSettings
from processor.engine.partition.journal_format import METADATA_BYTES, RequestTally, signed
from processor.model.errors import SourceError
from processor.runtime.gate import Gate
from processor.simulation.clock import LoopClock
from tests.fakes.hurried_loop import run_hurriedly

HEAD = "sf1,place,destination,0,lineage"


def told(taken: int) -> list[str]:
    """Return what a worker commits."""
    return [signed(HEAD, RequestTally("a", taken, 0), METADATA_BYTES)]


class Answers:
    """What Kafka answers, one look after the other."""

    def __init__(self, *answers: Collection[str] | SourceError) -> None:
        self._answers = list(answers)
        self.are_given = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def __call__(self) -> LaneTexts:
        """Give the next one; called by a thread."""
        if not self._answers:
            self._loop.call_soon_threadsafe(self.are_given.set)
            return told(1_000), ()
        answer = self._answers.pop(0)
        if isinstance(answer, SourceError):
            raise answer
        return answer, ()


def test_what_workers_do_is_seen_and_said_where_it_cannot_be() -> None:
    """Each change is said once; what they did while they were not seen counts, too."""
    out = io.StringIO()

    async def watch() -> Limits:
        limits = Limits(LimitSettings(lane_share=0.2), lambda: 0.5)
        gate = Gate(limits, LoopClock(), lambda _notice: None)
        denied = SourceError("the group's commits cannot be read")
        others = Answers([], [HEAD], told(900), told(910), denied, denied, told(960))
        with logging_to(out, "info", "json") as log:
            lane = Lane(share=0.2, others=others)
            watching = asyncio.create_task(lane.watch_others(gate, LoopClock(), log))
            await others.are_given.wait()
            watching.cancel()
        return limits

    limits = run_hurriedly(watch())

    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(each["event"], each.get("detail")) for each in lines] == [
        ("workers are not seen", UNTOLD),
        ("workers are seen", None),
        ("workers are not seen", "the group's commits cannot be read"),
        ("workers are seen", None),
    ]
    assert limits._leftover is not None
    assert limits._leftover._others in (Others(60, 0), Others(100, 0))


def test_an_equal_looks_at_nobody() -> None:
    """A worker asks Kafka for nothing more, and neither does a redrive with the whole share."""

    async def watch() -> None:
        gate = Gate(Limits(LimitSettings(), lambda: 0.5), LoopClock(), lambda _notice: None)
        with logging_to(io.StringIO(), "info", "json") as log:
            await MAIN.watch_others(gate, LoopClock(), log)

    run_hurriedly(watch())
