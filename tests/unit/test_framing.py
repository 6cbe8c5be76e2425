"""How values are framed."""

import json
import zlib
from typing import Any
from uuid import UUID

import pytest

from processor.adapters.schemas.local import fingerprint_of
from processor.events.avro import Reader, decode, reader_of
from processor.events.framing import (
    ApicurioId,
    Fingerprint,
    GlueId,
    Guid,
    SchemaId,
    kind_of,
    may_be_registered,
    schema_ids,
)
from processor.model.outcomes import Filtered, Rejected
from processor.model.reasons import DeadLetterReason, FilterReason
from processor.model.records import Headers, Record
from processor.runtime.ports import SchemaText
from tests.properties.segment import as_avro, as_json, record, shipped

GUID = UUID("89791762-2336-4186-9674-299b90a802e2")
HEADER = "__value_schema_id"
MESSAGE = {"type": "track", "userId": "u", "event": "E", "properties": {"plan": "premium"}}
BODY = as_avro(MESSAGE)[5:]
TRACK = shipped("track")
PRINT = fingerprint_of(TRACK)
NINE = (9).to_bytes(8, "big")
GLOBAL, CONTENT, ENCODING = "apicurio.value.globalId", "apicurio.value.contentId", "apicurio.value.encoding"
IDS: list[SchemaId] = [
    *(7, Guid(GUID.bytes), PRINT, GlueId(GUID)),
    *(ApicurioId("globalId", 9), ApicurioId("contentId", 9), ApicurioId("eight-byte-id", 9)),
]
READERS: dict[SchemaId, Reader] = dict.fromkeys(IDS, reader_of(TRACK))


def malformed(detail: str) -> Rejected:
    """Return what becomes of a malformed record."""
    return Rejected(DeadLetterReason.MALFORMED, detail)


def with_headers(value: bytes | None, *headers: tuple[str, bytes | None]) -> Record:
    """Return a record with these headers."""
    return record(value)._replace(headers=list(headers))


FRAMED: dict[str, tuple[Record, set[SchemaId]]] = {
    "prefix": (record(b"\0\0\0\0\7" + BODY), {7}),
    "prefix among other headers": (with_headers(b"\0\0\0\0\7" + BODY, ("traceparent", b"00")), {7}),
    "header with a guid": (with_headers(BODY, ("a", None), (HEADER, b"\1" + GUID.bytes)), {Guid(GUID.bytes)}),
    "header with an id": (with_headers(BODY, (HEADER, b"\0\0\0\0\7")), {7}),
    "the last of two headers": (with_headers(BODY, (HEADER, b"\0\0\0\0\x08"), (HEADER, b"\0\0\0\0\7")), {7}),
    "the last of two headers of different kinds": (with_headers(BODY, (GLOBAL, NINE), (HEADER, b"\0\0\0\0\7")), {7}),
    "prefix behind an empty header": (with_headers(b"\0\0\0\0\7" + BODY, (HEADER, b"")), {7}),
    "prefix behind an empty header and a full one": (
        with_headers(b"\0\0\0\0\7" + BODY, (HEADER, b"\1" + GUID.bytes), (HEADER, None)),
        {7},
    ),
    "prefix beside a type that says nothing of it": (
        with_headers(b"\0\0\0\0\7" + BODY, ("content-type", b"avro/binary")),
        {7},
    ),
    "Apicurio's global id": (with_headers(BODY, (GLOBAL, NINE), (ENCODING, b"BINARY")), {ApicurioId("globalId", 9)}),
    "Apicurio's content id": (with_headers(BODY, (ENCODING, b"BINARY"), (CONTENT, NINE)), {ApicurioId("contentId", 9)}),
    "Apicurio's eight bytes": (record(b"\0" + NINE + BODY), {ApicurioId("eight-byte-id", 9)}),
    "Apicurio's eight bytes among other headers": (
        with_headers(b"\0" + NINE + BODY, ("a", b"b")),
        {ApicurioId("eight-byte-id", 9)},
    ),
    "Glue": (record(b"\3\0" + GUID.bytes + BODY), {GlueId(GUID)}),
    "Glue with zlib": (record(b"\3\5" + GUID.bytes + zlib.compress(BODY)), {GlueId(GUID)}),
    "single object": (record(b"\xc3\x01" + PRINT + BODY), {PRINT}),
    "single object among other headers": (with_headers(b"\xc3\x01" + PRINT + BODY, ("a", b"b")), {PRINT}),
    "JSON": (record(as_json(MESSAGE)), set()),
    "JSON among other headers": (with_headers(as_json(MESSAGE), ("a", b"b")), set()),
}
each_framing = pytest.mark.parametrize(("given", "ids"), FRAMED.values(), ids=FRAMED.keys())


