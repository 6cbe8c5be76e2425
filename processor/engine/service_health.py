"""What FullStory's answers say of the service as a whole: it works, or it fails, refuses or is slow, and since when.

One good answer ends every diagnosis: requests that fail now and then are retried and counted, and call for none.
"""

from dataclasses import dataclass, field
from enum import Enum, auto

from processor.engine.causes import Causes
from processor.engine.speaker import ApiCall
from processor.engine.verdict import Answer, NoAnswer, RetryReason, is_foreign

LEAST_FAILURES = 3
LEAST_REFUSALS = 2
"""After a refusal nothing is sent for a second or more, so they come more slowly."""

LEAST_S = 2.0
"""So many answers in a row, over so long, have to be bad: the rest is noise."""

LONG_WAIT_S = 5.0
"""One answer that asks to wait for so long stops delivery by itself."""

WAIT_GRACE_S = 10.0
"""After a wait, what is tried next needs time for its answer."""

FAILURES_MATTER_S = 30.0
"""A refusal shows that the service works, but not among failures: those of so late go before."""

SLOW_S = 3.0
"""FullStory takes a request within tenths of a second; a request that waits for longer is worth a word."""

FORGET_SLOW_AFTER_S = 60.0
FORGET_AFTER_S = 180.0
"""Without any request for so long, nobody knows. A probe that times out takes 120 s, and 10 s to come."""


class Symptom(Enum):
    """What is wrong with the answers."""

    FAILING = auto()
    """All are 5xx, or do not come: an outage."""
    REFUSING = auto()
    """All are 429, or 429 among failures."""
    SLOW = auto()
    """They take long."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`cause` is a clause without a full stop; `since` is monotonic."""

    symptom: Symptom
    cause: str
    since: float
    is_of_gateway: bool = False
    """Whether something in between gave the last bad answer, not FullStory."""


@dataclass(slots=True)
class _Streak:
    """Calls of one kind: those that await their answers, and the bad answers in a row."""

    what: str
    since: float = 0.0
    last_at: float = float("-inf")
    failed_at: float = float("-inf")
    """When the last answer came that was bad and no refusal."""
    answers: int = 0
    waits_until: float = float("-inf")
    """The end of the longest wait that was asked for."""
    causes: Causes = field(default_factory=Causes)
    last: tuple[Answer | NoAnswer, ApiCall] | None = None
    """The last bad answer, and to what."""
    calls: dict[int, float] = field(default_factory=dict)
    """When each call was made that awaits its answer."""

    def add(self, now: float, asked_at: float, answer: Answer | NoAnswer, call: ApiCall) -> None:
        """Count an answer; a good one ends the streak, but a wait only if it was asked for after that."""
        if not is_bad(answer, call):
            self.answers = 0
            if asked_at > self.last_at:
                self.waits_until = float("-inf")
            return
        is_refusal = isinstance(answer, Answer) and answer.status == 429
        if self.answers == 0 and now >= self.waits_until:
            self.since, self.failed_at, self.causes = now, float("-inf"), Causes()
        self.answers += 1
        self.last_at = now
        if not is_refusal:
            self.failed_at = now
        wait_s = (answer.wait_s or 0.0) if isinstance(answer, Answer) else 0.0
        if wait_s >= LONG_WAIT_S:
            self.waits_until = max(self.waits_until, now + wait_s)
        self.last = answer, call
        self.causes.add(_in_short(answer, call))

    def diagnosis(self, now: float) -> Diagnosis | None:
        is_refusing = self.last_at - self.failed_at > FAILURES_MATTER_S
        least = LEAST_REFUSALS if is_refusing else LEAST_FAILURES
        is_long = self.answers >= least and now - self.since >= LEAST_S and now - self.last_at <= FORGET_AFTER_S
        if self.last is None or (not is_long and now > self.waits_until + WAIT_GRACE_S):
            return None
        answer, call = self.last
        if is_refusing:
            return Diagnosis(Symptom.REFUSING, _cause(answer, call, self.what), self.since)
        is_mixed = len(self.causes.by_cause) > 1
        cause = f"every {self.what} fails ({self.causes})" if is_mixed else _cause(answer, call, self.what)
        is_of_gateway = isinstance(answer, Answer) and is_foreign(answer, call)
        return Diagnosis(Symptom.FAILING, cause, self.since, is_of_gateway)


