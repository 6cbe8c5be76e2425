"""Which items of a job failed.

FullStory echoes a failed item whole, without an index or an id of ours (docs/fullstory-api.md#jobs), so items are found
by their content. Key order and the form of numbers do not count; two items of equal content are interchangeable.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import orjson

from processor.events.payload import Item
from processor.model.reasons import Kind

Canonical = Any
"""A hashable value, equal for JSON values of equal content."""

_BOOLEANS = (object(), object())
"""Stand for false and true, which Python takes for the numbers 0 and 1."""


def attribute(kind: Kind, items: Sequence[Item], failures: Sequence[dict[str, Any]]) -> tuple[dict[int, str], int]:
    """Return the error code by index of each item that failed, and how many failures match no item."""
    waiting: dict[Canonical, list[int]] = defaultdict(list)
    for index in reversed(range(len(items))):
        waiting[canonical(orjson.loads(items[index].body))].append(index)
    codes: dict[int, str] = {}
    unmatched = 0
    for failure in failures:
        indexes = waiting.get(canonical(failure.get(kind.value)))
        if indexes:
            codes[indexes.pop()] = str(failure.get("code", ""))
        else:
            unmatched += 1
    return codes, unmatched


def canonical(value: Any) -> Canonical:
    """Return a hashable form; 5 and 5.0 are one value, 1 and true are two."""
    if isinstance(value, dict):
        return frozenset((name, canonical(each)) for name, each in value.items())
    if isinstance(value, list):
        return tuple(canonical(each) for each in value)
    return _BOOLEANS[value] if isinstance(value, bool) else value
