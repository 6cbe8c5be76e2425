"""Readers of values by one schema: the quick one of each, and the thorough one for whatever it leaves.

Compiled to C, the thorough one is the quicker one, and the only one.
"""

from collections.abc import Callable, Collection, Sequence
from functools import cache, partial
from typing import Any, Protocol

from processor import is_compiled
from processor.events.avro_binary import FAULTS, compile_event, compile_value, name_of
from processor.events.avro_bytes import read_long
from processor.events.avro_nodes import Whole
from processor.events.avro_quick import UNTAKEN, QuickRead, quick_event, quick_value
from processor.events.avro_schema import Named
from processor.events.framing import PREFIX_BYTES
from processor.events.json_text import mended
from processor.events.timestamps import is_event_time
from processor.model.outcomes import Event, Note, Rejected, unnoted
from processor.model.reasons import DeadLetterReason

CLOCK_FIELDS = frozenset({"originalTimestamp", "sentAt", "receivedAt"})
"""Fields that mapping reads of an event without a `timestamp`; only such a value is decoded again for them."""

Finish = Callable[[Any, Note], Event | Rejected]
"""Makes an event of what was decoded."""

Contradicted = Callable[[bytes, int, Note, str], Event | Rejected]
"""Makes what can be made of a value, from an offset on, whose bytes contradict the schema; in words by what."""


class Reader(Protocol):
    """Decodes a value from an offset on, by the one schema that it names."""

    def __call__(self, value: bytes, start: int = PREFIX_BYTES, note: Note = unnoted, /) -> Event | Rejected:
        """Return the event, or why there is none; note what of it was changed."""
        ...


def event_reader(
    definition: dict[str, Any],
    names: Sequence[str],
    named: Named,
    wanted: Collection[str] | None,
    json_texts: Collection[str],
    finish: Finish,
    contradicted: Contradicted,
) -> Reader:
    """Return the reader of a record with the `wanted` fields (None: all): the hot path, so it is written out.

    Text of the fields that are `json_texts` is parsed, by `finish` where the reader has left it. The quick reader reads
    an event without a usable `timestamp` once more, with the fields that take its place, if the time is wanted.
    """
    needs_clocks = wanted is not None and "timestamp" in wanted  # who asks for no time needs none in its place
    wanted_with_clocks = {*wanted, *CLOCK_FIELDS} if wanted is not None and needs_clocks else wanted
    compile_thorough = partial(compile_event, definition, names, named, wanted_with_clocks, json_texts)
    read_quickly = None if is_compiled() else quick_event(definition, names, named, wanted, json_texts)
    read_thoroughly = _thorough_reader(compile_thorough, finish, contradicted, is_only=read_quickly is None)
    if read_quickly is None:
        return read_thoroughly
    read_event = read_quickly
    read_clocks = cache(lambda: quick_event(definition, names, named, wanted_with_clocks, json_texts))

    def read(value: bytes, start: int = PREFIX_BYTES, note: Note = unnoted, /) -> Event | Rejected:
        try:
            event: Event = read_event(value, start)
            timestamp = event.get("timestamp")
            if not needs_clocks or type(timestamp) is int or is_event_time(timestamp):
                return event
            if (read_more := read_clocks()) is not None:
                event = read_more(value, start)
                return event  # noqa: RET504 - it gives the value its type
        except UNTAKEN:
            pass
        return read_thoroughly(value, start, note)

    return read


def value_reader(type_: Any, named: Named, finish: Finish, contradicted: Contradicted) -> Reader:
    """Return the reader of a value of any type."""
    read_quickly = None if is_compiled() else quick_value(type_, named)
    compile_thorough = partial(compile_value, type_, named)
    read_thoroughly = _thorough_reader(compile_thorough, finish, contradicted, is_only=read_quickly is None)
    return read_thoroughly if read_quickly is None else _finishing(read_quickly, finish, read_thoroughly)


def union_reader(readers: Sequence[Reader], contradicted: Contradicted) -> Reader:
    """Return the reader of a union, given those of its branches: several types of event on one topic."""

    def read(value: bytes, start: int = PREFIX_BYTES, note: Note = unnoted, /) -> Event | Rejected:
        try:
            branch, at = read_long(value, start)
        except FAULTS as fault:
            return contradicted(value, start, note, name_of(fault))
        if not 0 <= branch < len(readers):
            return contradicted(value, start, note, "the union has no such branch")
        return readers[branch](value, at, note)

    return read


def _finishing(read_quickly: QuickRead, finish: Finish, read_thoroughly: Reader) -> Reader:
    def read(value: bytes, start: int = PREFIX_BYTES, note: Note = unnoted, /) -> Event | Rejected:
        try:
            decoded = read_quickly(value, start)
        except UNTAKEN:
            return read_thoroughly(value, start, note)
        return finish(decoded, note)

    return read


def _thorough_reader(
    compile_read: Callable[[], Whole], finish: Finish, contradicted: Contradicted, *, is_only: bool
) -> Reader:
    """Return the reader of what the quick one leaves: it takes whatever it can, and notes what it changes.

    Unless it is the only one, it is compiled when it is needed first.
    """
    compiled: Whole | None = compile_read() if is_only else None

    def read(value: bytes, start: int = PREFIX_BYTES, note: Note = unnoted, /) -> Event | Rejected:
        nonlocal compiled
        if compiled is None:
            compiled = compile_read()
        whole = compiled
        changes = whole.changes
        changes.clear()
        try:
            event = whole.read(value, start)
        except FAULTS as fault:
            return contradicted(value, start, note, name_of(fault))
        if whole.end != len(value):
            return malformed(f"{len(value) - whole.end} bytes follow the record")
        for change in changes:
            note(*change)
        finished = finish(event, note)
        return mended(finished, note) if whole.is_odd and not isinstance(finished, Rejected) else finished

    return read


def malformed(detail: str) -> Rejected:
    """Say why a value is no event."""
    return Rejected(DeadLetterReason.MALFORMED, detail)
