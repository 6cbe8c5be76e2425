"""The bytes of Avro's binary encoding: numbers, lengths, and what is wrong with them.

https://avro.apache.org/docs/1.12.0/specification/#binary-encoding
"""

from collections.abc import Callable
from typing import Any

Read = Callable[[bytes, int], tuple[Any, int]]
"""Decodes what starts at an offset, and returns it with the offset after it."""

Skip = Callable[[bytes, int], int]
"""Returns the offset after a value that starts at one; raises as a `Read` does."""


class ContradictionError(ValueError):
    """The bytes contradict the schema; the text says how, and shows nothing of what they hold."""


class DoubtError(ValueError):
    """The value is not as most are: it is left to the thorough reader."""


_MORE_BYTES = 128
_TWO_MORE = 128 + (128 << 7)
_MAX_BYTES = 10


def read_long(value: bytes, at: int) -> tuple[int, int]:
    """Read a whole number, of any width."""
    number = value[at]
    if number < _MORE_BYTES:
        return (number >> 1) ^ -(number & 1), at + 1
    byte = value[at + 1]
    if byte < _MORE_BYTES:
        number += (byte << 7) - 128
        return (number >> 1) ^ -(number & 1), at + 2
    number += (byte << 7) - _TWO_MORE
    at += 2
    shift = 14
    for byte in value[at : at + _MAX_BYTES - 2]:
        at += 1
        if byte < _MORE_BYTES:
            number += byte << shift
            return (number >> 1) ^ -(number & 1), at
        number += (byte - _MORE_BYTES) << shift
        shift += 7
    if shift < 7 * _MAX_BYTES:
        raise IndexError
    raise ContradictionError("a number is longer than ten bytes")


def end_of(size: int, value: bytes, at: int) -> int:
    """Return the offset behind so many bytes, which are there."""
    end = at + size
    if not at <= end <= len(value):
        raise ContradictionError("a length points outside of the value")
    return end


def exactly(size: int, value: bytes, at: int) -> tuple[bytes, int]:
    """Read so many bytes."""
    end = end_of(size, value, at)
    return value[at:end], end


def sized(value: bytes, at: int) -> tuple[bytes, int]:
    """Read a length and so many bytes."""
    size, at = read_long(value, at)
    return exactly(size, value, at)
