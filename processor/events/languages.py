"""Languages of schemas, as registries call them, and what of their values is read.

| language | its values |
|---|---|
| `AVRO` | Avro's binary encoding |
| `AVRO` in JSON | Avro's JSON encoding, where a header says so or the bytes are nothing else (Apicurio) |
| `JSON` | JSON Schema: JSON |
| `PROTOBUF` and others | are not read |
"""

import json
from collections.abc import Callable
from io import BytesIO, StringIO
from typing import Any

import fastavro

from processor.events.avro_schema import SchemaError
from processor.events.json_text import NoJson, parse_json

AVRO = "AVRO"
AVRO_IN_JSON = "AVRO in JSON"
JSON_SCHEMA = "JSON"
PROTOBUF = "PROTOBUF"

_NAMES = {PROTOBUF: "Protobuf"}
_SHOWN = 40


def fault_of_language(language: str) -> str:
    """Say that values of a language are not read, and what to do."""
    name = _NAMES.get(language, ascii(language[:_SHOWN]))
    return (
        f"the schema's language is {name}, whose values the worker does not read: "
        "have the producer write Avro or JSON, or convert the topic (Kafka Connect, ksqlDB)"
    )


def binary_of(schema_text: str) -> Callable[[bytes], bytes]:
    """Return what makes Avro's binary encoding from its JSON encoding; that raises `ValueError` in words.

    Raises `SchemaError` for a schema that cannot be used. Logical types do not matter to either encoding.
    """
    try:
        schema = fastavro.parse_schema(_without_logical_types(json.loads(schema_text)))
    except Exception as fault:  # noqa: BLE001 - fastavro raises many kinds for a schema it cannot use
        raise SchemaError(f"fastavro, which reads Avro's JSON encoding, refuses it ({type(fault).__name__})") from None

    def encode(text: bytes) -> bytes:
        parsed = parse_json(text)
        if isinstance(parsed, NoJson):
            raise ValueError(f"the value is no JSON: {parsed}")  # noqa: TRY004 - what is wrong is the value
        written = BytesIO()
        try:
            for value in fastavro.json_reader(StringIO(json.dumps(parsed)), schema):
                fastavro.schemaless_writer(written, schema, value)
        except Exception as fault:  # noqa: BLE001 - fastavro raises many kinds for text that contradicts its schema
            raise ValueError(f"the text contradicts the schema: {type(fault).__name__}") from None
        return written.getvalue()

    return encode


def _without_logical_types(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_logical_types(each) for each in schema]
    if isinstance(schema, dict):
        return {name: _without_logical_types(each) for name, each in schema.items() if name != "logicalType"}
    return schema
