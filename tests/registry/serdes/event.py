"""The event that serializers are given, by its schema and in Avro's JSON encoding, and what the worker reads of it."""

from typing import Any

SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Track",
    "namespace": "com.acme",
    "fields": [
        {"name": "type", "type": "string"},
        {"name": "userId", "type": ["null", "string"]},
        {"name": "event", "type": "string"},
        {"name": "properties", "type": {"type": "map", "values": ["null", "string", "long", "double"]}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ],
}
EVENT = {
    "type": "track",
    "userId": {"string": "u1"},
    "event": "Bought",
    "properties": {"plan": {"string": "premium"}, "seats": {"long": 5}},
    "at": 1764322200000,
}
READ = {
    "type": "track",
    "userId": "u1",
    "event": "Bought",
    "properties": {"plan": "premium", "seats": 5},
    "at": 1764322200000,
}
