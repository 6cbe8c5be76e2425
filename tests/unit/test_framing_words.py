"""What `explain` calls framings and schemas."""

import pytest

from processor.commands.common.framing_words import framing_of, name_of
from processor.events.framing import schema_ids
from processor.model.records import Headers
from processor.runtime.ports import SchemaText
from tests.properties.segment import record

NINE = (9).to_bytes(8, "big")


@pytest.mark.parametrize(
    ("value", "headers", "told"),
    [
        (None, [("__value_schema_id", b"\1" * 17)], "no value: a tombstone"),
        (b"x", [("__value_schema_id", b"\1" * 17)], "Confluent's, by the header __value_schema_id"),
        (b"x", [("apicurio.value.globalId", NINE)], "Apicurio's, by the header apicurio.value.globalId"),
        (b"x", [("apicurio.value.contentId", NINE)], "Apicurio's, by the header apicurio.value.contentId"),
        (b"x", [("content-type", b"avro/binary+1")], "Azure's, by the header content-type"),
        (b"\0\0\0\0\1", [("__value_schema_id", b"")], "Confluent's, by the first bytes of the value"),
        (b"\0" + NINE, [], "Apicurio's, by the first nine bytes of the value"),
        (b"\3\0" + bytes(16), [], "AWS Glue's"),
        (b"\xc3\1" + NINE, [], "Avro's single-object encoding"),
        (b"{}", [], "JSON"),
        (b"Obj", [], "unknown"),
    ],
)
def test_a_framing_has_a_name(value: bytes | None, headers: Headers, told: str) -> None:
    """Whoever reads it learns whose framing it is, and what in the record says so."""
    given = record(value)._replace(headers=headers or None)

    assert framing_of(given, next(iter(schema_ids([given])), None)) == told


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (None, "which no schema has"),
        (SchemaText('{"type": "record", "name": "T", "namespace": "a"}'), "a.T"),
        (SchemaText("[]"), "a union"),
        (SchemaText('"string"'), "without a name"),
        (SchemaText("{}", "JSON"), "a JSON Schema"),
        (SchemaText("", "PROTOBUF"), "in 'PROTOBUF'"),
    ],
)
def test_a_schema_has_a_name(schema: SchemaText | None, told: str) -> None:
    """It is that of its type, or else its language."""
    assert name_of(schema) == told
