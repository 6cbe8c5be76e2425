"""What a schema is to us: which of its fields are a Segment message's, and what it lacks to be one.

Found once for each schema, from its types alone. Fields go by Segment's names, in whatever case and with or without
underscores (`userId`, `user_id`, `UserID`); a field that was renamed is known by the alias that its schema gives it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from processor.events.avro_schema import Named

SEGMENT_FIELDS = (
    "type",
    "messageId",
    "userId",
    "anonymousId",
    "timestamp",
    "originalTimestamp",
    "sentAt",
    "receivedAt",
    "channel",
    "version",
    "writeKey",
    "context",
    "integrations",
    "event",
    "properties",
    "traits",
    "name",
    "category",
    "groupId",
    "previousId",
)
"""The fields of all Segment message types: https://segment.com/docs/connections/spec/common/"""

_TEXTS = frozenset({"string", "enum"})
_NUMBERS = frozenset({"int", "long", "float", "double", "decimal"})
_IDS = frozenset({"string", "uuid"}) | _NUMBERS
_OBJECTS = frozenset({"map", "record", "string", "bytes"})


def _folded(name: str) -> str:
    return name.replace("_", "").lower()


_BY_FOLDED = {_folded(name): name for name in SEGMENT_FIELDS}


def segment_name(name: str) -> str:
    """Return Segment's name for a field that differs from it by case and underscores only, else the name itself."""
    return _BY_FOLDED.get(_folded(name), name)


def segment_names(fields: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the name of each field as a Segment message has it.

    Where several could have one, an exact name comes before a name in another case, and that before an alias.
    """
    names: list[str] = [field["name"] for field in fields]
    taken = set(names).intersection(SEGMENT_FIELDS)
    for position, field in enumerate(fields):
        _rename(names, position, [field["name"]], taken)
    for position, field in enumerate(fields):
        _rename(names, position, [each.rpartition(".")[2] for each in field.get("aliases", ())], taken)
    return names


def _rename(names: list[str], position: int, known_as: list[str], taken: set[str]) -> None:
    if names[position] in taken:
        return
    for each in known_as:
        name = segment_name(each)
        if name in SEGMENT_FIELDS and name not in taken:
            names[position] = name
            taken.add(name)
            return


def lacks(schema: Mapping[str, Any], names: Sequence[str], named: Named) -> list[str]:
    """Say what keeps a record from being a Segment message; `names` are those of its fields as such."""
    kinds = {name: kinds_of(field["type"], named) for name, field in zip(names, schema["fields"], strict=True)}
    problems = []
    if "type" not in kinds:
        problems.append("it has no field `type`")
    ids = [name for name in ("userId", "anonymousId") if name in kinds]
    if not ids:
        problems.append("it has neither `userId` nor `anonymousId`")
    elif not any(_IDS & kinds[name] for name in ids):
        problems.append(f"no text and no whole number fits into {' or '.join(f'`{name}`' for name in ids)}")
    for wanted, what, checked in (
        (_TEXTS, "no text fits into", ("type",)),
        (_TEXTS | _NUMBERS, "no text and no whole number fits into", ("event",)),
        (_OBJECTS, "neither an object nor JSON text fits into", ("traits", "properties", "context", "integrations")),
    ):
        problems += [f"{what} `{name}`" for name in checked if name in kinds and not wanted & kinds[name]]
    return problems


def kinds_of(type_: Any, named: Named) -> frozenset[str]:
    """Return what a value of this type may be: `string`, `map` and so on; a JSON record is what it holds."""
    if isinstance(type_, list):
        return frozenset().union(*(kinds_of(each, named) for each in type_))
    schema = named.get(type_, type_) if isinstance(type_, str) else type_
    if isinstance(schema, str):
        return frozenset({schema})
    if schema.get("logicalType") == "uuid":
        return frozenset({"uuid", "string"})
    if schema.get("logicalType") in ("decimal", "big-decimal"):
        return frozenset({"decimal", kind_of_type(schema)})
    if is_json_record(schema):
        return kinds_of([each for each in _branches(schema["fields"][0]["type"]) if each != schema["name"]], named)
    return frozenset({kind_of_type(schema)})


def kind_of_type(schema: Any) -> str:
    """Return the name of a type that is no union: `long`, `record` and so on."""
    kind: str = schema if isinstance(schema, str) else schema["type"]
    return kind


def is_json_record(schema: Any) -> bool:
    """Say whether a record is JSON in Avro: one field, that may hold arrays or maps of the record itself.

    Avro's own is `org.apache.avro.data.Json`. Its value stands for it.
    """
    if not isinstance(schema, dict) or schema["type"] != "record" or len(schema["fields"]) != 1:
        return False
    name = schema["name"]
    return any(
        isinstance(branch, dict) and name in (*_branches(branch.get("items")), *_branches(branch.get("values")))
        for branch in _branches(schema["fields"][0]["type"])
    )


def _branches(schema: Any) -> list[Any]:
    return schema if isinstance(schema, list) else [schema]


def with_text_for_bytes(schema: Any) -> Any:
    """Return the type of a field that holds JSON, with bytes taken for text."""
    if isinstance(schema, list):
        return [with_text_for_bytes(each) for each in schema]
    is_bytes = schema == "bytes" or (isinstance(schema, dict) and schema["type"] == "bytes")
    return "string" if is_bytes else schema


WantedMembers = Mapping[str, "WantedMembers | None"]
"""The members that are read of an object, and what is read of each; None: all of it."""


def narrowed(type_: Any, wanted: WantedMembers, named: dict[str, Any]) -> Any:
    """Return a type whose records have their fields that are not `wanted` marked as `passed`.

    Such a record is another type, under a name of its own in `named`. A map has whatever it has.
    """
    if isinstance(type_, list):
        return [narrowed(each, wanted, named) for each in type_]
    definition = named.get(type_) if isinstance(type_, str) else None
    if definition is None or definition["type"] != "record" or is_json_record(definition):
        return type_
    name = f"{type_} "
    while name in named:
        name += " "
    named[name] = narrow = {**definition, "name": name, "fields": []}
    for field in definition["fields"]:
        within = wanted.get(field["name"], ())
        kept = {"type": narrowed(field["type"], within, named)} if within else {"passed": within is not None}
        narrow["fields"].append({**field, **kept})
    return name
