"""Whose answer it is: FullStory's, or that of something in between (a gateway, a proxy, a firewall, a page).

FullStory is known by what it says, never by the number: a success by the body that is documented for the call, a
refusal by the error code that each of its errors has (docs/fullstory-api.md#endpoints and #errors). Every verdict asks
this first, and so does whatever judges the service as a whole.
"""

import re
from enum import Enum, auto
from typing import Any

from processor.model.reasons import Kind

_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")


class ApiCall(Enum):
    """What FullStory is asked; each call has a success of its own form."""

    USER = auto()
    EVENT = auto()
    DELETION = auto()
    BATCH = auto()
    JOB = auto()
    ERRORS = auto()
    ME = auto()

    @property
    def is_question(self) -> bool:
        """Whether it is one about a job."""
        return self in (ApiCall.JOB, ApiCall.ERRORS)


def post_of(kind: Kind, *, batch: bool) -> ApiCall:
    """Return which call a request is."""
    if batch:
        return ApiCall.BATCH
    return _SINGLE_CALLS[kind]


_SINGLE_CALLS = {Kind.USER: ApiCall.USER, Kind.EVENT: ApiCall.EVENT, Kind.DELETION: ApiCall.DELETION}


def is_fullstory(call: ApiCall, status: int, body: Any) -> bool:
    """Say whether FullStory speaks; `body` is the answer's JSON, or None where it holds none."""
    if not 200 <= status < 300:
        return error_code(body) is not None
    if not isinstance(body, dict):
        return False
    match call:
        case ApiCall.USER:
            return _is_text(body.get("id"))
        case ApiCall.EVENT | ApiCall.DELETION:
            return not body
        case ApiCall.BATCH:
            return _is_text(_job(body).get("id"))
        case ApiCall.JOB:
            return _is_text(_job(body).get("status"))
        case ApiCall.ERRORS:
            return status == 202 or isinstance(body.get("results"), list)  # what a 202 holds is undocumented
        case ApiCall.ME:
            return _is_text(body.get("orgId")) and _is_text(body.get("role"))


def error_code(body: Any) -> str | None:
    """Return FullStory's error code; its message may quote what we sent and is never kept."""
    code = body.get("code") if isinstance(body, dict) else None
    return code if isinstance(code, str) and _CODE.match(code) else None


def _job(body: dict[str, Any]) -> dict[str, Any]:
    job = body.get("job")
    return job if isinstance(job, dict) else {}


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""
