"""Avro binary to JSON values, by the schema that the bytes were written with.

A schema, as `avro_schema` gives it, is compiled into nested functions `(value, at) -> (decoded, end)`. They are
written here, not left to fastavro, because its compiled reader trusts the bytes: five kilobytes of nested records
overflow the C stack and end the process, a decimal of a megabyte computes for minutes, an array of nulls takes all
memory. Here nesting ends in Python's RecursionError, every length is bounded by the bytes that are there, and every
count by `MAX_VALUES`.

This is the thorough reader: it says what bytes mean, and takes whatever can be read. Nearly every record is read by the
quick one (`avro_quick`), which leaves to this one whatever is not as usual.

Whatever Avro has and JSON has not becomes what FullStory reads: bytes are base64, decimals are numbers, dates, times
and durations are ISO 8601. A JSON record (`avro_shapes`) becomes its value. The binary encoding: https://avro.apache.org/docs/1.12.0/specification/#binary-encoding
"""

from base64 import b64encode
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache, partial
from struct import Struct
from typing import Any, final
from uuid import UUID

from processor.events.avro_bytes import ContradictionError, Read, exactly, read_long, sized
from processor.events.avro_logical import big_decimal_of, date_of, decimal_of, duration_of, time_of
from processor.events.avro_schema import Named
from processor.events.avro_shapes import is_json_record
from processor.events.avro_skip import Skip, Skips
from processor.events.json_text import PLACED_WITHIN
from processor.events.timestamps import MILLISECONDS, as_declared, iso_of, unit_of
from processor.model.outcomes import Change
from processor.model.reasons import PropertyRule

__all__ = ["FAULTS", "Leaves", "Read", "compile_event", "compile_value", "name_of"]

FAULTS = (ValueError, LookupError, ArithmeticError, RecursionError)
"""What a `Read`, or a `Skip`, raises on bad bytes."""

MAX_VALUES = 100_000
"""Of the arrays, maps and records inside an event: one byte may stand for each, and a hundred of memory."""

_UNITS_PER_SECOND = {
    f"{prefix}timestamp-{unit}": per_second
    for prefix in ("", "local-")
    for unit, per_second in (("millis", 1_000), ("micros", 1_000_000), ("nanos", 1_000_000_000))
}
_TimeReaders = Callable[[int, str], Read]
"""Makes the reader of a timestamp, by its units in a second and by the zone to write: none for a local one."""

_MICROSECONDS = {"time-millis": 1_000, "time-micros": 1}

_MORE_BYTES = 128


def name_of(fault: Exception) -> str:
    """Return what is safe to tell of a fault: texts of Python's own may quote a value."""
    return str(fault) if isinstance(fault, ContradictionError) else type(fault).__name__


def compile_event(
    definition: dict[str, Any],
    names: Sequence[str],
    named: Named,
    wanted: Collection[str] | None,
    changes: list[Change],
) -> Read:
    """Return the reader of a record, given by its definition in a schema whose types are `named`.

    `names` are what its fields are to be called. Those that are not `wanted` (None: all are) are passed over: the time
    to decode what nobody reads is a third of the whole. A timestamp among the record's own fields is left a number, of
    milliseconds, unless it has digits below them.

    It appends to `changes` what it changed, with the place as far as the schema names it. NULs stay in its texts, and
    lone surrogates stand for bytes that are not UTF-8.
    """
    return _Compiler({**named, definition["name"]: definition}, changes).event(definition, names, wanted)


def compile_value(type_: Any, named: Named, changes: list[Change]) -> Read:
    """Return the reader of any type of a schema whose types are `named`; `changes` as above."""
    return _Compiler(named, changes).value(type_)


def _text(value: bytes, at: int) -> tuple[str, int]:
    taken, at = sized(value, at)
    return taken.decode(errors="surrogateescape"), at


def _bytes(value: bytes, at: int) -> tuple[str, int]:
    taken, at = sized(value, at)
    return b64encode(taken).decode(), at


def _null(_value: bytes, at: int) -> tuple[None, int]:
    return None, at


def _boolean(value: bytes, at: int) -> tuple[bool, int]:
    return (False, True)[value[at]], at + 1


_FLOAT, _DOUBLE = Struct("<f"), Struct("<d")
_FLOAT_DIGITS = (6, 7, 8, 9)
"""Six digits survive in a float, and nine tell each from every other."""


def _double(value: bytes, at: int) -> tuple[float, int]:
    taken, at = exactly(_DOUBLE.size, value, at)
    return _DOUBLE.unpack(taken)[0], at


def _float(value: bytes, at: int) -> tuple[float, int]:
    """Read 32 bits as the number that Java, Go and others print of them: 12.34, not 12.34000015258789."""
    taken, at = exactly(_FLOAT.size, value, at)
    return _shortest(taken), at


