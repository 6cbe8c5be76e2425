"""The reader of an event's own fields, generated as Python source for each schema.

Most of these fields are texts, most may be null, and half of them nobody reads. A loop over them spends more on itself
than on the bytes; straight lines take a third less (`make bench ARGS=--stages-only`). Only field names come from the
schema into the source, as literals that `repr` wrote.
"""

from collections.abc import Callable, Sequence
from textwrap import indent
from typing import Any, NamedTuple

from processor.events.avro_bytes import Read
from processor.events.avro_skip import Skip


class EventField(NamedTuple):
    """One field, in the order of the schema."""

    name: str
    schema: Any
    read: Read
    second: Read
    """Reads the type beside null, where the field is a union of null and one other."""


class PassedField(NamedTuple):
    """A field that nobody reads, likewise."""

    schema: Any
    read: Skip
    second: Skip


_HEAD = """\
def read_event(value, at):
    size = len(value)
    decoded = {}
"""

_TEXT = """\
length = value[at]
at += 1
if length > 127:
    more = value[at]
    if more > 127:
        length, at = read_long(value, at - 1)
        length <<= 1
    else:
        length += (more << 7) - 128
        at += 1
start = at
at += length >> 1
if length & 1 or not start <= at <= size:
    fail()
"""
"""Lengths are even where they are not negative; up to 8,191 bytes they take two bytes."""

_TAKEN = """\
text = value[start:at].decode()
if "\\0" in text:
    doubt()
decoded[{name!r}] = text
"""

_TAKEN_AS_IT_IS = """\
decoded[{name!r}] = value[start:at].decode(errors="surrogateescape")
"""

_NULLABLE = """\
if value[at] == 2:
    at += 1
{second}
elif value[at] == 0:
    at += 1
{null}
else:
{other}
"""


def event_reader(
    fields: Sequence[EventField | PassedField],
    read_long: Read,
    fail: Callable[[], None],
    doubt: Callable[[], None] | None,
    begin: Callable[[], None] | None,
) -> Read:
    """Return the reader; `fail` raises for a length that points outside of the value; `begin` is called first.

    `doubt` raises for a text that holds a NUL, as does decoding for one that is not UTF-8; None: texts are taken as
    they are, with surrogates for bytes that are no text.
    """
    names: dict[str, Any] = {"read_long": read_long, "fail": fail, "doubt": doubt, "begin": begin}
    source = _HEAD if begin is None else f"{_HEAD}    begin()\n"
    taken = _TAKEN_AS_IT_IS if doubt is None else _TAKEN
    for number, field in enumerate(fields):
        names[f"read_{number}"], names[f"second_{number}"] = field.read, field.second
        source += indent(_lines(field, number, taken), "    ")
    exec(f"{source}    return decoded, at\n", names)  # noqa: S102 - of templates of this file and of literals
    read_event: Read = names["read_event"]
    return read_event


def _lines(field: EventField | PassedField, number: int, taken: str) -> str:
    name = field.name if isinstance(field, EventField) else None
    if not _is_nullable(field.schema):
        return _type_lines(field.schema, name, f"read_{number}", taken)
    return _NULLABLE.format(
        second=indent(_type_lines(field.schema[1], name, f"second_{number}", taken), "    "),
        null=indent("" if name is None else f"decoded[{name!r}] = None\n", "    "),
        other=indent(_call(name, f"read_{number}"), "    "),
    )


def _is_nullable(schema: Any) -> bool:
    return isinstance(schema, list) and len(schema) == 2 and schema[0] == "null"


def _type_lines(schema: Any, name: str | None, read: str, taken: str) -> str:
    if schema == "string":
        return _TEXT if name is None else _TEXT + taken.format(name=name)
    if name is None and (schema["type"] if isinstance(schema, dict) else schema) in ("int", "long"):
        return "while value[at] > 127:\n    at += 1\nat += 1\n"
    return _call(name, read)


def _call(name: str | None, read: str) -> str:
    return f"at = {read}(value, at)\n" if name is None else f"decoded[{name!r}], at = {read}(value, at)\n"
