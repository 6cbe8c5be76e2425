"""Avro binary to JSON values, by the schema that the bytes were written with.

A schema, as `avro_schema` gives it, is compiled into nodes (`avro_nodes`). They are written here, not left to fastavro,
because its compiled reader trusts the bytes: five kilobytes of nested records overflow the C stack and end the process,
a decimal of a megabyte computes for minutes, an array of nulls takes all memory. Here nesting, lengths and counts are
bounded.

This is the thorough reader: it says what bytes mean, and takes whatever can be read. Where it is not compiled to C,
nearly every record is read by the quick one (`avro_quick`), which leaves to this one whatever is not as usual.

Whatever Avro has and JSON has not becomes what FullStory reads: bytes are base64, decimals are numbers, dates, times
and durations are ISO 8601. A JSON record (`avro_shapes`) becomes its value.
"""

from base64 import b64encode
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache, partial
from struct import Struct
from typing import Any, final
from uuid import UUID

from processor.events.avro_bytes import ContradictionError, Read, Skip
from processor.events.avro_logical import big_decimal_of, date_of, decimal_of, duration_of, time_of
from processor.events.avro_nodes import (
    MAX_VALUES,
    Array,
    Boolean,
    Converted,
    Double,
    Fixed,
    JsonRecord,
    JsonText,
    Long,
    Map,
    Node,
    Null,
    RecordNode,
    Sized,
    Symbol,
    Text,
    Union,
    Whole,
)
from processor.events.avro_schema import Named
from processor.events.avro_shapes import is_json_record
from processor.events.json_text import PLACED_WITHIN
from processor.events.timestamps import MILLISECONDS, as_declared, iso_of, unit_of
from processor.model.outcomes import Change
from processor.model.reasons import PropertyRule

__all__ = ["FAULTS", "MAX_VALUES", "Leaves", "Read", "compile_event", "compile_value", "name_of"]

FAULTS = (ValueError, LookupError, ArithmeticError, RecursionError)
"""What reading, or passing over a value, raises on bad bytes."""

_UNITS_PER_SECOND = {
    f"{prefix}timestamp-{unit}": per_second
    for prefix in ("", "local-")
    for unit, per_second in (("millis", 1_000), ("micros", 1_000_000), ("nanos", 1_000_000_000))
}
_TimeNodes = Callable[[int, str], Node]
"""Makes the node of a timestamp, by its units in a second and by the zone to write: none for a local one."""

_MICROSECONDS = {"time-millis": 1_000, "time-micros": 1}


def name_of(fault: Exception) -> str:
    """Return what is safe to tell of a fault: texts of Python's own may quote a value."""
    return str(fault) if isinstance(fault, ContradictionError) else type(fault).__name__


def compile_event(
    definition: dict[str, Any],
    names: Sequence[str],
    named: Named,
    wanted: Collection[str] | None,
    json_texts: Collection[str],
) -> Whole:
    """Return the reader of a record, given by its definition in a schema whose types are `named`.

    `names` are what its fields are to be called. Those that are not `wanted` (None: all are) are passed over: the time
    to decode what nobody reads is a third of the whole. Text of the fields that are `json_texts` is parsed where that
    is plain. A timestamp among the record's own fields is left a number, of milliseconds, unless it has digits below
    them.
    """
    return _Compiler({**named, definition["name"]: definition}).event(definition, names, wanted, json_texts)


def compile_value(type_: Any, named: Named) -> Whole:
    """Return the reader of any type of a schema whose types are `named`."""
    compiler = _Compiler(named)
    return compiler.whole(compiler.type(type_))


_FLOAT = Struct("<f")
_FLOAT_DIGITS = (6, 7, 8, 9)
"""Six digits survive in a float, and nine tell each from every other."""


