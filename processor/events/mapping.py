"""Segment events to FullStory items: pure and total.

Any decoded event gives an item, a filter reason or a rejection; nothing that an event holds raises. The default
behaviour is described in docs/mapping.md, FullStory's limits in docs/fullstory-api.md#users and #events.
"""

from collections.abc import Sequence
from typing import Any

from processor.events.consent import Consent
from processor.events.context import EventContexts, library_of, read_context
from processor.events.filters import forwards
from processor.events.privacy import Privacy, PropertyLists
from processor.events.properties import PropertyCleaner
from processor.events.rudderstack import as_segment, session_options
from processor.events.rules import MappingRules
from processor.events.sessions import identification
from processor.events.timestamps import event_time, is_before
from processor.model.outcomes import Event, Filtered, Mapped, Note, Outcome, Rejected, new_mapped
from processor.model.reasons import DeadLetterReason, FilterReason, Kind, PropertyRule

__all__ = ["Mapping", "MappingRules"]

_EVENT, _USER = Kind.EVENT, Kind.USER  # an enum's members take ten times as long to look up

MAX_UID_CHARACTERS = 256
MAX_DISPLAY_NAME_CHARACTERS = 256
MAX_EMAIL_CHARACTERS = 128
MAX_EVENT_NAME_CHARACTERS = 250

SEGMENT_TYPES = frozenset({"identify", "track", "page", "screen", "group", "alias", "delete"})

REPLACED = "\ufffd"
"""In a text: something of it is lost. An id with it could be that of several users."""

ANONYMOUS_ID_PROPERTY = "segmentAnonymousId"
"""The property that keeps an anonymousId which is not the uid, named as Segment's cloud destination names it."""

DISPLAY_NAMES = ("displayName", "display_name")
FULL_NAME = "name"
FIRST_AND_LAST_NAMES = (("firstName", "first_name"), ("lastName", "last_name"))


