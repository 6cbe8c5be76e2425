"""The quick reader of a schema: one function of straight lines, generated as Python source.

It takes what nearly every record is, and is right where it returns. Whatever else it finds, it raises one of `UNTAKEN`,
and the thorough reader (`avro_binary`) decides what becomes of the record: bytes that contradict the schema, text that
cannot be sent as it is, a timestamp in another unit than was declared, numbers written longer than they need to be,
deep nesting. So there is one place that says what bytes mean, and a property test holds that both agree.

Nothing of a schema stands in the source but names of fields, as literals that `ascii` wrote. The source grows with the
schema and is bounded by `MAX_LINES`; a type that is used twice, or within itself, is a function of its own, as is one
beyond `_DEEPEST_INDENT`, because Python bounds how deep its blocks nest.

Lengths never lead backwards, so one check at the end finds those that lead outside of the value: until then what is cut
short is only shorter. What may take no bytes at all is counted against `MAX_VALUES`, as the thorough reader does.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from struct import Struct
from struct import error as struct_error
from typing import Any, Final

import orjson

from processor.events.avro_binary import FAULTS, MAX_VALUES, Leaves
from processor.events.avro_bytes import DoubtError, read_long
from processor.events.avro_names import NAMES
from processor.events.avro_schema import Named
from processor.events.avro_shapes import is_json_record

QuickRead = Callable[[bytes, int], Any]
"""Returns what a value holds from an offset to its end, or raises one of `UNTAKEN`."""

UNTAKEN = (*FAULTS, struct_error)

MAX_LINES: Final = 10_000
"""Of the source for one schema, or some six hundred fields: compiling them takes a tenth of a second."""

_DEEPEST_INDENT: Final = 14
"""Python takes 20 nested loops, and each array or map is two."""

_DEEPEST: Final = 400
"""Steps into values within values. The thorough reader goes at least as deep before Python's recursion ends."""

_ONE_BYTE: Final = 128

_LENGTHS = tuple(byte >> 1 if byte < _ONE_BYTE and byte % 2 == 0 else -1 for byte in range(256))
"""The length that one byte is; -1 where more bytes follow, or it is negative."""

_NUMBERS = tuple((byte >> 1) ^ -(byte & 1) if byte < _ONE_BYTE else None for byte in range(256))
"""The number that one byte is; None where more follow."""


def _longer_length(value: bytes, at: int) -> tuple[int, int]:
    """Return a length of several bytes, mostly two, and the offset of its last one."""
    first, second = value[at], value[at + 1]
    if first >= _ONE_BYTE > second and not first & 1:
        return (first - _ONE_BYTE + (second << 7)) >> 1, at + 1
    length, at = read_long(value, at)
    if length < 0:
        raise DoubtError
    return length, at - 1


def _longer_count(value: bytes, at: int) -> tuple[int, int]:
    """Return the count of a block where it takes several bytes, or is negative: then the block's size follows."""
    count, at = read_long(value, at)
    if count < 0:
        _, at = read_long(value, at)
    return abs(count), at - 1


def _parsed(text: bytes) -> Any:
    """Return what JSON text says, None for an empty one; what is read leniently or mended is left to others."""
    if not text:
        return None
    if b"\\" in text and b"\\u0000" in text:
        raise DoubtError
    return orjson.loads(text)


_BOUND: dict[str, Any] = {
    "LENGTHS": _LENGTHS,
    "NUMBERS": _NUMBERS,
    "KEYS": NAMES,
    "BOOLEANS": (False, True),
    "Doubt": DoubtError,
    "longer_length": _longer_length,
    "longer_count": _longer_count,
    "read_long": read_long,
    "parsed": _parsed,
    "double": Struct("<d").unpack_from,
}

_LENGTH = """\
{length} = LENGTHS[value[at]]
if {length} < 0:
    {length}, at = longer_length(value, at)
start = at + 1
at = start + {length}
"""

