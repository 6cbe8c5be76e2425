"""Avro schemas, taken apart: every name resolved, and nothing left but what the bytes depend on.

They are read here, not by fastavro, which refuses schemas that Java writes by: with a default that does not fit, a
decimal whose scale makes no sense, a symbol with an umlaut. Nobody reads those. So defaults, symbols and the letters of
names are not judged, and a logical type that is unknown, or that its own attributes contradict, is none, as the
specification says. What leaves open how to read the bytes is refused in words.

A type is a primitive's or a defined type's full name; `{"type": "array", "items": …}`, `{"type": "map", "values": …}`;
a union's list; or a primitive with a logical type: `{"type": "int", "logicalType": "date"}`. Errors are records.

https://avro.apache.org/docs/1.12.0/specification/#schema-declaration
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from math import floor, log10
from typing import Any, Final, NamedTuple, final

from processor.events.json_text import NoJson

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_DEFINED = frozenset({"record", "error", "enum", "fixed"})

_TIMESTAMPS = (f"{zone}timestamp-{unit}" for zone in ("", "local-") for unit in ("millis", "micros", "nanos"))
_LOGICAL: Mapping[str, frozenset[str]] = {
    "int": frozenset({"date", "time-millis"}),
    "long": frozenset({"time-micros", *_TIMESTAMPS}),
    "string": frozenset({"uuid"}),
    "bytes": frozenset({"decimal", "big-decimal"}),
    "fixed": frozenset({"decimal", "uuid", "duration"}),
}
_SIZES = {"uuid": 16, "duration": 12}
"""Of the fixed types that have them."""

_DEEPEST = 200
"""Steps from a type into one within it: some sixty records. Whoever reads a value goes as deep."""

_SHOWN = 60
"""Characters of a name that are shown."""

_SHOWN_PARTS = 6

Named = Mapping[str, Any]
"""A schema's defined types, by full name: records, enums and fixed types."""


class SchemaError(ValueError):
    """The schema cannot be used; the text says what is wrong with it, and where."""


class Schema(NamedTuple):
    """A schema, and the types that it names."""

    type: Any
    named: Named


def parse_schema(schema: Any, others: Iterable[Any] = ()) -> Schema:
    """Return what a schema says, given as JSON; raises `SchemaError`.

    `others` are schemas that may define what this one only names. A name may stand before its definition. A type may be
    defined several times, if all say the same.
    """
    if isinstance(schema, NoJson):
        raise SchemaError(f"it is no JSON: {schema}")
    reading, given = _Reading(), [schema, *others]
    try:
        for each in given:
            reading.note_names(each, "")
        own, *_ = [reading.type(each, "", ()) for each in given]
    except RecursionError:
        raise SchemaError("its types are nested too deeply") from None
    return Schema(own, reading.named)


def written(schema: Schema) -> str:
    """Return the text of a schema that stands alone: each type is defined where it first occurs."""
    return json.dumps(_whole(schema.type, schema.named, set()))


def canonical(schema: Schema) -> str:
    """Return the schema's canonical form, of which its fingerprint is made.

    https://avro.apache.org/docs/1.12.0/specification/#parsing-canonical-form-for-schemas
    """
    return json.dumps(_stripped(_whole(schema.type, schema.named, set())), separators=(",", ":"), ensure_ascii=False)


