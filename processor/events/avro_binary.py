"""Avro binary to JSON values, by the schema that the bytes were written with.

A schema is compiled once into nested functions `(value, at) -> (decoded, end)`. They are written here, not left to
fastavro, because its compiled reader trusts the bytes: five kilobytes of nested records overflow the C stack and end
the process, a decimal of a megabyte computes for minutes, an array of nulls takes all memory. Here nesting ends in
Python's RecursionError, every length is bounded by the bytes that are there, and every count by `MAX_VALUES`. It is no
slower.

Whatever Avro has and JSON has not becomes what FullStory reads: bytes are base64, decimals are numbers, dates, times
and durations are ISO 8601. A JSON record (`avro_shapes`) becomes its value. The binary encoding: https://avro.apache.org/docs/1.12.0/specification/#binary-encoding
"""

from base64 import b64encode
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from struct import Struct
from typing import Any
from uuid import UUID

from processor.events.avro_event import EventField, Read, event_reader
from processor.events.avro_shapes import is_json_record
from processor.events.json_text import PLACED_WITHIN
from processor.events.timestamps import MILLISECONDS, as_declared, iso_of, unit_of
from processor.model.outcomes import Change
from processor.model.reasons import PropertyRule

FAULTS = (ValueError, LookupError, ArithmeticError, RecursionError)
"""What a `Read` raises on bad bytes."""


class DoubtError(ValueError):
    """The bytes agree with the schema, but what they say is not what can be sent."""


DOUBTS = (UnicodeError, DoubtError)
"""What a quick `Read` raises where a thorough one may go on; of `FAULTS`, so to be caught before them."""

MAX_VALUES = 100_000
"""Of the arrays, maps and records inside an event: one byte may stand for each, and a hundred of memory."""

_MAX_DECIMAL_BYTES = 64
"""150 digits; what takes more is no amount of anything, and converting it costs the square of its size."""

_MAX_SCALE = 300
"""Decimals with a fraction become reals, which have no smaller ones."""

_CONTINUATION_SHIFTS = tuple(range(7, 70, 7))
_MORE_BYTES = 128
_UUID_BYTES = 16

_UNITS_PER_SECOND = {
    f"{prefix}timestamp-{unit}": per_second
    for prefix in ("", "local-")
    for unit, per_second in (("millis", 1_000), ("micros", 1_000_000), ("nanos", 1_000_000_000))
}
_TimeReaders = Callable[[int, str], Read]
"""Makes the reader of a timestamp, by its units in a second and by the zone to write: none for a local one."""

_MICROSECONDS = {"time-millis": 1_000, "time-micros": 1}


_COUNTED = frozenset({"array", "map", "record", "error"})


class ContradictionError(ValueError):
    """The bytes contradict the schema; the text says how, and shows nothing of what they hold."""


def name_of(fault: Exception) -> str:
    """Return what is safe to tell of a fault: texts of Python's own may quote a value."""
    return str(fault) if isinstance(fault, ContradictionError) else type(fault).__name__


def compile_event(
    parsed: dict[str, Any],
    names: Sequence[str],
    wanted: Collection[str] | None = None,
    changes: list[Change] | None = None,
) -> Read:
    """Return the reader of a record schema that fastavro has parsed, so that all names in it are full and known.

    `names` are what its fields are to be called. Those that are not `wanted` (None: all are) are passed over: the time
    to decode what nobody reads is a third of the whole. A timestamp among the record's own fields is left a number, of
    milliseconds, unless it has digits below them.

    With `changes` the reader is thorough: it also reads what the quick one raises one of `DOUBTS` for. It appends there
    what it changed, with the place as far as the schema names it. NULs stay in its texts, and lone surrogates stand for
    bytes that are not UTF-8.
    """
    return _Compiler(changes).event(parsed, names, wanted)


def compile_value(parsed: Any, changes: list[Change] | None = None) -> Read:
    """Return the reader of any schema that fastavro has parsed; `changes` as above."""
    return _Compiler(changes).value(parsed)


def _long(value: bytes, at: int) -> tuple[int, int]:
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