_NUMBER = """\
{into} = NUMBERS[value[at]]
if {into} is None:
    {into}, at = read_long(value, at)
else:
    at += 1
"""

_TEXT = """\
{into} = value[start:at].decode()
if "\\0" in {into}:
    raise Doubt
"""

_COUNT = """\
while True:
    {count} = LENGTHS[value[at]]
    if {count} < 0:
        {count}, at = longer_count(value, at)
    at += 1
    if not {count}:
        break
    left -= {count}
    if left < 0:
        raise Doubt
    for _ in range({count}):
"""

_LINES = {
    "null": "{into} = None",
    "int": _NUMBER,
    "long": _NUMBER,
    "boolean": "{into} = BOOLEANS[value[at]]\nat += 1",
    "double": "{into}, = double(value, at)\nat += 8",
}
"""Of primitive types whose values are the same everywhere."""

_FIRST_OF_UNIONS = ("string", "long", "int", "double", "boolean", "null")
"""Branches in the order of how often values have them; the rest as the schema has them."""


class _TooLargeError(Exception):
    """The source would be longer than it may be."""


def quick_event(
    definition: dict[str, Any],
    names: Sequence[str],
    named: Named,
    wanted: Collection[str] | None,
    json_texts: Collection[str],
) -> QuickRead | None:
    """Return the quick reader of a record, as `avro_binary.compile_event` describes it; None where there can be none.

    Of the fields that are `json_texts`, text is parsed.
    """
    source = _Source({**named, definition["name"]: definition})
    types = [field["type"] for field in definition["fields"]]
    return source.function(lambda: source.event(zip(names, types, strict=True), wanted, json_texts), types)


def quick_value(type_: Any, named: Named) -> QuickRead | None:
    """Return the quick reader of a value of any type; None where there can be none."""
    source = _Source(named)
    return source.function(lambda: source.value(type_), [type_])


