"""The rules for `properties` and `schema` (docs/fullstory-api.md#properties)."""

import re
from typing import Any, final

import orjson

from processor.sandbox.wire import Json, invalid, require

MAX_PATH = 512
MAX_NAMES = 500
MAX_VALUE_BYTES = 8192
SHORT = MAX_VALUE_BYTES // 4  # a string of at most so many characters cannot exceed the bytes: UTF-8 needs 4 at most
KNOWN_NAMES = 100_000
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
DECLARABLE = frozenset({"str", "strs", "int", "ints", "real", "reals", "bool", "bools", "date", "dates"})


@final
class PropertyRules:
    """Checks properties. Names seen to be good are remembered, since a stream of events repeats a few of them."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def check(self, properties: Any, field: str) -> list[str]:
        """Return the top-level names whose value is too large and gets dropped; raises `ApiError` 400 for the rest.

        The size of a string is its UTF-8 bytes, of an array or object its JSON text.
        """
        require(properties, dict, field)
        dropped = []
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
                if len(orjson.dumps(value)) > MAX_VALUE_BYTES:
                    dropped.append(name)
        if names > MAX_NAMES:
            raise invalid(f"{field} must not have more than {MAX_NAMES} unique names")
        return dropped

    def schema(self, schema: Any, field: str) -> None:
        """Raise `ApiError` 400 unless it is `{properties: {dotted.path: type}}` with declarable types."""
        require(schema, dict, field)
        if schema.keys() - {"properties"}:
            raise invalid(f"{field} may only hold properties")
        declared = require(schema.get("properties", {}), dict, f"{field}.properties")
        for path, kind in declared.items():
            for name in path.split("."):
                if name not in self._known:
                    self._learn(name, path)
            if type(kind) is not str or kind not in DECLARABLE:
                raise invalid(f"{field}: {kind!r} is not a type of {path}; one of {', '.join(sorted(DECLARABLE))}")

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
    """Put each property of `latest` into `stored` as a whole, nested objects, too; a null changes nothing."""
    stored.update({name: value for name, value in latest.items() if value is not None})


def merge(stored: Json, latest: Json) -> None:
    """Merge `latest` into `stored`, path by path: the latest value wins, a null changes nothing."""
    for name, value in latest.items():
        if value is None:
            continue
        before = stored.get(name)
        if type(value) is not dict:
            stored[name] = value
        elif type(before) is dict:
            merge(before, value)
        else:
            stored[name] = {}
            merge(stored[name], value)