def _sized(value: bytes, at: int) -> tuple[bytes, int]:
    """Read a length and so many bytes."""
    size, at = _long(value, at)
    return _exactly(size, value, at)


def _exactly(size: int, value: bytes, at: int) -> tuple[bytes, int]:
    end = at + size
    if not at <= end <= len(value):
        raise ContradictionError("a length points outside of the value")
    return value[at:end], end


def _string(value: bytes, at: int) -> tuple[str, int]:
    taken, at = _sized(value, at)
    text = taken.decode()
    if "\0" in text:
        _doubt()
    return text, at


def _key(value: bytes, at: int) -> tuple[str, int]:
    """Read a name of a map; a NUL in it goes with all that is illegal in names."""
    taken, at = _sized(value, at)
    return taken.decode(), at


def _string_as_it_is(value: bytes, at: int) -> tuple[str, int]:
    taken, at = _sized(value, at)
    return taken.decode(errors="surrogateescape"), at


def _bytes(value: bytes, at: int) -> tuple[str, int]:
    taken, at = _sized(value, at)
    return b64encode(taken).decode(), at


def _null(_value: bytes, at: int) -> tuple[None, int]:
    return None, at


def _boolean(value: bytes, at: int) -> tuple[bool, int]:
    return (False, True)[value[at]], at + 1


_FLOAT, _DOUBLE = Struct("<f"), Struct("<d")
_FLOAT_DIGITS = (6, 7, 8, 9)
"""Six digits survive in a float, and nine tell each from every other."""


def _double(value: bytes, at: int) -> tuple[float, int]:
    taken, at = _exactly(_DOUBLE.size, value, at)
    return _DOUBLE.unpack(taken)[0], at


def _float(value: bytes, at: int) -> tuple[float, int]:
    """Read 32 bits as the number that Java, Go and others print of them: 12.34, not 12.34000015258789."""
    taken, at = _exactly(_FLOAT.size, value, at)
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
    "int": _long,
    "long": _long,
    "float": _float,
    "double": _double,
    "bytes": _bytes,
    "string": _string,
}


def _then(read: Read, convert: Callable[[Any], Any]) -> Read:
    """Return the reader of a logical type."""

    def read_and_convert(value: bytes, at: int) -> tuple[Any, int]:
        taken, at = read(value, at)
        return convert(taken), at

    return read_and_convert


def _date(days: int) -> str:
    return date.fromordinal(date(1970, 1, 1).toordinal() + days).isoformat()


def _time(unit_microseconds: int) -> Callable[[int], str]:
    midnight = datetime(1970, 1, 1, tzinfo=UTC)
    return lambda number: (midnight + timedelta(microseconds=number * unit_microseconds)).time().isoformat()


def _decimal(scale: int) -> Callable[[bytes], float]:
    """Return what makes a number of unscaled bytes: a whole number with all its digits where there is no fraction."""
    if not 0 <= scale <= _MAX_SCALE:
        raise ValueError("the scale of a decimal is out of range")
    return lambda taken: _scaled(taken, scale)


def _scaled(taken: bytes, scale: int) -> float:
    if len(taken) > _MAX_DECIMAL_BYTES or abs(scale) > _MAX_SCALE:
        raise ContradictionError("a decimal is longer than any amount")
    unscaled, unit = int.from_bytes(taken, "big", signed=True), int(10 ** abs(scale))
    return unscaled / unit if scale > 0 else unscaled * unit


def _big_decimal(taken: bytes) -> float:
    """Read Java's decimal, which brings its scale along; Avro's specification names it without its form.

    Avro 1.12.2 for Java (`Conversions.BigDecimalConversion`): the unscaled bytes with their length, then the scale.
    """
    unscaled, at = _sized(taken, 0)
    scale, end = _long(taken, at)
    if end != len(taken):
        raise ContradictionError("bytes follow a decimal")
    return _scaled(unscaled, scale)


_DURATION = Struct("<III")


def _duration(taken: bytes) -> str:
    """Return ISO 8601 for months, days and milliseconds, which do not make up for each other."""
    months, days, milliseconds = _DURATION.unpack(taken)
    seconds, below = divmod(milliseconds, MILLISECONDS)
    fraction = f".{below:03d}" if below else ""
    return f"P{months}M{days}DT{seconds}{fraction}S"