@each_framing
def test_each_framing_gives_the_same_event(given: Record, ids: set[SchemaId]) -> None:
    """What a record says does not depend on how it names its schema."""
    event = decode(given, READERS)

    assert isinstance(event, dict), event
    assert {name: event[name] for name in MESSAGE} == MESSAGE
    assert schema_ids([given]) == ids


def test_the_ids_of_many_records_are_those_that_decoding_looks_up() -> None:
    """Each schema of a batch is listed once, whatever framings the batch mixes."""
    assert schema_ids([given for given, _ in FRAMED.values()] * 2) == READERS.keys()


def test_a_value_whose_header_names_the_schema_is_not_looked_at() -> None:
    """If a header names the schema, the value's first bytes are not taken for a framing."""
    contents = [b"\0\0\0\0\1", b"\xc3\x01" + bytes(8), b"{}", b"\3\0" + bytes(16), b"\0" + NINE]

    assert schema_ids([with_headers(each, (HEADER, b"\1" + GUID.bytes)) for each in contents]) == {Guid(GUID.bytes)}


@pytest.mark.parametrize("header", [b"\1", b"\0\0\0\0", b"\0" + bytes(16), b"\1" + bytes(15), b"\2" * 17])
def test_a_header_that_names_no_schema_is_malformed(header: bytes | None) -> None:
    """A header with an unreadable schema makes the record malformed."""
    outcome = decode(with_headers(b"\0\0\0\0\7" + BODY, (HEADER, header)), READERS)

    assert isinstance(outcome, Rejected)
    assert outcome.reason is DeadLetterReason.MALFORMED
    assert HEADER in outcome.detail
    assert not schema_ids([with_headers(b"\0\0\0\0\7", (HEADER, header))])


@pytest.mark.parametrize("header", [GLOBAL, CONTENT])
def test_a_header_of_apicurios_that_holds_no_number_is_malformed(header: str) -> None:
    """A header with a number of another length makes the record malformed."""
    given = with_headers(BODY, (header, b"\0\0\0\1"))

    assert decode(given, READERS) == malformed(f"the header {header} holds no number of eight bytes")
    assert not schema_ids([given])


def test_azures_header_is_named() -> None:
    """A value by a schema of Azure's registry is named as such, whatever its first bytes look like."""
    for value in (BODY, b"\0\0\0\0\7" + BODY, as_json(MESSAGE)):
        outcome = decode(with_headers(value, ("content-type", b"avro/binary+0123456789abcdef")), READERS)

        assert isinstance(outcome, Rejected)
        assert outcome.reason is DeadLetterReason.MALFORMED
        assert "Azure" in outcome.detail
        assert "0123456789abcdef" not in outcome.detail


IN_JSON = [(GLOBAL, NINE), (ENCODING, b"JSON")]


