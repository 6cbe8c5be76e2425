"""Schemas that refer to others in the registry, made into one that stands alone.

A registry keeps a referenced named type under a subject of its own; the referring text alone cannot be parsed.
"""

from collections.abc import Mapping

from processor.events.avro_schema import SchemaError, parse_schema, written
from processor.events.json_text import parse_json


def stands_alone(text: str) -> bool:
    """Say whether a schema names no type that it does not define."""
    try:
        parse_schema(parse_json(text))
    except SchemaError:
        return False
    return True


def standing_alone(text: str, referenced: Mapping[str, str]) -> str:
    """Return the schema with each referenced type written out where it first occurs.

    A text that cannot be completed is returned as it is: whoever parses it finds the fault.
    """
    if not referenced:
        return text
    try:
        return written(parse_schema(parse_json(text), map(parse_json, referenced.values())))
    except SchemaError:
        return text