class _Source:
    """The source of one quick reader, while it is written."""

    def __init__(self, named: Named) -> None:
        self._named = named
        self._leaves = Leaves(named)
        self._has_leaves = False
        self._bound = {**_BOUND, "changes": self._leaves.changes}
        self._lines: list[str] = []
        """Of the function that is being written."""
        self._functions: list[str] = []
        """Lines of the others that are written."""
        self._by_name: dict[str, str] = {}
        """The functions of named types."""
        self._uses: dict[str, int] = {}
        self._count = self._line_count = 0

    def function(self, write: Callable[[], str], types: Sequence[Any]) -> QuickRead | None:
        """Return the reader whose body `write` writes, and whose result it names."""
        try:
            self._count_uses(types)
            result = write()
            main = ["def read(value, at):", f"    left, deep = {MAX_VALUES}, {_DEEPEST}", *self._lines]
            if self._has_leaves:
                main[1:1] = ["    changes.clear()"]
                main += ["    if changes:", "        raise Doubt"]
            end = ["    if at != len(value) or left < 0:", "        raise Doubt", f"    return {result}"]
            source = "\n".join([*self._functions, *main, *end])
            exec(source, self._bound)  # noqa: S102 - of templates of this file and of literals
        except (_TooLargeError, RecursionError):
            return None
        read: QuickRead = self._bound["read"]
        return read

    def event(
        self, fields: Iterable[tuple[str, Any]], wanted: Collection[str] | None, json_texts: Collection[str]
    ) -> str:
        """Write the reader of an event's fields."""
        taken = []
        for name, type_ in fields:
            if wanted is None or name in wanted:
                into = self._new("field")
                self._read(type_, into, 1, 1, is_own=True, is_json=name in json_texts)
                taken.append(f"{name!a}: {into}")
            else:
                self._skip(type_, 1)
        return f"{{{', '.join(taken)}}}"

    def value(self, type_: Any) -> str:
        """Write the reader of a value that is a whole event."""
        self._read(type_, "event", 1, 1)
        return "event"

    def _count_uses(self, types: Sequence[Any]) -> None:
        """Learn how often each defined type is used, from where the reader starts."""
        waiting = list(types)
        while waiting:
            type_ = waiting.pop()
            if isinstance(type_, list):
                waiting += type_
            elif isinstance(type_, dict):
                waiting += [type_[part] for part in ("items", "values") if part in type_]
            elif type_ in self._named:
                self._uses[type_] = self._uses.get(type_, 0) + 1
                if self._uses[type_] == 1:
                    waiting += [field["type"] for field in self._named[type_].get("fields", ())]

    def _new(self, what: str) -> str:
        self._count += 1
        return f"{what}_{self._count}"

    def _bind(self, what: str, bound: Any) -> str:
        name = self._new(what)
        self._bound[name] = bound
        return name

    def _write(self, template: str, indent: int, **names: str) -> None:
        space = "    " * indent
        self._lines += [space + line for line in template.format(**names).splitlines()]
        self._line_count += template.count("\n") + 1
        if self._line_count > MAX_LINES:
            raise _TooLargeError

    def _read(
        self, type_: Any, into: str, indent: int, steps: int, *, is_own: bool = False, is_json: bool = False
    ) -> None:
        """Write what reads a value of a type into a variable, `steps` within the function's own.

        `is_own`: it is a field of the event itself; `is_json`: its text is parsed.
        """
        match type_:
            case str() if type_ in _LINES:
                self._write(_LINES[type_], indent, into=into)
            case "string" | {"type": "string"}:
                self._write(_LENGTH, indent, length=into)
                self._write("{into} = parsed(value[start:at])" if is_json else _TEXT, indent, into=into)
            case {"logicalType": "timestamp-millis" | "local-timestamp-millis"} if is_own:
                self._write(_NUMBER, indent, into=into)
            case list():
                self._union(type_, into, indent, steps, is_own=is_own, is_json=is_json)
            case {"items": _} | {"values": _}:
                self._within(type_, into, indent, steps)
            case str() if self._is_record(type_):
                self._within(type_, into, indent, steps)
                if is_json and is_json_record(self._named[type_]):
                    self._write("if type({into}) is str:\n    raise Doubt", indent, into=into)
            case _ if is_json:  # whatever it is, it may be text
                self._write("raise Doubt", indent)
            case _:
                self._leaf(type_, into, indent, is_own=is_own)

    def _is_record(self, name: str) -> bool:
        return name in self._named and self._named[name]["type"] == "record"

    def _leaf(self, type_: Any, into: str, indent: int, *, is_own: bool) -> None:
        """Write what reads a type that no type is within."""
        definition = self._named.get(type_, {}) if isinstance(type_, str) else {}
        if definition.get("type") == "enum":
            symbols = definition["symbols"][: _ONE_BYTE // 2]
            bound = self._bind("symbols", {2 * index: symbol for index, symbol in enumerate(symbols)})
            self._write("{into} = {bound}[value[at]]\nat += 1", indent, into=into, bound=bound)
        else:
            self._has_leaves = True
            read = self._bind("read", self._leaves.of(type_, is_own=is_own))
            self._write("{into}, at = {read}(value, at)", indent, into=into, read=read)

    def _within(self, type_: Any, into: str, indent: int, steps: int) -> None:
        """Write what reads a record, an array or a map: in line, or by a function where it is used again or deep."""
        if indent > _DEEPEST_INDENT or (isinstance(type_, str) and self._uses[type_] > 1):
            self._out_of_line(type_, into, indent, steps)
        else:
            self._content(type_, into, indent, steps)

    def _content(self, type_: Any, into: str, indent: int, steps: int) -> None:
        if isinstance(type_, str):
            self._fields(self._named[type_], into, indent, steps)
        else:
            self._blocks(type_, into, indent, steps)

    def _union(self, branches: list[Any], into: str, indent: int, steps: int, *, is_own: bool, is_json: bool) -> None:
        branch = self._new("branch")
        self._write("{branch} = value[at]\nat += 1", indent, branch=branch)
        ordered = sorted(enumerate(branches[: _ONE_BYTE // 2]), key=_by_frequency)
        for number, (index, type_) in enumerate(ordered):
            test = "elif" if number else "if"
            self._write("{test} {branch} == {byte}:", indent, test=test, branch=branch, byte=str(2 * index))
            self._read(type_, into, indent + 1, steps + 1, is_own=is_own, is_json=is_json)
        self._write("else:\n    raise Doubt" if ordered else "raise Doubt", indent)

    def _fields(self, definition: dict[str, Any], into: str, indent: int, steps: int) -> None:
        if is_json_record(definition):
            self._read(definition["fields"][0]["type"], into, indent, steps + 1)
            return
        taken = []
        self._write("left -= {values}", indent, values=str(1 + len(definition["fields"])))
        for field in definition["fields"]:
            if field.get("passed"):
                self._skip(field["type"], indent)
                continue
            variable = self._new("field")
            taken.append(f"{field['name']!a}: {variable}")
            self._read(field["type"], variable, indent, steps + 1)
        self._lines.append(f"{'    ' * indent}{into} = {{{', '.join(taken)}}}")

    def _blocks(self, type_: dict[str, Any], into: str, indent: int, steps: int) -> None:
        """Write the reader of an array or a map."""
        item = self._new("item")
        self._write("{into} = []" if "items" in type_ else "{into} = {{}}", indent, into=into)
        self._write(_COUNT, indent, count=self._new("count"))
        if "items" in type_:
            self._read(type_["items"], item, indent + 2, steps + 1)
            self._write("{into}.append({item})", indent + 2, into=into, item=item)
            return
        key = self._new("key")
        self._write(_LENGTH + "{key} = KEYS[value[start:at]]", indent + 2, length=key, key=key)
        self._read(type_["values"], item, indent + 2, steps + 3)
        self._write("{into}[{key}] = {item}", indent + 2, into=into, key=key, item=item)

    def _out_of_line(self, type_: Any, into: str, indent: int, steps: int) -> None:
        """Write the call of a function that reads a type, and the function where there is none yet."""
        name = type_ if isinstance(type_, str) else None
        function = self._by_name.get(name) if name else None
        if function is None:
            function = self._new("read")
            if name:
                self._by_name[name] = function
            lines, self._lines = self._lines, [f"def {function}(value, at, left, deep):"]
            self._write("if deep < 0:\n    raise Doubt", 1)
            self._content(type_, "taken", 1, 1)
            self._write("return taken, at, left", 1)
            self._functions += self._lines
            self._lines = lines
        call = "{into}, at, left = {function}(value, at, left, deep - {steps})"
        self._write(call, indent, into=into, function=function, steps=str(steps))

    def _skip(self, type_: Any, indent: int) -> None:
        """Write what passes over a value: in line where that is short."""
        match type_:
            case "null":
                self._write("pass", indent)
            case "string" | "bytes" | {"type": "string" | "bytes"}:
                self._write(_LENGTH, indent, length="length")
            case "int" | "long" | {"type": "int" | "long"}:
                self._write("while value[at] > 127:\n    at += 1\nat += 1", indent)
            case "boolean":
                self._write("at += 1", indent)
            case "float" | "double":
                self._write("at += {size}", indent, size="4" if type_ == "float" else "8")
            case ["null", other]:
                self._write("if value[at] == 2:\n    at += 1", indent)
                self._skip(other, indent + 1)
                self._write("elif value[at]:\n    raise Doubt\nelse:\n    at += 1", indent)
            case _:
                skip = self._bind("skip", self._leaves.skip_of(type_))
                self._write("at = {skip}(value, at)", indent, skip=skip)


def _by_frequency(branch: tuple[int, Any]) -> tuple[int, int]:
    index, type_ = branch
    is_first = isinstance(type_, str) and type_ in _FIRST_OF_UNIONS
    return _FIRST_OF_UNIONS.index(type_) if is_first else len(_FIRST_OF_UNIONS), index
