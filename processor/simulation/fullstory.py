"""A FullStory in memory: the `Destination` port, with a hidden limit, outages, and the jobs of the sandbox."""

import asyncio
from collections.abc import Callable
from typing import Any, final

import orjson

from processor.engine.verdict import Answer, NoAnswer
from processor.model.reasons import Kind
from processor.runtime.ports import Clock
from processor.sandbox.faults import Faults, SeededChance
from processor.sandbox.jobs import SandboxJobs
from processor.sandbox.options import SandboxOptions
from processor.sandbox.truth import Effect, ItemKind, ItemOrigin, TakenItem
from processor.sandbox.wire import Json
from processor.simulation.kafka import AT
from processor.simulation.limit import HiddenLimit
from processor.simulation.numbers import Numbers

KINDS: dict[Kind, ItemKind] = {Kind.USER: "user", Kind.EVENT: "event"}
NOTHING = TakenItem(Effect(0, 0.0, "event", "batch", None, None, 0, b""), "")
OUT = Answer(503, {"code": "server_error", "message": "simulated outage"})


def _too_many(retry_after_s: float) -> Answer:
    return Answer(429, {"code": "too_many_requests", "message": "simulated limit"}, retry_after_s)


@final
class SimulatedFullStory:
    """Takes every item; `on_effect` is told when one took effect, and how old its record was, in seconds."""

    def __init__(self, numbers: Numbers, clock: Clock, on_effect: Callable[[float, float], None]) -> None:
        self._numbers = numbers
        self._clock = clock
        self._begun_at = clock.monotonic()
        self._on_effect = on_effect
        self.limit = None if numbers.limit is None else HiddenLimit(numbers.limit)
        most = SandboxOptions().max_operations // numbers.scale
        options = SandboxOptions(job_duration_s=numbers.job_s, max_operations=most)
        self.jobs = SandboxJobs(options, Faults(), SeededChance(numbers.seed), self._take)

    async def post(self, kind: Kind, body: bytes, key: str, *, batch: bool) -> Answer | NoAnswer:
        """Take one item, or a batch into a job."""
        if (refusal := await self._refusal()) is not None:
            return refusal
        content = orjson.loads(body)
        now = self.settle()
        origin = ItemOrigin(KINDS[kind], "batch" if batch else "single", 0, key)
        if not batch:
            self._take(content, {}, origin, now)
            return Answer(200, {"id": "1"} if kind is Kind.USER else {})
        items = content["requests"]
        if not self.jobs.has_room(len(items)):
            return _too_many(1.0)
        return Answer(200, {"job": self.jobs.accept(origin, items, now).metadata()})

    async def job(self, kind: Kind, job_id: str) -> Answer | NoAnswer:
        """Tell a job's state."""
        if (refusal := await self._refusal()) is not None:
            return refusal
        now = self.settle()
        job = self.jobs.find(KINDS[kind], "batch", job_id, now)
        return Answer(200, {"imports": len(job.imports), "job": job.metadata()})

    async def errors(self, kind: Kind, job_id: str, page_token: str) -> Answer | NoAnswer:
        """Never asked for: no item fails."""
        raise AssertionError(f"{kind} {job_id} {page_token}")

    async def delete(self, uid: str) -> Answer | NoAnswer:
        """Never asked for."""
        raise AssertionError(uid)

    async def me(self) -> Answer | NoAnswer:
        """Never asked for: the worker is opened without."""
        raise AssertionError

    def settle(self) -> float:
        """Carry out the jobs that are due; return the time."""
        now = self._clock.wall()
        self.jobs.settle(now)
        return now

    async def _refusal(self) -> Answer | None:
        """Return what is answered at once in an outage and beyond the limit; else let the latency pass."""
        now, outage = self._clock.monotonic(), self._numbers.outage
        if outage is not None and outage.start_s <= now - self._begun_at < outage.end_s:
            return OUT
        if self.limit is not None and (wait_s := self.limit.take(now)) is not None:
            return _too_many(wait_s)
        await asyncio.sleep(self._numbers.latency_s)
        return None

    def _take(self, item: Any, _shared: Json, _origin: ItemOrigin, at: float) -> TakenItem:
        self._on_effect(at, at - item["properties"][AT] / 1_000)
        return NOTHING
