"""The rules for `properties` and `schema` (docs/fullstory-api.md#properties)."""

import re
from collections.abc import Collection
from typing import Any, final

import orjson

from processor.sandbox.property_types import DECLARABLE
from processor.sandbox.wire import Json, invalid, require

MAX_PATH = 512
MAX_NAMES = 500
MAX_VALUE_BYTES = 8192
SHORT = MAX_VALUE_BYTES // 4  # a string of at most so many characters cannot exceed the bytes: UTF-8 needs 4 at most
KNOWN_NAMES = 100_000
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")


@final
class PropertyRules:
    """Checks properties. Names seen to be good are remembered, since a stream of events repeats a few of them."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._paths: dict[str, tuple[str, ...]] = {}

    def take(self, item: Json, field: str, schema_field: str) -> tuple[Json, int]:
        """Return the item with those of its properties that take effect, and how many are too large for that.

        Raises `ApiError` 400 for properties or types that break a rule, and for a value of another type than declared.
        """
        properties = item.get(field)
        schema = item.get(schema_field)
        if properties is None:
            if schema is not None:
                self._declared(schema, {}, schema_field)
            return item, 0
        taken, dropped = self._check(properties, field)
        if schema is not None:
            self._declared(schema, properties, schema_field)
        return (item if taken is properties else {**item, field: taken}), dropped

    def _check(self, properties: Any, field: str) -> tuple[Json, int]:
        """Return the properties without null and without top-level values that are too large, and how many those are.

        The size of a string is its UTF-8 bytes, of an array or object its JSON text.
        """
        require(properties, dict, field)
        dropped = []
        has_null = False
        names = len(properties)
        known = self._known
        for name, value in properties.items():
            if name not in known:
                self._learn(name, name)
            kind = type(value)
            if kind is str:
                if len(value) > SHORT and len(value.encode()) > MAX_VALUE_BYTES:
                    dropped.append(name)
            elif kind is dict or kind is list:
                names += self._count_within(value, name)
                text = orjson.dumps(value)
                if len(text) > MAX_VALUE_BYTES:
                    dropped.append(name)
                elif kind is dict and b"null" in text:
                    has_null = True
            elif value is None:
                has_null = True
        if names > MAX_NAMES:
            raise invalid(f"{field} must not have more than {MAX_NAMES} unique names")
        return (_effective(properties, dropped) if dropped or has_null else properties), len(dropped)

    def _declared(self, schema: Json, properties: Json, field: str) -> None:
        """Raise `ApiError` 400 unless it is `{properties: {dotted.path: type}}`, and the values are of these types."""
        declared = schema.get("properties")
        if declared is None:
            return
        for path, kind in require(declared, dict, f"{field}.properties").items():
            names = self._paths.get(path) or self._split(path)
            fits = DECLARABLE.get(kind) if type(kind) is str else None
            if fits is None:
                raise invalid(f"{field}: {kind!r} is not a type of {path}; one of {', '.join(sorted(DECLARABLE))}")
            value: Any = properties
            for name in names:
                value = value.get(name) if type(value) is dict else None
            if value is not None and not fits(value):
                raise invalid(f"{path} is declared as {kind} and has a value of another type")

    def _split(self, path: str) -> tuple[str, ...]:
        names = tuple(path.split("."))
        for name in names:
            self._learn(name, path)
        if len(self._paths) < KNOWN_NAMES:
            self._paths[path] = names
        return names

    def _count_within(self, value: Any, path: str) -> int:
        """How many more names a container adds."""
        if type(value) is list:
            if any(type(element) in (dict, list) for element in value):
                raise invalid(f"{path}: arrays of objects or arrays are not supported")
            return 0
        names = len(value)
        for name, inner in value.items():
            inner_path = f"{path}.{name}"
            if len(inner_path) > MAX_PATH or name not in self._known:
                self._learn(name, inner_path)
            if type(inner) in (dict, list):
                names += self._count_within(inner, inner_path)
        return names

    def _learn(self, name: str, path: str) -> None:
        if len(path) > MAX_PATH:
            raise invalid(f"a property's name with its parents must not exceed {MAX_PATH} characters: {path[:64]}…")
        if not NAME.match(name):
            raise invalid(f"illegal property name {path!r}: letters, digits and underscores, a letter first")
        if len(self._known) < KNOWN_NAMES:
            self._known.add(name)


def replace(stored: Json, latest: Json) -> None:
    """Put each property of `latest` into `stored` as a whole, nested objects, too."""
    stored.update(latest)


def merge(stored: Json, latest: Json) -> None:
    """Merge `latest` into `stored`, path by path: the latest value wins."""
    for name, value in latest.items():
        before = stored.get(name)
        if type(value) is not dict:
            stored[name] = value
        elif type(before) is dict:
            merge(before, value)
        else:
            stored[name] = {}
            merge(stored[name], value)


def _effective(properties: Json, dropped: Collection[str] = ()) -> Json:
    """Return what takes effect: a null changes nothing, at whatever depth."""
    return {
        name: _effective(value) if type(value) is dict else value
        for name, value in properties.items()
        if value is not None and name not in dropped
    }
