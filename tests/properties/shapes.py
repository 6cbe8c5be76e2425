"""Schemas of every shape that a Segment message may have, each with a message written in it."""

import json
import re
from collections.abc import Callable
from itertools import count
from typing import Any

from processor.events.avro import Reader, reader_of
from processor.events.framing import SchemaId
from tests.properties.segment import as_avro, as_json, framed, shipped_readers

Json = dict[str, Any]
Written = tuple[bytes, dict[SchemaId, Reader]]
"""A record's value, and the readers of the schemas that it may name."""

SHIPPED = shipped_readers()

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
    names = (f"Record{number}" for number in count())

    def of(value: Any) -> Any:
        if isinstance(value, dict) and all(_IN_AVRO.fullmatch(name) for name in value):
            fields = [{"name": name, "type": of(each)} for name, each in value.items()]
            return {"type": "record", "name": next(names), "fields": fields}
        return _types([value])[0]

    return of(message)


def typed_maps(message: Json) -> Json:
    """Return the schema of a message whose free-form parts are maps of typed values."""
    fields = [{"name": name, "type": _types([value])[0]} for name, value in message.items()]
    return {"type": "record", "name": "Message", "fields": fields}


def string_maps(message: Json) -> Json:
    """Return the schema of a message whose free-form parts are maps of texts."""
    texts = {"type": "map", "values": "string"}
    kinds = {name: texts if isinstance(value, dict) else "string" for name, value in message.items()}
    return {"type": "record", "name": "Message", "fields": [{"name": each, "type": kinds[each]} for each in kinds]}


def _types(values: list[Any]) -> list[Any]:
    """Return the union that holds all of these: of maps, arrays and each scalar one."""
    maps = [value for value in values if isinstance(value, dict)]
    arrays = [value for value in values if isinstance(value, list)]
    kinds = set(map(type, values))
    union: list[Any] = [name for kind, name in _SCALAR_TYPES.items() if kind in kinds]
    if maps:
        union.append({"type": "map", "values": _types([each for value in maps for each in value.values()])})
    if arrays:
        union.append({"type": "array", "items": _types([each for value in arrays for each in value])})
    return union or ["null"]


_IN_AVRO = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_SCALAR_TYPES = {type(None): "null", bool: "boolean", int: "long", float: "double", str: "string"}
"""Whole numbers first, for a writer takes the first of a union that fits."""


def written_by(schema: Any, message: Any) -> Written:
    """Return what a producer writes by this schema."""
    text = json.dumps(schema)
    return framed(text, message), {1: reader_of(text)}


WRITERS: dict[str, Callable[[Json], Written]] = {
    "JSON": lambda message: (as_json(message), {}),
    "JSON text in Avro": lambda message: (as_avro(message), SHIPPED),
    "nested records": lambda message: written_by(nested_records(message), message),
    "typed maps": lambda message: written_by(typed_maps(message), message),
    "recursive JSON records": lambda message: written_by(JSON_RECORD, as_json_record(message)),
}
"""Every shape that can hold a message as it is, with its types."""
