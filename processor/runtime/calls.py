"""What every call to FullStory has in common: it is timed, a refusal is obeyed by all, a failure is waited out."""

import asyncio
from collections.abc import Awaitable

from processor.engine.breaker import MAX_PROBE_S
from processor.engine.limits import Load
from processor.engine.retry import Backoff, Chance, RetryBudget
from processor.engine.verdict import Answer, NoAnswer, Retry, RetryReason
from processor.runtime.gate import Gate
from processor.runtime.notices import Answered, Observer, Retried, Throttled
from processor.runtime.ports import Clock

REFUSED_FOR_S = 1.0
"""How long a 429 is obeyed that names no time, or less: FullStory counts in whole seconds."""


class Calls:
    """Shared by all requests and questions of a process."""

    def __init__(self, gate: Gate, clock: Clock, chance: Chance, observe: Observer) -> None:
        self._gate = gate
        self._clock = clock
        self._chance = chance
        self._observe = observe
        self._backoff = Backoff()
        self._budget = RetryBudget()
        self._refusals = 0
        """In a row, and without a time to wait for."""

    async def timed(
        self, endpoint: str, call: Awaitable[Answer | NoAnswer], *, is_question: bool = False
    ) -> Answer | NoAnswer:
        """Wait for the answer, and tell how long it took; a question is one about a job."""
        started = self._clock.monotonic()
        answer = await heard(self._gate, self._clock, call, is_question=is_question)
        outcome = f"{answer.status // 100}xx" if isinstance(answer, Answer) else answer.reason.value
        self._observe(Answered(endpoint, outcome, self._clock.monotonic() - started))
        return answer

    def succeeded(self) -> None:
        """A request was taken."""
        self._refusals = 0
        self._budget.succeeded()

    async def back_off(self, verdict: Retry, failures: int) -> None:
        """Wait before anything is tried again, unless FullStory named a time: then the gate waits, for all.

        While FullStory fails as a whole the gate lets few through, so the wait is short; it is one all the same, or a
        request that always fails would take every chance from the others.
        """
        self._observe(Retried(verdict.reason, verdict.detail, verdict.status))
        if verdict.after_s or verdict.reason is RetryReason.THROTTLED:
            return
        delay_s = self._backoff.delay_s(failures, self._chance)
        if self._gate.limits.is_broken:
            delay_s = min(delay_s, MAX_PROBE_S * self._chance())
        else:
            delay_s = max(delay_s, self._budget.wait_s(self._clock.monotonic()))
        await asyncio.sleep(delay_s)

    def note_throttle(self, verdict: object) -> None:
        """Let nobody send anything for as long as FullStory wishes, where the verdict says so."""
        if not isinstance(verdict, Retry):
            return
        after_s = verdict.after_s or 0.0
        if verdict.reason is RetryReason.THROTTLED and after_s < REFUSED_FOR_S:
            if self._clock.monotonic() >= self._gate.limits.blocked_until:
                self._refusals += 1
            after_s = max(self._backoff.delay_s(self._refusals, self._chance), REFUSED_FOR_S)
        added = self._gate.block(after_s)
        if added > 0:
            self._observe(Throttled(added))


async def heard(
    gate: Gate, clock: Clock, call: Awaitable[Answer | NoAnswer], *, is_question: bool = False
) -> Answer | NoAnswer:
    """Wait for the answer, and let it count for what is known of the service as a whole."""
    number = gate.responses.asked(clock.monotonic(), is_question=is_question)
    try:
        answer = await call
        gate.responses.answered(number, clock.monotonic(), answer, is_question=is_question)
    finally:
        gate.responses.dropped(number)
    return answer


def load_of(verdict: object) -> Load:
    """Say what a verdict tells of FullStory's load; None is a POST that was given up."""
    if verdict is None:
        return Load.UNKNOWN
    if not isinstance(verdict, Retry) or verdict.reason is RetryReason.CONFLICT:
        return Load.FINE
    return Load.REFUSED if verdict.reason is RetryReason.THROTTLED else Load.FAILING
