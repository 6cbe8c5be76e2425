"""What an answer of FullStory means for the request that it answers.

Rules, from docs/fullstory-api.md#errors:

0. FullStory is believed where it is FullStory that speaks: a success by the body that is documented for the call, a
   refusal by the error code that each of its errors has. Anything else was said by something in between (a gateway, a
   proxy, a firewall): it delivers nothing, rejects nothing, denies no job, and silences for a minute at most.
1. Only 400, 413 and 422 speak of the content of a request, and only on a request of one item of the record itself.
2. 401, 403, 404, 405, 415 and redirects speak of our set-up: delivery halts and nothing is dead-lettered.
3. 408, 409, 425, 429, 5xx and every fault of the connection pass: the same request is sent again under the same key.
4. An item of a job may fail by FullStory's own fault: its code tells, and such an item is sent again.
5. What an answer says of FullStory's load stands in `limits.load_of`, and of the service as a whole in
   `service_health`.
6. A verdict carries its reason; a reason never holds text of FullStory beyond its error code.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from processor.model.outcomes import Rejected
from processor.model.reasons import DeadLetterReason, HaltReason, Kind

_PASSING_CODES = frozenset(
    {"server_error", "internal", "internal_error", "unavailable", "timeout", "too_many_requests", "deadline_exceeded"}
)
"""Codes of failed items that speak of FullStory's state: those of its 5xx and 429 answers, and their common kin."""

FOREIGN_WAIT_S = 60.0
"""How long an answer that is not FullStory's may silence all; a gateway's page named an hour and stood for 5 s."""

_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: `body` is its JSON, or None where it held none that could be read."""

    status: int
    body: Any = None
    retry_after_s: float | None = None
    """What was asked for, from the answer's arrival on."""
    is_json: bool = field(default=True, compare=False)
    """Whether it says that its body is JSON: then None is one that is too large."""

    @property
    def wait_s(self) -> float | None:
        """How long to wait at least. Whatever stands between may be gone much sooner than it says."""
        if self.retry_after_s is None or error_code(self.body) is not None:
            return self.retry_after_s
        return min(self.retry_after_s, FOREIGN_WAIT_S)


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The request ended without an answer; whether FullStory took it is not known."""

    reason: "RetryReason"
    detail: str = field(default="", compare=False)
    """What the network did, in words for people."""


class RetryReason(StrEnum):
    """Why a request is sent again; a metric label."""

    THROTTLED = "throttled"
    SERVER_ERROR = "server_error"
    CONFLICT = "conflict"
    TIMEOUT = "timeout"
    CONNECTION = "connection"


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


@dataclass(frozen=True, slots=True)
class Split:
    """Some item of several is at fault, or they are too large together: send the halves."""

    status: int


@dataclass(frozen=True, slots=True)
class Halt:
    """Nothing can be delivered until an operator acts or FullStory's mind changes."""

    reason: HaltReason
    detail: str


PostVerdict = Delivered | Accepted | Retry | Split | Rejected | Halt


def of_post(answer: Answer | NoAnswer, kind: Kind, *, batch: bool) -> PostVerdict:
    """Judge the answer to a POST; `kind` and `batch` say which endpoint, and so which answers are possible."""
    if isinstance(answer, NoAnswer):
        return Retry(answer.reason, detail=answer.detail)
    if answer.status in (200, 201, 202, 204):
        return _success(answer, kind, batch=batch)
    if answer.status in (400, 413, 422):
        return Split(answer.status) if batch else _rejected(answer)
    return of_trouble(answer)


