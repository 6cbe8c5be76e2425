"""What is found where a message should be: envelopes, and what is none."""

import json
import zlib
from gzip import compress
from typing import Any

import pytest

from processor.events.avro import decode
from processor.model.outcomes import Event, Rejected
from processor.model.reasons import DeadLetterReason, PropertyRule
from tests.properties.segment import record

MESSAGE = {"type": "track", "userId": "u", "event": "E"}
TEXT = json.dumps(MESSAGE)

Noted = list[tuple[PropertyRule, str]]


def read(value: Any) -> tuple[Event, Noted]:
    """Return the event of a JSON value, and what was noted."""
    noted: Noted = []
    event = decode(record(json.dumps(value).encode()), {}, lambda *each: noted.append(each))
    assert isinstance(event, dict), event
    return event, noted


def refused(value: bytes) -> str:
    """Return why a value is malformed."""
    outcome = decode(record(value), {})
    assert isinstance(outcome, Rejected)
    assert outcome.reason is DeadLetterReason.MALFORMED
    return outcome.detail


def connects(payload: Any, schema: Any = None) -> Any:
    """Return a value as Kafka Connect's JsonConverter writes it, with `schemas.enable`."""
    return {"schema": schema, "payload": payload}


def cloud_event(data: Any) -> Any:
    """Return a CloudEvent in the structured form."""
    return {"specversion": "1.0", "type": "com.example.track", "id": "1", "source": "/x", "data": data}


@pytest.mark.parametrize(
    ("value", "places"),
    [
        (connects(MESSAGE, {"type": "struct"}), ["payload"]),
        (connects(MESSAGE), ["payload"]),
        (connects(TEXT, {"type": "string", "optional": False}), ["payload"]),
        ({"schemaId": 2, "payload": MESSAGE}, ["payload"]),  # Apicurio's ExtJsonConverter 2.6.13.Final, its default
        (cloud_event(MESSAGE), ["data"]),
        (cloud_event(TEXT), ["data"]),
        (connects(cloud_event(MESSAGE)), ["payload", "data"]),
    ],
)
def test_a_message_in_an_envelope_is_read_and_noted(value: Any, places: list[str]) -> None:
    """The message is taken out of what Kafka Connect or CloudEvents put around it, and that is counted."""
    assert read(value) == (MESSAGE, [(PropertyRule.UNWRAPPED, place) for place in places])


@pytest.mark.parametrize("name", ["userId", "anonymousId"])
def test_a_message_with_members_of_an_envelope_is_none(name: str) -> None:
    """Whoever has an id is the message itself, whatever else it holds."""
    message = {**cloud_event({"userId": "other"}), "type": "track", name: "u"}

    assert read(message) == (message, [])


def test_names_in_another_case_are_understood_in_an_envelope_too() -> None:
    """What is taken out is read as any other message."""
    assert read(connects({"Type": "track", "user_id": "u"}))[0] == {"type": "track", "userId": "u"}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (
            {"batch": [MESSAGE, MESSAGE], "sentAt": "2024-01-02T03:04:06Z"},
            "the value is a `batch` of length 2, as Segment's",
        ),
        ({"batch": []}, "the value is a `batch` of length 0"),
        (cloud_event({"batch": [MESSAGE]}), "the value is a `batch` of length 1"),
        (
            [MESSAGE],
            "the value is a JSON array of length 1, not a JSON object: have the producer write each",
        ),
        (cloud_event([MESSAGE]), "in `data` of an envelope, the value is a JSON array of length 1"),
        (connects(None), "in `payload` of an envelope, the value is a JSON null"),
        (connects("{"), "in `payload` of an envelope, the value is no JSON: line 1"),
    ],
)
def test_what_holds_no_single_message_is_told_with_what_to_do(value: Any, told: str) -> None:
    """Several messages in one value, or none in an envelope, are rejected in words for the producer."""
    assert refused(json.dumps(value).encode()).startswith(told)


