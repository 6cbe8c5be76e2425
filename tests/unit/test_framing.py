"""How values are framed."""

import json
from typing import Any
from uuid import UUID

import pytest

from processor.adapters.schemas.local import fingerprint_of
from processor.events.avro import decode, reader_of
from processor.events.framing import Fingerprint, Guid, SchemaId, kind_of, may_be_registered, schema_ids
from processor.model.outcomes import Filtered, Rejected
from processor.model.reasons import DeadLetterReason, FilterReason
from processor.model.records import Headers, Record
from tests.properties.segment import as_avro, as_json, record, shipped

GUID = UUID("89791762-2336-4186-9674-299b90a802e2")
HEADER = "__value_schema_id"
MESSAGE = {"type": "track", "userId": "u", "event": "E", "properties": {"plan": "premium"}}
BODY = as_avro(MESSAGE)[5:]
TRACK = shipped("track")
PRINT = fingerprint_of(TRACK)
READERS = {schema_id: reader_of(TRACK) for schema_id in (7, Guid(GUID.bytes), PRINT)}


def with_headers(value: bytes | None, *headers: tuple[str, bytes | None]) -> Record:
    """Return a record with these headers."""
    return record(value)._replace(headers=list(headers))


FRAMED: dict[str, tuple[Record, set[SchemaId]]] = {
    "prefix": (record(b"\0\0\0\0\7" + BODY), {7}),
    "prefix among other headers": (with_headers(b"\0\0\0\0\7" + BODY, ("traceparent", b"00")), {7}),
    "header with a guid": (with_headers(BODY, ("a", None), (HEADER, b"\1" + GUID.bytes)), {Guid(GUID.bytes)}),
    "header with an id": (with_headers(BODY, (HEADER, b"\0\0\0\0\7")), {7}),
    "the first of two headers": (with_headers(BODY, (HEADER, b"\0\0\0\0\7"), (HEADER, b"\0\0\0\0\x08")), {7}),
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
    contents = [b"\0\0\0\0\1", b"\xc3\x01" + bytes(8), b"{}"]

    assert schema_ids([with_headers(each, (HEADER, b"\1" + GUID.bytes)) for each in contents]) == {Guid(GUID.bytes)}


@pytest.mark.parametrize("header", [None, b"", b"\1", b"\0\0\0\0", b"\0" + bytes(16), b"\1" + bytes(15), b"\2" * 17])
def test_a_header_that_names_no_schema_is_malformed(header: bytes | None) -> None:
    """A header with an unreadable schema makes the record malformed."""
    outcome = decode(with_headers(b"\0\0\0\0\7" + BODY, (HEADER, header)), READERS)

    assert isinstance(outcome, Rejected)
    assert outcome.reason is DeadLetterReason.MALFORMED
    assert HEADER in outcome.detail
    assert not schema_ids([with_headers(b"\0\0\0\0\7", (HEADER, header))])


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
    assert [kind_of(each) for each in (7, Guid(bytes(16)), Fingerprint(bytes(8)))] == ["id", "guid", "fingerprint"]


@pytest.mark.parametrize(
    ("schema_id", "expected"),
    [
        (0, False),
        (1, True),
        (2**31 - 1, True),
        (2**31, False),
        (2**32 - 1, False),
        (Guid(bytes(16)), True),
        (PRINT, False),
    ],
)
def test_a_registry_counts_from_one_in_32_bits_with_a_sign(schema_id: SchemaId, *, expected: bool) -> None:
    """An id beyond that, or a fingerprint, is nothing that a registry could have."""
    assert may_be_registered(schema_id) is expected