def of_trouble(answer: Answer | NoAnswer) -> Retry | Halt:
    """Judge an answer that neither succeeds nor speaks of the content."""
    if isinstance(answer, NoAnswer):
        return Retry(answer.reason, detail=answer.detail)
    status = answer.status
    if status == 429:
        return Retry(RetryReason.THROTTLED, status, answer.wait_s)
    if status in (408, 425):
        return Retry(RetryReason.TIMEOUT, status, answer.wait_s)
    if status == 409:
        return Retry(RetryReason.CONFLICT, status, answer.wait_s)
    if status >= 500:
        return Retry(RetryReason.SERVER_ERROR, status, answer.wait_s)
    if status >= 400 and error_code(answer.body) is None:
        return _foreign(status)
    if status == 401:
        return Halt(HaltReason.UNAUTHORIZED, "FullStory answers 401: the API key is wrong or revoked")
    if status == 403:
        return Halt(HaltReason.FORBIDDEN, "FullStory answers 403: the level of the API key is too low")
    return Halt(HaltReason.UNEXPECTED_ANSWER, f"{status} answers a request, which FullStory's API never does")


def _foreign(status: int) -> Halt:
    detail = f"{status} without FullStory's error code answers a request: something in between answers, not FullStory"
    return Halt(HaltReason.UNEXPECTED_ANSWER, detail)


def _success(answer: Answer, kind: Kind, *, batch: bool) -> PostVerdict:
    """Believe a success by its body (docs/fullstory-api.md#endpoints): a job's id, a user's, or `{}` for an event."""
    body = answer.body if isinstance(answer.body, dict) else None
    job = body.get("job") if batch and body else body
    found = job.get("id") if isinstance(job, dict) else None
    if isinstance(found, str) and found and batch:
        return Accepted(found)
    if not batch and (body == {} if kind is Kind.EVENT else isinstance(found, str) and found):
        return Delivered()
    missing = "a job id" if batch else "a user's id" if kind is Kind.USER else "FullStory's empty JSON object"
    return Halt(HaltReason.UNEXPECTED_ANSWER, f"{answer.status} without {missing} answers a request")


def _rejected(answer: Answer) -> Rejected | Halt:
    """Believe FullStory that an item is at fault; a page of something in between says nothing about it."""
    code = error_code(answer.body)
    if answer.status == 413:
        return Rejected(DeadLetterReason.TOO_LARGE, "FullStory answers 413: the request is too large", answer.status)
    if code is None:
        return _foreign(answer.status)
    return Rejected(DeadLetterReason.REJECTED, f"FullStory answers {answer.status} {code}", answer.status)


def error_code(body: Any) -> str | None:
    """Return FullStory's error code; its message may quote what we sent and is never kept."""
    code = body.get("code") if isinstance(body, dict) else None
    return code if isinstance(code, str) and _CODE.match(code) else None


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
    if isinstance(answer, NoAnswer) or answer.status not in (200, 202, 404):
        return of_trouble(answer)
    if answer.status == 404:
        return Unknown() if error_code(answer.body) else of_trouble(answer)
    body = answer.body if isinstance(answer.body, dict) else {}
    job = body.get("job")
    if not isinstance(job, dict):
        return Halt(HaltReason.UNEXPECTED_ANSWER, "a success without a job answers a question about a job")
    match job.get("status"):
        case "COMPLETED":
            return Completed()
        case "FAILED":
            errors = body.get("errors")
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
    if isinstance(answer, NoAnswer) or answer.status not in (200, 202, 403, 404):
        return of_trouble(answer)
    if answer.status in (403, 404):
        known: Unreadable | Unknown = Unreadable() if answer.status == 403 else Unknown()
        return known if error_code(answer.body) else of_trouble(answer)
    if answer.body is None and answer.is_json:
        return Unreadable()  # too large
    body = answer.body if isinstance(answer.body, dict) else None
    if answer.status == 202 and body is not None:
        return Running()
    results, token = (body or {}).get("results"), (body or {}).get("next_page_token")
    if not isinstance(results, list):
        detail = f"{answer.status} without results answers a question about a job's failed items"
        return Halt(HaltReason.UNEXPECTED_ANSWER, detail)
    failures = tuple(each for each in results if isinstance(each, dict))
    return ErrorPage(failures, token if isinstance(token, str) else "")
