"""The libraries and serializers whose messages were recorded, and the recordings."""

import json
import re
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, final

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"
RECORDING = HERE / "recorded.jsonl"
SERIALIZED = HERE / "serialized.tsv"
SCHEMA = PROGRAMS / "event.avsc"
"""That of the message that is serialized as Avro."""


@final
class Sender(NamedTuple):
    """A library."""

    name: str
    package: str
    version: str
    program: str
    """Which program of ours calls it."""


SENDERS = (
    Sender("Segment, browser", "@segment/analytics-next", "1.84.3", "node segment-browser"),
    Sender("Segment, Node", "@segment/analytics-node", "3.1.0", "node segment-node"),
    Sender("Segment, Python", "segment-analytics-python", "2.4.0", "python segment"),
    Sender("Segment, Java", "com.segment.analytics.java:analytics", "3.5.4", "java segment"),
    Sender("Segment, Rust", "segment", "0.2.6", "rust"),
    Sender("RudderStack, browser", "@rudderstack/analytics-js", "3.34.1", "node rudderstack-browser"),
    Sender("RudderStack, Node", "@rudderstack/rudder-sdk-node", "3.0.13", "node rudderstack-node"),
    Sender("RudderStack, Java", "com.rudderstack.sdk.java.analytics:analytics", "3.1.2", "java rudderstack"),
    Sender("RudderStack, Python", "rudder-sdk-python", "2.1.9", "python rudderstack"),
    Sender("Jitsu, browser", "@jitsu/js", "1.11.0", "node jitsu"),
)


@final
class Serializer(NamedTuple):
    """A serializer, or a way to use one; the programs call it by its name."""

    name: str
    package: str
    version: str


SERIALIZERS = (
    Serializer("Jackson", "com.fasterxml.jackson.datatype:jackson-datatype-jsr310", "2.20.0"),
    Serializer("Jackson with JavaTimeModule", "com.fasterxml.jackson.datatype:jackson-datatype-jsr310", "2.20.0"),
    Serializer("Jackson with times as text", "com.fasterxml.jackson.datatype:jackson-datatype-jsr310", "2.20.0"),
    Serializer("Gson", "com.google.code.gson:gson", "2.13.2"),
    Serializer("Gson, after reading", "com.google.code.gson:gson", "2.13.2"),
    Serializer("pandas, to_json", "pandas", "2.3.3"),
    Serializer("Connect's JsonConverter", "org.apache.kafka:connect-json", "4.1.0"),
    Serializer("Connect's JsonConverter with schemas", "org.apache.kafka:connect-json", "4.1.0"),
    Serializer("Confluent, Python", "confluent-kafka", "2.15.0"),
    Serializer("Confluent, Python, by header", "confluent-kafka", "2.15.0"),
    Serializer("Avro, BinaryMessageEncoder", "org.apache.avro:avro", "1.12.1"),
    Serializer("Avro, RawMessageEncoder", "org.apache.avro:avro", "1.12.1"),
    Serializer("fastavro, schemaless_writer", "fastavro", "1.12.1"),
    Serializer("fastavro, writer", "fastavro", "1.12.1"),
)


@final
class Message(NamedTuple):
    """A message as a library wrote it, and what it wrote around it where it sends several at once."""

    sender: str
    around: dict[str, object]
    text: str


_BATCH = re.compile(r'"batch"\s*:\s*\[\s*')
_NEXT = re.compile(r"\s*,?\s*")


def messages_in(sender: str, body: str) -> Iterator[Message]:
    """Yield the messages of a request, to the character as they stand there: numbers have forms."""
    if (found := _BATCH.search(body)) is None:
        yield Message(sender, {}, body)
        return
    around = {name: value for name, value in json.loads(body).items() if name != "batch"}
    at = found.end()
    while body[at] != "]":
        _, end = json.JSONDecoder().raw_decode(body, at)
        yield Message(sender, around, body[at:end])
        at = _NEXT.match(body, end).end()  # type: ignore[union-attr]  # it matches nothing, too


def recorded() -> list[Message]:
    """Return what was recorded."""
    return [Message(**json.loads(line)) for line in RECORDING.read_text(encoding="utf-8").splitlines()]


@final
class Serialized(NamedTuple):
    """A record as a serializer wrote it."""

    value: bytes
    headers: list[tuple[str, bytes | None]]


def serialized() -> dict[str, Serialized]:
    """Return the record of each serializer, by its name."""
    found = {}
    for line in SERIALIZED.read_text(encoding="utf-8").splitlines():
        name, value, *headers = line.split("\t")
        pairs = (each.split("=", 1) for part in headers for each in part.split(",") if each)
        found[name] = Serialized(b64decode(value), [(key, b64decode(each)) for key, each in pairs])
    return found