@lru_cache(maxsize=4_096)
def _shortest(taken: bytes) -> float:
    exact: float = _FLOAT.unpack(taken)[0]
    for digits in _FLOAT_DIGITS:
        number = float(f"{exact:.{digits}g}")
        try:
            if _FLOAT.pack(number) == taken:
                return number
        except OverflowError:  # rounded up beyond all floats
            continue
    return exact


_PRIMITIVES: dict[str, Read] = {
    "null": _null,
    "boolean": _boolean,
    "int": read_long,
    "long": read_long,
    "float": _float,
    "double": _double,
    "bytes": _bytes,
    "string": _text,
}


def _then(read: Read, convert: Callable[[Any], Any]) -> Read:
    """Return the reader of a logical type."""

    def read_and_convert(value: bytes, at: int) -> tuple[Any, int]:
        taken, at = read(value, at)
        return convert(taken), at

    return read_and_convert


_Field = tuple[str, Read, Skip | None]
"""A field's name, what reads it, and what passes over it where nobody reads it."""


def _read_fields(fields: Sequence[_Field], value: bytes, at: int) -> tuple[dict[str, Any], int]:
    decoded = {}
    for name, read, passed in fields:
        if passed is None:
            decoded[name], at = read(value, at)
        else:
            at = passed(value, at)
    return decoded, at


class _Compiler:
    """Compiles one schema; knows the types that it has compiled so far, and the place of what it compiles."""

    def __init__(self, definitions: Named, changes: list[Change]) -> None:
        self._definitions = definitions
        self._changes = changes
        self._skips = Skips(definitions)
        self._place = ""
        self._named: dict[str, Read] = {}
        self._left = MAX_VALUES
        """How many more values the event at hand may hold."""

    def value(self, type_: Any) -> Read:
        """Return the reader of a value that is a whole event."""
        read = self.type(type_)

        def read_value(value: bytes, at: int) -> tuple[Any, int]:
            self._left = MAX_VALUES
            return read(value, at)

        return read_value

    def event(self, definition: dict[str, Any], names: Sequence[str], wanted: Collection[str] | None) -> Read:
        """Return the reader of an event."""
        fields: list[_Field] = []
        for name, field in zip(names, definition["fields"], strict=True):
            self._place = "" if name in PLACED_WITHIN else name
            passed = None if wanted is None or name in wanted else self._skips.of(field["type"])
            fields.append((name, self.type(field["type"], self.own_time), passed))

        def read_event(value: bytes, at: int) -> tuple[dict[str, Any], int]:
            self._left = MAX_VALUES
            return _read_fields(fields, value, at)

        return read_event

    def _record(self, definition: dict[str, Any]) -> Read:
        fields: list[_Field] = []

        def read(value: bytes, at: int) -> tuple[dict[str, Any], int]:
            self._spend(1 + len(fields))
            return _read_fields(fields, value, at)

        def read_json(value: bytes, at: int) -> tuple[Any, int]:
            _, read_content, _ = fields[0]
            return read_content(value, at)

        self._named[definition["name"]] = read_this = read_json if is_json_record(definition) else read
        place = self._place
        for field in definition["fields"]:  # only now are they compiled: they may refer to the record
            name = field["name"]
            self._place = f"{place}.{name}" if place else name
            passed = self._skips.of(field["type"]) if field.get("passed") else None
            fields.append((name, self.type(field["type"]), passed))
        self._place = place
        return read_this

    def _spend(self, values: int) -> None:
        self._left -= values
        if self._left < 0:
            raise ContradictionError(f"there are more than {MAX_VALUES} values in it")

    def _change(self, rule: PropertyRule) -> Callable[[], None]:
        """Return what tells that a value at the present place was changed."""
        return partial(self._changes.append, (rule, self._place))

    def own_time(self, per_second: int, zone: str) -> Read:
        """Return the reader of one of the event's own times; milliseconds are judged where they are used."""
        if per_second == MILLISECONDS:
            return read_long

        def finish(number: int, unit: int) -> int | str | None:
            milliseconds, below = divmod(number * MILLISECONDS, unit)
            return iso_of(number, unit, zone) if below else milliseconds

        return self._moment(per_second, finish, is_event_time=True)

    def _property_time(self, per_second: int, zone: str) -> Read:
        return self._moment(per_second, lambda number, unit: iso_of(number, unit, zone), is_event_time=False)

    def _moment(self, per_second: int, finish: Callable[[int, int], Any], *, is_event_time: bool) -> Read:
        first, last = as_declared(per_second)
        take_other_unit = self._change(PropertyRule.TIMESTAMP_UNIT)
        drop = self._change(PropertyRule.TIME_OUT_OF_RANGE)

        def read(value: bytes, at: int) -> tuple[Any, int]:
            number, at = read_long(value, at)
            if first <= number <= last:
                return finish(number, per_second), at
            unit = unit_of(number, per_second, is_event_time=is_event_time)
            if unit != per_second:
                take_other_unit()
            moment = finish(number, unit)
            if moment is None:
                drop()
            return moment, at

        return read

    def _calendar(self, convert: Callable[[int], str | None]) -> Read:
        """Return the reader of a date or a time of day."""
        drop = self._change(PropertyRule.TIME_OUT_OF_RANGE)

        def read(value: bytes, at: int) -> tuple[str | None, int]:
            number, at = read_long(value, at)
            text = convert(number)
            if text is None:
                drop()
            return text, at

        return read

    def type(self, type_: Any, timestamp: _TimeReaders | None = None) -> Read:
        """Return the reader of a type; `timestamp` makes those of timestamps."""
        match type_:
            case str() if type_ in _PRIMITIVES:
                return _PRIMITIVES[type_]
            case str():
                return self._named.get(type_) or self._defined(type_)
            case list():
                return _union([self.type(branch, timestamp) for branch in type_])
            case {"items": items}:
                return _array(self.type(items), self._spend)
            case {"values": values}:
                return _then(_array(_entry(self.type(values)), self._spend), dict)
        return self._annotated(type_, timestamp or self._property_time)

    def _defined(self, name: str) -> Read:
        definition = self._definitions[name]
        match definition["type"]:
            case "enum":
                read = _then(read_long, dict(enumerate(definition["symbols"])).__getitem__)
            case "fixed":
                read = _fixed(definition)
            case _:
                return self._record(definition)
        self._named[name] = read
        return read

    def _annotated(self, type_: dict[str, Any], timestamp: _TimeReaders) -> Read:
        """Return the reader of a primitive type that has a logical type."""
        match type_["logicalType"]:
            case logical if logical in _UNITS_PER_SECOND:
                return timestamp(_UNITS_PER_SECOND[logical], "" if logical.startswith("local-") else "Z")
            case logical if logical in _MICROSECONDS:
                return self._calendar(time_of(_MICROSECONDS[logical]))
            case "date":
                return self._calendar(date_of)
            case "decimal":
                return _then(sized, partial(decimal_of, scale=type_["scale"]))
            case "big-decimal":
                return _then(sized, big_decimal_of)
        return _PRIMITIVES[type_["type"]]


