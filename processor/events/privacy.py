"""What of the traits and properties leaves the house: lists that allow, deny, hash and cut.

Names are dotted paths of the names as given, case included. A path holds for everything below it, and reaches into the
objects of an array. The lists come first: what they hide supplies no display name and no email.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from processor.events.properties import MAX_DEPTH
from processor.model.outcomes import Note
from processor.model.reasons import PropertyRule


@dataclass(frozen=True, slots=True)
class PropertyLists:
    """The lists of one kind of property; none has an effect when it is empty."""

    allow: tuple[str, ...] = ()
    """If any, nothing else is sent."""
    deny: tuple[str, ...] = ()
    hash: tuple[str, ...] = ()
    truncate: tuple[tuple[str, int], ...] = ()
    """Paths with the most characters that a text below them keeps."""


class Privacy:
    """Applies lists to one object at a time. Total and pure."""

    def __init__(self, lists: PropertyLists, salt: str) -> None:
        self._allowed, self._denied = frozenset(lists.allow), frozenset(lists.deny)
        self._hashed, self._cut = frozenset(lists.hash), dict(lists.truncate)
        self._salt = salt.encode()
        self._above = {above for path in _paths(lists) for above in _prefixes(path)}
        self.altered = self._hashed.union(self._cut)
        """Paths whose values are no longer what was given."""

    def apply(self, properties: dict[str, Any], note: Note) -> dict[str, Any]:
        """Return what may be sent, in a new object."""
        return self._object(properties, "", note, 0, is_allowed=not self._allowed)

    def _object(
        self, properties: dict[str, Any], path: str, note: Note, depth: int, *, is_allowed: bool
    ) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for name, value in properties.items():
            full = path + name
            may_go = is_allowed or full in self._allowed
            if full in self._denied or not (may_go or full in self._above):
                note(PropertyRule.DENIED, full)
            elif may_go and full in self._hashed:
                note(PropertyRule.HASHED, full)
                kept[name] = _each(value, self._hash)
            elif may_go and full in self._cut:
                kept[name] = cut = _each(value, _cutter(self._cut[full]))
                if cut != value:
                    note(PropertyRule.TRUNCATED, full)
            elif full in self._above:
                inner = self._within(value, full + ".", note, depth + 1, is_allowed=may_go)
                if may_go or inner not in (None, {}, []):
                    kept[name] = inner
            else:
                kept[name] = value
        return kept

    def _within(self, value: Any, path: str, note: Note, depth: int, *, is_allowed: bool) -> Any:
        """Apply the lists to what is below a path; a value that has nothing below it has no name that allows it."""
        if depth > MAX_DEPTH:
            note(PropertyRule.TOO_DEEP, path.removesuffix("."))
            return None
        if type(value) is dict:
            return self._object(value, path, note, depth, is_allowed=is_allowed)
        if type(value) is list:
            inner = [self._within(each, path, note, depth + 1, is_allowed=is_allowed) for each in value]
            return inner if is_allowed else [each for each in inner if each not in (None, {}, [])]
        if is_allowed or value is None:
            return value
        note(PropertyRule.DENIED, path.removesuffix("."))
        return None

    def _hash(self, value: Any) -> str | None:
        """Return SHA-256 in hexadecimal, keyed by the salt where there is one."""
        text = _text_of(value)
        if text is None:
            return None
        if self._salt:
            return hmac.digest(self._salt, text.encode(), "sha256").hex()
        return hashlib.sha256(text.encode()).hexdigest()


def _paths(lists: PropertyLists) -> list[str]:
    return [*lists.allow, *lists.deny, *lists.hash, *(path for path, _ in lists.truncate)]


def _prefixes(path: str) -> list[str]:
    return [path[:at] for at, character in enumerate(path) if character == "."]


def _each(value: Any, change: Callable[[Any], Any], depth: int = 0) -> Any:
    """Return the value with each of its ends changed, names and nulls kept; what is nested too deeply becomes null."""
    if value is None or depth > MAX_DEPTH:
        return None
    if type(value) is dict:
        return {name: _each(inner, change, depth + 1) for name, inner in value.items()}
    if type(value) is list:
        return [_each(inner, change, depth + 1) for inner in value]
    return change(value)


def _cutter(characters: int) -> Callable[[Any], Any]:
    """Cut texts, and numbers as their text; what is short enough stays as it is."""

    def cut(value: Any) -> Any:
        text = _text_of(value)
        return value if text is not None and len(text) <= characters else text and text[:characters]

    return cut


def _text_of(value: Any) -> str | None:
    """Return a text as it is, else JSON's text of a number or a boolean; None for a number that JSON cannot hold."""
    if type(value) is str:
        return value
    if type(value) is int:
        return str(value)
    text = orjson.dumps(value)
    return None if text == b"null" else text.decode()
