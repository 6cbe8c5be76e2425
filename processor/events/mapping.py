"""Segment events to FullStory items: pure and total.

Any decoded event gives an item, a filter reason or a rejection; nothing that an event holds raises. The default
behaviour is described in docs/mapping.md, FullStory's limits in docs/fullstory-api.md#users and #events.
"""

from dataclasses import dataclass
from typing import Any

from processor.events.properties import Note, PropertyCleaner
from processor.events.timestamps import iso, iso_of_ms
from processor.model.outcomes import Event, Filtered, Mapped, Outcome, Rejected
from processor.model.reasons import DeadLetterReason, FilterReason, Kind, PropertyRule

MAX_UID_CHARACTERS = 256
MAX_DISPLAY_NAME_CHARACTERS = 256
MAX_EMAIL_CHARACTERS = 128
MAX_EVENT_NAME_CHARACTERS = 250

SEGMENT_TYPES = frozenset({"identify", "track", "page", "screen", "group", "alias", "delete"})

ANONYMOUS_ID_PROPERTY = "segmentAnonymousId"
"""The user property that keeps an anonymousId beside a userId, named as Segment's cloud destination names it."""

_EPOCH = "1970-01-01T00:00:00.000Z"


@dataclass(frozen=True, slots=True)
class MappingRules:
    """The settings that shape mapping."""

    integration_names: tuple[str, ...] = (
        "FullStory",
        "Fullstory",
        "Fullstory (Actions)",
        "Fullstory Cloud Mode (Actions)",
    )
    """Names under which an event's `integrations` object may speak of FullStory; case matters, as in Segment."""


class Mapping:
    """Maps one event at a time; holds only settings and a cache of cleaned names."""

    def __init__(self, rules: MappingRules) -> None:
        self._rules = rules
        self._cleaner = PropertyCleaner()

    def map(self, event: Event, record_timestamp_ms: int, note: Note) -> Outcome:
        """Return what becomes of the event; `record_timestamp_ms` is Kafka's, for an event without a time."""
        kind = event.get("type")
        kind = kind.lower() if type(kind) is str else None
        if kind not in SEGMENT_TYPES:
            return Rejected(DeadLetterReason.UNKNOWN_TYPE, "`type` is absent or no Segment message type")
        if kind not in ("identify", "track"):
            return Filtered(FilterReason.MESSAGE_TYPE)
        integrations = _object(event, "integrations")
        if integrations is None:
            return _no_object("integrations")
        if integrations and not self._is_routed_here(integrations):
            return Filtered(FilterReason.INTEGRATIONS)
        user_id, anonymous_id = _id(event.get("userId")), _id(event.get("anonymousId"))
        uid = user_id or anonymous_id
        if uid is None:
            return Rejected(DeadLetterReason.MISSING_USER, "neither `userId` nor `anonymousId` holds a usable id")
        if len(uid) > MAX_UID_CHARACTERS:
            field = "userId" if user_id else "anonymousId"
            detail = f"`{field}` has {len(uid)} characters, FullStory takes {MAX_UID_CHARACTERS}"
            return Rejected(DeadLetterReason.UID_TOO_LONG, detail)
        if kind == "track":
            return self._track(event, uid, record_timestamp_ms, note)
        return self._identify(event, uid, anonymous_id if user_id else None, note)

    def _identify(self, event: Event, uid: str, anonymous_id: str | None, note: Note) -> Outcome:
        given = _object(event, "traits")
        if given is None:
            return _no_object("traits")
        traits = dict(given)
        item: dict[str, Any] = {"uid": uid}
        display_name = _display_name(traits)
        if display_name is not None:
            if len(display_name) > MAX_DISPLAY_NAME_CHARACTERS:
                note(PropertyRule.DISPLAY_NAME_CUT, "displayName")
            item["display_name"] = display_name[:MAX_DISPLAY_NAME_CHARACTERS]
        email = traits.get("email")
        if type(email) is str and email:
            del traits["email"]
            if len(email) > MAX_EMAIL_CHARACTERS:
                note(PropertyRule.EMAIL_DROPPED, "email")
            else:
                item["email"] = email
        if anonymous_id is not None:
            traits[ANONYMOUS_ID_PROPERTY] = anonymous_id
        item["properties"] = self._cleaner.clean(traits, note)
        return Mapped(Kind.USER, uid, item)

    def _track(self, event: Event, uid: str, record_timestamp_ms: int, note: Note) -> Outcome:
        name = event.get("event")
        if type(name) is not str or not name or name.isspace():
            return Rejected(DeadLetterReason.MISSING_EVENT_NAME, "`event` is no text or empty")
        properties = _object(event, "properties")
        if properties is None:
            return _no_object("properties")
        if len(name) > MAX_EVENT_NAME_CHARACTERS:
            note(PropertyRule.NAME_CUT, "event")
            name = name[:MAX_EVENT_NAME_CHARACTERS]
        item = {
            "name": name,
            "timestamp": _timestamp(event, record_timestamp_ms, note),
            "user": {"uid": uid},
            "properties": self._cleaner.clean(properties, note),
        }
        return Mapped(Kind.EVENT, uid, item)

    def _is_routed_here(self, integrations: dict[str, Any]) -> bool:
        """Segment's rule: an entry for the destination decides, else `All`, which is true unless it says false."""
        own = [integrations[name] for name in self._rules.integration_names if integrations.get(name) is not None]
        return any(map(_includes, own)) if own else _includes(integrations.get("All"))


def _includes(entry: Any) -> bool:
    """Options and whatever else is not false include; a map of strings can only say false as text."""
    return entry is not False and not (type(entry) is str and entry.lower() == "false")


def _object(event: Event, name: str) -> dict[str, Any] | None:
    """Return the object that a field holds; None when it holds something else.

    An absent field is an empty object, and so is an empty array: PHP writes one for the other.
    """
    value = event.get(name)
    if type(value) is dict:
        return value
    return {} if value is None or value == [] else None


def _no_object(name: str) -> Rejected:
    return Rejected(DeadLetterReason.MALFORMED, f"the field `{name}` holds no object")


def _id(value: Any) -> str | None:
    """Return a usable id: text that is not blank, or a whole number as some clients send it."""
    if type(value) is str:
        return value if value and not value.isspace() else None
    return str(value) if type(value) is int else None


def _display_name(traits: dict[str, Any]) -> str | None:
    """Take `displayName` out of the traits; without one, `name` or first and last name supply it and stay."""
    given = traits.get("displayName")
    if type(given) is str and given:
        del traits["displayName"]
        return given
    if given not in (None, ""):
        return None
    if type(traits.get("name")) is str and traits["name"]:
        name: str = traits["name"]
        return name
    parts = [part for key in ("firstName", "lastName") if type(part := traits.get(key)) is str and part]
    return " ".join(parts) if parts else None


def _timestamp(event: Event, record_timestamp_ms: int, note: Note) -> str:
    given = event.get("timestamp")
    if given is not None:
        written = iso(given)
        if written is not None:
            return written
        note(PropertyRule.TIMESTAMP_INVALID, "timestamp")
    # Kafka gives -1 for a record without a timestamp.
    return (iso_of_ms(record_timestamp_ms) if record_timestamp_ms >= 0 else None) or _EPOCH