@lru_cache(maxsize=4_096)
def _shortest(taken: bytes) -> float:
    """Return 32 bits as the number that Java, Go and others print of them: 12.34, not 12.34000015258789."""
    exact: float = _FLOAT.unpack(taken)[0]
    for digits in _FLOAT_DIGITS:
        number = float(f"{exact:.{digits}g}")
        try:
            if _FLOAT.pack(number) == taken:
                return number
        except OverflowError:  # rounded up beyond all floats
            continue
    return exact


_LONG, _TEXT, _SIZED = Long(), Text(), Sized()


def _base64(taken: bytes) -> str:
    return b64encode(taken).decode()


_PRIMITIVES: dict[str, Node] = {
    "null": Null(),
    "boolean": Boolean(),
    "int": _LONG,
    "long": _LONG,
    "float": Converted(Fixed(_FLOAT.size), _shortest),
    "double": Double(),
    "bytes": Converted(_SIZED, _base64),
    "string": _TEXT,
}
_JSON_TEXT = JsonText()


class _Compiler:
    """Compiles one schema; knows the types that it has compiled so far, and the place of what it compiles."""

    def __init__(self, definitions: Named) -> None:
        self.changes: list[Change] = []
        self._definitions = definitions
        self._place = ""
        self._named: dict[str, Node] = {}
        self._has_odd_names = False

    def event(
        self,
        definition: dict[str, Any],
        names: Sequence[str],
        wanted: Collection[str] | None,
        json_texts: Collection[str],
    ) -> Whole:
        """Return the reader of an event."""
        event = RecordNode()
        for name, field in zip(names, definition["fields"], strict=True):
            self._place = "" if name in PLACED_WITHIN else name
            of = field["type"]
            node = self._json_text(of) if name in json_texts else self.type(of, self.own_time)
            self._add(event, name, node, is_passed=wanted is not None and name not in wanted)
        return self.whole(event)

    def whole(self, node: Node) -> Whole:
        """Return the reader of whole values."""
        return Whole(node, self.changes, is_odd=self._has_odd_names)

    def _json_text(self, type_: Any) -> Node:
        """Return the node of a field of the event that may hold JSON text; of another type, it is what it is."""
        match type_:
            case "string" | {"type": "string"}:
                return _JSON_TEXT
            case list():
                return Union([self._json_text(branch) for branch in type_])
        return self.type(type_, self.own_time)

    def _add(self, record: RecordNode, name: str, node: Node, *, is_passed: bool) -> None:
        self._has_odd_names |= _is_odd(name)
        record.add(name, node, is_passed=is_passed)

    def _record(self, definition: dict[str, Any]) -> Node:
        place = self._place
        if is_json_record(definition):
            of_json = self._named[definition["name"]] = JsonRecord()
            (field,) = definition["fields"]
            self._place = f"{place}.{field['name']}" if place else field["name"]
            of_json.content = self.type(field["type"])
            self._place = place
            return of_json
        record = self._named[definition["name"]] = RecordNode()
        for field in definition["fields"]:  # only now are they compiled: they may refer to the record
            name = field["name"]
            self._place = f"{place}.{name}" if place else name
            self._add(record, name, self.type(field["type"]), is_passed=bool(field.get("passed")))
        record.close()
        self._place = place
        return record

    def _change(self, rule: PropertyRule) -> Callable[[], None]:
        """Return what tells that a value at the present place was changed."""
        return partial(self.changes.append, (rule, self._place))

    def own_time(self, per_second: int, zone: str) -> Node:
        """Return the node of one of the event's own times; milliseconds are judged where they are used."""
        if per_second == MILLISECONDS:
            return _LONG

        def finish(number: int, unit: int) -> int | str | None:
            milliseconds, below = divmod(number * MILLISECONDS, unit)
            return iso_of(number, unit, zone) if below else milliseconds

        return self._moment(per_second, finish, is_event_time=True)

    def _property_time(self, per_second: int, zone: str) -> Node:
        return self._moment(per_second, lambda number, unit: iso_of(number, unit, zone), is_event_time=False)

    def _moment(self, per_second: int, finish: Callable[[int, int], Any], *, is_event_time: bool) -> Node:
        first, last = as_declared(per_second)
        take_other_unit = self._change(PropertyRule.TIMESTAMP_UNIT)
        drop = self._change(PropertyRule.TIME_OUT_OF_RANGE)

        def moment_of(number: int) -> Any:
            if first <= number <= last:
                return finish(number, per_second)
            unit = unit_of(number, per_second, is_event_time=is_event_time)
            if unit != per_second:
                take_other_unit()
            moment = finish(number, unit)
            if moment is None:
                drop()
            return moment

        return Converted(_LONG, moment_of)

    def _calendar(self, convert: Callable[[int], str | None]) -> Node:
        """Return the node of a date or a time of day."""
        drop = self._change(PropertyRule.TIME_OUT_OF_RANGE)

        def text_of(number: int) -> str | None:
            text = convert(number)
            if text is None:
                drop()
            return text

        return Converted(_LONG, text_of)

    def type(self, type_: Any, timestamp: _TimeNodes | None = None) -> Node:
        """Return the node of a type; `timestamp` makes those of timestamps."""
        match type_:
            case str() if type_ in _PRIMITIVES:
                return _PRIMITIVES[type_]
            case str():
                return self._named.get(type_) or self._defined(type_)
            case list():
                return Union([self.type(branch, timestamp) for branch in type_])
            case {"items": items}:
                return Array(self.type(items))
            case {"values": values}:
                return Map(self.type(values))
        return self._annotated(type_, timestamp or self._property_time)

    def _defined(self, name: str) -> Node:
        definition = self._definitions[name]
        match definition["type"]:
            case "enum":
                symbols = definition["symbols"]
                self._has_odd_names |= any(map(_is_odd, symbols))
                node: Node = Symbol(symbols)
            case "fixed":
                node = _fixed(definition)
            case _:
                return self._record(definition)
        self._named[name] = node
        return node

    def _annotated(self, type_: dict[str, Any], timestamp: _TimeNodes) -> Node:
        """Return the node of a primitive type that has a logical type."""
        match type_["logicalType"]:
            case logical if logical in _UNITS_PER_SECOND:
                return timestamp(_UNITS_PER_SECOND[logical], "" if logical.startswith("local-") else "Z")
            case logical if logical in _MICROSECONDS:
                return self._calendar(time_of(_MICROSECONDS[logical]))
            case "date":
                return self._calendar(date_of)
            case "decimal":
                return Converted(_SIZED, partial(decimal_of, scale=type_["scale"]))
            case "big-decimal":
                return Converted(_SIZED, big_decimal_of)
        return _PRIMITIVES[type_["type"]]


