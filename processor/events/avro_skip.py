"""Passing over values of Avro that nobody reads, by their shape alone.

What they say is not looked at, so it rejects no record: only bytes that do not have the shape do. A block of an array
or a map takes no more steps than it has bytes, whatever its count.
"""

from collections.abc import Callable, Sequence
from typing import Any, final

from processor.events.avro_bytes import ContradictionError, end_of, read_long
from processor.events.avro_schema import Named

Skip = Callable[[bytes, int], int]
"""Returns the offset after a value that starts at one; raises as a `Read` does."""

_Part = int | Skip
"""A size in bytes where all values have the same; else what finds the end, of at least one byte."""

_SIZES = {"null": 0, "boolean": 1, "float": 4, "double": 8}


def _skip_long(value: bytes, at: int) -> int:
    while value[at] > 127:
        at += 1
    return at + 1


def _skip_sized(value: bytes, at: int) -> int:
    size, at = read_long(value, at)
    return end_of(size, value, at)


_PRIMITIVES: dict[str, _Part] = {
    **_SIZES,
    **dict.fromkeys(("int", "long"), _skip_long),
    **dict.fromkeys(("bytes", "string"), _skip_sized),
}


@final
class Skips:
    """Compiles the types of one schema."""

    def __init__(self, named: Named) -> None:
        self._definitions = named
        self._named: dict[str, _Part] = {}

    def of(self, type_: Any) -> Skip:
        """Return what passes over a value of a type."""
        return _as_skip(self._part(type_))

    def _part(self, type_: Any) -> _Part:
        match type_:
            case str() if type_ in _PRIMITIVES:
                return _PRIMITIVES[type_]
            case str():
                return self._named[type_] if type_ in self._named else self._define(type_)
            case list():
                return _union([_as_skip(self._part(branch)) for branch in type_])
            case {"items": items}:
                return _blocks(self._part(items))
            case {"values": values}:
                return _blocks(_sequence([_skip_sized, self._part(values)]))
        return _PRIMITIVES[type_["type"]]

    def _define(self, name: str) -> _Part:
        definition = self._definitions[name]

        def skip_this(value: bytes, at: int) -> int:  # for what refers to the type that is being compiled
            return _as_skip(self._named[name])(value, at)

        self._named[name] = skip_this
        match definition["type"]:
            case "enum":
                part: _Part = _skip_long
            case "fixed":
                part = definition["size"]
            case _:
                part = _sequence([self._part(field["type"]) for field in definition["fields"]])
        self._named[name] = part
        return part


def _as_skip(part: _Part) -> Skip:
    if callable(part):
        return part
    size = part

    def skip(value: bytes, at: int) -> int:
        return end_of(size, value, at)

    return skip


def _sequence(parts: Sequence[_Part]) -> _Part:
    """Return what passes over one part after the other."""
    skips: list[Skip] = []
    size = 0
    for part in parts:
        if not callable(part):
            size += part
            continue
        if size:
            skips.append(_as_skip(size))
            size = 0
        skips.append(part)
    if not skips:
        return size
    if size:
        skips.append(_as_skip(size))

    def skip(value: bytes, at: int) -> int:
        for skip_part in skips:
            at = skip_part(value, at)
        return at

    return skip if len(skips) > 1 else skips[0]


def _union(branches: Sequence[Skip]) -> Skip:
    def skip(value: bytes, at: int) -> int:
        index, at = read_long(value, at)
        if index < 0:
            raise ContradictionError("the branch of a union is negative")
        return branches[index](value, at)

    return skip


def _blocks(item: _Part) -> Skip:
    """Return what passes over an array; a map is one of entries."""

    def skip(value: bytes, at: int) -> int:
        while True:
            count, at = read_long(value, at)
            if count == 0:
                return at
            if count < 0:  # then the size of the block follows, for those who skip it
                size, at = read_long(value, at)
                at = end_of(size, value, at)
            elif callable(item):
                for _ in range(count):
                    at = item(value, at)
            else:
                at = end_of(count * item, value, at)

    return skip