def _fail() -> None:
    raise ContradictionError("a length points outside of the value")


def _doubt() -> None:
    raise DoubtError


class _Compiler:
    """Compiles one schema; knows the types that it has named so far, and the place of what it compiles."""

    def __init__(self, changes: list[Change] | None) -> None:
        self._changes = changes
        self._primitives = _PRIMITIVES if changes is None else {**_PRIMITIVES, "string": _string_as_it_is}
        self._read_key = _key if changes is None else _string_as_it_is
        self._place = ""
        self._named: dict[str, Read] = {}
        self._left = MAX_VALUES
        """How many more values the event at hand may hold."""
        self._is_counting = False
        """Whether an event may hold any that are not its own fields."""

    def value(self, schema: Any) -> Read:
        """Return the reader of a value that is a whole event."""
        read, begin = self._type(schema), self._begin

        def read_value(value: bytes, at: int) -> tuple[Any, int]:
            begin()
            return read(value, at)

        return read_value

    def event(self, schema: dict[str, Any], names: Sequence[str], wanted: Collection[str] | None) -> Read:
        """Return the reader of an event: the hot path."""
        self._named[schema["name"]] = self.record(schema, self._own_time)  # for fields that refer to the event
        fields = []
        for name, field in zip(map(_text, names), schema["fields"], strict=True):
            type_ = field["type"]
            self._place = "" if name in PLACED_WITHIN else name
            read = self._type(type_, self._own_time)
            second = self._type(type_[-1], self._own_time) if isinstance(type_, list) and type_ else read
            fields.append(EventField(name if wanted is None or name in wanted else None, type_, read, second))
        doubt = _doubt if self._changes is None else None
        return event_reader(fields, _long, _fail, doubt, self._begin if self._is_counting else None)

    def record(self, schema: dict[str, Any], timestamp: _TimeReaders) -> Read:
        """Return the reader of a record; `timestamp` makes those of its fields that are timestamps, by their unit."""
        fields: list[tuple[str, Read]] = []
        spend = self._spend

        def read(value: bytes, at: int) -> tuple[dict[str, Any], int]:
            spend(1 + len(fields))
            decoded = {}
            for name, read_field in fields:
                decoded[name], at = read_field(value, at)
            return decoded, at

        def read_json(value: bytes, at: int) -> tuple[Any, int]:
            return fields[0][1](value, at)

        self._named[schema["name"]] = read_this = read_json if is_json_record(schema) else read
        place = self._place
        for field in schema["fields"]:  # only now are they compiled: they may refer to the record
            name = _text(field["name"])
            self._place = f"{place}.{name}" if place else name
            fields.append((name, self._type(field["type"], timestamp)))
        self._place = place
        return read_this

    def _begin(self) -> None:
        self._left = MAX_VALUES

    def _spend(self, values: int) -> None:
        self._left -= values
        if self._left < 0:
            raise ContradictionError(f"there are more than {MAX_VALUES} values in it")

    def _own_time(self, per_second: int, zone: str) -> Read:
        """Return the reader of one of the event's own times; milliseconds are judged where they are used."""
        if per_second == MILLISECONDS:
            return _long

        def finish(number: int, unit: int) -> int | str | None:
            milliseconds, below = divmod(number * MILLISECONDS, unit)
            return iso_of(number, unit, zone) if below else milliseconds

        return self._moment(per_second, finish, is_event_time=True)

    def _property_time(self, per_second: int, zone: str) -> Read:
        return self._moment(per_second, lambda number, unit: iso_of(number, unit, zone), is_event_time=False)

    def _moment(self, per_second: int, finish: Callable[[int, int], Any], *, is_event_time: bool) -> Read:
        first, last = as_declared(per_second)
        changes, place = self._changes, self._place

        def read(value: bytes, at: int) -> tuple[Any, int]:
            number, at = _long(value, at)
            if first <= number <= last:
                return finish(number, per_second), at
            unit = unit_of(number, per_second, is_event_time=is_event_time)
            if unit != per_second:
                if changes is None:
                    _doubt()
                else:
                    changes.append((PropertyRule.TIMESTAMP_UNIT, place))
            return finish(number, unit), at

        return read

    def _type(self, schema: Any, timestamp: _TimeReaders | None = None) -> Read:
        timestamp = timestamp or self._property_time
        self._is_counting |= isinstance(schema, dict) and schema["type"] in _COUNTED
        match schema:
            case str():
                return self._primitives.get(schema) or self._named[schema]
            case list():
                return _union([self._type(branch, timestamp) for branch in schema])
            case {"type": "record" | "error"}:
                return self.record(schema, self._property_time)
            case {"type": "array", "items": items}:
                return _array(self._type(items), self._spend)
            case {"type": "map", "values": values}:
                return _then(_array(_entry(self._read_key, self._type(values)), self._spend), dict)
            case {"type": "enum", "name": name, "symbols": symbols}:
                self._named[name] = _then(_long, dict(enumerate(map(_text, symbols))).__getitem__)
                return self._named[name]
            case {"type": "fixed", "name": name}:
                self._named[name] = _fixed(schema)
                return self._named[name]
        return self._annotated(schema, timestamp)

    def _annotated(self, schema: dict[str, Any], timestamp: _TimeReaders) -> Read:
        """Return the reader of a primitive type that may have a logical type; an unknown one is ignored, as in Avro."""
        primitive, logical = schema["type"], schema.get("logicalType", "")
        match primitive, logical:
            case "long", _ if logical in _UNITS_PER_SECOND:
                return timestamp(_UNITS_PER_SECOND[logical], "" if logical.startswith("local-") else "Z")
            case "int" | "long", _ if logical in _MICROSECONDS:
                return _then(_long, _time(_MICROSECONDS[logical]))
            case "int", "date":
                return _then(_long, _date)
            case "bytes", "decimal":
                return _then(_sized, _decimal(schema.get("scale", 0)))
            case "bytes", "big-decimal":
                return _then(_sized, _big_decimal)
        return self._primitives[primitive]