def test_an_envelope_ends_somewhere() -> None:
    """An envelope in an envelope in an envelope is nobody's: its innermost is not looked for."""
    outcome, noted = read(connects(connects(connects(MESSAGE))))

    assert (set(outcome), len(noted)) == ({"schema", "payload"}, 2)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (b"Obj\x01\x04\x16avro.schema", "an Avro container file"),
        (compress(TEXT.encode(), mtime=0), "compressed by gzip: set `compression.type`"),
        (zlib.compress(TEXT.encode()), "compressed by zlib: set `compression.type`"),
        (bytes.fromhex("28b52ffd0458") + b"x", "compressed by Zstandard"),
        (bytes.fromhex("04224d186440a7"), "compressed by LZ4"),
        (b"\x82SNAPPY\0\0\0\0\1", "compressed by Snappy"),
        (b"\xff\x06\0\0sNaPpY", "compressed by Snappy"),
        (b"\xac\xed\0\x05sr\0\x11java.util.HashMap", "a Java object"),
        (b"\x80\x04\x95\x10\0\0\0\0\0\0\0}", "a Python object, serialized by pickle"),
        (TEXT.encode("utf-16"), "text in UTF-16"),
        (b"PAR1", "a Parquet file"),
        (b"<html>", "XML or HTML"),
        (b"\x0a\x05track\x12\x01u", "Protobuf, with `track` in its first field; have"),
        (b"\x0a\x02u1\x12\x05track", "Protobuf; have the producer write JSON or Avro"),
        (b"\x83\xa4type\xa5track", "MessagePack"),
        (b"\xde\0\x10\xa4type\xa5track", "MessagePack"),
        (
            b"\x0atrack\x04u1\x0cBought",
            "the length 5 and `track`, as Avro writes a text. That is Avro without",
        ),
        (
            b"\x02\x0atrack\x04u1\x0cBought",
            "the length 5 and `track`, as Avro writes a text. That is Avro without",
        ),
        (b"\x10identify\x04u1", "the length 8 and `identify`"),
    ],
)
def test_bytes_are_told_by_what_they_begin_as(value: bytes, told: str) -> None:
    """What other formats begin with is named, with what to do; a length before `track` is no line feed."""
    assert refused(value).startswith(f"the value begins as {told}")


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (bytes.fromhex("00143031323334353637383910"), "a union's first branch, or a null, and a text, as Avro writes"),
        (
            b"\0\x0atrack\0\x0442",
            "a union's first branch, or a null, and a text, as Avro writes them. That is Avro without",
        ),
        (len(TEXT).to_bytes(2, "big") + TEXT.encode(), "JSON after a length of 2 bytes, as Java's DataOutputStream"),
        (len(TEXT).to_bytes(4, "big") + TEXT.encode(), "JSON after a length of 4 bytes"),
        (
            bytes(4) + b"0123456789abcdef" * 2 + b"\x0atrack",
            "Avro by a schema of Azure's registry, named by",
        ),
    ],
)
def test_a_byte_0_that_begins_no_framing_is_told(value: bytes, hint: str) -> None:
    """Where no schema has the id, and the bytes look like something else, the reason says so and quotes nothing."""
    outcome = decode(record(value), {})

    assert isinstance(outcome, Rejected)
    assert outcome.reason is DeadLetterReason.UNKNOWN_SCHEMA
    assert f"; but the value begins as {hint}" in outcome.detail
    assert "0123456789" not in outcome.detail


@pytest.mark.parametrize("value", [b"\x0a", b"\x0a\x05trac", b"\x01\x02", b"\x84", b"\n \n", b"xyz", b"\xde"])
def test_what_looks_like_nothing_known_is_told_as_it_is(value: bytes) -> None:
    """Bytes of no known format are told by the first of them, or by where JSON ends."""
    assert refused(value).startswith(("the first byte is", "the value is no JSON"))