class Mapping:
    """Maps one event at a time; holds only settings and a cache of cleaned names."""

    def __init__(self, rules: MappingRules) -> None:
        self._rules = rules
        self._is_rudderstacks = rules.source == "rudderstack"
        self._message_types = frozenset(rules.message_types)
        self._own_names = frozenset(rules.integration_names)
        self._honours_integrations = rules.integrations == "honour"
        self._consent = Consent(rules.consent, rules.consent_rule) if rules.consent else None
        self._forwards_library = forwards(rules.libraries_allow, rules.libraries_deny)
        self._stale_before_ms = rules.stale_before_ms
        self._has_filters = (
            self._consent is not None or self._forwards_library is not None or self._stale_before_ms is not None
        )
        self._forwards_event = forwards(rules.events_allow, rules.events_deny)
        self._junk_ids = frozenset(
            form for each in rules.junk_ids for form in (each, each.lower(), each.upper(), each.capitalize())
        )
        self._takes_anonymous_id = rules.anonymous == "uid"
        self._contexts = EventContexts(rules.context_deny) if rules.context else None
        self._takes_most_recent = rules.session == "most_recent"
        self._traits = _privacy(rules.traits, rules.hash_salt)
        self._properties = _privacy(rules.properties, rules.hash_salt)
        self._altered_traits = self._traits.altered if self._traits else frozenset[str]()
        self._declares = rules.schema == "declare"
        self._cleaner = PropertyCleaner(
            replacement="_" if rules.names == "underscore" else "",
            sends_nulls=rules.nulls == "send",
            rewrites_times=self._declares,
        )

    @property
    def deletes_users(self) -> bool:
        """As the rules say."""
        return self._rules.deletes_users

    def map(self, event: Event, record_timestamp_ms: int, note: Note) -> Outcome:
        """Return what becomes of the event; `record_timestamp_ms` is Kafka's, for an event without a time."""
        kind = event.get("type")
        kind = kind.lower() if type(kind) is str else None
        if kind not in self._message_types:
            return _refuse_type(kind)
        if self._is_rudderstacks:
            event = as_segment(event)
        integrations = _object(event, "integrations")
        if integrations is None:
            return _no_object("integrations")
        own = self._own(integrations) if integrations else ()
        if (integrations or self._has_filters) and (
            reason := self._keeps_away(kind, event, integrations, own, record_timestamp_ms)
        ):
            return Filtered(reason)
        user_id, anonymous_id = _named(event.get("userId"), REPLACED), _named(event.get("anonymousId"), REPLACED)
        junk = self._junk_ids
        if user_id in junk or anonymous_id in junk:
            user_id, anonymous_id = self._without_junk(user_id, anonymous_id, note)
            if user_id is None and anonymous_id is None:
                return Filtered(FilterReason.JUNK_ID)
        has_user = user_id is not None or not self._takes_anonymous_id
        uid, kept_id = (user_id, anonymous_id) if has_user else (anonymous_id, None)
        is_doubtful = uid is None or len(uid) > MAX_UID_CHARACTERS or REPLACED in uid
        if is_doubtful and (refused := self._refuse(kind, uid, kept_id, user_id)):
            return refused
        if kind == "delete":
            return _delete(uid)
        if kind == "identify":
            return self._identify(event, uid, kept_id, note)
        return self._event(kind, event, uid, kept_id, own, record_timestamp_ms, note)

    def _keeps_away(
        self,
        kind: str | None,
        event: Event,
        integrations: dict[str, Any],
        own: Sequence[Any],
        record_timestamp_ms: int,
    ) -> FilterReason | None:
        """Say which filter keeps a message from FullStory, whomever it is about.

        A user who consents to nothing may be deleted all the same, whichever library says so.
        """
        if kind != "delete" and self._consent is not None and not self._consent.allows(event.get("context")):
            return FilterReason.CONSENT
        if integrations and self._honours_integrations and not _is_routed_here(integrations, own):
            return FilterReason.INTEGRATIONS
        if kind == "delete":
            return None
        if self._forwards_library is not None and not self._forwards_library(library_of(event) or ""):
            return FilterReason.LIBRARY
        is_stale = self._stale_before_ms is not None and is_before(record_timestamp_ms, self._stale_before_ms)
        return FilterReason.STALE if is_stale and kind == "identify" else None

    def _without_junk(self, user_id: str | None, anonymous_id: str | None, note: Note) -> tuple[str | None, str | None]:
        """Return the ids that somebody meant; that one was dropped is noted where the other one is left."""
        field = "userId" if user_id in self._junk_ids else "anonymousId"
        user_id, anonymous_id = (None if each in self._junk_ids else each for each in (user_id, anonymous_id))
        if user_id is not None or anonymous_id is not None:
            note(PropertyRule.ID_DROPPED, field)
        return user_id, anonymous_id

    def _refuse(
        self, kind: str | None, uid: str | None, kept_id: str | None, user_id: str | None
    ) -> Rejected | Filtered | None:
        """Say why a message without a uid that fits is not sent, or None when it is."""
        if uid is not None:
            field = "anonymousId" if user_id is None else "userId"
            if REPLACED in uid:
                lost = "it holds U+FFFD, in place of what is no text, or is a number beyond what a real can tell apart"
                return Rejected(DeadLetterReason.MISSING_USER, f"something of `{field}` is lost: {lost}")
            detail = f"`{field}` has {len(uid)} characters, FullStory takes {MAX_UID_CHARACTERS}"
            return Rejected(DeadLetterReason.UID_TOO_LONG, detail)
        if kept_id is None:
            return Rejected(DeadLetterReason.MISSING_USER, "neither `userId` nor `anonymousId` holds a usable id")
        return Filtered(FilterReason.ANONYMOUS) if self._rules.anonymous == "filter" and kind != "delete" else None

    def _identify(self, event: Event, uid: str | None, kept_id: str | None, note: Note) -> Outcome:
        given = _object(event, "traits")
        if given is None:
            return _no_object("traits")
        if not given and type(of_context := read_context(event.get("context")).get("traits")) is dict and of_context:
            given = of_context
            note(PropertyRule.TRAITS_FROM_CONTEXT, "context.traits")
        traits = dict(given)
        if kept_id is not None:
            traits[ANONYMOUS_ID_PROPERTY] = kept_id
        if self._traits is not None:
            traits = self._traits.apply(traits, note)
        item: dict[str, Any] = {} if uid is None else {"uid": uid}
        display_name = self._display_name(traits)
        if display_name is not None:
            if len(display_name) > MAX_DISPLAY_NAME_CHARACTERS:
                note(PropertyRule.DISPLAY_NAME_CUT, "displayName")
            item["display_name"] = display_name[:MAX_DISPLAY_NAME_CHARACTERS]
        email = traits.get("email")
        if type(email) is str and email and "email" not in self._altered_traits:
            del traits["email"]
            if len(email) > MAX_EMAIL_CHARACTERS:
                note(PropertyRule.EMAIL_DROPPED, "email")
            else:
                item["email"] = email
        self._add_properties(item, traits, note)
        return new_mapped((_USER, uid or kept_id or "", item))

    def _event(
        self,
        kind: str,
        event: Event,
        uid: str | None,
        kept_id: str | None,
        own: Sequence[Any],
        record_timestamp_ms: int,
        note: Note,
    ) -> Outcome:
        given = event.get("event") if kind == "track" else _view_name(kind, event)
        name = given if type(given) is str else _named(given)
        if not name or name.isspace():
            return Rejected(DeadLetterReason.MISSING_EVENT_NAME, "`event` is no text and no whole number, or empty")
        if self._forwards_event is not None and not self._forwards_event(name):
            return Filtered(FilterReason.EVENT_NAME)
        properties = _object(event, "properties")
        if properties is None:
            return _no_object("properties")
        if len(name) > MAX_EVENT_NAME_CHARACTERS:
            note(PropertyRule.NAME_CUT, "event")
            name = name[:MAX_EVENT_NAME_CHARACTERS]
        if kind != "track":
            properties = _with_view_fields(event, properties)
        if uid is None:
            properties = {**properties, ANONYMOUS_ID_PROPERTY: kept_id}
        if self._properties is not None:
            properties = self._properties.apply(properties, note)
        item: dict[str, Any] = {"name": name, "timestamp": event_time(event, record_timestamp_ms, note)}
        options = self._options(event, own) if own or self._is_rudderstacks else None
        if options or uid is None or self._takes_most_recent:
            item |= identification(uid, options, note, most_recent=self._takes_most_recent)
        else:
            item["user"] = {"uid": uid}
        if (
            self._contexts is not None
            and (context := event.get("context"))
            and (taken := self._contexts.of(context, note))
        ):
            item["context"] = taken
        self._add_properties(item, properties, note)
        return new_mapped((_EVENT, uid or kept_id or "", item))

    def _add_properties(self, item: dict[str, Any], properties: dict[str, Any], note: Note) -> None:
        declared: dict[str, str] = {}
        item["properties"] = self._cleaner.clean(properties, note, declared)
        if declared and self._declares:
            item["schema"] = {"properties": declared}

    def _own(self, integrations: dict[str, Any]) -> list[Any]:
        """Return what the message says of FullStory, by each of its names."""
        if self._own_names.isdisjoint(integrations):
            return []
        names = self._rules.integration_names
        return [entry for name in names if (entry := integrations.get(name)) is not None]

    def _options(self, event: Event, own: Sequence[Any]) -> dict[str, Any] | None:
        """Return what the message says of its session."""
        options = next((entry for entry in own if type(entry) is dict), None)
        return session_options(event, options) if self._is_rudderstacks else options

    def _display_name(self, traits: dict[str, Any]) -> str | None:
        """Take the display name out of the traits; without one, `name` or first and last name supply it and stay."""
        for key in DISPLAY_NAMES:
            given = traits.get(key)
            if type(given) is str and given and key not in self._altered_traits:
                del traits[key]
                return given
            if given not in (None, ""):
                return None
        if (name := self._name(traits, FULL_NAME)) is not None:
            return name
        parts = [self._name(traits, *keys) for keys in FIRST_AND_LAST_NAMES]
        return " ".join(part for part in parts if part) or None

    def _name(self, traits: dict[str, Any], *keys: str) -> str | None:
        for key in keys:
            if type(given := traits.get(key)) is str and given and key not in self._altered_traits:
                return given
        return None


