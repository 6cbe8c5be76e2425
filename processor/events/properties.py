"""Free-form traits and properties to properties that FullStory takes, and the types that are declared of them.

Rules and limits: docs/fullstory-api.md#properties. Every change is noted by its rule and the dotted path it touched; a
path may name a property, never show its value.

FullStory takes every number for a real and has a type for times that JSON lacks, so whole numbers and times are
declared. The other types it infers rightly.
"""

from collections.abc import Iterable
from math import isfinite
from typing import Any

import orjson

from processor.events.names import MAX_CACHED_CHARACTERS, NameCache
from processor.events.timestamps import SHORTEST_TIME, TIME_STARTS, property_time
from processor.model.outcomes import Change, Note
from processor.model.reasons import PropertyRule

MAX_PATH_CHARACTERS = 512
MAX_NAMES = 500
MAX_VALUE_BYTES = 8_192
MAX_DEPTH = 64
"""FullStory states none; orjson encodes 254 levels, and no Segment library nests more than a few."""

SURELY_SHORT_CHARACTERS = MAX_VALUE_BYTES // 4
"""UTF-8 takes four bytes for a character at most."""

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
"""A whole number beyond is a real for FullStory."""
_UINT64_MAX = 2**64 - 1
_BELOW_EXACT, _ABOVE_EXACT = -(2.0**63), 2.0**64
"""A real that is not between them may have been a whole number of more digits."""


class _Dropped:
    """The value is not sent."""


_DROPPED = _Dropped()

_NULL_OMITTED = PropertyRule.NULL_OMITTED  # an enum's members take ten times as long to look up


_Shape = tuple[list[str], list[Change]]
"""The names to send of an object's members, in their order, and which of them were changed."""

_TOO_LONG = ""
"""In the place of a name that is not sent: no name is empty."""

_MAX_SHAPES = 1_024
_MAX_SHAPE_CHARACTERS = 2_048


