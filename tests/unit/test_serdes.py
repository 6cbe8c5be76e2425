"""What other people's serializers write, as they wrote it.

The values were recorded by `tests/registry/serdes` from Apicurio's serializers 2.6.13.Final and 3.1.7 with registries
2.6.13.Final and 3.3.3, and from AWS Glue's 1.1.27; `tests/registry/test_serdes.py` has them write again. That of
Confluent's for Protobuf was recorded by `tests/senders` (confluent-kafka 2.15.0 for Python).
"""

import json
from uuid import UUID

import pytest

from processor.events.avro import decode, reader_of
from processor.events.framing import ApicurioId, GlueId, Guid, SchemaId, schema_ids
from processor.events.languages import PROTOBUF
from processor.model.outcomes import Rejected
from processor.model.reasons import DeadLetterReason
from processor.model.records import Headers, Record
from processor.runtime.ports import SchemaText
from tests.properties.segment import record
from tests.registry.serdes.event import READ, SCHEMA

BODY = "0a747261636b020475310c426f756768740408706c616e020e7072656d69756d0a7365617473040a0080a7e29cd966"
IN_JSON = (
    b'{"type":"track","userId":{"string":"u1"},"event":"Bought","properties":{"plan":{"string":"premium"},'
    b'"seats":{"long":5}},"at":1764322200000}'
).hex()
DEFLATED = (
    "789ce32a294a4cce66622935e471ca2f4dcf2861e128c849cc63e22b284acdcd2ccde52a4e4d2c2966e1626858fe68cecd34005a161023"
)
VERSION = "b7b4a7f09c964e4aa687fb5de9ef0c63"
TWO = "0000000000000002"
GLOBAL, CONTENT = ("apicurio.value.globalId", TWO), ("apicurio.value.contentId", TWO)
BINARY, JSON = ("apicurio.value.encoding", "42494e415259"), ("apicurio.value.encoding", "4a534f4e")

Recorded = tuple[list[tuple[str, str]], str, SchemaId]

RECORDED: dict[str, Recorded] = {
    "Apicurio 2.6.13, its default": ([GLOBAL, BINARY], BODY, ApicurioId("globalId", 2)),
    "Apicurio 2.6.13, JSON": ([GLOBAL, JSON], IN_JSON, ApicurioId("globalId", 2, is_json=True)),
    "Apicurio 2.6.13, content id": ([CONTENT, BINARY], BODY, ApicurioId("contentId", 2)),
    "Apicurio 2.6.13, without headers": ([], "00" + TWO + BODY, ApicurioId("eight-byte-id", 2)),
    "Apicurio 2.6.13, without headers, JSON": ([], "00" + TWO + IN_JSON, ApicurioId("eight-byte-id", 2)),
    "Apicurio 2.6.13, Legacy4ByteIdHandler": ([], "0000000002" + BODY, 2),
    "Apicurio 3.1.7, its default": ([], "0000000002" + BODY, 2),
    "Apicurio 3.1.7, JSON": ([], "0000000002" + IN_JSON, 2),
    "Apicurio 3.1.7, headers": ([CONTENT, BINARY], BODY, ApicurioId("contentId", 2)),
    "Apicurio 3.1.7, headers, JSON": ([CONTENT, JSON], IN_JSON, ApicurioId("contentId", 2, is_json=True)),
    "Apicurio 3.1.7, headers, global id": ([GLOBAL, BINARY], BODY, ApicurioId("globalId", 2)),
    "Apicurio 3.1.7, Legacy8ByteIdHandler": ([], "00" + TWO + BODY, ApicurioId("eight-byte-id", 2)),
    "AWS Glue 1.1.27": ([], "0300" + VERSION + BODY, GlueId(UUID(VERSION))),
    "AWS Glue 1.1.27, zlib": ([], "0305" + VERSION + DEFLATED, GlueId(UUID(VERSION))),
}


@pytest.mark.parametrize(("headers", "value", "schema_id"), RECORDED.values(), ids=RECORDED)
def test_what_serializers_wrote_is_read(headers: list[tuple[str, str]], value: str, schema_id: SchemaId) -> None:
    """Each recorded value names its schema, and is the event that the serializer was given."""
    given: Headers = [(name, bytes.fromhex(text)) for name, text in headers]
    written = record(bytes.fromhex(value))._replace(headers=given or None)
    language = SchemaText("").language_for(schema_id)

    event = decode(written, {schema_id: reader_of(json.dumps(SCHEMA), None, language)})

    assert schema_ids([written]) == {schema_id}
    assert event == READ


def test_a_value_whose_first_field_is_null_is_read_by_its_header() -> None:
    """A header outranks a first byte 0 (Apicurio 2.6.13, a nullable first column)."""
    schema = {
        "type": "record",
        "name": "Track",
        "fields": [
            {"name": "anonymousId", "type": ["null", "string"]},
            *({"name": name, "type": "string"} for name in ("type", "userId", "event")),
        ],
    }
    headers: Headers = [(name, bytes.fromhex(text)) for name, text in (GLOBAL, BINARY)]
    written = Record(0, 0, None, b"\0" + b"\x0atrack\x04u1\x0cBought", headers)

    event = decode(written, {ApicurioId("globalId", 2): reader_of(json.dumps(schema))})

    assert event == {"anonymousId": None, "type": "track", "userId": "u1", "event": "Bought"}


def test_protobuf_named_by_a_guid_is_called_so() -> None:
    """After the guid, Confluent's header says which message of the file it is: that is no part of the guid."""
    guid = bytes.fromhex("065a71cd0969478695d09c603cc7b2b8")
    headers: Headers = [("__value_schema_id", b"\1" + guid + b"\0")]
    value = bytes.fromhex("0a05747261636b120234321a0a53657269616c697a656420928e99b8cb33")
    written = Record(0, 0, None, value, headers)

    outcome = decode(written, {Guid(guid): reader_of("", None, PROTOBUF)})

    assert schema_ids([written]) == {Guid(guid)}
    assert isinstance(outcome, Rejected)
    assert outcome.reason is DeadLetterReason.UNSUITABLE_SCHEMA
    assert "Protobuf" in outcome.detail


@pytest.mark.parametrize("text", ['{"type":"track","userId":null}', '{"type": 1}', "{}"])
def test_json_that_contradicts_its_avro_schema_is_named_as_both(text: str) -> None:
    """Nothing says in which of Avro's encodings it was meant, so the reason has the fault of each."""
    outcome = decode(record(b"\0\0\0\0\2" + text.encode()), {2: reader_of(json.dumps(SCHEMA))})

    assert isinstance(outcome, Rejected)
    assert outcome.reason is DeadLetterReason.MALFORMED
    assert "the bytes contradict the schema: " in outcome.detail
    assert "; read as JSON, " in outcome.detail


def test_a_number_that_looks_like_a_brace_is_no_json() -> None:
    """Avro's -62 is the byte of an opening brace: what the schema reads is never taken for JSON."""
    schema = {
        "type": "record",
        "name": "Track",
        "fields": [{"name": "count", "type": "long"}, *({"name": n, "type": "string"} for n in ("type", "userId"))],
    }
    value = b"\0\0\0\0\2" + b"{\x0atrack\x04u1"

    assert decode(record(value), {2: reader_of(json.dumps(schema), None)}) == {
        "count": -62,
        "type": "track",
        "userId": "u1",
    }