def _privacy(lists: PropertyLists, salt: str) -> Privacy | None:
    return None if lists == PropertyLists() else Privacy(lists, salt)


def _delete(uid: str | None) -> Outcome:
    """Delete the user of this uid; FullStory knows no other name of one. A request to delete is never passed over."""
    if uid is None:
        return Rejected(DeadLetterReason.MISSING_USER, "FullStory deletes a user by `userId` only, which is absent")
    return Mapped(Kind.DELETION, uid, {"uid": uid})


def _refuse_type(kind: str | None) -> Filtered | Rejected:
    if kind in SEGMENT_TYPES:
        return Filtered(FilterReason.MESSAGE_TYPE)
    return Rejected(DeadLetterReason.UNKNOWN_TYPE, "`type` is absent or no Segment message type")


def _is_routed_here(integrations: dict[str, Any], own: Sequence[Any]) -> bool:
    """Segment's rule: an entry for the destination decides, else `All`, which is true unless it says false.

    `All` is read in any case, as Segment's library for destinations does: `DisableAll()` of its Go library writes `all`
    (analytics-go 3.1.0). Of several, one that says false is enough.
    """
    if own:
        return any(map(_includes, own))
    return all(_includes(entry) for name, entry in integrations.items() if name.lower() == "all")


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


_VIEW_FIELDS = ("name", "category")
_VIEWS = {"page": "Page", "screen": "Screen"}


def _with_view_fields(event: Event, properties: dict[str, Any]) -> dict[str, Any]:
    return {**{key: event[key] for key in _VIEW_FIELDS if event.get(key) is not None}, **properties}


def _view_name(kind: str, event: Event) -> str:
    """Return the event's name of a page or screen, as Segment's own destinations name it."""
    words = [word for field in ("category", "name") if (word := _named(event.get(field))) is not None]
    return f"Viewed {' '.join(words)} {_VIEWS[kind]}" if words else f"Loaded a {_VIEWS[kind]}"


def _named(value: Any, lost: str | None = None) -> str | None:
    """Return what names a user or an event: text that is not blank, or the digits of a whole number.

    Gson, pandas, Spark and Jackson write whole numbers as reals. Beyond 2**53 such a real stands for several whole
    numbers: then it is what `lost` says.
    """
    if type(value) is str:
        return value if value and not value.isspace() else None
    if type(value) is float and value.is_integer():
        return str(int(value)) if abs(value) <= _LAST_EXACT else lost
    return str(value) if type(value) is int else None


_LAST_EXACT = 2.0**53
