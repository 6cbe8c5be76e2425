"""A FullStory in memory: the `Destination` port. tests/contract holds it to the same suite as the real client.

It waits with `asyncio.sleep` alone and draws all chance from its seed, so it is deterministic on a loop with virtual
time. A POST that has arrived is carried out even when its caller is cancelled meanwhile, as a server would.
"""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from processor.engine.verdict import Answer, NoAnswer, RetryReason
from processor.model.reasons import Kind

Item = dict[str, Any]
Refuse = Callable[[Kind, Item], str | None]
"""Returns the error code with which an item fails, or None."""

KEY_LIFE_S = 24 * 3600.0
MAX_ITEMS = 50_000
MAX_UID = 256


@dataclass(frozen=True, slots=True)
class Refused:
    """The request is answered so and has no effect."""

    status: int
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """The caller gets no answer; after a connection fault at once, after a timeout when its time is up."""

    took_effect: bool
    reason: RetryReason = RetryReason.CONNECTION


Fault = Refused | Lost


@dataclass(slots=True)
class Weather:
    """What requests and jobs meet by chance: probabilities from 0 to 1, and ranges of seconds."""

    throttled: float = 0.0
    server_error: float = 0.0
    lost_before: float = 0.0
    lost_after: float = 0.0
    job_failure: float = 0.0
    """Of jobs in which every item fails by FullStory's fault."""
    retry_after_s: float | None = 1.0
    """What a throttled request is told."""
    latency_s: tuple[float, float] = (0.0, 0.0)
    job_duration_s: tuple[float, float] = (0.0, 0.0)
    timeout_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Gateway:
    """Something in between that answers in FullStory's place, or breaks the connection."""

    answer: Answer | NoAnswer
    rate: float = 1.0
    is_after: bool = False
    """Whether FullStory has done its work by then, and its answer is what gets lost."""
    stops: Callable[[bytes], bool] = lambda _body: True
    """Which bodies it has a say about."""
    questions: bool = True
    """Whether it has one about questions, too."""


@dataclass(frozen=True, slots=True)
class Effect:
    """An item that took effect."""

    at: float
    kind: Kind
    item: Item
    key: str
    job_id: str | None


@dataclass(slots=True)
class Job:
    """An import job; its items take effect, in any order, when it finishes."""

    id: str
    kind: Kind
    items: Sequence[Item]
    key: str
    finish_at: float
    is_doomed: bool
    is_finished: bool = False
    failures: list[Item] = field(default_factory=list)

    def status(self) -> Item:
        """Return the body of the answer to a question for its state."""
        status = "PROCESSING" if not self.is_finished else "FAILED" if self.failures else "COMPLETED"
        done = len(self.items) - len(self.failures) if self.is_finished else 0
        errors = {"errors": len(self.failures)} if self.failures else {}
        return {"imports": done, **errors, "job": {"id": self.id, "status": status}}


@dataclass(slots=True)
class _Promise:
    """A key in use; without an answer its request is still at work."""

    at: float
    request: tuple[Kind, bool, bytes]
    answer: Answer | None = None