@dataclass(slots=True)
class ServiceHealth:
    """Told of each call to FullStory and of its answer. Questions about jobs are judged apart from all else."""

    _count: int = 0
    _requests: _Streak = field(default_factory=lambda: _Streak("request"))
    _questions: _Streak = field(default_factory=lambda: _Streak("question about a job"))
    _slow_since: float | None = None
    _slow_at: float = 0.0
    """When the last slow answer came."""
    is_well: bool = True
    """Whether the last answer was a good one."""

    def asked(self, now: float, call: ApiCall) -> int:
        """Count a call; the number that is returned names it."""
        self._count += 1
        self._streak(call).calls[self._count] = now
        return self._count

    def answered(self, number: int, now: float, answer: Answer | NoAnswer, call: ApiCall) -> None:
        """Count its answer."""
        streak = self._streak(call)
        asked_at = streak.calls.pop(number)
        if call is ApiCall.BATCH and _is_413_between(answer, call):
            return  # it speaks of one body, and neither well nor badly of the rest
        streak.add(now, asked_at, answer, call)
        self.is_well = not is_bad(answer, call)
        if call.is_question:
            return
        if now - asked_at < SLOW_S:
            self._slow_since = None
        else:
            self._slow_at = now
            self._slow_since = asked_at if self._slow_since is None else self._slow_since

    def dropped(self, number: int) -> None:
        """Forget a call, if it has no answer yet: nobody waits for it any more, or it tells nothing."""
        for streak in (self._requests, self._questions):
            streak.calls.pop(number, None)

    def diagnosis(self, now: float) -> Diagnosis | None:
        """Return what is wrong at this moment; what stops delivery goes before what only delays it."""
        found = [each for streak in (self._requests, self._questions) if (each := streak.diagnosis(now))]
        if found:
            return min(found, key=lambda each: (each.symptom.value, each.since))
        return self._slowness(now)

    def _streak(self, call: ApiCall) -> _Streak:
        return self._questions if call.is_question else self._requests

    def _slowness(self, now: float) -> Diagnosis | None:
        since = self._slow_since
        if since is not None and not self._requests.calls and now - self._slow_at > FORGET_SLOW_AFTER_S:
            since = self._slow_since = None
        oldest = min(self._requests.calls.values(), default=now)
        if now - oldest >= SLOW_S:
            since = oldest if since is None else min(since, oldest)
        return None if since is None else Diagnosis(Symptom.SLOW, "FullStory takes long to answer", since)


def is_bad(answer: Answer | NoAnswer, call: ApiCall) -> bool:
    """Say whether an answer speaks of the service, and badly; what it says of requests is judged elsewhere."""
    if isinstance(answer, NoAnswer) or answer.status >= 500 or answer.status in (408, 425, 429):
        return True
    return is_foreign(answer, call)


def _is_413_between(answer: Answer | NoAnswer, call: ApiCall) -> bool:
    """Say whether something in between finds a body too large."""
    return isinstance(answer, Answer) and answer.status == 413 and is_foreign(answer, call)


def _in_short(answer: Answer | NoAnswer, call: ApiCall) -> str:
    if isinstance(answer, Answer):
        return f"{answer.status} of {answer.sender}" if is_foreign(answer, call) else str(answer.status)
    return answer.detail or answer.reason.value


def _cause(answer: Answer | NoAnswer, call: ApiCall, what: str) -> str:
    if isinstance(answer, Answer):
        if answer.status == 429:
            return f"FullStory refuses every {what} with 429 (too many requests)"
        if is_foreign(answer, call):
            return f"{answer.as_foreign}, to every {what}"
        return f"FullStory answers {answer.status} to every {what}"
    is_late = answer.reason is RetryReason.TIMEOUT
    cause = f"FullStory does not answer any {what} in time" if is_late else "FullStory cannot be reached"
    return f"{cause} ({answer.detail})" if answer.detail else cause
