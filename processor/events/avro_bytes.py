"""The bytes of Avro's binary encoding: numbers, lengths, and what is wrong with them.

https://avro.apache.org/docs/1.12.0/specification/#binary-encoding
"""

from collections.abc import Callable
from typing import Any

Read = Callable[[bytes, int], tuple[Any, int]]
"""Decodes what starts at an offset, and returns it with the offset after it."""


class ContradictionError(ValueError):
    """The bytes contradict the schema; the text says how, and shows nothing of what they hold."""


class DoubtError(ValueError):
    """The bytes agree with the schema, but what they say is not what can be sent."""


_CONTINUATION_SHIFTS = tuple(range(7, 70, 7))
_MORE_BYTES = 128


def doubt() -> None:
    """Leave a value to the thorough reader."""
    raise DoubtError


def fail() -> None:
    """Tell of a length that contradicts the value."""
    raise ContradictionError("a length points outside of the value")


def read_long(value: bytes, at: int) -> tuple[int, int]:
    """Read a whole number, of any width."""
    number = value[at]
    at += 1
    if number >= _MORE_BYTES:
        number -= _MORE_BYTES
        for shift in _CONTINUATION_SHIFTS:
            byte = value[at]
            at += 1
            if byte < _MORE_BYTES:
                number |= byte << shift
                break
            number |= (byte - _MORE_BYTES) << shift
        else:
            raise ContradictionError("a number is longer than ten bytes")
    return (number >> 1) ^ -(number & 1), at


def end_of(size: int, value: bytes, at: int) -> int:
    """Return the offset behind so many bytes, which are there."""
    end = at + size
    if not at <= end <= len(value):
        fail()
    return end


def exactly(size: int, value: bytes, at: int) -> tuple[bytes, int]:
    """Read so many bytes."""
    end = end_of(size, value, at)
    return value[at:end], end


def sized(value: bytes, at: int) -> tuple[bytes, int]:
    """Read a length and so many bytes."""
    size, at = read_long(value, at)
    return exactly(size, value, at)
