"""Schemas of every shape that a Segment message may have, each with a message written in it."""

import json
import re
from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]

PROPERTIES = {"plan": "premium", "seats": 5, "price": 9.5, "paid": True, "coupon": None, "tags": ["a", "b"]}
MESSAGE = {"type": "track", "userId": "u", "event": "Signed Up", "properties": PROPERTIES}

SCALARS = ["null", "boolean", "long", "double", "string"]
TYPED_MAP = {"type": "map", "values": [*SCALARS, {"type": "array", "items": SCALARS}]}
JSON_RECORD = {
    "type": "record",
    "name": "Json",
    "namespace": "org.apache.avro.data",
    "fields": [
        {"name": "value", "type": [*SCALARS, {"type": "array", "items": "Json"}, {"type": "map", "values": "Json"}]}
    ],
}
NESTED = {
    "type": "record",
    "name": "Properties",
    "fields": [
        {"name": "plan", "type": "string"},
        {"name": "seats", "type": "int"},
        {"name": "price", "type": "double"},
        {"name": "paid", "type": "boolean"},
        {"name": "coupon", "type": ["null", "string"]},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
    ],
}


def message_schema(properties: Any, **others: Any) -> Json:
    """Return a track's schema with this type of properties, and further fields."""
    kinds = {"type": "string", "userId": "string", "event": "string", "properties": properties, **others}
    return {
        "type": "record",
        "name": "Track",
        "namespace": "com.acme",
        "fields": [{"name": name, "type": kind} for name, kind in kinds.items()],
    }


def as_json_record(value: Any) -> Json:
    """Return a value as Avro's own class for JSON holds it."""
    match value:
        case dict():
            return {"value": {name: as_json_record(each) for name, each in value.items()}}
        case list():
            return {"value": [as_json_record(each) for each in value]}
    return {"value": value}


def with_properties(written: Any) -> Json:
    """Return the message with its properties in this form."""
    return {**MESSAGE, "properties": written}


SHAPES: dict[str, tuple[Any, Any]] = {
    "JSON text": (message_schema("string"), with_properties(json.dumps(PROPERTIES))),
    "JSON text or null": (message_schema(["null", "string"]), with_properties(json.dumps(PROPERTIES))),
    "JSON text in bytes": (message_schema(["null", "bytes"]), with_properties(json.dumps(PROPERTIES).encode())),
    "typed map": (message_schema(["null", TYPED_MAP]), MESSAGE),
    "nested record": (message_schema(["null", NESTED]), MESSAGE),
    "JSON record": (message_schema(["null", JSON_RECORD]), with_properties(as_json_record(PROPERTIES))),
    "a JSON record in all": (JSON_RECORD, as_json_record(MESSAGE)),
    "a typed map in all": ({"type": "map", "values": [*SCALARS, TYPED_MAP]}, MESSAGE),
    "JSON text in all": ("string", json.dumps(MESSAGE)),
    "bytes of JSON in all": ("bytes", json.dumps(MESSAGE).encode()),
}

UNION = [
    "null",
    message_schema("string"),
    {**message_schema("string"), "name": "Other", "fields": [{"name": "amount", "type": "int"}]},
    {
        "type": "record",
        "name": "com.acme.Identify",
        "fields": [{"name": name, "type": "string"} for name in ("type", "anonymousId", "traits")],
    },
]


def nested_records(message: Json) -> Any:
    """Return the schema that has a field for each field of the message, and of the objects in it.

    Avro's names are letters, digits and underscores; an object with another name is a map there.
    """
    return _Schemas(nested=True).of(message)


def typed_maps(message: Json) -> Json:
    """Return the schema of a message whose free-form parts are maps of typed values."""
    maps = _Schemas(nested=False)
    fields = [{"name": name, "type": maps.of(value)} for name, value in message.items()]
    return {"type": "record", "name": "Message", "fields": fields}


def string_maps(message: Json) -> Json:
    """Return the schema of a message whose free-form parts are maps of texts."""
    texts = {"type": "map", "values": "string"}
    kinds = {name: texts if isinstance(value, dict) else "string" for name, value in message.items()}
    return {"type": "record", "name": "Message", "fields": [{"name": each, "type": kinds[each]} for each in kinds]}


class _Schemas:
    """Schemas of values; each record in one schema needs a name of its own."""

    def __init__(self, *, nested: bool) -> None:
        self._nested = nested
        self._records = 0

    def of(self, value: Any) -> Any:
        """Return a schema that the value can be written with."""
        match value:
            case dict() if self._nested and all(_IN_AVRO.fullmatch(name) for name in value):
                self._records += 1
                name = f"Record{self._records}"
                fields = [{"name": each, "type": self.of(inner)} for each, inner in value.items()]
                return {"type": "record", "name": name, "fields": fields}
            case dict():
                return {"type": "map", "values": self._any_of(value.values())}
            case list():
                return {"type": "array", "items": self._any_of(value)}
        return _SCALAR_TYPES[type(value)]

    def _any_of(self, values: Iterable[Any]) -> list[Any]:
        schemas = [self.of(value) for value in values]
        different = [schema for at, schema in enumerate(schemas) if schema not in schemas[:at]]
        return different or ["null"]


_IN_AVRO = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_SCALAR_TYPES = {type(None): "null", bool: "boolean", int: "long", float: "double", str: "string"}
