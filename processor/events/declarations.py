"""Types that FullStory's inference would get wrong, declared: whole numbers and times.

FullStory takes every number for a real and has a type for times that JSON lacks (docs/fullstory-api.md#properties). The
other types it infers rightly, so they are not declared.
"""

import re
from datetime import datetime
from typing import Any

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)\Z", re.ASCII)
"""ISO 8601 with a zone. A date alone stays text: that FullStory takes one for a time is not documented."""

_SHORTEST_TIME = len("2015-02-23T22:28:55Z")


def declare(properties: dict[str, Any]) -> dict[str, str]:
    """Return the types of cleaned properties by dotted path, in their order; empty when inference is right."""
    declared: dict[str, str] = {}
    _declare(properties, "", declared)
    return declared


def _declare(properties: dict[str, Any], path: str, declared: dict[str, str]) -> None:
    for name, value in properties.items():
        kind = type(value)
        if kind is str:
            if value[4:5] == "-" and _is_time(value):
                declared[path + name] = "date"
        elif kind is int:
            if _INT64_MIN <= value <= _INT64_MAX:
                declared[path + name] = "int"
        elif kind is dict:
            _declare(value, f"{path}{name}.", declared)
        elif kind is list and (plural := _of_array(value)):
            declared[path + name] = plural


def _of_array(values: list[Any]) -> str | None:
    kinds = set(map(type, values))
    if kinds == {int}:
        return "ints" if min(values) >= _INT64_MIN and max(values) <= _INT64_MAX else None
    return "dates" if kinds == {str} and all(map(_is_time, values)) else None


def _is_time(text: str) -> bool:
    if len(text) < _SHORTEST_TIME or not _TIME.match(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
