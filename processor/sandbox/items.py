"""The rules for one item: a user upsert or an event (docs/fullstory-api.md#users, #events)."""

from datetime import datetime
from typing import Any, final

from processor.sandbox.options import SandboxOptions
from processor.sandbox.properties import PropertyRules
from processor.sandbox.wire import Json, invalid, require

USER_TEXTS = {"uid": 256, "display_name": 256, "email": 128}
USER_FIELDS = frozenset({*USER_TEXTS, "properties", "schema"})
BATCH_USER_FIELDS = USER_FIELDS | {"id"}

EVENT_FIELDS = frozenset(
    {
        "name",
        "timestamp",
        "properties",
        "schema",
        "user",
        "session",
        "context",
        "page_properties",
        "page_properties_schema",
    }
)
SHARED_FIELDS = frozenset({"user", "session", "context", "page_properties", "page_properties_schema"})
USER_ID_FIELDS = frozenset({"uid", "id"})
SESSION_FIELDS = frozenset({"id", "uid", "use_most_recent"})

TEXT, INT32, DOUBLE = "text", "int32", "double"
CONTEXT_FIELDS = {
    "browser": dict.fromkeys(("url", "user_agent", "initial_referrer"), TEXT),
    "mobile": dict.fromkeys(("app_id", "app_version", "app_name", "build_variant"), TEXT),
    "device": dict.fromkeys(("manufacturer", "model"), TEXT)
    | dict.fromkeys(("screen_width", "screen_height", "viewport_width", "viewport_height"), INT32),
    "location": dict.fromkeys(("country", "region", "city", "ip_address"), TEXT)
    | dict.fromkeys(("latitude", "longitude"), DOUBLE),
}
RFC3339_LENGTH = len("2026-01-01T00:00:00Z")
INT32_LIMIT = 2**31


@final
class ItemRules:
    """Checks items. Each method returns the names of properties that are too large and get dropped."""

    def __init__(self, options: SandboxOptions) -> None:
        self._max_event_name = options.max_event_name
        self._full_sessions = options.full_sessions
        self._properties = PropertyRules()

    def user(self, item: Any, fields: frozenset[str]) -> list[str]:
        """Raise `ApiError` 400 unless this is the body of a user upsert."""
        require(item, dict, "the user")
        _known_fields(item, fields, "user")
        for name, limit in USER_TEXTS.items():
            if name in item:
                _text(item[name], name, limit)
        if "id" in item:
            _text(item["id"], "id")
        if "schema" in item:
            self._properties.schema(item["schema"], "schema")
        return self._properties.check(item["properties"], "properties") if "properties" in item else []

    def event(self, item: Any) -> list[str]:
        """Raise `ApiError` 400 unless this is the body of an event."""
        require(item, dict, "the event")
        _known_fields(item, EVENT_FIELDS, "event")
        if "name" not in item:
            raise invalid("name is required", "required_field")
        _text(item["name"], "name", self._max_event_name)
        if "timestamp" in item:
            _timestamp(item["timestamp"])
        self._identification(item)
        if "context" in item:
            _context(item["context"])
        dropped: list[str] = []
        for name in ("properties", "page_properties"):
            if name in item:
                dropped += self._properties.check(item[name], name)
        for name in ("schema", "page_properties_schema"):
            if name in item:
                self._properties.schema(item[name], name)
        return dropped

    def shared(self, shared: Any) -> None:
        """Raise `ApiError` 400 unless this may stand as `shared` in a batch of events."""
        require(shared, dict, "shared")
        _known_fields(shared, SHARED_FIELDS, "shared")
        self.event({"name": "shared", **shared})

    def _identification(self, item: Json) -> None:
        """Exactly one form of identification, or none: docs/fullstory-api.md#identification."""
        user = item.get("user", {})
        session = item.get("session", {})
        if not user and not session and type(user) is type(session) is dict:
            return
        _identifiers(user, USER_ID_FIELDS, "user")
        _identifiers(session, SESSION_FIELDS, "session")
        most_recent = session.get("use_most_recent", False)
        forms = len(user) + ("id" in session) + ("uid" in session)
        if forms > 1 or ("id" in session and len(session) > 1):
            raise invalid("exactly one form of identification may be given: user.uid, user.id or session.id")
        if most_recent and not user:
            raise invalid("session.use_most_recent requires user.uid or user.id")
        if "id" in session:
            self._session_id(session["id"])

    def _session_id(self, session_id: str) -> None:
        if ":" not in session_id:
            raise invalid("session.id must have the form DeviceId:SessionId")
        if session_id in self._full_sessions:
            raise invalid("the session has reached its page limit", "session_page_limit_exceeded")


def _known_fields(item: Json, fields: frozenset[str], what: str) -> None:
    if not item.keys() <= fields:
        raise invalid(f"unknown field {min(item.keys() - fields)!r} in {what}")


def _text(value: Any, field: str, limit: int | None = None) -> None:
    require(value, str, field)
    if not value:
        raise invalid(f"{field} must not be empty")
    if limit is not None and len(value) > limit:
        raise invalid(f"{field} must not exceed {limit} characters")


def _identifiers(value: Any, fields: frozenset[str], what: str) -> None:
    require(value, dict, what)
    _known_fields(value, fields, what)
    for name, inner in value.items():
        if name == "use_most_recent":
            require(inner, bool, f"{what}.{name}")
        else:
            _text(inner, f"{what}.{name}", USER_TEXTS["uid"] if name == "uid" else None)


def _timestamp(value: Any) -> None:
    """RFC 3339, which asks for date, time and offset; `fromisoformat` alone would take less than all three."""
    require(value, str, "timestamp")
    try:
        complete = len(value) >= RFC3339_LENGTH and value[10] in "Tt" and datetime.fromisoformat(value).tzinfo
    except ValueError:
        complete = None
    if not complete:
        raise invalid("timestamp must be an ISO 8601 date and time with offset")


def _context(context: Any) -> None:
    require(context, dict, "context")
    for group, values in context.items():
        kinds = CONTEXT_FIELDS.get(group)
        if kinds is None:
            raise invalid(f"unknown field {group!r} in context")
        require(values, dict, f"context.{group}")
        for name, value in values.items():
            kind = kinds.get(name)
            if kind is None:
                raise invalid(f"unknown field {name!r} in context.{group}")
            if not _fits(value, kind):
                raise invalid(f"context.{group}.{name} must be of type {kind}")


def _fits(value: Any, kind: str) -> bool:
    if kind == TEXT:
        return type(value) is str
    if kind == INT32:
        return type(value) is int and -INT32_LIMIT <= value < INT32_LIMIT
    return type(value) in (int, float)