def _fixed(definition: dict[str, Any]) -> Read:
    size: int = definition["size"]

    def read(value: bytes, at: int) -> tuple[bytes, int]:
        return exactly(size, value, at)

    match definition.get("logicalType"):
        case "decimal":
            return _then(read, partial(decimal_of, scale=definition["scale"]))
        case "uuid":
            return _then(read, lambda taken: str(UUID(bytes=taken)))
        case "duration":
            return _then(read, duration_of)
    return _then(read, lambda taken: b64encode(taken).decode())


def _union(branches: list[Read]) -> Read:
    by_first_byte = {2 * index: branch for index, branch in enumerate(branches[: _MORE_BYTES // 2])}

    def read(value: bytes, at: int) -> tuple[Any, int]:
        branch = by_first_byte.get(value[at])
        if branch is not None:
            return branch(value, at + 1)
        index, at = read_long(value, at)
        if index < 0:
            raise ContradictionError("the branch of a union is negative")
        return branches[index](value, at)

    return read


def _array(read_item: Read, spend: Callable[[int], None]) -> Read:
    def read(value: bytes, at: int) -> tuple[list[Any], int]:
        items: list[Any] = []
        while True:
            count, at = read_long(value, at)
            if count == 0:
                return items, at
            if count < 0:  # then the size of the block follows, for those who skip it
                _, at = read_long(value, at)
            spend(abs(count))
            for _ in range(abs(count)):
                item, at = read_item(value, at)
                items.append(item)

    return read


def _entry(read_value: Read) -> Read:
    def read(value: bytes, at: int) -> tuple[tuple[str, Any], int]:
        key, at = _text(value, at)
        decoded, at = read_value(value, at)
        return (key, decoded), at

    return read


@final
class Leaves:
    """Readers of types that have no text and no types within them, for the quick reader."""

    def __init__(self, named: Named) -> None:
        self.changes: list[Change] = []
        """What the readers changed; to be emptied by whoever calls them."""
        self._compiler = _Compiler(named, self.changes)

    def of(self, type_: Any, *, is_own: bool) -> Read:
        """Return the reader of a type; `is_own`: of one of the event's own fields."""
        return self._compiler.type(type_, self._compiler.own_time if is_own else None)