class PropertyCleaner:
    """Cleans property objects; keeps bounded caches of cleaned names, so one cleaner serves a whole process.

    Objects whose names are not legal repeat from event to event, so all their names are looked up at once. A full cache
    starts anew, and the names of a large object are not kept.
    """

    def __init__(self, *, replacement: str = "", sends_nulls: bool = False, rewrites_times: bool = True) -> None:
        self._names = NameCache(replacement)
        self._shapes: dict[tuple[str, ...], _Shape] = {}
        """By the place of an object and the names of its members."""
        self._sends_nulls = sends_nulls
        self._rewrites_times = rewrites_times
        self._count = 0
        """How many names the properties at hand have, on all levels."""

    def clean(self, properties: dict[str, Any], note: Note, declared: dict[str, str] | None = None) -> dict[str, Any]:
        """Return the properties to send, none of them an empty object. Total: no JSON value raises.

        `declared` takes the types of those that FullStory's inference would get wrong, by dotted path.
        """
        if declared is None:
            declared = {}
        self._count = 0
        cleaned = self._object(properties, "", note, declared)
        if self._count > MAX_NAMES:
            _keep_names(cleaned, MAX_NAMES, "", note)
            for path in [path for path in declared if not _holds(cleaned, path)]:
                del declared[path]
        return cleaned

    def _object(self, properties: dict[str, Any], path: str, note: Note, declared: dict[str, str]) -> dict[str, Any]:
        members = (
            properties.items() if self._keeps_its_names(properties, path) else self._rename(properties, path, note)
        )
        cleaned: dict[str, Any] = {}
        for name, value in members:
            kind = type(value)
            if kind is str and (
                len(value) < SHORTEST_TIME or (value[0] not in TIME_STARTS and len(value) <= SURELY_SHORT_CHARACTERS)
            ):
                cleaned[name] = value
            elif kind is int and _INT64_MIN <= value <= _INT64_MAX:
                cleaned[name] = value
                declared[path + name] = "int"
            elif (kind is float and _BELOW_EXACT < value < _ABOVE_EXACT) or kind is bool:
                cleaned[name] = value
            elif value is None and not self._sends_nulls:
                note(_NULL_OMITTED, path + name)
            else:
                sent = self._value(value, path + name, note, declared)
                if sent is not _DROPPED:
                    cleaned[name] = sent
        self._count += len(cleaned)
        return cleaned

    def _keeps_its_names(self, properties: dict[str, Any], path: str) -> bool:
        """Say quickly whether all names are known to be legal and short, as those of almost every event are."""
        return properties.keys() <= self._names.unchanged and len(path) <= MAX_PATH_CHARACTERS - MAX_CACHED_CHARACTERS

    def _rename(self, properties: dict[str, Any], path: str, note: Note) -> Iterable[tuple[str, Any]]:
        """Return the members under the names to send."""
        shape = self._shapes.get((path, *properties))
        if shape is None:
            shape = self._shape_of(properties, path)
        names, changes = shape
        for change in changes:
            note(*change)
        members = zip(names, properties.values())  # noqa: B905 - to be strict takes twice as long; both have one length
        return [member for member in members if member[0]] if _TOO_LONG in names else members

    def _shape_of(self, properties: dict[str, Any], path: str) -> _Shape:
        names: list[str] = []
        changes: list[Change] = []
        for original, name in zip(properties, self._names.of_siblings(properties), strict=True):
            if len(path) + len(name) > MAX_PATH_CHARACTERS:
                changes.append((PropertyRule.TOO_LONG_NAME, (path + name)[:MAX_PATH_CHARACTERS]))
                name = _TOO_LONG  # noqa: PLW2901
            elif name != original:
                by_cleaning = name == self._names[original]
                changes.append((PropertyRule.RENAMED if by_cleaning else PropertyRule.COLLIDED, path + name))
            names.append(name)
        if changes and len(path) + sum(map(len, properties)) <= _MAX_SHAPE_CHARACTERS:
            if len(self._shapes) >= _MAX_SHAPES:
                self._shapes.clear()
            self._shapes[path, *properties] = names, changes
        return names, changes

    def _value(self, value: Any, path: str, note: Note, declared: dict[str, str]) -> Any:
        kind = type(value)
        if kind is str:
            if len(value) > SURELY_SHORT_CHARACTERS and len(value.encode()) > MAX_VALUE_BYTES:
                return _drop(PropertyRule.TOO_LONG_VALUE, path, note)
            if self._rewrites_times and value[0] in TIME_STARTS and (time := property_time(value)) is not None:
                declared[path] = "date"
                if time is not value:
                    note(PropertyRule.TIME_REWRITTEN, path)
                return time
            return value
        if kind is list:
            array = _array(value, path, note)
            return self._declare_array(array, path, note, declared) if array and type(array) is list else array
        if kind is int or kind is float:
            return _rounded(value, path, note)
        if value is None:
            return None
        if path.count(".") >= MAX_DEPTH:
            return _drop(PropertyRule.TOO_DEEP, path, note)
        # An empty object holds nothing to send, and what it would do to an object that FullStory has is not documented.
        return self._object(value, path + ".", note, declared) or _drop(PropertyRule.NULL_OMITTED, path, note)

    def _declare_array(self, array: list[Any], path: str, note: Note, declared: dict[str, str]) -> list[Any]:
        """Declare an array of whole numbers or of times; return it with its times as they are sent."""
        first = array[0]
        if type(first) is int:
            if set(map(type, array)) == {int} and min(array) >= _INT64_MIN and max(array) <= _INT64_MAX:
                declared[path] = "ints"
        elif self._rewrites_times and type(first) is str and first[:1] in TIME_STARTS:
            times = [time for text in array if (time := property_time(text)) is not None]
            if len(times) == len(array):
                declared[path] = "dates"
                if times != array:
                    note(PropertyRule.TIME_REWRITTEN, path)
                return times
        return array


def count_names(properties: dict[str, Any]) -> int:
    """Return how many names cleaned properties hold; each level of a nested object counts."""
    return sum(1 + (count_names(value) if type(value) is dict else 0) for value in properties.values())


def _number(value: Any) -> Any:
    """Return what JSON can hold of a number: beyond 64 bits its real; NaN and the infinities are none.

    It is typed as anything because compiled code makes a real of whatever is passed as a `float` (mypyc 2.4).
    """
    if type(value) is int:
        if _INT64_MIN <= value <= _UINT64_MAX:
            return value
        try:
            return float(value)
        except OverflowError:
            return None
    return value if isfinite(value) else None


