"""The rules for one item: a user upsert or an event (docs/fullstory-api.md#users, #events)."""

from datetime import datetime
from typing import Any, final

from processor.sandbox import context
from processor.sandbox.message import ApiMessage
from processor.sandbox.options import SandboxOptions
from processor.sandbox.properties import PropertyRules
from processor.sandbox.wire import Json, invalid, require

USER_TEXTS = {"uid": 256, "display_name": 256, "email": 128}
SCHEMA = ApiMessage("schema", ("properties",))
PAGE_SCHEMA = ApiMessage("page_properties_schema", ("properties",))
USER = ApiMessage("the user", (*USER_TEXTS, "properties"), {"schema": SCHEMA})
BATCH_USER = ApiMessage("the user", ("id", *USER_TEXTS, "properties"), {"schema": SCHEMA})

WHO = ApiMessage("user", ("uid", "id"))
SESSION = ApiMessage("session", ("id", "uid", "use_most_recent"))
SHAREABLE = {
    "user": WHO,
    "session": SESSION,
    "page_properties_schema": PAGE_SCHEMA,
}
SHARED = ApiMessage("shared", ("context", "page_properties"), SHAREABLE)
EVENT = ApiMessage(
    "the event", ("name", "timestamp", "context", "properties", "page_properties"), {**SHAREABLE, "schema": SCHEMA}
)
OF_PAGE = frozenset({"page_properties", "page_properties_schema"})
RFC3339_LENGTH = len("2026-01-01T00:00:00Z")


@final
class ItemRules:
    """Checks items. What is returned of one is what takes effect, and how many properties are too large for that."""

    def __init__(self, options: SandboxOptions) -> None:
        self._max_event_name = options.max_event_name
        self._full_sessions = options.full_sessions
        self._properties = PropertyRules()

    def user(self, given: Any, message: ApiMessage) -> tuple[Json, int]:
        """Return the upsert; raises `ApiError` 400 unless `given` is the body of one."""
        item = message.read(given)
        for name, limit in USER_TEXTS.items():
            if name in item:
                _text(item[name], name, limit)
        if "id" in item:
            _text(item["id"], "id")
        return self._properties.take(item, "properties", "schema")

    def event(self, given: Any) -> tuple[Json, int]:
        """Return the event; raises `ApiError` 400 unless `given` is the body of one."""
        item = EVENT.read(given)
        if not item.get("name"):
            raise invalid("events must have a non-empty name")
        _text(item["name"], "name", self._max_event_name)
        if "timestamp" in item:
            _timestamp(item["timestamp"])
        self._identification(item)
        given_context = item.get("context")
        if given_context is not None and (taken := context.take(given_context)) is not given_context:
            item = {**item, "context": taken}
        item, dropped = self._properties.take(item, "properties", "schema")
        if OF_PAGE.isdisjoint(item):
            return item, dropped
        item, dropped_of_page = self._properties.take(item, "page_properties", "page_properties_schema")
        return item, dropped + dropped_of_page

    def shared(self, given: Any) -> Json:
        """Return what a batch of events shares; raises `ApiError` 400 unless `given` may stand for that."""
        shared = SHARED.read(given)
        self.event({"name": "shared", **shared})
        return shared

    def _identification(self, item: Json) -> None:
        """Exactly one form of identification, or none: docs/fullstory-api.md#identification."""
        user = item.get("user")
        session = item.get("session")
        if not user and not session:
            return
        user, session = user or {}, session or {}
        _identifiers(user, "user")
        _identifiers(session, "session")
        forms = len(user) + ("id" in session) + ("uid" in session)
        if forms > 1 or ("id" in session and len(session) > 1):
            raise invalid("exactly one form of identification may be given: user.uid, user.id or session.id")
        if session.get("use_most_recent", False) and not user:
            raise invalid("session.use_most_recent requires user.uid or user.id")
        if "id" in session:
            self._session_id(session["id"])

    def _session_id(self, session_id: str) -> None:
        if ":" not in session_id:
            raise invalid("session.id must have the form DeviceId:SessionId")
        if session_id in self._full_sessions:
            raise invalid("the session has reached its page limit", "session_page_limit_exceeded")


def _text(value: Any, field: str, limit: int | None = None) -> None:
    require(value, str, field)
    if not value:
        raise invalid(f"{field} must not be empty")
    if limit is not None and len(value) > limit:
        raise invalid(f"{field} must not exceed {limit} characters")


def _identifiers(values: Json, what: str) -> None:
    for name, inner in values.items():
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