def test_avro_in_json_is_read_by_its_schema() -> None:
    """Avro's JSON encoding names the branch of a union; it is read as the binary encoding is, with logical types."""
    schema = {
        "type": "record",
        "name": "Track",
        "fields": [
            *({"name": name, "type": "string"} for name in ("type", "userId")),
            {"name": "timestamp", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]},
            {"name": "properties", "type": {"type": "map", "values": ["null", "string", "double", "bytes"]}},
        ],
    }
    text = {
        "type": "track",
        "userId": "u",
        "timestamp": {"long": 10**18},
        "properties": {"plan": {"string": "a\nb"}, "price": {"double": 5}, "raw": {"bytes": "\u00ff"}, "none": None},
    }
    given = with_headers(as_json(text), *IN_JSON)
    [named] = schema_ids([given])
    binary = ApicurioId("globalId", 9)

    event = decode(given, {named: reader_of(json.dumps(schema), language=SchemaText("").language_for(named))})

    assert (named, SchemaText("").language_for(binary)) == (ApicurioId("globalId", 9, is_json=True), "AVRO")
    assert isinstance(event, dict), event
    assert event["properties"] == {"plan": "a\nb", "price": 5.0, "raw": "/w==", "none": None}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b'{"type": "track"}', "the text contradicts the schema"),
        (b"{", "the value is no JSON: line 1"),
        (b"[]", "the text"),
    ],
)
def test_avro_in_json_that_contradicts_its_schema_is_malformed(text: bytes, told: str) -> None:
    """What is no JSON, or lacks a field, is malformed."""
    named = ApicurioId("globalId", 9, is_json=True)
    outcome = decode(with_headers(text, *IN_JSON), {named: reader_of(TRACK, language="AVRO in JSON")})

    assert isinstance(outcome, Rejected)
    assert outcome.reason is DeadLetterReason.MALFORMED
    assert outcome.detail.startswith(told)


def test_a_json_schema_takes_json_whatever_the_header_says_of_the_encoding() -> None:
    """With the language of the registry, JSON is JSON."""
    assert SchemaText("", "JSON").language_for(ApicurioId("globalId", 9, is_json=True)) == "JSON"


@pytest.mark.parametrize(("language", "told"), [("PROTOBUF", "Protobuf"), ("OPEN\nAPI", r"'OPEN\nAPI'")])
def test_a_language_that_is_not_read_is_named(language: str, told: str) -> None:
    """Values of Protobuf, or of a language that nobody knows, are rejected with its name and what to do."""
    outcome = reader_of("syntax", language=language)(b"\0\0\0\0\7\0\x0a\x05track")

    assert isinstance(outcome, Rejected)
    assert outcome.reason is DeadLetterReason.UNSUITABLE_SCHEMA
    assert outcome.detail.startswith(f"the schema's language is {told}, whose values the worker does not read: have")


GLUED = b"\3\5" + GUID.bytes


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (GLUED[:-1], "the value ends within the prefix of AWS Glue's framing"),
        (GLUED + BODY, "the value is framed as AWS Glue's with zlib, and what follows is not compressed so"),
        (
            GLUED + zlib.compress(BODY)[:-1],
            "the value is compressed, and ends too early or holds more than 16,777,216 bytes",
        ),
        (
            GLUED + zlib.compress(bytes(16 * 2**20 + 1)),
            "the value is compressed, and ends too early or holds more than 16,777,216 bytes",
        ),
        (GLUED + zlib.compress(BODY) + b"12", "2 bytes follow what is compressed"),
    ],
)
def test_what_glues_framing_promises_and_does_not_hold_is_told(value: bytes, detail: str) -> None:
    """What is cut, not compressed, or compressed beyond measure is malformed, and takes no memory."""
    assert decode(record(value), READERS) == malformed(detail)


def test_four_bytes_are_taken_for_an_id_of_eight_only_where_a_registry_may_have_it() -> None:
    """Where Confluent's id would be 0, the four bytes behind may be Apicurio's number; text is none."""
    apicurios, none = record(b"\0" + NINE + BODY), record(bytes(5) + b"\xffabc")

    assert schema_ids([record(bytes(9)), none]) == {0}
    assert decode(none, {}) == Rejected(DeadLetterReason.UNKNOWN_SCHEMA, "no schema has the id 0")
    assert decode(apicurios, {}) == Rejected(DeadLetterReason.UNKNOWN_SCHEMA, "no schema has the eight-byte-id 9")