def _rounded(value: Any, path: str, note: Note) -> Any:
    number = _number(value)
    if number is None:
        return _drop(PropertyRule.NOT_A_NUMBER, path, note)
    if type(number) is float:
        note(PropertyRule.NUMBER_ROUNDED, path)
    return number


def _drop(rule: PropertyRule, path: str, note: Note) -> _Dropped:
    note(rule, path)
    return _DROPPED


_ESCAPED = 6
"""The most bytes that one character takes in JSON."""

_FAMILIES: dict[type, type] = {str: str, bool: bool, int: float, float: float}


def _array(values: list[Any], path: str, note: Note) -> Any:
    """Keep an array of strings, of numbers or of booleans, without nulls; send any other as JSON text."""
    if values and type(values[0]) is str and _is_short_text(values):
        return values
    given = [value for value in values if value is not None]
    families = {_FAMILIES.get(type(value)) for value in given}
    if len(families) > 1 or None in families:
        return _array_as_text(values, path, note)
    if len(given) < len(values):
        note(PropertyRule.NULL_OMITTED, path)
    if families == {float}:
        numbers = [number for value in given if (number := _number(value)) is not None]
        if len(numbers) < len(given):
            note(PropertyRule.NOT_A_NUMBER, path)
        if any(type(number) is float and not _BELOW_EXACT < number < _ABOVE_EXACT for number in numbers):
            note(PropertyRule.NUMBER_ROUNDED, path)
        given = numbers
    too_long = len(orjson.dumps(given)) > MAX_VALUE_BYTES
    return _drop(PropertyRule.TOO_LONG_VALUE, path, note) if too_long else given


def _is_short_text(values: list[Any]) -> bool:
    """Say whether all are texts, and surely short enough: joining them tells both fastest."""
    try:
        characters = len("".join(values))
    except TypeError:
        return False
    return _ESCAPED * characters + 3 * len(values) < MAX_VALUE_BYTES


def _array_as_text(values: list[Any], path: str, note: Note) -> Any:
    """Return the array as JSON text with sorted keys, so that equal arrays give equal text."""
    try:
        text = orjson.dumps(values, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # too deep, or a whole number beyond 64 bits, which Avro's decimals may be
        try:
            text = orjson.dumps(_within_64_bits(values, 0), option=orjson.OPT_SORT_KEYS)
        except TypeError:
            return _drop(PropertyRule.TOO_DEEP, path, note)
    if len(text) > MAX_VALUE_BYTES:
        return _drop(PropertyRule.TOO_LONG_VALUE, path, note)
    note(PropertyRule.ARRAY_AS_TEXT, path)
    if b"e+" in text and _holds_rounded(values):
        note(PropertyRule.NUMBER_ROUNDED, path)
    return text.decode()


def _within_64_bits(value: Any, depth: int) -> Any:
    """Return the value with reals for what is beyond; what orjson does not write in any case stays as it is."""
    if type(value) is int:
        return _number(value)
    if type(value) is dict and depth < _DEEPEST:
        return {name: _within_64_bits(each, depth + 1) for name, each in value.items()}
    if type(value) is list and depth < _DEEPEST:
        return [_within_64_bits(each, depth + 1) for each in value]
    return value


_DEEPEST = 255
"""orjson writes 254 levels."""


def _holds_rounded(value: Any) -> bool:
    """Say whether a number that orjson has written, with an exponent, is beyond 64 bits."""
    if type(value) is dict:
        return any(map(_holds_rounded, value.values()))
    if type(value) is list:
        return any(map(_holds_rounded, value))
    is_number = type(value) is float or type(value) is int
    return is_number and not _BELOW_EXACT < value < _ABOVE_EXACT and _number(value) is not None


def _holds(properties: dict[str, Any], path: str) -> bool:
    value: Any = properties
    for name in path.split("."):
        if name not in value:
            return False
        value = value[name]
    return True


def _keep_names(properties: dict[str, Any], room: int, path: str, note: Note) -> int:
    """Drop, in place, the names beyond `room` in the order they stand; return the room left."""
    for name in list(properties):
        value = properties[name]
        if room == 0:
            note(PropertyRule.TOO_MANY, path + name)
        else:
            room -= 1
            if type(value) is not dict:
                continue
            room = _keep_names(value, room, f"{path}{name}.", note)
            if value:
                continue
            room += 1
        del properties[name]
    return room
