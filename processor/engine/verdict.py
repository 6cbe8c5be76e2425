"""What an answer of FullStory means for the request that it answers.

Rules, from docs/fullstory-api.md#errors:

0. FullStory is believed where it is FullStory that speaks (`speaker`). What something in between says is a passing
   fault, whatever its number: it delivers nothing, rejects nothing, denies no job, ends no halt, and silences for a
   minute at most. A 413 to a batch has it split, for whoever says so means its size. Whether one body alone cannot
   pass is found out from how it fails (`suspicion.Suspects`).
1. Only 400, 413 and 422 speak of the content of a request, and only on a request of one item of the record itself.
2. 401, 403, 404, 405, 415 and redirects speak of our set-up: delivery halts and nothing is dead-lettered.
3. 408, 409, 425, 429, 5xx and every fault of the connection pass: the same request is sent again under the same key.
4. An item of a job may fail by FullStory's own fault: its code tells, and such an item is sent again.
5. What an answer says of FullStory's load stands in `limits.load_of`, and of the service as a whole in
   `service_health`.
6. A verdict carries its reason; a reason never holds text of FullStory beyond its error code.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from processor.engine.speaker import ApiCall, error_code, is_fullstory, post_of
from processor.model.outcomes import Rejected
from processor.model.reasons import DeadLetterReason, HaltReason, Kind

_PASSING_CODES = frozenset(
    {"server_error", "internal", "internal_error", "unavailable", "timeout", "too_many_requests", "deadline_exceeded"}
)
"""Codes of failed items that speak of FullStory's state: those of its 5xx and 429 answers, and their common kin."""

FOREIGN_WAIT_S = 60.0
"""How long an answer that is not FullStory's may silence all; a gateway's page named an hour and stood for 5 s."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: `body` is its JSON, or None where it held none that could be read."""

    status: int
    body: Any = None
    retry_after_s: float | None = None
    """What was asked for, from the answer's arrival on."""
    exceeds_bound: bool = field(default=False, compare=False)
    """Whether its body was too large to be read."""
    server: str = field(default="", compare=False)
    """Its `Server` header: short, printable."""
    media_type: str = field(default="", compare=False)
    """What it says that its body is."""

    @property
    def wait_s(self) -> float | None:
        """How long to wait at least. Whatever stands between may be gone much sooner than it says."""
        if self.retry_after_s is None or error_code(self.body) is not None:
            return self.retry_after_s
        return min(self.retry_after_s, FOREIGN_WAIT_S)

    @property
    def sender(self) -> str:
        """Who says so, as far as it is told: never with bytes of the body."""
        return f"{f'server {self.server}' if self.server else 'no server named'}, {self.media_type or 'no type'}"

    @property
    def as_foreign(self) -> str:
        """Name it as what something in between says."""
        return f"something in between answers {self.status} ({self.sender}), not FullStory"


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The request ended without an answer; whether FullStory took it is not known."""

    reason: "RetryReason"
    detail: str = field(default="", compare=False)
    """What the network did, in words for people."""
    was_connected: bool = field(default=False, compare=False)
    """Whether there was a connection, which was lost or fell silent: what was sent may have been the cause."""


class RetryReason(StrEnum):
    """Why a request is sent again; a metric label."""

    THROTTLED = "throttled"
    SERVER_ERROR = "server_error"
    CONFLICT = "conflict"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    GATEWAY = "gateway"
    """Something in between answered, not FullStory."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """FullStory took the item and its effect is complete."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """FullStory took the items into a job."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Retry:
    """Send again under the same key, not before `after_s` where FullStory named one."""

    reason: RetryReason
    status: int | None = None
    after_s: float | None = None
    detail: str = ""
    speaks_of_body: bool = field(default=False, compare=False)
    """Whether what stands between may have done so because of what was sent."""


@dataclass(frozen=True, slots=True)
class Split:
    """Some item of several is at fault, or they are too large together: send the halves."""

    status: int
    is_foreign: bool = field(default=False, compare=False)
    """Whether something in between says so: then FullStory may have taken them before."""


@dataclass(frozen=True, slots=True)
class Halt:
    """Nothing can be delivered until an operator acts or FullStory's mind changes."""

    reason: HaltReason
    detail: str


PostVerdict = Delivered | Accepted | Retry | Split | Rejected | Halt


def of_post(answer: Answer | NoAnswer, kind: Kind, *, batch: bool) -> PostVerdict:
    """Judge the answer to a POST; `kind` and `batch` say which endpoint, and so which answers are possible."""
    call = post_of(kind, batch=batch)
    if isinstance(answer, Answer):
        if kind is Kind.DELETION and answer.status == 404 and _says_not_found(answer):
            return Delivered()  # there is nobody to delete
        if batch and answer.status == 413:
            return Split(413, is_foreign(answer, call))
        if answer.status in (400, 413, 422) and not is_foreign(answer, call):
            return Split(answer.status) if batch else _rejected(answer)
    if (trouble := of_trouble(answer, call)) is not None:
        return trouble
    assert isinstance(answer, Answer), "no answer is trouble"
    return Accepted(answer.body["job"]["id"]) if batch else Delivered()


