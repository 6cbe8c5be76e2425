"""What reads and passes over values of Avro, type by type, within bounds: the nodes of a compiled schema.

Every length is bounded by the bytes that are there, every count by `MAX_VALUES`, and nesting by `MAX_DEPTH`, counted
here, because compiled code has no limit of recursion: it would end the process (docs/adr/0024-compiled-as-a-choice.md).

To pass over a value, its shape alone is looked at, so what it says rejects no record. A block of an array or a map
takes no more steps than it has bytes, whatever its count.

The binary encoding: https://avro.apache.org/docs/1.12.0/specification/#binary-encoding
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, Final, final

import orjson

from processor.events.avro_bytes import ContradictionError, end_of, read_long
from processor.events.avro_names import NAMES
from processor.model.outcomes import Change

MAX_VALUES: Final = 100_000
"""Of the arrays, maps and records inside an event: one byte may stand for each, and a hundred of memory."""

MAX_DEPTH: Final = 200
"""Records, arrays and maps within each other. FullStory takes 64 levels; interpreted, a level takes three of Python's
own recursion, which has a thousand."""

_MORE_BYTES: Final = 128
_NO_SIZE: Final = -1


@final
class Cursor:
    """Where in a value its reader is, and what it may still take."""

    def __init__(self, changes: list[Change]) -> None:
        self.value = b""
        self.at = 0
        self.values_left = MAX_VALUES
        self.levels_left = MAX_DEPTH
        self.is_odd = False
        """Whether a text holds what cannot be sent as it is: a NUL, or bytes that are not UTF-8."""
        self.changes = changes
        """What was changed of the value, with the place as far as the schema names it."""

    def begin(self, value: bytes, at: int) -> None:
        """Begin another value."""
        self.value, self.at = value, at
        self.values_left, self.levels_left = MAX_VALUES, MAX_DEPTH
        self.is_odd = False

    def number(self) -> int:
        """Take a whole number, of any width."""
        at = self.at
        byte = self.value[at]
        if byte < _MORE_BYTES:
            self.at = at + 1
            return (byte >> 1) ^ -(byte & 1)
        number, self.at = read_long(self.value, at)
        return number

    def index(self, fault: str) -> int:
        """Take a number that counts from 0; Python would count a negative one from the end."""
        index = self.number()
        if index < 0:
            raise ContradictionError(fault)
        return index

    def take(self, size: int) -> bytes:
        """Take so many bytes."""
        at = self.at
        self.at = end = end_of(size, self.value, at)
        return self.value[at:end]

    def text(self, taken: bytes) -> str:
        """Return the text of bytes. Lone surrogates stand for those that are not UTF-8; a NUL stays."""
        try:
            text = taken.decode()
        except UnicodeDecodeError:
            self.is_odd = True
            return taken.decode(errors="surrogateescape")
        if "\0" in text:
            self.is_odd = True
        return text

    def name(self) -> str:
        """Take the name of a map's member; as in a text, lone surrogates stand for what is not UTF-8."""
        taken = self.take(self.number())
        try:
            return NAMES[taken]
        except UnicodeDecodeError:
            return self.text(taken)

    def skip(self, size: int) -> None:
        """Pass over so many bytes."""
        self.at = end_of(size, self.value, self.at)

    def spend(self, values: int) -> None:
        """Count values that may take no bytes."""
        self.values_left -= values
        if self.values_left < 0:
            raise ContradictionError(f"there are more than {MAX_VALUES} values in it")

    def descend(self) -> None:
        """Count a level of nesting; `levels_left` is given back by whoever ascends."""
        self.levels_left -= 1
        if self.levels_left < 0:
            raise ContradictionError(f"more than {MAX_DEPTH} records, arrays and maps are nested in it")


class Node(ABC):
    """Reads what a type's values are, each from the cursor's offset on."""

    size: int = _NO_SIZE
    """In bytes, where all values have the same; each value of another type takes a byte at least."""

    @abstractmethod
    def read(self, cursor: Cursor) -> Any:
        """Take a value. What the bytes contradict raises as `avro_binary.FAULTS` says."""

    def skip(self, cursor: Cursor) -> None:
        """Pass over a value; a type whose values have no one size has a way of its own."""
        cursor.skip(self.size)


@final
class Null(Node):
    """No byte at all."""

    def __init__(self) -> None:
        self.size = 0

    def read(self, cursor: Cursor) -> Any:  # noqa: ARG002 - as every node is asked
        """Return None."""
        return None


