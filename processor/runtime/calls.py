"""What every call to FullStory has in common: it is timed, a refusal is obeyed by all, a failure is waited out."""

import asyncio
from collections.abc import Awaitable

from processor.engine.halts import PROBED
from processor.engine.limits import Load, load_of
from processor.engine.notices import Answered, Observer, Retried, Throttled
from processor.engine.retry import Retries
from processor.engine.service_health import is_bad
from processor.engine.speaker import ApiCall
from processor.engine.suspicion import Suspicion
from processor.engine.verdict import Answer, Halt, NoAnswer, PostVerdict, Retry
from processor.runtime.gate import Gate
from processor.runtime.ports import Clock


class Calls:
    """Shared by all requests and questions of a process."""

    def __init__(self, gate: Gate, clock: Clock, retries: Retries, observe: Observer) -> None:
        self.gate = gate
        self._clock = clock
        self._retries = retries
        self._observe = observe

    async def timed(
        self, endpoint: str, asked: Awaitable[Answer | NoAnswer], call: ApiCall, *, is_suspect: bool = False
    ) -> Answer | NoAnswer:
        """Wait for the answer, and tell how long it took; `is_suspect` as of a request."""
        started = self._clock.monotonic()
        answer = await heard(self.gate, self._clock, asked, call, is_suspect=is_suspect)
        outcome = f"{answer.status // 100}xx" if isinstance(answer, Answer) else answer.reason.value
        self._observe(Answered(endpoint, outcome, self._clock.monotonic() - started))
        return answer

    def is_suspect(self, suspicion: Suspicion) -> bool:
        """Say whether a request's failures say nothing of the rest; see `Suspects.is_suspect`."""
        return self._retries.suspects.is_suspect(suspicion, self._clock.monotonic())

    def as_limit(self, verdict: Retry, failures: int) -> Retry:
        """Return the verdict as a refusal where it is one that does not say so; see `Suspects.as_limit`."""
        return self._retries.suspects.as_limit(verdict, failures, self._clock.monotonic())

    async def back_off(self, verdict: Retry, failures: int) -> None:
        """Wait before a question is asked again that has failed so often in a row."""
        self._observe(Retried(verdict.reason, verdict.detail, verdict.status, "question"))
        is_broken = self.gate.limits.is_broken
        await asyncio.sleep(self._retries.delay_s(verdict, failures, self._clock.monotonic(), is_broken=is_broken))

    def answered(self, verdict: PostVerdict | None, sent_at: float, *, is_suspect: bool) -> None:
        """Let an answer to a POST count for what may be sent; None: it was given up."""
        if is_suspect and isinstance(verdict, Retry) and verdict.speaks_of_body:
            verdict = None  # it speaks of this request alone, also where it names a time to wait
        self.note_throttle(verdict)
        self.gate.answered(load_of(verdict), sent_at)

    def halt_or_resume(self, verdict: PostVerdict | None) -> None:
        """Stand still for what the set-up is at fault for; an answer as it should be ends that."""
        if not self.gate.is_open:
            return  # it answers what was sent with the key before
        if isinstance(verdict, Halt):
            self.gate.halt(verdict.reason, verdict.detail)
        elif verdict is not None and not isinstance(verdict, Retry) and load_of(verdict) is Load.FINE:
            self.gate.resume(*PROBED)

    def note_throttle(self, verdict: object) -> None:
        """Let nobody send anything for as long as FullStory wishes, where the verdict says so."""
        if not isinstance(verdict, Retry):
            return
        is_blocked = self._clock.monotonic() < self.gate.limits.blocked_until
        added = self.gate.block(self._retries.block_s(verdict, is_blocked=is_blocked))
        if added > 0:
            self._observe(Throttled(added))


async def heard(
    gate: Gate, clock: Clock, asked: Awaitable[Answer | NoAnswer], call: ApiCall, *, is_suspect: bool = False
) -> Answer | NoAnswer:
    """Wait for the answer, and let it count for what is known of the service as a whole."""
    number = gate.health.asked(clock.monotonic(), call)
    try:
        answer = await asked
        if not (is_suspect and is_bad(answer, call)):
            gate.health.answered(number, clock.monotonic(), answer, call)
    finally:
        gate.health.dropped(number)
    return answer