def is_foreign(answer: Answer, call: ApiCall) -> bool:
    """Say whether something in between answered."""
    if answer.exceeds_bound and call is ApiCall.ERRORS and "json" in answer.media_type:
        return False  # each failed item is echoed whole
    return not is_fullstory(call, answer.status, answer.body)


def of_trouble(answer: Answer | NoAnswer, call: ApiCall) -> Retry | Halt | None:
    """Judge an answer that neither speaks of the content nor is a success of FullStory's; None: it is one."""
    if isinstance(answer, NoAnswer):
        return Retry(answer.reason, detail=answer.detail, speaks_of_body=answer.was_connected)
    foreign = is_foreign(answer, call)
    detail, status = answer.as_foreign if foreign else "", answer.status
    if status == 429:
        return Retry(RetryReason.THROTTLED, status, answer.wait_s, detail)
    if status in (408, 425):
        return Retry(RetryReason.TIMEOUT, status, answer.wait_s, detail, speaks_of_body=foreign)
    if foreign:
        return Retry(RetryReason.GATEWAY, status, answer.wait_s, detail, speaks_of_body=True)
    if status == 409:
        return Retry(RetryReason.CONFLICT, status, answer.wait_s)
    if status >= 500:
        return Retry(RetryReason.SERVER_ERROR, status, answer.wait_s)
    if status == 401:
        return Halt(HaltReason.UNAUTHORIZED, "FullStory answers 401: the API key is wrong or revoked")
    if status == 403:
        return Halt(HaltReason.FORBIDDEN, "FullStory answers 403: the level of the API key is too low")
    if 200 <= status < 300:
        return None
    return Halt(HaltReason.UNEXPECTED_ANSWER, f"{status} answers a request, which FullStory's API never does")


def _says_not_found(answer: Answer) -> bool:
    """Say whether FullStory's own code denies what was named: any other 404 speaks of the address."""
    return (error_code(answer.body) or "").endswith("not_found")


def _rejected(answer: Answer) -> Rejected:
    """Believe FullStory that an item is at fault."""
    if answer.status == 413:
        return Rejected(DeadLetterReason.TOO_LARGE, "FullStory answers 413: the request is too large", answer.status)
    detail = f"FullStory answers {answer.status} {error_code(answer.body)}"
    return Rejected(DeadLetterReason.REJECTED, detail, answer.status)


def is_passing(code: str) -> bool:
    """Say whether an item of a job failed by FullStory's fault and not by its own."""
    return code in _PASSING_CODES


@dataclass(frozen=True, slots=True)
class Running:
    """The job goes on; ask again later."""


@dataclass(frozen=True, slots=True)
class Completed:
    """Every item of the job took effect."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Some items of the job did not take effect."""

    errors: int
    """How many, as far as FullStory says, and one at least."""
    failures: Sequence[dict[str, Any]] | None = None
    """Which, as it echoes them; None while they were not asked for, and where they cannot be read."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """FullStory does not know the job."""


JobEnd = Completed | Failed | Unknown

JobVerdict = Running | Completed | Failed | Unknown | Retry | Halt


def of_job(answer: Answer | NoAnswer) -> JobVerdict:
    """Judge the answer to a question for a job's state (docs/fullstory-api.md#jobs)."""
    if isinstance(answer, Answer) and answer.status == 404 and not is_foreign(answer, ApiCall.JOB):
        return Unknown()
    if (trouble := of_trouble(answer, ApiCall.JOB)) is not None:
        return trouble
    assert isinstance(answer, Answer), "no answer is trouble"
    match answer.body["job"]["status"]:
        case "COMPLETED":
            return Completed()
        case "FAILED":
            errors = answer.body.get("errors")
            return Failed(max(errors, 1) if isinstance(errors, int) else 1)
        case _:
            return Running()


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """Failed items of a job, echoed whole; `next_token` is empty on the last page."""

    failures: tuple[dict[str, Any], ...]
    next_token: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Which items failed cannot be read: by this key, or at all."""


ErrorsVerdict = ErrorPage | Running | Unreadable | Unknown | Retry | Halt


def of_errors(answer: Answer | NoAnswer) -> ErrorsVerdict:
    """Judge the answer to a question for a job's failed items."""
    if isinstance(answer, Answer) and answer.status in (403, 404) and not is_foreign(answer, ApiCall.ERRORS):
        return Unreadable() if answer.status == 403 else Unknown()
    if (trouble := of_trouble(answer, ApiCall.ERRORS)) is not None:
        return trouble
    assert isinstance(answer, Answer), "no answer is trouble"
    if answer.status == 202:
        return Running()
    if answer.exceeds_bound:
        return Unreadable()
    token = answer.body.get("next_page_token")
    failures = tuple(each for each in answer.body["results"] if isinstance(each, dict))
    return ErrorPage(failures, token if isinstance(token, str) else "")
