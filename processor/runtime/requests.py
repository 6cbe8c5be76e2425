"""One request to its verdict: admission, POST, retries under the same key; and one job to its end."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import TypeVar, assert_never

from processor.engine.polling import PollSchedule
from processor.engine.retry import Backoff, Chance
from processor.engine.verdict import (
    Accepted,
    Answer,
    Completed,
    Delivered,
    ErrorPage,
    Failed,
    Halt,
    NoAnswer,
    Retry,
    RetryReason,
    Running,
    Split,
    Unknown,
    Unreadable,
    of_errors,
    of_job,
    of_post,
)
from processor.model.outcomes import Rejected
from processor.model.reasons import Kind
from processor.runtime.gate import DESTINATION_HALTS, Gate
from processor.runtime.notices import Answered, JobEnded, Observer, Retried, Throttled
from processor.runtime.ports import Clock, Destination

Final = Delivered | Accepted | Split | Rejected
JobEnd = Completed | Failed | Unknown

_V = TypeVar("_V")


@dataclass(slots=True)
class Sent:
    """How often a request was POSTed, and when (wall-clock seconds)."""

    count: int = 0
    first: float = 0.0
    last: float = 0.0

    def stamp(self, wall_s: float) -> None:
        """Count one POST."""
        self.count += 1
        self.first = self.first or wall_s
        self.last = wall_s


def idempotency_key(nonce: bytes, kind: Kind, body: bytes) -> str:
    """Return the key of one request: the same for every repeat of it, and for nothing else.

    The nonce is drawn once per batch, so the same records sent again on purpose (an offset reset, a redrive) are not
    swallowed by FullStory's memory of 24 hours (docs/fullstory-api.md#idempotency).
    """
    return blake2b(body, key=nonce, digest_size=16, person=kind.encode()).hexdigest()


class Requests:
    """Sends requests until FullStory has answered for good; shared by all batches of a process."""

    def __init__(
        self, destination: Destination, gate: Gate, clock: Clock, chance: Chance, observe: Observer, backoff: Backoff
    ) -> None:
        self._destination = destination
        self._gate = gate
        self._clock = clock
        self._chance = chance
        self._observe = observe
        self._backoff = backoff
        self._polling = PollSchedule()

    async def post(self, kind: Kind, body: bytes, nonce: bytes, operations: int, sent: Sent, *, batch: bool) -> Final:
        """POST until the answer is final; an accepted job stays in flight until the caller calls `release`."""
        key = idempotency_key(nonce, kind, body)
        endpoint = f"{kind}s/batch" if batch else f"{kind}s"
        failures = 0
        while True:
            await self._gate.admit(operations)
            verdict: Final | Retry | Halt = Delivered()
            try:
                sent.stamp(self._clock.wall())
                answer = await self._timed(endpoint, self._destination.post(kind, body, key, batch=batch))
                verdict = of_post(answer, batch=batch)
            finally:  # also when cancelled: what was admitted is given back
                self._count_answer(verdict)
                if not isinstance(verdict, Accepted):
                    self._gate.finished(operations)
            if isinstance(verdict, Retry):
                failures += 1
                await self._back_off(verdict, failures)
            elif isinstance(verdict, Halt):
                self._gate.halt(verdict.reason, verdict.detail)
            else:
                self._gate.resume(*DESTINATION_HALTS)
                return verdict

    def release(self, operations: int) -> None:
        """The job that took so many operations is over."""
        self._gate.finished(operations)

    async def job_end(self, kind: Kind, job_id: str) -> JobEnd:
        """Follow a job to its end."""
        accepted_at = self._clock.monotonic()
        while True:
            await asyncio.sleep(self._polling.wait_s(self._clock.monotonic() - accepted_at))
            ask = partial(self._destination.job, kind, job_id)
            verdict: JobEnd | Running = await self._ask(ask, f"{kind}s/batch/job", of_job)
            if not isinstance(verdict, Running):
                self._observe(JobEnded(kind, self._clock.monotonic() - accepted_at))
                return verdict

    async def failures(self, kind: Kind, job_id: str) -> list[dict[str, object]] | None:
        """Return the failed items of a job as FullStory echoes them; None when the key may not read them."""
        found: list[dict[str, object]] = []
        token, seen = "", {""}
        while True:
            ask = partial(self._destination.errors, kind, job_id, token)
            verdict: ErrorPage | Running | Unreadable | Unknown = await self._ask(
                ask, f"{kind}s/batch/errors", of_errors
            )
            match verdict:
                case ErrorPage(failures, next_token):
                    found.extend(failures)
                    if next_token in seen:
                        return found
                    seen.add(next_token)
                    token = next_token
                case Running():
                    await asyncio.sleep(self._polling.first_s)
                case Unreadable() | Unknown():
                    return None
                case _:
                    assert_never(verdict)

    async def _ask(
        self,
        ask: Callable[[], Awaitable[Answer | NoAnswer]],
        endpoint: str,
        judge: Callable[[Answer | NoAnswer], _V | Retry | Halt],
    ) -> _V:
        """GET until the answer says something about the job."""
        failures = 0
        while True:
            wait_s = self._gate.limits.blocked_until - self._clock.monotonic()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            verdict = judge(await self._timed(endpoint, ask()))
            if isinstance(verdict, Retry):
                failures += 1
                self._note_throttle(verdict)
                await self._back_off(verdict, failures)
            elif isinstance(verdict, Halt):
                self._gate.halt(verdict.reason, verdict.detail)
                await asyncio.sleep(self._gate.limits.probe_interval_s)
            else:
                return verdict

    async def _timed(self, endpoint: str, call: Awaitable[Answer | NoAnswer]) -> Answer | NoAnswer:
        started = self._clock.monotonic()
        answer = await call
        outcome = f"{answer.status // 100}xx" if isinstance(answer, Answer) else answer.reason.value
        self._observe(Answered(endpoint, outcome, self._clock.monotonic() - started))
        return answer

    def _count_answer(self, verdict: Final | Retry | Halt) -> None:
        overloaded = isinstance(verdict, Retry) and verdict.reason is not RetryReason.CONFLICT
        self._gate.answered(overloaded=overloaded)
        if isinstance(verdict, Retry):
            self._note_throttle(verdict)

    def _note_throttle(self, verdict: Retry) -> None:
        if verdict.after_s is None:
            return
        added = self._gate.limits.block(self._clock.monotonic() + verdict.after_s, self._clock.monotonic())
        self._gate.changed()
        if added > 0:
            self._observe(Throttled(added))

    async def _back_off(self, verdict: Retry, failures: int) -> None:
        self._observe(Retried(verdict.reason))
        if verdict.after_s is None:
            await asyncio.sleep(self._backoff.delay_s(failures, self._chance))
