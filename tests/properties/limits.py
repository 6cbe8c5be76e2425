"""FullStory's limits as docs/fullstory-api.md#properties states them, written anew: nothing of the worker is used."""

import re
from datetime import datetime
from typing import Any

import orjson

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
TEXTS = {"uid": 256, "display_name": 256, "email": 128}


def user_violations(item: Any) -> list[str]:
    """Return what FullStory could refuse or drop in the body of a user upsert."""
    found = [f"unknown field {name}" for name in item.keys() - {*TEXTS, "properties"}]
    found += [f"{name} has {len(item[name])} characters" for name in TEXTS if len(item.get(name, "x")) not in _to(name)]
    if "uid" not in item:
        found.append("no uid: every call would create a user")
    return found + property_violations(item["properties"])


def event_violations(item: Any) -> list[str]:
    """Return what FullStory could refuse or drop in the body of an event."""
    found = []
    if item.keys() != {"name", "timestamp", "user", "properties"}:
        found.append(f"fields are {sorted(item)}")
    if not 1 <= len(item["name"]) <= 250:
        found.append("the name is empty or too long")
    if item["user"].keys() != {"uid"} or len(item["user"]["uid"]) not in _to("uid"):
        found.append("the user is not given in exactly one form")
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", item["timestamp"]):
        found.append(f"{item['timestamp']} is not our form of a timestamp")
    datetime.fromisoformat(item["timestamp"])
    return found + property_violations(item["properties"])


def property_violations(properties: Any) -> list[str]:
    """Return what FullStory could refuse or drop in properties."""
    found: list[str] = []
    names = _walk(properties, "", found)
    if names > 500:
        found.append(f"{names} names")
    return found


def _to(name: str) -> range:
    return range(1, TEXTS[name] + 1)


def _walk(properties: Any, path: str, found: list[str]) -> int:
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
            names += _walk(value, f"{full}.", found)
        elif isinstance(value, list):
            found += _array(value, full)
        elif value is None:
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