@final
class _Reading:
    """Reads one schema with those that it refers to."""

    def __init__(self) -> None:
        self.named: dict[str, Any] = {}
        self._known: set[str] = set()
        """The names of all types that are defined anywhere."""

    def note_names(self, schema: Any, space: str) -> None:
        """Learn which names are defined, so that they may be used before they are; what is wrong is found later."""
        if isinstance(schema, dict):
            if schema.get("type") in list(_DEFINED):
                if isinstance(schema.get("name"), str):
                    name = _full_name(schema, space)
                    self._known.add(name)
                    space = _space_of(name)
                fields = schema.get("fields")
                for field in fields if isinstance(fields, list) else ():
                    self.note_names(field.get("type") if isinstance(field, dict) else None, space)
            else:
                for part in ("type", "items", "values"):
                    self.note_names(schema.get(part), space)
        elif isinstance(schema, list):
            for each in schema:
                self.note_names(each, space)

    def type(self, schema: Any, space: str, where: tuple[str, ...], *, is_branch: bool = False) -> Any:
        """Return a type; `space` is the namespace that it stands in, `where` the way to it."""
        if len(where) > _DEEPEST:
            raise _fault("its types are nested too deeply", where)
        match schema:
            case str():
                return self._of_name(schema, space, where)
            case list() if is_branch:
                raise _fault("a union stands directly within a union", where)
            case list():
                branches = enumerate(schema, 1)
                return [self.type(each, space, (*where, f"branch {at}"), is_branch=True) for at, each in branches]
            case dict():
                return self._said(schema, space, where, is_branch=is_branch)
        raise _fault(f"{_kind(schema)} stands where a type should", where)

    def _said(self, schema: dict[str, Any], space: str, where: tuple[str, ...], *, is_branch: bool) -> Any:
        """Return the type that an object says."""
        match schema.get("type"):
            case None:
                raise _fault("a type has no `type`", where)
            case "record" | "error" | "enum" | "fixed" as kind:
                return self._defined(schema, kind, space, where)
            case "array":
                return {"type": "array", "items": self._part(schema, "items", space, where)}
            case "map":
                return {"type": "map", "values": self._part(schema, "values", space, where)}
            case str() as kind if logical := _logical(schema, kind):
                return {"type": kind, **logical}
            case wrapped:
                return self.type(wrapped, space, (*where, "type"), is_branch=is_branch)

    def _part(self, schema: dict[str, Any], part: str, space: str, where: tuple[str, ...]) -> Any:
        if part not in schema:
            raise _fault(f"the {schema['type']} has no `{part}`", where)
        return self.type(schema[part], space, (*where, part))

    def _of_name(self, name: str, space: str, where: tuple[str, ...]) -> str:
        """Return the full name of a type: one of its own namespace comes before one of none."""
        if name in PRIMITIVES:
            return name
        full = name.removeprefix(".") if "." in name or not space else f"{space}.{name}"
        found = next((each for each in (full, name) if each in self._known), None)
        if found is None:
            raise _fault(f"the type {_shown(name)} is not defined", where)
        return found

    def _defined(self, schema: dict[str, Any], kind: str, space: str, where: tuple[str, ...]) -> str:
        name = _full_name(schema, space) if isinstance(schema.get("name"), str) else ""
        if not name or name in PRIMITIVES:
            raise _fault(f"the {kind} has no name", where)
        where = (*where, name)
        match kind:
            case "enum":
                says: dict[str, Any] = {"symbols": _symbols(schema, where)}
            case "fixed":
                size = _size(schema, where)
                says = {"size": size, **_logical(schema, "fixed", size)}
            case _:
                kind, says = "record", {"fields": list(self._fields(schema, _space_of(name), where))}
        definition = {"type": kind, "name": name, **says}
        if self.named.setdefault(name, definition) != definition:
            raise _fault(f"the type {_shown(name)} is defined twice, and not alike", where)
        return name

    def _fields(self, schema: dict[str, Any], space: str, where: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        fields, seen = schema.get("fields"), set()
        if not isinstance(fields, list):
            raise _fault("the record has no list of fields", where)
        for number, field in enumerate(fields, 1):
            name = field.get("name") if isinstance(field, dict) else None
            if not isinstance(name, str):
                raise _fault(f"field {number} has no name", where)
            if name in seen:
                raise _fault(f"two fields have the name {_shown(name)}", where)
            seen.add(name)
            if "type" not in field:
                raise _fault(f"the field {_shown(name)} has no `type`", where)
            aliases = field.get("aliases")
            texts = [each for each in aliases if isinstance(each, str)] if isinstance(aliases, list) else []
            known_as = {"aliases": texts} if texts else {}
            yield {"name": name, "type": self.type(field["type"], space, (*where, name)), **known_as}


def _full_name(schema: dict[str, Any], space: str) -> str:
    name: str = schema["name"]
    given = schema.get("namespace")
    if "." not in name:
        space = given if isinstance(given, str) else space
        return f"{space}.{name}" if space and name else name
    return name.removeprefix(".")


def _space_of(full_name: str) -> str:
    return full_name.rpartition(".")[0]


def _symbols(schema: dict[str, Any], where: tuple[str, ...]) -> list[str]:
    symbols = schema.get("symbols")
    if not isinstance(symbols, list) or not all(isinstance(each, str) for each in symbols):
        raise _fault("the enum has no list of symbols", where)
    return symbols


def _size(schema: dict[str, Any], where: tuple[str, ...]) -> int:
    size = schema.get("size")
    if type(size) is not int or size < 0:
        raise _fault("the fixed has no `size`", where)
    return size


def _logical(schema: dict[str, Any], kind: str, size: int | None = None) -> dict[str, Any]:
    """Return what is valid of a logical type."""
    logical = schema.get("logicalType")
    if not isinstance(logical, str) or logical not in _LOGICAL.get(kind, ()):
        return {}
    if logical == "decimal":
        precision, scale = schema.get("precision"), schema.get("scale", 0)
        if type(precision) is not int or type(scale) is not int or not 0 <= scale <= precision or not precision:
            return {}
        fits = size is None or precision <= floor(log10(2) * (8 * size - 1))
        return {"logicalType": logical, "precision": precision, "scale": scale} if fits else {}
    return {"logicalType": logical} if size is None or size == _SIZES[logical] else {}


def _kind(given: Any) -> str:
    return "a null" if given is None else "a boolean" if isinstance(given, bool) else "a number"


def _shown(name: str) -> str:
    return f"`{name[:_SHOWN]}…`" if len(name) > _SHOWN else f"`{name}`"


def _fault(what: str, where: tuple[str, ...]) -> SchemaError:
    half = _SHOWN_PARTS // 2
    parts = [*where] if len(where) <= _SHOWN_PARTS else [*where[:half], "…", *where[-half:]]
    way = " > ".join(part[:_SHOWN] for part in parts)
    return SchemaError(f"{what} (at {way})" if way else what)


def _whole(type_: Any, named: Named, seen: set[str]) -> Any:
    """Return a type with the definition of each name where it first occurs."""
    if isinstance(type_, list):
        return [_whole(each, named, seen) for each in type_]
    if isinstance(type_, dict):
        return {
            name: _whole(each, named, seen) if name in ("items", "values") else each for name, each in type_.items()
        }
    if type_ in seen or type_ not in named:
        return type_
    seen.add(type_)
    definition = named[type_]
    if "." not in type_:
        definition = {**definition, "namespace": ""}
    if definition["type"] != "record":
        return definition
    return {
        **definition,
        "fields": [{**field, "type": _whole(field["type"], named, seen)} for field in definition["fields"]],
    }


_CANONICAL: Final = ("name", "type", "fields", "symbols", "items", "values", "size")
"""What is left, in this order."""


def _stripped(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_stripped(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    left = {name: schema[name] for name in _CANONICAL if name in schema}
    if left.keys() == {"type"}:
        return left["type"]
    return {name: each if name == "symbols" else _stripped(each) for name, each in left.items()}
