"""Workers, and a process that gives way to them, before one FullStory with a limit that nobody knows."""

import asyncio
from dataclasses import dataclass, replace
from random import Random

from processor.app.assemble import Ports, assemble
from processor.engine.limits import LimitSettings
from processor.engine.neighbours import Neighbours
from processor.engine.partition.range_queue import BatchLimits
from processor.runtime.worker import Worker
from processor.simulation.clock import LoopClock
from processor.simulation.fullstory import SimulatedFullStory
from processor.simulation.kafka import Member, SteadyTopic
from processor.simulation.loop import run_virtually
from processor.simulation.nothing import NoLetters, NoSchemas
from processor.simulation.numbers import Numbers

LOOK_EVERY_S = 1.0
LIVE = Numbers(
    partitions=8,
    workers=2,
    rate=30.0,
    limit=40.0,
    latency_s=0.05,
    job_s=(0.5, 1.0),
    batch=BatchLimits(5, linger_s=0.5),
    scale=1,
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen in a stretch of time."""

    p99: float
    p50: float
    used: float
    """The part of the limit that all took together."""
    by_lane: float
    """Requests a second."""
    refused: int


class Scene:
    """Lives on virtual time."""

    def __init__(self, live: Numbers, share: float = 0.2, letters: int = 1_000_000, *, is_blind: bool = False) -> None:
        self.live = live
        self.clock = LoopClock()
        self._ages: list[tuple[float, float]] = []
        self._letters = replace(live, rate=0.0, backlog=letters, partitions=4, workers=1, users=5_000)
        self._share = share
        self._is_blind = is_blind
        self._members: list[Member] = []
        self._tasks: list[asyncio.Task[object]] = []
        self._fullstory = SimulatedFullStory(live, self.clock, lambda at, age: self._ages.append((at, age)))
        self._lanes = SimulatedFullStory(self._letters, self.clock, lambda _at, _age: None)
        assert self._fullstory.limit is not None
        self.limit = self._lanes.limit = self._fullstory.limit
        self.lane: Worker | None = None

    def begin(self) -> None:
        """Let the workers deliver."""
        topic = SteadyTopic(self.live, self.clock)
        for number in range(self.live.workers):
            member = Member(topic, topic.partitions[number :: self.live.workers], self.clock)
            self._members.append(member)
            self._start(member, self._fullstory, LimitSettings(), f"{number}")

    def redrive(self) -> None:
        """Let the process beside them begin."""
        topic = SteadyTopic(self._letters, self.clock)
        self.lane = self._start(
            Member(topic, topic.partitions, self.clock), self._lanes, LimitSettings(lane_share=self._share), "lane"
        )
        if not self._is_blind:
            self._tasks.append(asyncio.create_task(self._watch(self.lane)))

    def _start(self, member: Member, fullstory: SimulatedFullStory, limits: LimitSettings, name: str) -> Worker:
        settings = self.live.settings()
        settings = replace(settings, limits=limits, worker=replace(settings.worker, process=name))
        chance = Random(f"{self.live.seed} {name}")
        worker = assemble(
            Ports(member, fullstory, NoLetters(), NoSchemas(), self.clock, chance), settings, lambda _notice: None
        )
        worker.use_batches(is_batch=True)
        worker.open("simulated")
        self._tasks.append(asyncio.create_task(worker.run(asyncio.Event())))
        return worker

    async def _watch(self, lane: Worker) -> None:
        neighbours = Neighbours()
        while True:
            told = [each.metadata for member in self._members for each in member.committed.values()]
            if (others := neighbours.seen(told)) is not None:
                lane.gate.limits.beside(self.clock.monotonic(), others)
                lane.gate.wake()
            await asyncio.sleep(LOOK_EVERY_S)

    async def watch(self, seconds: float) -> Seen:
        """Let time pass."""
        limit, since = self.limit, self.clock.monotonic()
        by_lane, refused = self._by_lane, len(limit.refused)
        self._ages.clear()
        await asyncio.sleep(seconds)
        for task in self._tasks:
            if task.done():
                task.result()
        self._fullstory.settle()
        ages = sorted(age for _, age in self._ages)
        return Seen(
            ages[int(len(ages) * 0.99)],
            ages[len(ages) // 2],
            limit.used(since, self.clock.monotonic()),
            (self._by_lane - by_lane) / seconds,
            len(limit.refused) - refused,
        )

    @property
    def _by_lane(self) -> int:
        return 0 if self.lane is None else self.lane.gate.limits.taken


def seen(live: Numbers, *stretches: float, is_blind: bool = False) -> list[Seen]:
    """Return what was seen without the lane in the first stretch of time, and with it in each other one."""

    async def story() -> list[Seen]:
        scene = Scene(live, is_blind=is_blind)
        scene.begin()
        await scene.watch(30.0)
        found = [await scene.watch(stretches[0])]
        scene.redrive()
        found += [await scene.watch(each) for each in stretches[1:]]
        return found

    return run_virtually(story())
