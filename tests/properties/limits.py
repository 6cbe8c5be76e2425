"""FullStory's limits as docs/fullstory-api.md#properties states them, written anew: nothing of the worker is used."""

import re
from collections.abc import Collection
from datetime import datetime
from typing import Any

import orjson

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
TEXTS = {"uid": 256, "display_name": 256, "email": 128}
EVENT_FIELDS = {"name", "timestamp", "user", "session", "context", "properties", "schema"}


DECLARABLE = {
    "str": str,
    "int": int,
    "real": (int, float),
    "bool": bool,
    "date": str,
}
CONTEXT: dict[str, dict[str, type]] = {
    "browser": dict.fromkeys(("url", "user_agent", "initial_referrer"), str),
    "mobile": dict.fromkeys(("app_id", "app_version", "app_name", "build_variant"), str),
    "device": dict.fromkeys(("manufacturer", "model"), str)
    | dict.fromkeys(("screen_width", "screen_height", "viewport_width", "viewport_height"), int),
    "location": dict.fromkeys(("country", "region", "city", "ip_address"), str)
    | dict.fromkeys(("latitude", "longitude"), float),
}


def user_violations(item: Any, *, allows: Collection[str] = ()) -> list[str]:
    """Return what FullStory could refuse or drop in the body of a user upsert.

    What the settings may ask for is a violation unless it is allowed: `nulls`, and `nobody`, a body without a user.
    """
    found = [f"unknown field {name}" for name in item.keys() - {*TEXTS, "properties", "schema"}]
    found += [f"{name} has {len(item[name])} characters" for name in TEXTS if len(item.get(name, "x")) not in _to(name)]
    if "uid" not in item and "nobody" not in allows:
        found.append("no uid: every call would create a user")
    return found + property_violations(item["properties"], allows=allows) + schema_violations(item)


def event_violations(item: Any, *, allows: Collection[str] = ()) -> list[str]:
    """Return what FullStory could refuse or drop in the body of an event; `allows` as for users, also `session`."""
    found = []
    if not {"name", "timestamp", "properties"} <= item.keys() <= EVENT_FIELDS:
        found.append(f"fields are {sorted(item)}")
    if not 1 <= len(item["name"]) <= 250:
        found.append("the name is empty or too long")
    found += _identification(item, allows)
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", item["timestamp"]):
        found.append(f"{item['timestamp']} is not our form of a timestamp")
    datetime.fromisoformat(item["timestamp"])
    found += _context(item.get("context", {"browser": {"url": "x"}}))
    return found + property_violations(item["properties"], allows=allows) + schema_violations(item)


def _identification(item: Any, allows: Collection[str]) -> list[str]:
    """Exactly one form, or none where that is asked for."""
    user, session = item.get("user"), item.get("session")
    if user is not None and (user.keys() != {"uid"} or len(user["uid"]) not in _to("uid")):
        return ["the user is not given in exactly one form"]
    if session is not None and "session" not in allows:
        return ["a session that nobody asked for"]
    if user is None and session is None:
        return [] if "nobody" in allows else ["nobody's event"]
    if session is None or (user is not None and session == {"use_most_recent": True}):
        return []
    is_named = user is None and session.keys() == {"id"} and re.fullmatch(r"[^: ]+:.+", session["id"])
    return [] if is_named else [f"{user} and {session} are not one form of identification"]


def _context(context: Any) -> list[str]:
    found = [] if context else ["an empty context"]
    for group, values in context.items():
        found += [] if values else [f"an empty {group}"]
        for name, value in values.items():
            kind = CONTEXT[group].get(name)
            if kind is None or type(value) not in ({int, float} if kind is float else {kind}):
                found.append(f"context.{group}.{name} is {value!r}")
            elif (kind is int and not 0 <= value < 2**31) or (kind is float and not abs(value) <= 180):
                found.append(f"context.{group}.{name} is out of range")
            elif kind is str and not 1 <= len(value.encode()) <= 8_192:
                found.append(f"context.{group}.{name} is empty or too long")
    return found


def schema_violations(item: Any) -> list[str]:
    """Return the declarations that name no property, or another type than the property has."""
    if "schema" not in item:
        return []
    found = [] if item["schema"].keys() == {"properties"} and item["schema"]["properties"] else ["an empty schema"]
    for path, declared in item["schema"]["properties"].items():
        value: Any = item["properties"]
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        kind = declared.removesuffix("s") if isinstance(value, list) else declared
        values = value if isinstance(value, list) else [value]
        if kind not in DECLARABLE or not values or not all(_is(kind, each) for each in values):
            found.append(f"{path} is declared {declared} and is {value!r}")
    return found


def _is(kind: str, value: Any) -> bool:
    expected = DECLARABLE[kind]
    if type(value) not in (expected if isinstance(expected, tuple) else (expected,)):
        return False
    if kind == "date":
        return datetime.fromisoformat(value).tzinfo is not None
    return kind != "int" or -(2**63) <= value < 2**63


def property_violations(properties: Any, *, allows: Collection[str] = ()) -> list[str]:
    """Return what FullStory could refuse or drop in properties."""
    found: list[str] = []
    names = _walk(properties, "", found, may_be_null="nulls" in allows)
    if names > 500:
        found.append(f"{names} names")
    return found


def _to(name: str) -> range:
    return range(1, TEXTS[name] + 1)


def _walk(properties: Any, path: str, found: list[str], *, may_be_null: bool) -> int:
    if path and not properties:
        found.append(f"{path} is an empty object")
    names = 0
    for name, value in properties.items():
        names += 1
        full = path + name
        if not NAME.match(name):
            found.append(f"{full!r} is no legal name")
        if len(full) > 512:
            found.append(f"a name of {len(full)} characters")
        if isinstance(value, dict):
            names += _walk(value, f"{full}.", found, may_be_null=may_be_null)
        elif isinstance(value, list):
            found += _array(value, full)
        elif value is None and not may_be_null:
            found.append(f"{full} is null")
        elif isinstance(value, str) and len(value.encode()) > 8_192:
            found.append(f"{full} has {len(value.encode())} bytes")
    return names


def _array(values: list[Any], path: str) -> list[str]:
    found = []
    kinds = {float if type(value) is int else type(value) for value in values}
    if len(kinds) > 1 or not kinds <= {str, float, bool}:
        found.append(f"{path} is an array of {kinds}")
    if len(orjson.dumps(values)) > 8_192:
        found.append(f"{path} is an array of {len(orjson.dumps(values))} bytes")
    return found
