"""One simulation from its start to its end, and what was seen of it."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from random import Random
from statistics import mode
from typing import Any, NamedTuple, final

from processor.app.assemble import Ports, assemble
from processor.engine.notices import Notice, Settled
from processor.model.reasons import Bottleneck
from processor.runtime.watch import Watch
from processor.simulation.clock import LoopClock
from processor.simulation.fullstory import SimulatedFullStory
from processor.simulation.kafka import Member, SteadyTopic
from processor.simulation.loop import run_virtually
from processor.simulation.nothing import NoLetters, NoSchemas
from processor.simulation.numbers import Numbers, Outage

STEPS = 200
"""So many moments are looked at, but none more often than each second."""

GROWING = 0.05
"""Of what arrives, the part that is not delivered in time where workers do not keep up."""

OnProgress = Callable[[float], None]
"""Told which part of the time has passed."""


class Ages(NamedTuple):
    """How old records were when they took effect, in seconds."""

    p50: float
    p99: float
    slowest: float

    @classmethod
    def of(cls, ages: Sequence[float]) -> "Ages | None":
        """Return them; None where nothing took effect."""
        if not ages:
            return None
        found = sorted(ages)
        return cls(found[len(found) // 2], found[int(len(found) * 0.99)], found[-1])


@dataclass(frozen=True, slots=True)
class RunStep:
    """What happened in a few seconds, up to `at_s` after the start."""

    at_s: float
    arrived_per_s: float
    delivered_per_s: float
    freshness: Ages | None
    behind: int
    """Records that were written and are not delivered, at the end of it."""
    limit_used: float | None
    refused: float | None
    bottleneck: Bottleneck
    """What most of the workers say at the end of it."""
    held_bytes: int
    """What the worker holds that holds most, at the end of it."""


@final
@dataclass(frozen=True, slots=True)
class Run:
    """What was seen."""

    numbers: Numbers
    steps: Sequence[RunStep]
    freshness: Ages | None
    written: int
    jobs_at_most: int

    @property
    def delivered(self) -> int:
        """How many records took effect, as far as the workers know."""
        return self.written - self.behind

    @property
    def behind(self) -> int:
        """How many were not delivered at the end."""
        return self.steps[-1].behind

    @property
    def growth_per_s(self) -> float:
        """By how much more is behind each second, in the last third of the time."""
        last = self.steps[-max(len(self.steps) // 3, 2) :]
        return (last[-1].behind - last[0].behind) / max(last[-1].at_s - last[0].at_s, 1.0)

    @property
    def is_behind(self) -> bool:
        """Whether more is under way at the end than arrives while a record may be fresh, or is soon going to be."""
        rate, fresh = self.numbers.rate, self.numbers.rate * self.numbers.fresh_s
        return self.behind > fresh or (self.behind > fresh / 2 and self.growth_per_s > rate * GROWING)

    @property
    def disturbed_until_s(self) -> float | None:
        """When the last cause of a delay was over: the outage, or the backlog of the start; None without."""
        if self.numbers.outage is not None:
            return self.numbers.outage.end_s
        return 0.0 if self.numbers.backlog else None

    @property
    def undisturbed_s(self) -> float:
        """How much time there was after that, or in all."""
        return self.numbers.seconds - (self.disturbed_until_s or 0.0)

    @property
    def drained_after_s(self) -> float | None:
        """How long after that everything that took effect was fresh for good; None while it is not, and without it."""
        since = self.disturbed_until_s
        if since is None or self.is_behind or self._is_late(self.steps[-1]):
            return None
        return max(*(each.at_s - since for each in self.steps if self._is_late(each)), 0.0, 0.0)

    def bottlenecks(self) -> dict[Bottleneck, float]:
        """Return the part of the time in which each kind was one, the longest first."""
        found = Counter(each.bottleneck for each in self.steps)
        return {kind: count / len(self.steps) for kind, count in found.most_common()}

    def average(self, of: Callable[[RunStep], float | None]) -> float | None:
        """Return the average of what the steps tell, without those of the outage; None where none tells anything."""
        outage = self.numbers.outage or Outage(0.0, 0.0)
        steps = [each for each in self.steps if not outage.start_s < each.at_s <= outage.end_s]
        found = [value for each in steps if (value := of(each)) is not None]
        return sum(found) / len(found) if found else None

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {
            "delivered": self.delivered,
            "behind": self.behind,
            "freshness": self.freshness and self.freshness._asdict(),
            "drained_after_s": self.drained_after_s,
            "limit_used": self.average(lambda each: each.limit_used),
            "refused": self.average(lambda each: each.refused),
            "jobs_at_most": self.jobs_at_most,
            "bottlenecks": {kind.value: part for kind, part in self.bottlenecks().items()},
            "steps": [
                {**asdict(each), "freshness": each.freshness and each.freshness._asdict()} for each in self.steps
            ],
        }

    def _is_late(self, step: RunStep) -> bool:
        if step.freshness is None:
            return step.behind > self.numbers.rate * self.numbers.fresh_s
        return step.freshness.slowest > self.numbers.fresh_s


def play(numbers: Numbers, progress: OnProgress = lambda _part: None) -> Run:
    """Simulate; the same numbers give the same run."""
    return run_virtually(_Stage(numbers.scaled()).live(progress))


@final
class _Stage:
    """A topic, a FullStory and workers between them."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers
        self._step_s = max(1.0, numbers.seconds / STEPS)
        self._clock = LoopClock()
        self._settled = 0
        self._ages: defaultdict[int, list[float]] = defaultdict(list)

    async def live(self, progress: OnProgress) -> Run:
        """Let the time pass."""
        numbers = self._numbers
        self._begun_wall_s = self._clock.wall()
        self._topic = SteadyTopic(numbers, self._clock)
        self._fullstory = SimulatedFullStory(numbers, self._clock, self._effect)
        workers = [self._start(each) for each in range(numbers.workers)]
        steps: list[RunStep] = []
        settled, written = 0, self._topic.written()
        for number in range(round(numbers.seconds / self._step_s)):
            await asyncio.sleep(self._step_s)
            for worker, _ in workers:
                if worker.done():
                    worker.result()
            progress((number + 1) * self._step_s / numbers.seconds)
            steps.append(self._step(number, settled, written, [watch for _, watch in workers]))
            settled, written = self._settled, self._topic.written()
        freshness = Ages.of([each for ages in self._ages.values() for each in ages])
        steps = [replace(each, freshness=Ages.of(self._ages[number])) for number, each in enumerate(steps)]
        return Run(numbers, steps, freshness, written, self._fullstory.jobs.max_in_progress)

    def _start(self, number: int) -> tuple[asyncio.Task[Any], Watch]:
        numbers, clock = self._numbers, self._clock
        member = Member(self._topic, self._topic.partitions[number :: numbers.workers], clock)
        chance = Random(f"{numbers.seed} worker {number}")  # noqa: S311 - repeatable on purpose
        ports = Ports(member, self._fullstory, NoLetters(), NoSchemas(), clock, chance)
        worker = assemble(ports, numbers.settings(), self._observe)
        worker.use_batches(is_batch=numbers.is_batch)
        worker.open("simulated")
        watch = Watch(worker.state, worker.gate, clock, member.worked_s, self._observe, lambda _state: None)
        loop = asyncio.get_running_loop()
        self._watching = loop.create_task(watch.run())
        return loop.create_task(worker.run(asyncio.Event())), watch

    def _step(self, number: int, settled: int, written: int, watches: Sequence[Watch]) -> RunStep:
        self._fullstory.settle()
        now, limit = self._clock.monotonic(), self._fullstory.limit
        since = now - self._step_s
        states = [each.state() for each in watches]
        return RunStep(
            at_s=(number + 1) * self._step_s,
            arrived_per_s=(self._topic.written() - written) / self._step_s,
            delivered_per_s=(self._settled - settled) / self._step_s,
            freshness=None,
            behind=self._topic.written() - self._settled,
            limit_used=None if limit is None else limit.used(since, now),
            refused=None if limit is None else limit.refusals(since, now),
            bottleneck=mode(each.bottleneck for each in states),
            held_bytes=max(each.bytes_held for each in states) * self._numbers.scale,
        )

    def _observe(self, notice: Notice) -> None:
        if isinstance(notice, Settled):
            self._settled += notice.delivered.total() * self._numbers.scale

    def _effect(self, at: float, age_s: float) -> None:
        self._ages[int((at - self._begun_wall_s) / self._step_s)].append(age_s)
