"""What the framing of a record and its schema are called."""

from collections.abc import Mapping
from typing import Any

from processor.events.framing import (
    CONTENT_ID_HEADER,
    GLOBAL_ID_HEADER,
    SCHEMA_HEADER,
    TYPE_HEADER,
    ApicurioId,
    Fingerprint,
    GlueId,
    SchemaId,
    header_of,
    is_json,
)
from processor.events.json_text import parse_json
from processor.events.languages import AVRO, JSON_SCHEMA
from processor.model.records import Record
from processor.runtime.ports import SchemaText

_HEADERS_OF = {
    SCHEMA_HEADER: "Confluent's",
    GLOBAL_ID_HEADER: "Apicurio's",
    CONTENT_ID_HEADER: "Apicurio's",
    TYPE_HEADER: "Azure's",
}

_FRAMINGS: Mapping[type, str] = {
    int: "Confluent's, by the first bytes of the value",
    ApicurioId: "Apicurio's, by the first nine bytes of the value",
    GlueId: "AWS Glue's",
    Fingerprint: "Avro's single-object encoding",
}
"""By what the value names its schema by."""


def framing_of(record: Record, named: SchemaId | None) -> str:
    """Return whose framing a record is in, and what says so."""
    if record.value is None:
        return "no value: a tombstone"
    if record.value and (header := header_of(record.headers or [])) is not None:
        return f"{_HEADERS_OF[header[0]]}, by the header {header[0]}"
    if named is not None:
        return _FRAMINGS[type(named)]
    return "JSON" if record.value and is_json(record.value) else "unknown"


def name_of(schema: SchemaText | None) -> str:
    """Return the name of a schema's type, or its language if that is not Avro."""
    if schema is None:
        return "which no schema has"
    if schema.language != AVRO:
        return {JSON_SCHEMA: "a JSON Schema"}.get(schema.language, f"in {schema.language[:40]!a}")
    parsed: Any = parse_json(schema.text)
    if isinstance(parsed, list):
        return "a union"
    if not isinstance(parsed, dict) or not isinstance(parsed.get("name"), str):
        return "without a name"
    space, name = parsed.get("namespace"), parsed["name"]
    return f"{space}.{name}" if isinstance(space, str) and space and "." not in name else name
