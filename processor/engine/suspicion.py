"""Who is the cause of a request's failures: FullStory, the way there, or what the request holds.

Only failures that others do not share speak of what a request holds: so each is counted beside what passed meanwhile.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto

from processor.engine.verdict import Retry, RetryReason

POISON_AFTER_S = 3_600.0
"""How long a request may fail with 5xx while others succeed, before its records are taken for the cause."""

_LEAST_SUSPICIOUS_FAILURES = 20
"""So often a request has to fail in a row: a service that fails often and not always is no fault of a record."""

_OTHERS_SUCCEED_S = 60.0
"""How lately another request has to have succeeded, for a fault to be the record's; where something in between is the
cause, a quarter of the time that it has lasted is late enough: on a quiet topic others are rare."""

_BLOCKED_SUSPECT_S = 300.0
"""How lately, for the failures of a record that is known to be blocked to say nothing of the rest."""

_PART_PATIENCE_S = 60.0
"""How long each part may fail of what has failed for the whole patience."""

_LIMITED_S = 10.0
_LIMITED_TRIES = 3
"""A 503 of something in between is taken for a limit of its rate while requests passed so lately, and so often in a row
for one request: nginx's `limit_req` answers so by default."""

_REFUSED_BESIDE = 2
"""So often something in between has to refuse a body again after others have passed, before the body is the cause."""

_LOST_BESIDE = 6
_LOST_S = 30.0
"""So often, and for so long, where it answers 5xx or the connection is lost: a bad network does that by chance."""

_PART_LOST = 3
"""So often in a row where the body is a part of one that was the cause."""

_NEVER_PASSED = 5
_NEVER_PASSED_S = 15.0
"""So often and for so long nothing passes, before the first item is sent alone of a body that is larger than any that
passed."""


class Blame(Enum):
    """Who is the cause of a request's failures, as far as can be known."""

    NOBODY = auto()
    """Whatever it is may pass."""
    UNCLEAR = auto()
    """Nothing passes, and nothing as large ever did: what passes without the first item, that tells."""
    BODY = auto()
    """One of its items, or its size."""
    RECORD = auto()
    """Its one item, for so long that it never passes."""


@dataclass(slots=True)
class Suspicion:
    """How long a request has been failing in ways that may be due to what it holds, and with nothing else between."""

    is_of_part: bool = False
    """Whether it is a part of what had been found to be the cause."""
    has_waited: bool = False
    """Whether the whole patience is over: for the request, or for that of which it is a part."""
    since: float | None = None
    failures: int = 0
    beside: int = 0
    """Those of them before which another request passed since the one before."""
    is_blocked: bool = False
    """Whether something in between lets others pass, and not this."""
    detail: str = ""
    """The last failure, in words."""
    _last_at: float = float("inf")

    def failed(self, now: float, verdict: Retry, succeeded_at: float) -> None:
        """Count a failure; one that has nothing to do with what was sent ends the suspicion, unless it is certain."""
        if verdict.reason is not RetryReason.SERVER_ERROR and not verdict.speaks_of_body:
            if not self.is_blocked:
                self.since, self.failures, self.beside, self._last_at = None, 0, 0, float("inf")
            return
        self.since = now if self.since is None else self.since
        self.failures += 1
        self.beside += succeeded_at > self._last_at
        self._last_at = now
        self.detail = verdict.detail

    def of_part(self) -> "Suspicion":
        """Return the suspicion with which a part of it begins: how long it fails, is its own."""
        return Suspicion(is_of_part=True, has_waited=self.has_waited, detail=self.detail)


class Suspects:
    """Tells suspects by what passed lately; shared by all requests of a process. `now` is monotonic."""

    def __init__(self, poison_after_s: float = POISON_AFTER_S) -> None:
        self._poison_after_s = poison_after_s
        self._succeeded_at = float("-inf")
        self._fruitless = 0
        self._fruitless_since = 0.0
        """How many bodies failed since the last success, and since when."""
        self._has_tried_alone = False
        """Whether the first item of something was sent alone, since the last success."""

    def succeeded(self, now: float) -> None:
        """A request was taken."""
        self._succeeded_at = now
        self._fruitless = 0
        self._has_tried_alone = False

    def as_limit(self, verdict: Retry, failures: int, now: float) -> Retry:
        """Return a 503 of something in between as what a 429 is, while others pass: most limits of a rate say it so."""
        is_page = verdict.reason is RetryReason.GATEWAY and verdict.status == 503
        if not is_page or failures >= _LIMITED_TRIES or now - self._succeeded_at > _LIMITED_S:
            return verdict
        return replace(verdict, reason=RetryReason.THROTTLED, speaks_of_body=False)

    def is_suspect(self, suspicion: Suspicion, now: float) -> bool:
        """Say whether a request's failures say nothing of FullStory, nor of the way there: others passed lately."""
        lately_s = _BLOCKED_SUSPECT_S if suspicion.is_blocked else _OTHERS_SUCCEED_S
        return (suspicion.is_blocked or suspicion.is_of_part) and now - self._succeeded_at <= lately_s

    def blame(
        self,
        suspicion: Suspicion,
        verdict: Retry,
        now: float,
        *,
        is_alone: bool,
        is_large: bool = False,
        was_blocked: bool = False,
    ) -> Blame:
        """Count a failure; say who is its cause, as far as can be known.

        `is_alone`: it is one item, sent alone; `is_large`: no body as large was ever taken; `was_blocked`: others as
        large were blocked. FullStory's own 5xx need the whole patience, for it fails now and then; what something in
        between does to a body while it lets others pass shows soon, and its lone items have that patience then.
        """
        suspicion.failed(now, verdict, self._succeeded_at)
        may_be_size = verdict.speaks_of_body and (verdict.status in (None, 400, 403) or verdict.status >= 500)
        if may_be_size:
            self._fruitless_since = self._fruitless_since if self._fruitless else now
            self._fruitless += 1
        if suspicion.since is None:
            return Blame.NOBODY
        lasted_s, failures, beside = now - suspicion.since, suspicion.failures, suspicion.beside
        if verdict.speaks_of_body:
            is_refusal = verdict.status is not None and verdict.status < 500 and verdict.status != 408
            if suspicion.is_of_part:
                others_pass = now - self._succeeded_at <= _OTHERS_SUCCEED_S
                is_blocked = others_pass and (is_refusal or failures >= _PART_LOST)
            elif is_refusal:
                is_blocked = beside >= _REFUSED_BESIDE
            else:
                is_blocked = beside >= _LOST_BESIDE and lasted_s >= _LOST_S
            suspicion.is_blocked = suspicion.is_blocked or is_blocked
        if not is_alone and (suspicion.is_blocked or (was_blocked and verdict.speaks_of_body)):
            return Blame.BODY
        lately_s = max(lasted_s / 4, _OTHERS_SUCCEED_S) if suspicion.is_blocked else _OTHERS_SUCCEED_S
        patience_s = min(self._poison_after_s, _PART_PATIENCE_S) if suspicion.has_waited else self._poison_after_s
        is_hopeless = lasted_s >= patience_s and failures >= _LEAST_SUSPICIOUS_FAILURES
        if is_hopeless and now - self._succeeded_at <= lately_s:
            suspicion.has_waited = True
            return Blame.RECORD if is_alone else Blame.BODY
        has_tried = self._fruitless >= _NEVER_PASSED and now - self._fruitless_since >= _NEVER_PASSED_S
        is_first = has_tried and not self._has_tried_alone
        if is_first and is_large and not is_alone and may_be_size:
            self._has_tried_alone = True
            return Blame.UNCLEAR
        return Blame.NOBODY
