"""Segment's context of an event to FullStory's (docs/fullstory-api.md#events).

Only what means the same in both is taken over: Segment's `app.build` is a number, FullStory's `build_variant` is none;
the `page.referrer` of Segment is the page before, FullStory's `initial_referrer` is where the visit came from.
"""

import re
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any

from processor.events.avro_shapes import WantedMembers
from processor.events.json_text import parse_json
from processor.events.properties import MAX_VALUE_BYTES, SURELY_SHORT_CHARACTERS
from processor.model.outcomes import Change, Event, Note
from processor.model.reasons import PropertyRule

_INT32_MAX = 2**31 - 1
_COUNTRY = re.compile(r"[A-Za-z]{2}\Z")
_REGION = re.compile(r"[A-Za-z]{2}-[A-Za-z0-9]{1,3}\Z")
_SUBDIVISION = re.compile(r"[A-Za-z0-9]{1,3}\Z")
_PORT = re.compile(r":[0-9]{1,5}\Z")
_BRACKETED = re.compile(r"\[([^]]*)](?::[0-9]{1,5})?\Z")
_MAX_ADDRESS_CHARACTERS = 128
"""With zone, brackets and port."""

_NOTHING = (None, "", "$direct")
"""What stands for no value. RudderStack's SDK for browsers (3.34.1) calls the referrer of a direct visit so."""

_REMEMBERED_TEXTS = 2_048
_REMEMBERED_CHARACTERS = 2_048

ContextGroup = dict[str, Any]
Taken = dict[str, ContextGroup]


class EventContexts:
    """FullStory's contexts of events; remembers those that came as JSON text, which repeat from event to event.

    A device's context changes seldom and a server library's never, so that most texts need not be read again. A full
    memory starts anew and a long text is not kept: ever new contexts cost time, not memory. `deny` names fields by
    their paths in Segment's context, or parts of it, that are not sent.
    """

    def __init__(self, deny: Collection[str] = ()) -> None:
        self._sources = [(source, [_denied(source, field, deny) for field in fields]) for source, fields in _SOURCES]
        self._reads_region = not {"location", "location.region"} & set(deny)
        self._remembered: dict[str, tuple[Taken, Sequence[Change]]] = {}

    def of(self, given: Any, note: Note) -> Taken:
        """Return what of an event's context FullStory takes, in a fixed order; empty when that is nothing. Total.

        What has not the type or form that FullStory takes is left out and noted; what is empty is left out.
        """
        if type(given) is not str:
            taken, changes = self._take(given)
        elif (known := self._remembered.get(given)) is not None:
            taken, changes = known
        else:
            taken, changes = self._take(given)
            if len(given) <= _REMEMBERED_CHARACTERS:
                if len(self._remembered) >= _REMEMBERED_TEXTS:
                    self._remembered.clear()
                self._remembered[given] = taken, changes
        for rule, place in changes:
            note(rule, place)
        return taken

    def _take(self, given: Any) -> tuple[Taken, Sequence[Change]]:
        """Return FullStory's context of what an event has for one, and what was not sent of it."""
        context = _read(given)
        if type(context) is not dict:
            return {}, [] if context in (None, []) else [(PropertyRule.CONTEXT_DROPPED, "context")]
        context = self._prepare(context)
        changes: list[Change] = []
        taken: Taken = {}
        for source, fields in self._sources:
            part = context if source is None else context.get(source)
            if not part:
                continue
            if type(part) is not dict:
                changes.append((PropertyRule.CONTEXT_DROPPED, f"context.{source}"))
                continue
            for name, group, target, check in fields:
                given = part.get(name)
                if given in _NOTHING:
                    continue
                value = None if check is None else check(given, part)
                if check is _ip_address and value is not None and value != given:
                    changes.append((PropertyRule.ADDRESS_CUT, "context.ip"))
                if value is None:
                    rule = PropertyRule.DENIED if check is None else PropertyRule.CONTEXT_DROPPED
                    changes.append((rule, f"context.{_path(source, name)}"))
                elif group in taken:
                    taken[group].setdefault(target, value)
                else:
                    taken[group] = {target: value}
        return taken, changes

    def _prepare(self, context: ContextGroup) -> ContextGroup:
        """Return the context without an app that is the library, and with the country that a region names.

        RudderStack's SDK for browsers calls itself the app (3.34.1), which makes no page a mobile app's.
        """
        if "app" not in context and "location" not in context:
            return context
        app, library = context.get("app"), context.get("library")
        if type(app) is dict and type(library) is dict and (name := app.get("name")) and name == library.get("name"):
            context = {**context, "app": None}
        location = context.get("location")
        if type(location) is dict and self._reads_region and location.get("country") in (None, ""):
            region = location.get("region")
            if type(region) is str and _REGION.match(region):
                return {**context, "location": {**location, "country": region[:2]}}
        return context


def read_context(given: Any) -> ContextGroup:
    """Return Segment's context, which may be JSON text; empty when it is no object, as that costs no message."""
    context = _read(given)
    return context if type(context) is dict else {}


