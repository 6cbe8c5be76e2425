"""JSON text to values that can be written again: the one reader of JSON, for the worker and for its tools.

orjson reads what is JSON, and says what it means. What it refuses, but common producers write, the standard library
reads with that same meaning: a whole number beyond 64 bits is a real, whatever stands beside it.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

import orjson

from processor.model.outcomes import Note, unnoted
from processor.model.reasons import PropertyRule

_BYTE_ORDER_MARK = "\ufeff"
_FIRST_WHOLE, _LAST_WHOLE = -(2**63), 2**64 - 1
_SURELY_WHOLE_DIGITS = 18
_MAX_WHOLE_DIGITS = 20
"""With a sign. What is longer is beyond 64 bits."""

_TO_MEND = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
"""Escapes of NUL and of surrogates."""

_DEEPEST = 256
"""orjson writes 254 levels. Python's own recursion ends at a depth that depends on who calls."""

PLACED_WITHIN = frozenset({"properties", "traits"})
"""Fields of a message whose content is named by its path within them."""


@dataclass(frozen=True, slots=True)
class NoJson:
    """Why text is no JSON, without what it holds; lines count from 1."""

    fault: str
    line: int

    def __str__(self) -> str:
        return f"line {self.line}: {self.fault}"


def parse_json(text: bytes | str, note: Note = unnoted, place: str = "") -> Any:
    """Return what JSON text says, or `NoJson`. Never raises.

    A byte order mark is skipped. NaN, infinities, numbers beyond all reals, lone surrogates and bytes that are not
    UTF-8 cost five times as much to read. Texts are `mended`.
    """
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _parse_leniently(text, note, place)
    # A backslash alone is found ten times as fast as six characters.
    if isinstance(text, str):
        return mended(parsed, note, place) if "\\" in text and "\\u0000" in text else parsed
    return mended(parsed, note, place) if b"\\" in text and b"\\u0000" in text else parsed


def _parse_leniently(given: bytes | str, note: Note, place: str) -> Any:
    text = given.decode(errors="surrogateescape") if isinstance(given, bytes) else given
    text = text.removeprefix(_BYTE_ORDER_MARK)
    try:
        parsed = _LENIENT.decode(text)
    except json.JSONDecodeError as error:
        if "\udc80" <= text[error.pos : error.pos + 1] <= "\udcff":
            return NoJson(f"no text in UTF-8 at column {error.colno}", error.lineno)
        return NoJson(f"no JSON at column {error.colno}: {error.msg}", error.lineno)
    except RecursionError:
        return NoJson("nested too deeply", 1)
    return mended(parsed, note, place) if _holds_what_to_mend(text) else parsed


def _number(digits: str) -> float:
    """Return a whole number as orjson does, whatever its length: Python's own refuses one of more than 4,300 digits."""
    if len(digits) <= _SURELY_WHOLE_DIGITS:
        return int(digits)
    if len(digits) <= _MAX_WHOLE_DIGITS and _FIRST_WHOLE <= (number := int(digits)) <= _LAST_WHOLE:
        return number
    return float(digits)


_LENIENT = json.JSONDecoder(parse_int=_number)


def _holds_what_to_mend(text: str) -> bool:
    """Say whether `mended` may have something to do: it takes three times as long as reading does."""
    if "\\u" in text and _TO_MEND.search(text):
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def mended(value: Any, note: Note, place: str = "", depth: int = 0) -> Any:
    """Return the value with texts and names that can be written; each change is noted with its dotted place.

    Lone surrogates, which also stand for bytes that are not UTF-8, become U+FFFD, because no UTF-8 holds one; NULs are
    removed from texts, because many programs take them for the end (names lose them with all else that is illegal in
    them). What is nested deeper than can be sent stays as it is.
    """
    if isinstance(value, str):
        return _mended_text(value, note, place)
    if depth == _DEEPEST or not isinstance(value, dict | list):
        return value
    if isinstance(value, list):
        items = []
        for each in value:  # a comprehension would be a second level of Python's own
            items.append(mended(each, note, place, depth + 1))  # noqa: PERF401
        return items
    found = {}
    for name, each in value.items():
        full = f"{place}.{name}" if place else name
        within = "" if not place and name in PLACED_WITHIN and not isinstance(each, str) else full
        found[_mended_name(name, note, full)] = mended(each, note, within, depth + 1)
    return found


def _mended_text(text: str, note: Note, place: str) -> str:
    if "\0" in text:
        text = text.replace("\0", "")
        note(PropertyRule.NUL_REMOVED, _writable(place))
    return _mended_name(text, note, place)


def _mended_name(name: str, note: Note, place: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        note(PropertyRule.TEXT_REPLACED, _writable(place))
        return _writable(name)
    return name


def _writable(text: str) -> str:
    """Return the text without lone surrogates; two that make a pair become its character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
