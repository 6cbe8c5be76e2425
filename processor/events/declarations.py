"""Types that FullStory's inference would get wrong, declared: whole numbers and times.

FullStory takes every number for a real and has a type for times that JSON lacks (docs/fullstory-api.md#properties). The
other types it infers rightly, so they are not declared.
"""

import re
from datetime import datetime
from typing import Any

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
"""A whole number beyond is a real for FullStory."""

SHORTEST_TIME = len("2015-02-23T22:28:55Z")
"""A shorter text is no time."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)\Z", re.ASCII)
"""ISO 8601 with a zone. A date alone stays text: that FullStory takes one for a time is not documented."""


def is_time(text: str) -> bool:
    """Say whether a text is a time to be declared as `date`."""
    if not _TIME.match(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def plural_of(values: list[Any]) -> str | None:
    """Return the type to declare for an array that is not empty and of one type, or None where inference is right.

    Of numbers, any may be a real.
    """
    first = values[0]
    if type(first) is str:
        return "dates" if len(first) >= SHORTEST_TIME and all(map(is_time, values)) else None
    if type(first) is not int or set(map(type, values)) != {int}:
        return None
    return "ints" if min(values) >= INT64_MIN and max(values) <= INT64_MAX else None
