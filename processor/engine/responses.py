"""What FullStory's answers say of the service as a whole: it works, or it fails, refuses or is slow, and since when.

One good answer ends every finding: requests that fail now and then are retried and counted, and no finding.
"""

from dataclasses import dataclass, field
from enum import Enum, auto

from processor.engine.verdict import Answer, NoAnswer, RetryReason

LEAST_FAILURES = 3
LEAST_REFUSALS = 2
"""After a refusal nothing is sent for a second or more, so they come more slowly."""

LEAST_S = 2.0
"""So many answers in a row, over so long, have to be bad: the rest is noise."""

LONG_WAIT_S = 5.0
"""One answer that asks to wait for so long stops delivery by itself."""

SLOW_S = 3.0
"""FullStory takes a request within tenths of a second; a request that waits for longer is worth a word."""

FORGET_AFTER_S = 300.0
"""Without any request for so long, nobody knows."""


class Symptom(Enum):
    """What is wrong with the answers."""

    FAILING = auto()
    """All are 5xx, or do not come: an outage."""
    REFUSING = auto()
    """All are 429, or 429 among failures."""
    SLOW = auto()
    """They take long."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`cause` is a clause without a full stop; `since` is monotonic."""

    symptom: Symptom
    cause: str
    since: float


@dataclass(slots=True)
class _Streak:
    """Bad answers in a row."""

    what: str
    since: float = 0.0
    last_at: float = 0.0
    answers: int = 0
    is_refusal: bool = False
    wait_s: float = 0.0
    """How long the last answer asks to wait."""
    cause: str = ""

    def add(self, now: float, answer: Answer | NoAnswer) -> None:
        if not _is_bad(answer):
            self.answers = 0
            return
        if self.answers == 0:
            self.since, self.is_refusal = now, False
        self.answers += 1
        self.last_at = now
        self.is_refusal |= isinstance(answer, Answer) and answer.status == 429
        self.wait_s = (answer.retry_after_s or 0.0) if isinstance(answer, Answer) else 0.0
        self.cause = _cause(answer, self.what)

    def finding(self, now: float) -> Finding | None:
        least = LEAST_REFUSALS if self.is_refusal else LEAST_FAILURES
        is_long = self.answers >= least and now - self.since >= LEAST_S
        if not (is_long or (self.answers and self.wait_s >= LONG_WAIT_S)):
            return None
        if now - self.last_at > FORGET_AFTER_S + self.wait_s:
            return None
        return Finding(Symptom.REFUSING if self.is_refusal else Symptom.FAILING, self.cause, self.since)


@dataclass(slots=True)
class Responses:
    """Told of each call to FullStory and of its answer. Questions about jobs are judged apart from all else."""

    _calls: dict[int, float] = field(default_factory=dict)
    """When each call was made that awaits its answer, questions about jobs excepted."""
    _count: int = 0
    _requests: _Streak = field(default_factory=lambda: _Streak("request"))
    _questions: _Streak = field(default_factory=lambda: _Streak("question about a job"))
    _slow_since: float | None = None

    def asked(self, now: float, *, is_question: bool) -> int:
        """Count a call; the number that is returned names it."""
        self._count += 1
        if not is_question:
            self._calls[self._count] = now
        return self._count

    def answered(self, call: int, now: float, answer: Answer | NoAnswer, *, is_question: bool) -> None:
        """Count its answer."""
        (self._questions if is_question else self._requests).add(now, answer)
        asked_at = self._calls.pop(call, None)
        if asked_at is None:
            return
        if now - asked_at < SLOW_S:
            self._slow_since = None
        elif self._slow_since is None:
            self._slow_since = asked_at

    def dropped(self, call: int) -> None:
        """Forget a call, if it has no answer yet: nobody waits for it any more."""
        self._calls.pop(call, None)

    def finding(self, now: float) -> Finding | None:
        """Return what is wrong at this moment; what stops delivery goes before what only delays it."""
        found = [each for streak in (self._requests, self._questions) if (each := streak.finding(now))]
        if found:
            return min(found, key=lambda each: (each.symptom.value, each.since))
        return self._slowness(now)

    def _slowness(self, now: float) -> Finding | None:
        oldest = min(self._calls.values(), default=now)
        since = self._slow_since
        if now - oldest >= SLOW_S:
            since = oldest if since is None else min(since, oldest)
            return Finding(Symptom.SLOW, f"FullStory has not answered a request for {now - oldest:.0f} s", since)
        if since is None or (not self._calls and now - since > FORGET_AFTER_S):
            return None
        return Finding(Symptom.SLOW, f"FullStory takes longer than {SLOW_S:g} s to answer", since)


def _is_bad(answer: Answer | NoAnswer) -> bool:
    """Say whether an answer speaks of the service, and badly; what it says of requests is judged elsewhere."""
    return isinstance(answer, NoAnswer) or answer.status >= 500 or answer.status in (408, 425, 429)


def _cause(answer: Answer | NoAnswer, what: str) -> str:
    if isinstance(answer, Answer):
        if answer.status == 429:
            return f"FullStory refuses every {what} with 429 (too many requests)"
        return f"FullStory answers {answer.status} to every {what}"
    if answer.reason is RetryReason.TIMEOUT:
        return f"FullStory does not answer any {what} in time"
    return f"FullStory cannot be reached ({answer.detail})" if answer.detail else "FullStory cannot be reached"
