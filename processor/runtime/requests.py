"""One request to its verdict: admission, POST, retries under the same key."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b

from processor.engine.body_size import BodySize
from processor.engine.journal import Entry, Plan, State
from processor.engine.limits import Cost
from processor.engine.planning import KEY_TRUST_S
from processor.engine.verdict import (
    Accepted,
    Delivered,
    Halt,
    PostVerdict,
    Retry,
    RetryReason,
    Split,
    of_post,
)
from processor.events.dead_letters import Attempts
from processor.events.payload import Item, request_body
from processor.model.outcomes import Rejected
from processor.model.reasons import DeadLetterReason, Kind
from processor.runtime.calls import Calls, load_of
from processor.runtime.gate import PROBED_HALTS, Gate
from processor.runtime.lease import Lease
from processor.runtime.notices import Observer, Redelivered
from processor.runtime.ports import Clock, Destination

Final = Delivered | Accepted | Split | Rejected

SERVER_ERRORS_PER_KEY = 3
"""FullStory may replay a literal 500 for as long as it remembers the key (docs/fullstory-api.md#idempotency)."""

TOO_LARGE = 413

POISON_AFTER_S = 3_600.0
"""How long a request may fail with 5xx while others succeed."""

SUSPECT_PATIENCE_S = 60.0
"""How long each part may fail of a request that has long failed alone."""

LEAST_SUSPICIOUS_FAILURES = 20
"""So often a request has to fail in a row: a service that fails often and not always is no fault of a record."""

OTHERS_SUCCEED_S = 60.0
"""How lately another request has to have succeeded, for a fault to be the record's."""


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
    is_suspect: bool = False
    """Whether one of its requests failed for so long, alone, that it was split."""

    @property
    def attempts(self) -> Attempts | None:
        """How often and when its requests were POSTed; None when none was."""
        return Attempts(self.count, self.first, self.last) if self.count else None

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
    def cost(self) -> Cost:
        """What it counts for while it is in progress."""
        return Cost(self.entry.items, int(self.is_batch))

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


@dataclass(slots=True)
class Suspicion:
    """How long a request has been failing with 5xx and nothing else."""

    _since: float | None = None
    _failures: int = 0

    def grows(self, now: float, verdict: Retry) -> float:
        """Count a failure; return for how many seconds it has lasted, 0 while that is no reason to suspect anything."""
        if verdict.reason is not RetryReason.SERVER_ERROR:
            self._since, self._failures = None, 0
            return 0.0
        self._since = now if self._since is None else self._since
        self._failures += 1
        return now - self._since if self._failures >= LEAST_SUSPICIOUS_FAILURES else 0.0


class Requests:
    """Sends requests until FullStory has answered for good; shared by all batches of a process."""

    def __init__(
        self,
        destination: Destination,
        calls: Calls,
        gate: Gate,
        clock: Clock,
        observe: Observer,
        body_size: BodySize,
        poison_after_s: float = POISON_AFTER_S,
    ) -> None:
        self.body_size = body_size
        self._destination = destination
        self._calls = calls
        self._gate = gate
        self._clock = clock
        self._observe = observe
        self._poison_after_s = poison_after_s
        self._succeeded_at = float("-inf")

    async def post(self, request: Request, sending: Sending) -> Final:
        """POST until the answer is final; an accepted job stays in flight until the caller calls `release`."""
        failures = server_errors = 0
        suspicion = Suspicion()
        while True:
            if self._clock.monotonic() - request.since >= KEY_TRUST_S:
                self.take_new_key(request, sending)
            verdict = await self._post_once(request, sending)
            if isinstance(verdict, Retry):
                failures += 1
                server_errors += verdict.status == 500
                if self._is_poison(suspicion, verdict, sending):
                    return self._give_up(request, sending, verdict)
                if server_errors == SERVER_ERRORS_PER_KEY:
                    server_errors = 0
                    self.take_new_key(request, sending)
                await self._calls.back_off(verdict, failures)
            elif isinstance(verdict, Halt):
                self._gate.halt(verdict.reason, verdict.detail)
            else:
                self._gate.resume(*PROBED_HALTS)
                self._learn(request, verdict)
                return verdict

    def _is_poison(self, suspicion: Suspicion, verdict: Retry, sending: Sending) -> bool:
        """Say whether this request alone makes FullStory fail, as far as that can be known."""
        now = self._clock.monotonic()
        patience_s = self._poison_after_s
        if sending.is_suspect:
            patience_s = min(patience_s, SUSPECT_PATIENCE_S)
        others_succeed = now - self._succeeded_at <= OTHERS_SUCCEED_S
        return suspicion.grows(now, verdict) >= patience_s and others_succeed

    def _give_up(self, request: Request, sending: Sending, verdict: Retry) -> Split | Rejected:
        """End a request that FullStory always fails on: of several items the culprit is to be found first."""
        status = verdict.status or 500
        if len(request.items) == 1:
            detail = f"FullStory answered {status} for too long while it took other requests"
            return Rejected(DeadLetterReason.DESTINATION_ERROR, detail, status)
        sending.is_suspect = True
        self._observe(Redelivered(request.records))  # whether it took effect is not known
        return Split(status)

    def _learn(self, request: Request, verdict: Final) -> None:
        """Remember what an answer tells of other requests."""
        if isinstance(verdict, Split | Rejected):
            if isinstance(verdict, Split) and verdict.status == TOO_LARGE:
                self.body_size.refused(len(request.body))
            return
        self._succeeded_at = self._clock.monotonic()
        self._calls.succeeded()
        self.body_size.taken(len(request.body))

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
            self._gate.finished(Cost.of_job(entry.items))

    async def _post_once(self, request: Request, sending: Sending) -> PostVerdict:
        await self._admit(request, sending)
        exchange = asyncio.get_running_loop().create_task(self._exchange(request, sending))
        sending.exchanges.add(exchange)
        exchange.add_done_callback(partial(self._exchanged, request, sending, self._clock.monotonic()))
        # A POST that was made is worth its answer even when nobody waits for it any more: the journal tells the next
        # owner what became of it.
        return await asyncio.shield(exchange)

    async def _admit(self, request: Request, sending: Sending) -> None:
        """Wait until the request may be POSTed: its plan is in Kafka, its partition is ours, and there is room."""
        while True:
            await sending.lease.until_covered(sending.plan)
            await self._gate.admit(request.cost)
            if sending.lease.covers(sending.plan):
                return
            self._gate.withdraw(request.cost)

    async def _exchange(self, request: Request, sending: Sending) -> PostVerdict:
        """POST once what was admitted."""
        if sending.is_given_up:
            raise asyncio.CancelledError
        sending.stamp(self._clock.wall())
        post = self._destination.post(request.kind, request.body, request.idempotency_key, batch=request.is_batch)
        return of_post(await self._calls.timed(request.endpoint, post), batch=request.is_batch)

    def _exchanged(
        self, request: Request, sending: Sending, sent_at: float, exchange: asyncio.Task[PostVerdict]
    ) -> None:
        """Note an answer in the journal, and give back what was admitted: also of a POST that was given up."""
        sending.exchanges.discard(exchange)
        verdict = None if exchange.cancelled() or exchange.exception() else exchange.result()
        self._calls.note_throttle(verdict)
        self._gate.answered(load_of(verdict), sent_at)
        if isinstance(verdict, Accepted) and not sending.is_given_up:
            sending.in_jobs.add(request.entry)
        else:
            self._gate.finished(request.cost)
        if _advance(request, verdict):
            sending.lease.note()


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
