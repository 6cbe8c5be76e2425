"""Free-form traits and properties to properties that FullStory takes.

Rules and limits: docs/fullstory-api.md#properties. Every change is noted by its rule and the dotted path it touched; a
path may name a property, never show its value.
"""

import math
from base64 import b64encode
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from processor.events.names import NameCache, resolve
from processor.model.reasons import PropertyRule

MAX_PATH_CHARACTERS = 512
MAX_NAMES = 500
MAX_VALUE_BYTES = 8_192
MAX_DEPTH = 64
"""FullStory states none; orjson encodes 254 levels, and no Segment library nests more than a few."""

_UTF8_WORST_CASE = 4
_INT64_MIN, _UINT64_MAX = -(2**63), 2**64 - 1

Note = Callable[[PropertyRule, str], None]
"""Told of each rule applied and the dotted path it was applied to."""


class _Dropped:
    """The value is not sent."""


_DROPPED = _Dropped()


class PropertyCleaner:
    """Cleans property objects; keeps a bounded cache of cleaned names, so one cleaner serves a whole process."""

    def __init__(self) -> None:
        self._names = NameCache()

    def clean(self, properties: Any, note: Note) -> dict[str, Any]:
        """Return the properties to send; anything that is not an object gives none. Total: never raises."""
        if type(properties) is not dict:
            return {}
        cleaned = self._object(properties, "", note)
        # A name costs at least one key, so fewer top-level keys without any nesting cannot break the limit.
        if len(cleaned) > MAX_NAMES or any(type(value) is dict for value in cleaned.values()):
            _keep_names(cleaned, MAX_NAMES, "", note)
        return cleaned

    def _object(self, properties: dict[Any, Any], path: str, note: Note) -> dict[str, Any]:
        names = self._names
        cleaned: dict[str, Any] = {}
        for original, given in properties.items():
            if type(original) is not str:
                return self._object({str(name): each for name, each in properties.items()}, path, note)
            name = names[original]
            if name in cleaned:
                return self._colliding_object(properties, path, note)
            value, kind = given, type(given)
            if kind is str:
                if len(value) * _UTF8_WORST_CASE > MAX_VALUE_BYTES and len(value.encode()) > MAX_VALUE_BYTES:
                    note(PropertyRule.TOO_LONG_VALUE, path + name)
                    continue
            elif kind is not bool:
                value = self._value(given, path + name, note)
                if value is _DROPPED:
                    continue
            if len(path) + len(name) > MAX_PATH_CHARACTERS:
                note(PropertyRule.TOO_LONG_NAME, (path + name)[:MAX_PATH_CHARACTERS])
                continue
            if name is not original and name != original:
                note(PropertyRule.RENAMED, path + name)
            cleaned[name] = value
        return cleaned

    def _colliding_object(self, properties: dict[str, Any], path: str, note: Note) -> dict[str, Any]:
        """Clean an object in which two names would become one; rare, so it may take the slow way."""
        final = resolve(properties, self._names)
        for original, name in final.items():
            if name not in (original, self._names[original]):
                note(PropertyRule.COLLIDED, path + name)
        return self._object({final[original]: value for original, value in properties.items()}, path, note)

    def _value(self, value: Any, path: str, note: Note) -> Any:
        kind = type(value)
        if kind is int:
            return value if _INT64_MIN <= value <= _UINT64_MAX else self._value(_as_float(value), path, note)
        if kind is float:
            return value if math.isfinite(value) else _drop(PropertyRule.NOT_A_NUMBER, path, note)
        if value is None:
            return _drop(PropertyRule.NULL_OMITTED, path, note)
        if kind is dict:
            if path.count(".") >= MAX_DEPTH:
                return _drop(PropertyRule.TOO_DEEP, path, note)
            return self._object(value, path + ".", note)
        if kind is list:
            return _array(value, path, note)
        return self._from_avro(value, path, note)

    def _from_avro(self, value: Any, path: str, note: Note) -> Any:
        """Give the types that only Avro's logical types bring their JSON form."""
        match value:
            case str() | bool():
                return value
            case datetime() | date() | time():
                return value.isoformat()
            case Decimal():
                return self._value(float(value), path, note)
            case bytes() | bytearray():
                return b64encode(value).decode()
            case UUID():
                return str(value)
            case _:
                return self._value(
                    [str(each) for each in value] if isinstance(value, tuple | set) else None, path, note
                )


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _drop(rule: PropertyRule, path: str, note: Note) -> _Dropped:
    note(rule, path)
    return _DROPPED


_SCALAR_FAMILIES: dict[type, type] = {str: str, bool: bool, int: float, float: float}


def _array(values: list[Any], path: str, note: Note) -> Any:
    """Keep an array of strings, of numbers or of booleans; send any other as JSON text. Nulls are left out."""
    kept = [value for value in values if value is not None]
    if len(kept) < len(values):
        note(PropertyRule.NULL_OMITTED, path)
    finite = [value for value in kept if type(value) is not float or math.isfinite(value)]
    if len(finite) < len(kept):
        note(PropertyRule.NOT_A_NUMBER, path)
    families = {_SCALAR_FAMILIES.get(type(value)) for value in finite}
    if len(families) > 1 or None in families:
        note(PropertyRule.ARRAY_AS_TEXT, path)
        return _text(values, path, note)
    numbers = [float(v) if type(v) is int and not _INT64_MIN <= v <= _UINT64_MAX else v for v in finite]
    if len(orjson.dumps(numbers)) > MAX_VALUE_BYTES:
        return _drop(PropertyRule.TOO_LONG_VALUE, path, note)
    return numbers


def _text(values: list[Any], path: str, note: Note) -> Any:
    """Return the array as JSON text with sorted keys, so that equal arrays give equal text."""
    try:
        text = orjson.dumps(values, default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    except TypeError:  # too deep, or a whole number beyond 64 bits: the bodies that hold it could not be encoded
        return _drop(PropertyRule.TOO_DEEP, path, note)
    if len(text) > MAX_VALUE_BYTES:
        return _drop(PropertyRule.TOO_LONG_VALUE, path, note)
    return text.decode()


def _keep_names(properties: dict[str, Any], room: int, path: str, note: Note) -> int:
    """Drop, in place, the names beyond `room` in the order they stand; return the room left."""
    for name in list(properties):
        value = properties[name]
        if type(value) is dict and value:
            room = _keep_names(value, room, f"{path}{name}.", note)
            if value:
                continue
        elif room > 0:
            room -= 1
            continue
        else:
            note(PropertyRule.TOO_MANY, path + name)
        del properties[name]
    return room