def _text(name: Any) -> str:
    """Return the name; fastavro takes any JSON value for one, but an event's names are text."""
    if not isinstance(name, str):
        raise TypeError("a name is no text")
    return name


def _fixed(schema: dict[str, Any]) -> Read:
    size: int = schema["size"]
    if type(size) is not int:
        raise TypeError("the size of a fixed is no number")

    def read(value: bytes, at: int) -> tuple[bytes, int]:
        return _exactly(size, value, at)

    match schema.get("logicalType"):
        case "decimal":
            return _then(read, _decimal(schema.get("scale", 0)))
        case "uuid" if size == _UUID_BYTES:
            return _then(read, lambda taken: str(UUID(bytes=taken)))
        case "duration" if size == _DURATION.size:
            return _then(read, _duration)
    return _then(read, lambda taken: b64encode(taken).decode())


def _union(branches: list[Read]) -> Read:
    by_first_byte = {2 * index: branch for index, branch in enumerate(branches[: _MORE_BYTES // 2])}

    def read(value: bytes, at: int) -> tuple[Any, int]:
        branch = by_first_byte.get(value[at])
        if branch is not None:
            return branch(value, at + 1)
        index, at = _long(value, at)
        if index < 0:
            raise ContradictionError("the branch of a union is negative")
        return branches[index](value, at)

    return read


def _array(read_item: Read, spend: Callable[[int], None]) -> Read:
    def read(value: bytes, at: int) -> tuple[list[Any], int]:
        items: list[Any] = []
        while True:
            count, at = _long(value, at)
            if count == 0:
                return items, at
            if count < 0:  # then the size of the block follows, for those who skip it
                _, at = _long(value, at)
            spend(abs(count))
            for _ in range(abs(count)):
                item, at = read_item(value, at)
                items.append(item)

    return read


def _entry(read_key: Read, read_value: Read) -> Read:
    def read(value: bytes, at: int) -> tuple[tuple[str, Any], int]:
        key, at = read_key(value, at)
        decoded, at = read_value(value, at)
        return (key, decoded), at

    return read