def _fixed(definition: dict[str, Any]) -> Node:
    node = Fixed(definition["size"])
    match definition.get("logicalType"):
        case "decimal":
            return Converted(node, partial(decimal_of, scale=definition["scale"]))
        case "uuid":
            return Converted(node, lambda taken: str(UUID(bytes=taken)))
        case "duration":
            return Converted(node, duration_of)
    return Converted(node, _base64)


def _is_odd(name: str) -> bool:
    """Say whether a name of the schema has to be mended where it is sent."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return True
    return "\0" in name


@final
class Leaves:
    """For the quick reader: reads what has no text and no types within it, and passes over any type."""

    def __init__(self, named: Named) -> None:
        self._compiler = _Compiler(named)

    @property
    def changes(self) -> list[Change]:
        """What the last value that was read had changed."""
        return self._compiler.changes

    def of(self, type_: Any, *, is_own: bool) -> Read:
        """Return the reader of a type; `is_own`: of one of the event's own fields."""
        timestamp = self._compiler.own_time if is_own else None
        whole = self._compiler.whole(self._compiler.type(type_, timestamp))

        def read(value: bytes, at: int) -> tuple[Any, int]:
            return whole.read(value, at), whole.end

        return read

    def skip_of(self, type_: Any) -> Skip:
        """Return what passes over a value of a type."""
        return self._compiler.whole(self._compiler.type(type_)).end_of
