"""What goes over the wire: a call, its answer, and the error body of docs/fullstory-api.md#errors."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, final

import orjson

UNAUTHORIZED = "access is unauthorized"
FORBIDDEN = "insufficient permissions"
NOT_FOUND = "Requested resource does not exist"
NOT_ALLOWED = "Method not allowed"
TOO_MANY = "Too many requests. Client has exceeded the rate limit for this endpoint."
TYPE_NAMES = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "an integer"}

Json = dict[str, Any]


@final
@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request, as an endpoint sees it."""

    number: int
    at: float
    key: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    idempotency_key: str | None


@final
@dataclass(frozen=True, slots=True)
class SandboxAnswer:
    """A response; `items` is how many items its request held, the last two what headers of their names are to say."""

    status: int
    body: bytes
    items: int = 0
    retry_after_s: float | None = None
    allow: str | None = None


@final
class ApiError(Exception):
    """A refusal with the body `{message, code}`; also the reason why an item of a job failed."""

    def __init__(
        self, status: int, code: str, message: str, *, retry_after_s: float | None = None, allow: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s
        self.allow = allow

    def answer(self) -> SandboxAnswer:
        """Return the response that says so."""
        body = orjson.dumps({"message": self.message, "code": self.code})
        return SandboxAnswer(self.status, body, retry_after_s=self.retry_after_s, allow=self.allow)


def ok(payload: Json, *, status: int = 200, items: int = 0) -> SandboxAnswer:
    """Return a successful answer."""
    return SandboxAnswer(status, orjson.dumps(payload), items=items)


def invalid(message: str, code: str = "invalid_argument") -> ApiError:
    """Return the 400 for input that breaks a rule."""
    return ApiError(400, code, message)


def not_found(code: str = "resource_not_found") -> ApiError:
    """Return the 404 for something that does not exist, or no longer."""
    return ApiError(404, code, NOT_FOUND)


def not_allowed(methods: Iterable[str]) -> ApiError:
    """Return the 405 for a path that takes only these methods."""
    return ApiError(405, "method_not_allowed", NOT_ALLOWED, allow=", ".join(methods))


def too_many(retry_after_s: float) -> ApiError:
    """Return the 429, always with `Retry-After` (docs/fullstory-api.md#limits)."""
    return ApiError(429, "too_many_requests", TOO_MANY, retry_after_s=retry_after_s)


def rfc3339(at: float) -> str:
    """Write a point in time as FullStory writes it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_object(body: bytes) -> Json:
    """Parse the request body, one JSON object; raises `ApiError` 400 otherwise."""
    try:
        document: Json = require(orjson.loads(body), dict, "the request body")
        # orjson reads deeper nesting than it writes, and an item is echoed up to three levels further down.
        orjson.dumps([[[document]]])
    except orjson.JSONDecodeError:
        raise invalid("the request body is not valid JSON") from None
    except orjson.JSONEncodeError:
        raise invalid("the request body is nested too deeply") from None
    return document


def require(value: Any, kind: type, field_name: str) -> Any:
    """Return `value`, if it is of exactly this JSON type; raises `ApiError` 400 otherwise."""
    if type(value) is not kind:
        raise invalid(f"{field_name} must be {TYPE_NAMES[kind]}")
    return value
