"""One request to its verdict: admission, POST, retries under the same key; and one job to its end."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from typing import TypeVar, assert_never

from processor.engine.journal import Entry, Plan, State
from processor.engine.planning import KEY_TRUST_S
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
    PostVerdict,
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
from processor.events.payload import Item, request_body
from processor.model.outcomes import Rejected
from processor.model.reasons import HaltReason, Kind
from processor.runtime.gate import PROBED_HALTS, Gate
from processor.runtime.lease import Lease
from processor.runtime.notices import Answered, JobEnded, Observer, Redelivered, Retried, Throttled
from processor.runtime.ports import Clock, Destination

Final = Delivered | Accepted | Split | Rejected
JobEnd = Completed | Failed | Unknown

SERVER_ERRORS_PER_KEY = 3
"""FullStory may replay a literal 500 for as long as it remembers the key (docs/fullstory-api.md#idempotency)."""

UNKNOWN_JOB_PATIENCE_S = 60.0
"""How long a job that FullStory does not know is asked for: its own reads may lag behind its writes."""

ENDED_BY_A_READ = PROBED_HALTS - {HaltReason.FORBIDDEN}
"""Halts that a good answer to a question for a job ends; whether the key may write it does not tell."""

_V = TypeVar("_V")


@dataclass(slots=True, eq=False)
class Sending:
    """What the requests of one batch share: the plan, the right to POST it, and what was POSTed of it so far."""

    plan: Plan
    lease: Lease
    keys_since: float
    """Since when, on the monotonic clock, keys of the plan may have been used."""
    count: int = 0
    """How often its requests were POSTed; `first` and `last` tell when, in wall-clock seconds."""
    first: float = 0.0
    last: float = 0.0
    is_given_up: bool = False
    """Whether nothing more may be sent: the partition goes, or has gone."""
    exchanges: set[asyncio.Task[PostVerdict]] = field(default_factory=set)
    """POSTs that await their answers."""
    in_jobs: set[Entry] = field(default_factory=set)
    """Entries whose jobs go on: they hold their part of the limits."""

    def stamp(self, wall_s: float) -> None:
        """Count one POST."""
        self.count += 1
        self.first = self.first or wall_s
        self.last = wall_s


@dataclass(slots=True, eq=False)
class Request:
    """Items that travel together."""

    entry: Entry
    items: Sequence[Item]
    nonce: bytes
    is_batch: bool
    """Whether it goes to the batch endpoint; otherwise it holds one item."""
    since: float
    """Since when, on the monotonic clock, its key may have been used."""
    body: bytes = field(init=False)
    _body_hash: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.body = request_body(self.items) if self.is_batch else self.items[0].body
        self._body_hash = blake2b(self.body, digest_size=16).digest()

    @property
    def kind(self) -> Kind:
        """Users or events."""
        return self.entry.kind

    @property
    def records(self) -> int:
        """How many records it stands for."""
        return sum(len(item.records) for item in self.items)

    @property
    def idempotency_key(self) -> str:
        """The same for every repeat of this request, by whichever process, and for nothing else.

        The nonce is drawn once for a plan and stands in the journal, so the same records sent again on purpose (an
        offset reset, a redrive) are not swallowed by what FullStory remembers (docs/fullstory-api.md#idempotency). The
        offsets tell apart two requests of one plan that say the same.
        """
        digest = blake2b(key=self.nonce, digest_size=16, person=self.kind.encode())
        digest.update(b"%d %d %d " % (self.items[0].records[0], self.items[-1].records[-1], self.entry.attempt))
        digest.update(self._body_hash)
        return digest.hexdigest()

    @property
    def endpoint(self) -> str:
        """What metrics call the endpoint."""
        return f"{self.kind}s/batch" if self.is_batch else f"{self.kind}s"


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

    async def post(self, request: Request, sending: Sending) -> Final:
        """POST until the answer is final; an accepted job stays in flight until the caller calls `release`."""
        failures = server_errors = 0
        while True:
            if self._clock.monotonic() - request.since >= KEY_TRUST_S:
                self.take_new_key(request, sending)
            verdict = await self._post_once(request, sending)
            if isinstance(verdict, Retry):
                failures += 1
                server_errors += verdict.status == 500
                if server_errors == SERVER_ERRORS_PER_KEY:
                    server_errors = 0
                    self.take_new_key(request, sending)
                await self.back_off(verdict, failures)
            elif isinstance(verdict, Halt):
                self._gate.halt(verdict.reason, verdict.detail)
            else:
                self._gate.resume(*PROBED_HALTS)
                return verdict

    def take_new_key(self, request: Request, sending: Sending) -> None:
        """Give up a key that leads nowhere: what was sent under it may have taken effect, and may do so once more."""
        entry = request.entry
        entry.attempt += 1
        entry.state, entry.job_id = State.PLANNED if request.is_batch else State.SINGLY, None
        request.since = self._clock.monotonic()
        if entry in sending.plan.entries:
            sending.plan.revise()
            sending.lease.note()
        self._observe(Redelivered(request.records))

    def release(self, entry: Entry, sending: Sending) -> None:
        """The job that took this entry is over, or is followed no more."""
        if entry in sending.in_jobs:
            sending.in_jobs.remove(entry)
            self._gate.finished(entry.items)

    async def job_end(self, kind: Kind, job_id: str) -> JobEnd:
        """Follow a job to its end; `Unknown` when FullStory has long denied to know it."""
        accepted_at = self._clock.monotonic()
        unknown_since: float | None = None
        while True:
            await asyncio.sleep(self._polling.wait_s(self._clock.monotonic() - accepted_at))
            ask = partial(self._destination.job, kind, job_id)
            verdict: JobEnd | Running = await self._ask(ask, f"{kind}s/batch/job", of_job)
            if isinstance(verdict, Unknown):
                if unknown_since is None:
                    unknown_since = self._clock.monotonic()
                if self._clock.monotonic() - unknown_since >= UNKNOWN_JOB_PATIENCE_S:
                    return verdict
            elif not isinstance(verdict, Running):
                self._observe(JobEnded(kind, self._clock.monotonic() - accepted_at))
                return verdict
            else:
                unknown_since = None

    async def failures(self, kind: Kind, job_id: str) -> list[dict[str, object]] | None:
        """Return the failed items of a job as FullStory echoes them; None when they cannot be read."""
        found: list[dict[str, object]] = []
        token, seen = "", {""}
        patient_until = self._clock.monotonic() + UNKNOWN_JOB_PATIENCE_S
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
                case Unknown() if self._clock.monotonic() < patient_until:
                    await asyncio.sleep(self._polling.cap_s)
                case Unreadable() | Unknown():
                    return None
                case _:
                    assert_never(verdict)

    async def back_off(self, verdict: Retry, failures: int) -> None:
        """Wait before the next try, unless FullStory named a time: then the gate waits, for all."""
        self._observe(Retried(verdict.reason, verdict.detail))
        if not verdict.after_s:
            await asyncio.sleep(self._backoff.delay_s(failures, self._chance))

    async def _post_once(self, request: Request, sending: Sending) -> PostVerdict:
        await self._admit(request, sending)
        exchange = asyncio.get_running_loop().create_task(self._exchange(request, sending))
        sending.exchanges.add(exchange)
        exchange.add_done_callback(partial(self._exchanged, request, sending))
        # A POST that was made is worth its answer even when nobody waits for it any more: the journal tells the next
        # owner what became of it.
        return await asyncio.shield(exchange)

    async def _admit(self, request: Request, sending: Sending) -> None:
        """Wait until the request may be POSTed: its plan is in Kafka, its partition is ours, and there is room."""
        operations = request.entry.items
        while True:
            await sending.lease.until_covered(sending.plan)
            await self._gate.admit(operations)
            if sending.lease.covers(sending.plan):
                return
            self._gate.withdraw(operations)

    async def _exchange(self, request: Request, sending: Sending) -> PostVerdict:
        """POST once what was admitted."""
        if sending.is_given_up:
            raise asyncio.CancelledError
        sending.stamp(self._clock.wall())
        post = self._destination.post(request.kind, request.body, request.idempotency_key, batch=request.is_batch)
        return of_post(await self._timed(request.endpoint, post), batch=request.is_batch)

    def _exchanged(self, request: Request, sending: Sending, exchange: asyncio.Task[PostVerdict]) -> None:
        """Note an answer in the journal, and give back what was admitted: also of a POST that was given up."""
        sending.exchanges.discard(exchange)
        verdict = None if exchange.cancelled() or exchange.exception() else exchange.result()
        self._note_throttle(verdict)
        self._gate.answered(overloaded=_overloaded(verdict))
        if isinstance(verdict, Accepted) and not sending.is_given_up:
            sending.in_jobs.add(request.entry)
        else:
            self._gate.finished(request.entry.items)
        if _advance(request, verdict):
            sending.lease.note()

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
                continue
            verdict = judge(await self._timed(endpoint, ask()))
            if isinstance(verdict, Retry):
                failures += 1
                self._note_throttle(verdict)
                await self.back_off(verdict, failures)
            elif isinstance(verdict, Halt):
                self._gate.halt(verdict.reason, verdict.detail)
                await asyncio.sleep(self._gate.limits.probe_interval_s)
            else:
                self._gate.resume(*ENDED_BY_A_READ)
                return verdict

    async def _timed(self, endpoint: str, call: Awaitable[Answer | NoAnswer]) -> Answer | NoAnswer:
        started = self._clock.monotonic()
        answer = await call
        outcome = f"{answer.status // 100}xx" if isinstance(answer, Answer) else answer.reason.value
        self._observe(Answered(endpoint, outcome, self._clock.monotonic() - started))
        return answer

    def _note_throttle(self, verdict: object) -> None:
        if isinstance(verdict, Retry) and verdict.after_s is not None:
            added = self._gate.block(verdict.after_s)
            if added > 0:
                self._observe(Throttled(added))


def _advance(request: Request, verdict: PostVerdict | None) -> bool:
    """Note in the entry what an answer means for it; say whether it means anything."""
    entry = request.entry
    match verdict:
        case Accepted(job_id):
            entry.state, entry.job_id = State.ACCEPTED, job_id
        case Delivered():
            entry.state = State.DONE
        case _:
            return False
    return True


def _overloaded(verdict: PostVerdict | None) -> bool | None:
    """Say whether an answer shows FullStory overloaded; None where it does not speak of load."""
    if verdict is None or isinstance(verdict, Halt):
        return None
    return isinstance(verdict, Retry) and verdict.reason is not RetryReason.CONFLICT
