"""Schemas of every shape that a Segment message may have, each with a message written in it."""

import json
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