def library_of(event: Event) -> str | None:
    """Return the name of the library that wrote a message, as far as the message says it.

    Segment's for Go, Java and Rust do not say it there; some say it of a batch, in what is around its messages.
    """
    library = read_context(event.get("context")).get("library")
    name = library.get("name") if type(library) is dict else None
    return name if type(name) is str else None


def _read(given: Any) -> Any:
    return parse_json(given) if type(given) is str and given else given or {}


def _text(value: Any, _part: ContextGroup) -> str | None:
    is_text = type(value) is str and (len(value) <= SURELY_SHORT_CHARACTERS or len(value.encode()) <= MAX_VALUE_BYTES)
    return value if is_text else None


def _pixels(value: Any, _part: ContextGroup) -> int | None:
    """A size is a 32-bit whole number for FullStory; some clients send it as a real."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= _INT32_MAX else None


def _degrees(limit: float) -> Callable[[Any, ContextGroup], Any]:
    def check(value: Any, _part: ContextGroup) -> Any:  # a whole number stays one: compiled, a `float` would not be
        is_number = type(value) is float or type(value) is int
        return value if is_number and -limit <= value <= limit else None

    return check


def _ip_address(value: Any, _part: ContextGroup) -> str | None:
    """Return an address without what gateways add to it: a port, brackets around version 6, a zone."""
    return _address_in(value) if type(value) is str and len(value) <= _MAX_ADDRESS_CHARACTERS else None


@lru_cache(maxsize=4_096)
def _address_in(text: str) -> str | None:
    """Return the text that is the address, as it was written: Python's releases differ in how they write some."""
    bracketed = _BRACKETED.match(text)
    bare = bracketed[1] if bracketed else _PORT.sub("", text) if text.count(":") == 1 else text
    try:
        is_fit = isinstance(ip_address(bare), IPv6Address) or not bracketed
    except ValueError:
        return None
    return bare.partition("%")[0] if is_fit else None


def _country(value: Any, _part: ContextGroup) -> str | None:
    """ISO 3166-1 alpha-2, so no country's name."""
    return value.upper() if type(value) is str and _COUNTRY.match(value) else None


def _region(value: Any, part: ContextGroup) -> str | None:
    """Return the second half of ISO 3166-2, as in FullStory's samples: `GA`, and only beside its country `US`."""
    if type(value) is not str:
        return None
    country, code = _country(part.get("country"), part), value.upper()
    if _REGION.match(value):
        of, _, code = code.partition("-")
        return code if of == country else None
    return code if country and _SUBDIVISION.match(value) else None


_Field = tuple[str, str, str, Callable[[Any, ContextGroup], Any] | None]
"""Segment's name, FullStory's group and name, and what returns the value to send or None; None where it is denied."""

_SOURCES: tuple[tuple[str | None, tuple[_Field, ...]], ...] = (
    ("page", (("url", "browser", "url", _text), ("initial_referrer", "browser", "initial_referrer", _text))),
    ("referrer", (("url", "browser", "initial_referrer", _text),)),
    (None, (("userAgent", "browser", "user_agent", _text),)),
    (
        "app",
        (
            ("namespace", "mobile", "app_id", _text),
            ("version", "mobile", "app_version", _text),
            ("name", "mobile", "app_name", _text),
        ),
    ),
    ("device", (("manufacturer", "device", "manufacturer", _text), ("model", "device", "model", _text))),
    ("screen", (("width", "device", "screen_width", _pixels), ("height", "device", "screen_height", _pixels))),
    (
        "location",
        (
            ("country", "location", "country", _country),
            ("region", "location", "region", _region),
            ("city", "location", "city", _text),
            ("latitude", "location", "latitude", _degrees(90)),
            ("longitude", "location", "longitude", _degrees(180)),
        ),
    ),
    (None, (("ip", "location", "ip_address", _ip_address),)),
)
"""In the order of FullStory's groups; where two sources give one field, the first outranks."""


def _path(source: str | None, name: str) -> str:
    return f"{source}.{name}" if source else name


def _denied(source: str | None, field: _Field, deny: Collection[str]) -> _Field:
    """Return the field without its check where it is denied, itself or with the part that it belongs to."""
    name, group, target, _ = field
    return (name, group, target, None) if source in deny or _path(source, name) in deny else field


FIELDS = tuple(_path(source, name) for source, fields in _SOURCES for name, *_ in fields)
"""The paths of all that is taken over."""

PARTS = tuple(dict.fromkeys(source for source, _ in _SOURCES if source))
"""Of which several fields are taken over."""

READ: WantedMembers = {
    **{part: {path.partition(".")[2]: None for path in FIELDS if path.startswith(f"{part}.")} for part in PARTS},
    **{path: None for path in FIELDS if "." not in path},
    **dict.fromkeys(("consent", "sessionId", "traits")),
    "library": {"name": None},
}
"""All that anything reads of a context."""
