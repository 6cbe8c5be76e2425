"""Several workers behind one limit of FullStory's that nobody tells them, on virtual time."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from processor.engine.verdict import Answer, NoAnswer
from processor.model.reasons import Kind
from processor.runtime.ports import Fetched
from processor.simulation.limit import HiddenLimit
from processor.simulation.loop import run_virtually
from tests.fakes.fullstory import FakeFullStory
from tests.simulation.laws import Laws
from tests.simulation.wire import Post
from tests.simulation.world import DESTINATION, Member, Plan, World

LOAD_EVERY_S = 0.1

_IDENTIFY = b'{"type":"identify","userId":"%s"}'
_TRACK = b'{"type":"track","event":"E","userId":"%s"}'


class LimitedFullStory(FakeFullStory):
    """FullStory with such a limit: every request counts, questions too."""

    def __init__(self, seed: int, limit: HiddenLimit) -> None:
        super().__init__(seed)
        self.limit = limit

    async def post(self, kind: Kind, body: bytes, key: str, *, batch: bool) -> Answer | NoAnswer:
        """POST one item, or a batch."""
        return await self._refusal() or await super().post(kind, body, key, batch=batch)

    async def job(self, kind: Kind, job_id: str) -> Answer | NoAnswer:
        """Ask for a job's state."""
        return await self._refusal() or await super().job(kind, job_id)

    async def _refusal(self) -> Answer | None:
        if self.outage is not None:
            return None
        wait_s = self.limit.take(asyncio.get_running_loop().time())
        if wait_s is None:
            return None
        await self._travel()
        return Answer(429, {"code": "too_many_requests", "message": "too many"}, wait_s)


class _NoLaws(Laws):
    """The laws of order and loss have suites of their own; here it is about speed."""

    def at_post(self, member: Member, post: Post) -> None: ...
    def at_answer(self, post: Post) -> None: ...
    def at_job_end(self, post: Post) -> None: ...
    def at_handover(self, member: Member, fetched: Fetched) -> None: ...
    def at_commit(self, partition: Any, offset: int) -> None: ...


@dataclass
class Fleet(World):
    """Workers that share the partitions evenly, and a load that may sit in one of them."""

    workers: int
    limit: HiddenLimit
    plan: Plan
    load_per_s: float
    hot_share: float | None = None
    """The part of the load that goes to the first partition; evenly spread without."""
    sent_records: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        super().__init__(self.plan)
        self.fullstory = LimitedFullStory(self.plan.seed, self.limit)
        self.laws = _NoLaws(self)
        self.broker.on_commit = self.laws.at_commit
        self._chance = random.Random(self.plan.seed)
        self._owed = 0.0

    async def begin(self) -> None:
        """Start the workers and the load."""
        for number in range(self.workers):
            member = Member(self, number, self.plan)
            self.members.append(member)
            member.worker.open(DESTINATION)
            await asyncio.sleep(0)
            await member.source.assign(*self.partitions[number :: self.workers])
        self._loading = asyncio.get_running_loop().create_task(self._load())

    async def end(self) -> None:
        """End all of it as it is."""
        self._loading.cancel()
        await self.kill_all()

    async def kill_all(self) -> None:
        """End every worker at once."""
        tasks = self.members[-1].crash(asyncio.current_task())
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _load(self) -> None:
        while True:
            self._owed += self.load_per_s * LOAD_EVERY_S
            while self._owed >= 1:
                self._owed -= 1
                self.sent_records += 1
                self._send(f"u{self.sent_records}")
            await asyncio.sleep(LOAD_EVERY_S)

    def _send(self, uid: str) -> None:
        is_hot = self.hot_share is not None and self._chance.random() < self.hot_share
        at = 0 if is_hot else self._chance.randrange(len(self.partitions))
        value = _IDENTIFY if self.sent_records % 2 else _TRACK
        self.broker.append(self.partitions[at], value % uid.encode(), key=None)


Story = Callable[[Fleet], Coroutine[Any, Any, None]]


def play(story: Story, fleet: Callable[[], Fleet]) -> Fleet:
    """Let a fleet live through a story."""

    async def live() -> Fleet:
        made = fleet()
        made.story = asyncio.current_task()
        await made.begin()
        try:
            await story(made)
        finally:
            await made.end()
        return made

    return run_virtually(live())


def windows(limit: HiddenLimit, since: float, until: float, length_s: float) -> Sequence[tuple[float, float]]:
    """Return for each second at which a window begins the part of the allowance that was taken in it."""
    starts = range(int(since), int(until - length_s) + 1)
    return [(start - since, limit.used(start, start + length_s)) for start in starts]
