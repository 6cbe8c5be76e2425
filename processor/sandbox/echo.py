"""How a failed item is written back: nobody has said whether FullStory echoes what was sent or what it made of it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from processor.sandbox import context
from processor.sandbox.faults import Echo
from processor.sandbox.items import BATCH_USER, EVENT, USER_TEXTS, WHO
from processor.sandbox.truth import ItemKind
from processor.sandbox.wire import Json

PROPERTIES = ("properties", "page_properties")


def reordered(value: Any) -> Any:
    """Write the same content differently: keys in reverse, 1 as 1.0 and 2.0 as 2."""
    if isinstance(value, dict):
        return {name: reordered(inner) for name, inner in reversed(value.items())}
    if isinstance(value, list):
        return [reordered(inner) for inner in value]
    if type(value) is int and float(value) == value:
        return float(value)
    if type(value) is float and value.is_integer():
        return int(value)
    return value


def _nulls(item: Json, kind: ItemKind) -> Json:
    message = BATCH_USER if kind == "user" else EVENT
    return {**dict.fromkeys(sorted(message.fields)), **item}


def _populated(item: Json, kind: ItemKind) -> Json:
    shown = _nulls(item, kind)
    if kind == "user":
        return {**shown, **dict.fromkeys((*USER_TEXTS, "id"), ""), **item}
    shown["user"] = _filled(item.get("user"), dict.fromkeys(sorted(WHO.fields), ""))
    shown["session"] = _filled(item.get("session"), {"id": "", "uid": "", "use_most_recent": False})
    groups = item.get("context")
    if isinstance(groups, dict):
        shown["context"] = {
            group: _filled(groups.get(group), {name: field.zero for name, field in fields.items()})
            for group, fields in context.FIELDS.items()
        }
    return shown


def _filled(given: Any, zeros: Json) -> Any:
    return {**zeros, **given} if isinstance(given, dict) else given


def _without_defaults(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_defaults(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    members = ((name, _without_defaults(inner)) for name, inner in value.items())
    return {name: inner for name, inner in members if inner}


def _integers(value: Any, write: Callable[[int], Any]) -> Any:
    if isinstance(value, dict):
        return {name: _integers(inner, write) for name, inner in value.items()}
    if isinstance(value, list):
        return [_integers(inner, write) for inner in value]
    return write(value) if type(value) is int else value


def _of_properties(item: Json, write: Callable[[int], Any]) -> Json:
    return {name: _integers(value, write) if name in PROPERTIES else value for name, value in item.items()}


def _seconds(item: Json) -> Json:
    time = item.get("timestamp")
    return {**item, "timestamp": time.replace(".000Z", "Z")} if isinstance(time, str) else item


class EchoStyle(NamedTuple):
    """One way to echo: in words that go on after "echoes failed items", and done to an item."""

    text: str
    write: Callable[[Json, ItemKind], Json]


STYLES: Mapping[Echo, EchoStyle] = MappingProxyType(
    {
        Echo.EXACT: EchoStyle("as they were sent", lambda item, _: item),
        Echo.REORDERED: EchoStyle("with keys in reverse, 1 as 1.0 and 2.0 as 2", lambda item, _: reordered(item)),
        Echo.NULLS: EchoStyle("with null for every field that was not sent", _nulls),
        Echo.POPULATED: EchoStyle('with null, "", 0 or false for every field that was not sent', _populated),
        Echo.DEFAULTS: EchoStyle(
            "without whatever is null, 0, false or empty", lambda item, _: dict(_without_defaults(item))
        ),
        Echo.DOUBLES: EchoStyle(
            "with the integers of properties as doubles, exact up to 2^53", lambda item, _: _of_properties(item, float)
        ),
        Echo.TEXTS: EchoStyle("with the integers of properties as text", lambda item, _: _of_properties(item, str)),
        Echo.SECONDS: EchoStyle("without zero milliseconds in the timestamp", lambda item, _: _seconds(item)),
        Echo.PROTO: EchoStyle(
            "as JSON from protobuf: defaults, doubles and seconds together",
            lambda item, _: dict(_without_defaults(_of_properties(_seconds(item), float))),
        ),
        Echo.NONE: EchoStyle("not at all", lambda _item, _: {}),
    }
)


def echoed(item: Any, kind: ItemKind, echo: Echo) -> Json:
    """Return the member of a failure that holds the failed item; what is no object is echoed as it was sent."""
    if echo is Echo.NONE:
        return {}
    return {kind: STYLES[echo].write(item, kind) if isinstance(item, dict) else item}
