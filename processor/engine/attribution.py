"""Which items of a job failed.

FullStory echoes a failed item whole, without an index or an id of ours (docs/fullstory-api.md#jobs), so items are found
by their content. Two items of equal content are interchangeable; key order and the form of numbers do not count.

An echo may also be spelled otherwise than what was sent, as JSON is that went through protobuf: members that are null
or of a default value left out or shown, integers as doubles or as text, another form of a time. An echo that equals no
item is given the item that it differs least from in nothing but its spelling.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from math import inf
from typing import Any

import orjson

from processor.events.payload import Item
from processor.model.reasons import Kind

Canonical = Any
"""A hashable value, equal for JSON values of equal content."""

_Failure = dict[str, Any]
"""What FullStory tells of one failed item."""

_BOOLEANS = (object(), object())
"""Stand for false and true, which Python takes for the numbers 0 and 1."""

_DEEPEST = 254
"""Levels of what was sent: orjson (3.10) writes no more. It reads 1024, beyond Python's own recursion."""

_EMPTY = object()
"""Stands for whatever protobuf may leave out."""

_INTEGER = re.compile(r"-?[0-9]{1,20}")
"""What protobuf writes of an int64."""


def attribute(kind: Kind, items: Sequence[Item], failures: Sequence[_Failure]) -> tuple[dict[int, str], int]:
    """Return the error code by index of each item that failed, and how many failures match no item."""
    indexes: dict[Canonical, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        indexes[canonical(orjson.loads(item.body))].append(index)
    found: dict[Canonical, list[_Failure]] = {content: [] for content in indexes}
    respelled = []
    for failure in failures:
        content = canonical(failure.get(kind.value))
        if content in found and len(found[content]) < len(indexes[content]):
            found[content].append(failure)
        else:
            respelled.append(failure)
    unmatched = 0
    if respelled:
        spellings = _Spellings(kind, items, indexes, found)
        unmatched = sum(not spellings.place(failure, set()) for failure in respelled)
    codes = {
        index: str(failure.get("code", ""))
        for content, those in found.items()
        for index, failure in zip(indexes[content], those, strict=False)
    }
    return codes, unmatched


class _Spellings:
    """Places failures whose echo equals no item; `found` has those placed so far, by the content of the item."""

    def __init__(
        self,
        kind: Kind,
        items: Sequence[Item],
        indexes: Mapping[Canonical, list[int]],
        found: dict[Canonical, list[_Failure]],
    ) -> None:
        self._kind = kind
        self._indexes = indexes
        self._found = found
        self._near: dict[Canonical, list[tuple[Canonical, Any]]] = defaultdict(list)
        for content, (first, *_) in indexes.items():
            sent = orjson.loads(items[first].body)
            self._near[_coarse(sent)].append((content, sent))

    def place(self, failure: _Failure, passed: set[Canonical]) -> bool:
        """Give a failure the nearest item that is left; False if there is none.

        Where all that it can be of are taken, one that took them may be of another item, too: 2**53 as a double stands
        for 2**53 + 1 as well, which as text it does not. `passed` has the contents that were tried for this one.
        """
        fitting = self._fitting(failure.get(self._kind.value))
        for content in fitting:
            if self._has_room(content):
                self._found[content].append(failure)
                return True
        for content in fitting:
            if content in passed:
                continue
            passed.add(content)
            for at, other in enumerate(self._found[content]):
                if self.place(other, passed):
                    self._found[content][at] = failure
                    return True
        return False

    def _has_room(self, content: Canonical) -> bool:
        return len(self._found[content]) < len(self._indexes[content])

    def _fitting(self, echo: Any) -> list[Canonical]:
        """Return the contents that differ from an echo in spelling only, the nearest first; none if all are taken."""
        near = self._near.get(_coarse(echo), []) if isinstance(echo, dict) else []
        if not any(self._has_room(content) for content, _ in near):
            return []
        distances = [(respellings(sent, echo), content) for content, sent in near]
        return [content for distance, content in sorted(distances, key=lambda each: each[0]) if distance < inf]


def canonical(value: Any, depth: int = 0) -> Canonical:
    """Return a hashable form; 5 and 5.0 are one value, 1 and true are two. What is too deep equals nothing."""
    if depth > _DEEPEST:
        return object()
    if isinstance(value, dict):
        return frozenset([(name, canonical(each, depth + 1)) for name, each in value.items()])
    if isinstance(value, list):
        return tuple([canonical(each, depth + 1) for each in value])
    return _BOOLEANS[value] if isinstance(value, bool) else value


def respellings(sent: Any, echo: Any) -> float:
    """Return in how many places an echo is spelled otherwise than what was sent; infinite if it differs in more."""
    if isinstance(sent, dict) and isinstance(echo, dict):
        return sum(
            respellings(sent.get(name), echo.get(name)) + ((name in sent) is not (name in echo))
            for name in sent.keys() | echo.keys()
        )
    if isinstance(sent, list) and isinstance(echo, list):
        return sum(map(respellings, sent, echo)) if len(sent) == len(echo) else inf
    if canonical(sent) == canonical(echo):
        return 0
    if sent is None or echo is None:
        return 1 if _is_empty(sent) and _is_empty(echo) else inf
    if isinstance(sent, str) and isinstance(echo, str):
        return 1 if (instant := _instant(sent)) is not None and instant == _instant(echo) else inf
    is_double = _is_number(sent) and _is_number(echo) and float(sent) == float(echo)
    is_text = type(sent) is int and echo == str(sent)
    return 1 if is_double or is_text else inf


def _coarse(value: Any, depth: int = 0) -> Canonical:
    """Return a hashable form that is equal for all spellings of a value, and for a few other values, too."""
    if depth > _DEEPEST:
        return object()
    if isinstance(value, dict):
        members = [(name, _coarse(each, depth + 1)) for name, each in value.items()]
        return frozenset([member for member in members if member[1] is not _EMPTY]) or _EMPTY
    if isinstance(value, list):
        return tuple([_coarse(each, depth + 1) for each in value]) or _EMPTY
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if not value:
        return _EMPTY
    if isinstance(value, str):
        return _instant(value) or value
    return _BOOLEANS[value] if isinstance(value, bool) else float(value)


def _is_empty(value: Any) -> bool:
    return all(map(_is_empty, value.values())) if isinstance(value, dict) else not value


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _instant(text: str) -> datetime | None:
    """Return the time that a text with date, time and offset tells; None for any other."""
    if text[10:11] != "T":
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo else None