class FakeFullStory:
    """FullStory as one organisation sees it; its fields may be changed at any time.

    `script` holds what the next POSTs meet, before chance has a say. `now` gives seconds; the running loop's without.
    """

    def __init__(self, seed: int = 0, now: Callable[[], float] | None = None) -> None:
        self.weather = Weather()
        self.script: deque[Fault] = deque()
        self.outage: int | None = None
        self.gateway: Gateway | None = None
        self.is_key_revoked = False
        self.role = "ARCHITECT"
        self.org_id = "FAKE-na1"
        self.jobs_unknown = False
        self.refuse: Refuse = lambda _kind, _item: None
        self.page_size = 1_000
        self.max_body_bytes = 8 * 1024 * 1024
        self.max_jobs = 200
        self.max_operations = 500_000
        self.replays_500 = True

        self.posts = 0
        self.replays = 0
        self.peak_jobs = 0
        self.peak_operations = 0
        self._jobs: dict[str, Job] = {}
        self._due: list[tuple[float, int, Job]] = []
        self._effects: list[Effect] = []
        self._promises: dict[str, _Promise] = {}
        self._chance = random.Random(seed)
        self._clock = now

    @property
    def effects(self) -> Sequence[Effect]:
        """What has taken effect by now, in order."""
        self._settle()
        return self._effects

    async def post(self, kind: Kind, body: bytes, key: str, *, batch: bool) -> Answer | NoAnswer:
        """POST one item, or a batch."""
        self.posts += 1
        return await self._change(body, lambda fault: self._once((kind, batch, body), key, fault))

    async def delete(self, uid: str) -> Answer | NoAnswer:
        """Delete a user."""

        async def carry_out(fault: Fault | None) -> Answer:
            return _refusal(fault) if isinstance(fault, Refused) else self._deleted(uid)

        return await self._change(b"", carry_out)

    async def _change(self, body: bytes, carry_out: Callable[[Fault | None], Awaitable[Answer]]) -> Answer | NoAnswer:
        """Let a request pass whatever it meets; one that arrived is carried out, whether or not its caller learns."""
        fault = self.script.popleft() if self.script else self._by_chance()
        gateway = self._between(body)
        await self._travel()
        if gateway and not gateway.is_after:
            return gateway.answer
        if isinstance(fault, Lost) and not fault.took_effect:
            return await self._lose(fault)
        answer = self._stopped(fault, len(body)) or await carry_out(fault)
        await self._travel()
        if gateway:
            return gateway.answer
        return await self._lose(fault) if isinstance(fault, Lost) else answer

    def _deleted(self, uid: str) -> Answer:
        self._settle()
        if not self._is_architects:
            return _error(403, "forbidden")
        if (code := self.refuse(Kind.DELETION, {"uid": uid})) is not None:
            return _error(400, code)
        self._effects.append(Effect(self._now(), Kind.DELETION, {"uid": uid}, "", None))
        return Answer(200, {})

    async def job(self, kind: Kind, job_id: str) -> Answer | NoAnswer:
        """Ask for a job's state."""
        return await self._get(lambda: self._job_answer(kind, job_id))

    async def errors(self, kind: Kind, job_id: str, page_token: str) -> Answer | NoAnswer:
        """Ask for a page of a job's failed items."""
        return await self._get(lambda: self._errors_answer(kind, job_id, page_token))

    async def me(self) -> Answer | NoAnswer:
        """Ask whose key this is."""
        body = {"email": "fake@example.com", "orgId": self.org_id, "role": self.role}
        return await self._get(lambda: Answer(200, body))

    @property
    def _is_architects(self) -> bool:
        return self.role in ("ARCHITECT", "ADMIN")

    def _now(self) -> float:
        return self._clock() if self._clock else asyncio.get_running_loop().time()

    def _happens(self, chance: float) -> bool:
        return chance > 0 and self._chance.random() < chance

    def _by_chance(self) -> Fault | None:
        weather = self.weather
        if self._happens(weather.lost_before):
            return Lost(took_effect=False, reason=self._chance.choice((RetryReason.CONNECTION, RetryReason.TIMEOUT)))
        if self._happens(weather.throttled):
            return Refused(429, weather.retry_after_s)
        if self._happens(weather.server_error):
            return Refused(self._chance.choice((500, 502, 503, 504)))
        if self._happens(weather.lost_after):
            return Lost(took_effect=True, reason=self._chance.choice((RetryReason.CONNECTION, RetryReason.TIMEOUT)))
        return None

    def _between(self, body: bytes | None) -> Gateway | None:
        """Return what stands in between where it has a say about a body, or, where there is none, about a question."""
        gateway = self.gateway
        if gateway is None or not (gateway.questions if body is None else gateway.stops(body)):
            return None
        return gateway if self._happens(gateway.rate) else None

    async def _travel(self) -> None:
        await asyncio.sleep(self._chance.uniform(*self.weather.latency_s) / 3)

    async def _lose(self, fault: Lost) -> NoAnswer:
        if fault.reason is RetryReason.TIMEOUT:
            await asyncio.sleep(self.weather.timeout_s)
        return NoAnswer(fault.reason)

    async def _get(self, answer: Callable[[], Answer]) -> Answer | NoAnswer:
        fault = self._by_chance()
        gateway = self._between(None)
        await self._travel()
        if gateway:
            return gateway.answer
        if isinstance(fault, Lost):
            return await self._lose(fault)
        found = self._stopped(fault, 0) or (_refusal(fault) if fault else answer())
        await self._travel()
        return found

    def _stopped(self, fault: Fault | None, size: int) -> Answer | None:
        """Return the answer to a request that is stopped before anything is stored under its key."""
        if self.outage is not None:
            return _error(self.outage)
        if size > self.max_body_bytes:
            return _error(413, "request_too_large")
        if self.is_key_revoked:
            return _error(401, "unauthorized")
        if isinstance(fault, Refused) and fault.status in (401, 403, 413, 415, 429):
            return _refusal(fault)
        return None

    async def _once(self, request: tuple[Kind, bool, bytes], key: str, fault: Fault | None) -> Answer:
        """Carry a request out unless its key has been used; the key is held while it is at work."""
        promise = self._promises.get(key)
        if promise is not None and self._now() < promise.at + KEY_LIFE_S:
            if promise.request != request or promise.answer is None:
                return _error(409, "idempotency_conflict")
            self.replays += 1
            return promise.answer
        promise = self._promises[key] = _Promise(self._now(), request)
        try:
            await self._travel()
        finally:  # whether or not anybody still waits for the answer
            answer = _refusal(fault) if isinstance(fault, Refused) else self._perform(request, key)
            if self._is_stored(answer.status):
                promise.answer = answer
            else:
                del self._promises[key]
        return answer

    def _is_stored(self, status: int) -> bool:
        return self.replays_500 if status == 500 else status < 500 and status not in (409, 429)

    def _perform(self, request: tuple[Kind, bool, bytes], key: str) -> Answer:
        kind, batch, body = request
        self._settle()
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError:
            return _error(400, "invalid_argument")
        if batch:
            return self._accept(kind, content.get("requests"), key)
        code = self._fault_of(kind, content)
        if code is not None:
            return _error(400, code)
        self._effects.append(Effect(self._now(), kind, content, key, None))
        return Answer(200, {"id": str(len(self._effects))} if kind is Kind.USER else {})

    def _accept(self, kind: Kind, items: Any, key: str) -> Answer:
        if not isinstance(items, list) or not 1 <= len(items) <= MAX_ITEMS:
            return _error(400, "invalid_argument")
        jobs, operations = len(self._due) + 1, sum(len(job.items) for _, _, job in self._due) + len(items)
        if jobs > self.max_jobs or operations > self.max_operations:
            return _refusal(Refused(429, self.weather.retry_after_s))
        self.peak_jobs = max(self.peak_jobs, jobs)
        self.peak_operations = max(self.peak_operations, operations)
        number = len(self._jobs) + 1
        finish_at = self._now() + self._chance.uniform(*self.weather.job_duration_s)
        job = Job(f"+/{number}==", kind, items, key, finish_at, self._happens(self.weather.job_failure))
        self._jobs[job.id] = job
        heapq.heappush(self._due, (finish_at, number, job))
        return Answer(200, {"job": {"id": job.id, "status": "PROCESSING"}})

    def _settle(self) -> None:
        """Carry out the jobs that are due."""
        now = self._now()
        while self._due and self._due[0][0] <= now:
            _, _, job = heapq.heappop(self._due)
            for item in self._chance.sample(job.items, len(job.items)):
                code = "server_error" if job.is_doomed else self._fault_of(job.kind, item)
                if code is None:
                    self._effects.append(Effect(job.finish_at, job.kind, item, job.key, job.id))
                else:
                    job.failures.append({"message": "the item failed", "code": code, job.kind.value: item})
            job.is_finished = True

    def _fault_of(self, kind: Kind, item: Any) -> str | None:
        if not isinstance(item, dict):
            return "invalid_argument"
        if kind is Kind.EVENT and not item.get("name"):
            return "invalid_argument"
        if kind is Kind.USER and not 0 < len(item.get("uid", "anonymous")) <= MAX_UID:
            return "invalid_argument"
        return self.refuse(kind, item)

    def _find(self, kind: Kind, job_id: str) -> Job | None:
        self._settle()
        job = self._jobs.get(job_id)
        return job if job and job.kind is kind and not self.jobs_unknown else None

    def _job_answer(self, kind: Kind, job_id: str) -> Answer:
        job = self._find(kind, job_id)
        return Answer(200, job.status()) if job else _error(404, "resource_not_found")

    def _errors_answer(self, kind: Kind, job_id: str, page_token: str) -> Answer:
        if not self._is_architects:
            return _error(403, "forbidden")
        job = self._find(kind, job_id)
        if job is None:
            return _error(404, "resource_not_found")
        if not job.is_finished:
            return Answer(202, {})
        if not job.failures:
            return _error(404, "resource_not_found")
        start = int(page_token or "0")
        end = start + self.page_size
        body: Item = {"results": job.failures[start:end], "total_records": str(len(job.failures))}
        if end < len(job.failures):
            body["next_page_token"] = str(end)
        return Answer(200, body)


def _error(status: int, code: str = "server_error", retry_after_s: float | None = None) -> Answer:
    return Answer(status, {"message": f"fake {status}", "code": code}, retry_after_s)


def _refusal(fault: Refused) -> Answer:
    code = {429: "too_many_requests", 401: "unauthorized", 403: "forbidden", 400: "invalid_argument"}
    return _error(fault.status, code.get(fault.status, "server_error"), fault.retry_after_s)