@pytest.mark.parametrize("value", [b"\xc3", b"\xc3\x01", b"\xc3\x01" + bytes(7), b"\xc3\x02" + bytes(9)])
def test_a_cut_prefix_is_malformed(value: bytes) -> None:
    """A value that is shorter than its framing's prefix is malformed."""
    outcome = decode(record(value), READERS)

    assert isinstance(outcome, Rejected)
    assert outcome.reason is DeadLetterReason.MALFORMED
    assert not schema_ids([record(value)])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (record(b"\0\0\0\x03\xe7"), "the id 999"),
        (record(b"\0\x7f\xff\xff\xff"), f"the id {2**31 - 1}"),
        (with_headers(b"x", (HEADER, b"\1" + GUID.bytes)), f"the guid {GUID}"),
        (record(b"\xc3\x01" + bytes(range(8))), "the fingerprint 0001020304050607"),
    ],
)
def test_an_unknown_schema_is_named_as_the_record_names_it(given: Record, told: str) -> None:
    """The rejection names the unknown schema in the record's own form."""
    assert decode(given, {}) == Rejected(DeadLetterReason.UNKNOWN_SCHEMA, f"no schema has {told}")


def test_a_tombstone_names_no_schema_even_where_its_header_does() -> None:
    """A tombstone asks for no schema, even if its header names one."""
    headers: Headers = [(HEADER, b"\1" + GUID.bytes)]

    assert not schema_ids([with_headers(None, *headers), with_headers(b"", *headers)])
    assert decode(with_headers(None, *headers), {}) == Filtered(FilterReason.TOMBSTONE)
    assert decode(with_headers(b"", *headers), {}) == Rejected(DeadLetterReason.MALFORMED, "the value is empty")


@pytest.mark.parametrize(
    ("schema", "java"),
    [
        ('"null"', 7195948357588979594),
        ('"int"', 8247732601305521295),
        ('{"type": "fixed", "name": "foo", "size": 15}', 1756455273707447556),
        ('{"type": "record", "name": "foo", "fields": [{"name": "f1", "type": "boolean"}]}', 7843277075252814651),
    ],
)
def test_fingerprints_are_those_of_avros_own_implementation(schema: str, java: int) -> None:
    """Fingerprints agree with Avro's own test data, and are written little-endian."""
    assert fingerprint_of(schema) == java.to_bytes(8, "little", signed=True)


def test_a_fingerprint_is_of_what_matters_to_decoding() -> None:
    """Documentation, aliases, defaults and the order of attributes make no difference; a field's name does."""
    plain: dict[str, Any] = {"type": "record", "name": "a.T", "fields": [{"name": "x", "type": "int"}]}
    wordy = {"doc": "d", "namespace": "a", "name": "T", "type": "record", "fields": [{"type": "int", "name": "x"}]}
    other = {**plain, "fields": [{"name": "y", "type": "int"}]}
    prints = [fingerprint_of(json.dumps(each)) for each in (plain, wordy, other)]

    assert prints[0] == prints[1] != prints[2]


def test_kinds_are_told_in_words() -> None:
    """Each kind of schema reference has words for messages and file names."""
    glue = GlueId(GUID)

    assert [kind_of(each) for each in (7, Guid(bytes(16)), Fingerprint(bytes(8)))] == ["id", "guid", "fingerprint"]
    assert (kind_of(glue), str(glue)) == ("glue-version", str(GUID))
    assert {f"{kind_of(each)} {each}" for each in IDS if isinstance(each, ApicurioId)} == {
        *("globalId 9", "contentId 9", "eight-byte-id 9"),
    }


@pytest.mark.parametrize(
    ("schema_id", "expected"),
    [
        (0, False),
        (1, True),
        (2**31 - 1, True),
        (2**31, False),
        (2**32 - 1, False),
        (Guid(bytes(16)), True),
        (GlueId(GUID), True),
        (ApicurioId("globalId", 2**63 - 1), True),
        (ApicurioId("globalId", -1), False),
        (ApicurioId("contentId", 1), True),
        (ApicurioId("contentId", 2**31), False),
        (PRINT, False),
    ],
)
def test_a_registry_counts_from_one_in_32_bits_with_a_sign(schema_id: SchemaId, *, expected: bool) -> None:
    """An id beyond that, or a fingerprint, is nothing that a registry could have."""
    assert may_be_registered(schema_id) is expected