@final
class Boolean(Node):
    """One byte, 0 or 1."""

    def __init__(self) -> None:
        self.size = 1

    def read(self, cursor: Cursor) -> Any:
        """Return what the byte says."""
        byte = cursor.value[cursor.at]
        if byte > 1:
            raise IndexError
        cursor.at += 1
        return byte == 1


@final
class Long(Node):
    """A whole number."""

    def read(self, cursor: Cursor) -> Any:
        """Return it."""
        return cursor.number()

    def skip(self, cursor: Cursor) -> None:
        """Pass over it, however long it is."""
        value, at = cursor.value, cursor.at
        while value[at] >= _MORE_BYTES:
            at += 1
        cursor.at = at + 1


@final
class Fixed(Node):
    """As many bytes as the type says."""

    def __init__(self, size: int) -> None:
        self.size = size

    def read(self, cursor: Cursor) -> Any:
        """Return them."""
        return cursor.take(self.size)


@final
class Double(Node):
    """A real of 64 bits."""

    def __init__(self) -> None:
        self.size = 8

    def read(self, cursor: Cursor) -> Any:
        """Return it."""
        return _DOUBLE.unpack(cursor.take(8))[0]


_DOUBLE = Struct("<d")


class Sized(Node):
    """Bytes after their number."""

    def read(self, cursor: Cursor) -> Any:
        """Return the bytes."""
        return cursor.take(cursor.number())

    def skip(self, cursor: Cursor) -> None:
        """Pass over them."""
        cursor.skip(cursor.number())


@final
class Text(Sized):
    """UTF-8 after its number of bytes."""

    def read(self, cursor: Cursor) -> Any:
        """Return the text."""
        return cursor.text(cursor.take(cursor.number()))


@final
class JsonText(Sized):
    """Text that is JSON."""

    def read(self, cursor: Cursor) -> Any:
        """Return what it says, or the text where that is left to `json_text`; None for an empty one."""
        taken = cursor.take(cursor.number())
        if not taken:
            return None
        if b"\\" in taken and b"\\u0000" in taken:
            return cursor.text(taken)
        try:
            parsed = orjson.loads(taken)
        except orjson.JSONDecodeError:
            return cursor.text(taken)
        return cursor.text(taken) if type(parsed) is str else parsed


@final
class Symbol(Node):
    """The number of one of an enum's symbols."""

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = list(symbols)

    def read(self, cursor: Cursor) -> Any:
        """Return the symbol."""
        return self.symbols[cursor.index("a number that counts from 0 is negative")]

    def skip(self, cursor: Cursor) -> None:
        """Pass over the number, whatever it is."""
        _LONG.skip(cursor)


_LONG = Long()


@final
class Converted(Node):
    """A type with another meaning."""

    def __init__(self, of: Node, convert: Callable[[Any], Any]) -> None:
        self.of = of
        self.convert = convert
        self.size = of.size

    def read(self, cursor: Cursor) -> Any:
        """Return what is made of the value."""
        return self.convert(self.of.read(cursor))

    def skip(self, cursor: Cursor) -> None:
        """Pass over the value."""
        self.of.skip(cursor)


@final
class Union(Node):
    """The number of a branch, and its value."""

    def __init__(self, branches: Sequence[Node]) -> None:
        self.branches = list(branches)

    def read(self, cursor: Cursor) -> Any:
        """Return the value."""
        return self._branch(cursor).read(cursor)

    def skip(self, cursor: Cursor) -> None:
        """Pass over both."""
        self._branch(cursor).skip(cursor)

    def _branch(self, cursor: Cursor) -> Node:
        return self.branches[cursor.index("the branch of a union is negative")]


@final
class Array(Node):
    """Blocks of values, each after their count."""

    def __init__(self, item: Node) -> None:
        self.item = item

    def read(self, cursor: Cursor) -> Any:
        """Return a list."""
        cursor.descend()
        item = self.item
        items: list[Any] = []
        while (count := _count(cursor)) > 0:
            for _ in range(count):
                items.append(item.read(cursor))  # noqa: PERF401 - a comprehension is a function of its own
        cursor.levels_left += 1
        return items

    def skip(self, cursor: Cursor) -> None:
        """Pass over all blocks."""
        cursor.descend()
        while (count := _skipped_count(cursor)) > 0:
            if self.item.size >= 0:
                cursor.skip(count * self.item.size)
                continue
            for _ in range(count):
                self.item.skip(cursor)
        cursor.levels_left += 1


@final
class Map(Node):
    """Blocks of named values, each after their count."""

    def __init__(self, member: Node) -> None:
        self.member = member

    def read(self, cursor: Cursor) -> Any:
        """Return a dict; of two members with one name, the later one is there."""
        cursor.descend()
        member = self.member
        members: dict[str, Any] = {}
        while (count := _count(cursor)) > 0:
            for _ in range(count):
                name = cursor.name()
                members[name] = member.read(cursor)
        cursor.levels_left += 1
        return members

    def skip(self, cursor: Cursor) -> None:
        """Pass over all blocks."""
        cursor.descend()
        while (count := _skipped_count(cursor)) > 0:
            for _ in range(count):
                cursor.skip(cursor.number())
                self.member.skip(cursor)
        cursor.levels_left += 1


def _count(cursor: Cursor) -> int:
    """Take a block's count; if it is negative, the block's size follows, for those who skip it."""
    count = cursor.number()
    if count < 0:
        cursor.number()
        count = -count
    cursor.spend(count)
    return count


def _skipped_count(cursor: Cursor) -> int:
    """Take a block's count, and pass over the blocks that state their size."""
    while (count := cursor.number()) < 0:
        cursor.skip(cursor.number())
    return count


@final
class RecordNode(Node):
    """One value after the other. `fields` are given after the node is made, for they may refer to it."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.nodes: list[Node] = []
        self.passed: list[bool] = []

    def add(self, name: str, node: Node, *, is_passed: bool) -> None:
        """Add a field; one that is passed is not in what is read."""
        self.names.append(name)
        self.nodes.append(node)
        self.passed.append(is_passed)

    def close(self) -> None:
        """There are no more fields."""
        if all(node.size >= 0 for node in self.nodes):
            self.size = sum(node.size for node in self.nodes)

    def read(self, cursor: Cursor) -> Any:
        """Return a dict."""
        cursor.spend(1 + len(self.names))
        return self.read_fields(cursor)

    def read_fields(self, cursor: Cursor) -> Any:
        """Return a dict, without counting its values: those of the event itself are as many as its schema has."""
        cursor.descend()
        decoded: dict[str, Any] = {}
        nodes, passed = self.nodes, self.passed
        for index, name in enumerate(self.names):
            if passed[index]:
                nodes[index].skip(cursor)
            else:
                decoded[name] = nodes[index].read(cursor)
        cursor.levels_left += 1
        return decoded

    def skip(self, cursor: Cursor) -> None:
        """Pass over all fields."""
        if self.size >= 0:
            cursor.skip(self.size)
            return
        cursor.descend()
        for node in self.nodes:
            node.skip(cursor)
        cursor.levels_left += 1


@final
class JsonRecord(Node):
    """A record that its one value stands for (`avro_shapes.is_json_record`), which is given after the node is made."""

    def __init__(self) -> None:
        self.content: Node = _LONG

    def read(self, cursor: Cursor) -> Any:
        """Return the value."""
        cursor.descend()
        content = self.content.read(cursor)
        cursor.levels_left += 1
        return content

    def skip(self, cursor: Cursor) -> None:
        """Pass over the value."""
        cursor.descend()
        self.content.skip(cursor)
        cursor.levels_left += 1


@final
class Whole:
    """Reads whole values of a type; the attributes are about the last one."""

    def __init__(self, node: Node, changes: list[Change], *, is_odd: bool) -> None:
        self._node = node
        self._cursor = Cursor(changes)
        self._has_odd_names = is_odd

    @property
    def changes(self) -> list[Change]:
        """What was changed, with the place as far as the schema names it."""
        return self._cursor.changes

    @property
    def end(self) -> int:
        """The offset behind the value."""
        return self._cursor.at

    @property
    def is_odd(self) -> bool:
        """Whether it may hold text that cannot be sent as it is: a NUL, or a lone surrogate."""
        return self._has_odd_names or self._cursor.is_odd

    def read(self, value: bytes, at: int) -> Any:
        """Return what a value holds from an offset on; raises one of `avro_binary.FAULTS`."""
        cursor = self._cursor
        cursor.begin(value, at)
        node = self._node
        return node.read_fields(cursor) if isinstance(node, RecordNode) else node.read(cursor)

    def end_of(self, value: bytes, at: int) -> int:
        """Return the offset behind a value that starts at one; raises as `read` does."""
        self._cursor.begin(value, at)
        self._node.skip(self._cursor)
        return self._cursor.at
