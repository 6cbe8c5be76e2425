"""The libraries and serializers whose messages were recorded, and the recordings."""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, final

from processor.events.languages import AVRO
from processor.model.records import Headers, Record
from processor.runtime.ports import SchemaText
from tests.properties.segment import record
from tests.registry.serdes import APICURIO_2, APICURIO_3, GLUE, Serde

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


_JSON = "avro.encoding=JSON"
_BARE = "headers.enabled=false"
_BY_HEADER = "headers.enabled=true"


@final
class Serializer(NamedTuple):
    """A serializer, or a way to use one; what writes with it calls it by its name."""

    name: str
    package: str
    version: str


BY_APICURIO: Sequence[tuple[str, Serde, Sequence[str]]] = (
    ("Apicurio 2", APICURIO_2, ()),
    ("Apicurio 2, JSON", APICURIO_2, (_JSON,)),
    ("Apicurio 2, without headers", APICURIO_2, (_BARE,)),
    ("Apicurio 2, JSON, without headers", APICURIO_2, (_JSON, _BARE)),
    ("Apicurio 3", APICURIO_3, ()),
    ("Apicurio 3, JSON", APICURIO_3, (_JSON,)),
    ("Apicurio 3, by header", APICURIO_3, (_BY_HEADER,)),
    ("Apicurio 3, JSON, by header", APICURIO_3, (_JSON, _BY_HEADER)),
)
"""Ways to use Apicurio's serializers, and their properties, less the prefix."""

BY_GLUE = {"AWS Glue": "NONE", "AWS Glue, zlib": "ZLIB"}
"""Ways to use AWS Glue's serializer, and its compression."""

SERIALIZERS = (
    Serializer("Jackson", "com.fasterxml.jackson.datatype:jackson-datatype-jsr310", "2.20.0"),
    Serializer("Jackson with JavaTimeModule", "com.fasterxml.jackson.datatype:jackson-datatype-jsr310", "2.20.0"),
    Serializer("Jackson with times as text", "com.fasterxml.jackson.datatype:jackson-datatype-jsr310", "2.20.0"),
    Serializer("Gson", "com.google.code.gson:gson", "2.13.2"),
    Serializer("Gson, after reading", "com.google.code.gson:gson", "2.13.2"),
    Serializer("pandas, to_json", "pandas", "2.3.3"),
    Serializer("Connect's JsonConverter", "org.apache.kafka:connect-json", "4.1.0"),
    Serializer("Connect's JsonConverter with schemas", "org.apache.kafka:connect-json", "4.1.0"),
    Serializer("Spark, to_json", "org.apache.spark:spark-sql_2.13", "4.2.0"),
    Serializer("Confluent, Python", "confluent-kafka", "2.15.0"),
    Serializer("Confluent, Python, by header", "confluent-kafka", "2.15.0"),
    Serializer("Confluent, Python, JSON Schema", "confluent-kafka", "2.15.0"),
    Serializer("Confluent, Python, JSON Schema, by header", "confluent-kafka", "2.15.0"),
    Serializer("Confluent, Python, Protobuf", "confluent-kafka", "2.15.0"),
    Serializer("Confluent, Python, Protobuf, by header", "confluent-kafka", "2.15.0"),
    *(Serializer(name, f"{serde.group}:{serde.artifact}", serde.version) for name, serde, _ in BY_APICURIO),
    *(Serializer(name, f"{GLUE.group}:{GLUE.artifact}", GLUE.version) for name in BY_GLUE),
    Serializer("Apicurio 2, AvroConverter", "io.apicurio:apicurio-registry-utils-converter", "2.6.13.Final"),
    Serializer("Apicurio 2, ExtJsonConverter", "io.apicurio:apicurio-registry-utils-converter", "2.6.13.Final"),
    Serializer("Flink, json", "org.apache.flink:flink-json", "2.1.0"),
    Serializer("Flink, avro-confluent", "org.apache.flink:flink-sql-avro-confluent-registry", "2.1.0"),
    Serializer("Spark, to_avro, framed by hand", "org.apache.spark:spark-avro_2.13", "4.2.0"),
    Serializer("Spark, to_avro", "org.apache.spark:spark-avro_2.13", "4.2.0"),
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
    """A record as a serializer wrote it, and the schema that was registered for it, if one was."""

    name: str
    value: bytes
    headers: Headers
    schema: SchemaText | None

    @property
    def record(self) -> Record:
        """As it stands in Kafka."""
        return record(self.value)._replace(headers=self.headers or None)

    def line(self) -> str:
        """Return it as a line of the recording."""
        headers = ",".join(f"{name}={_base64(value or b'')}" for name, value in self.headers)
        schema = (_base64(self.schema.text.encode()), self.schema.language) if self.schema else ("", "")
        return "\t".join((self.name, _base64(self.value), headers, *schema)) + "\n"


def parsed(line: str) -> Serialized:
    """Return what a line of the recording, or of a program, holds; its last parts may be absent."""
    name, value, headers, schema, language = (line.rstrip("\n").split("\t") + [""] * 3)[:5]
    pairs = (each.split("=", 1) for each in headers.split(",") if each)
    registered = SchemaText(b64decode(schema).decode(), language or AVRO) if schema else None
    return Serialized(name, b64decode(value), [(key, b64decode(each)) for key, each in pairs], registered)


def serialized() -> dict[str, Serialized]:
    """Return the record of each serializer, by its name."""
    lines = SERIALIZED.read_text(encoding="utf-8").splitlines()
    return {each.name: each for each in map(parsed, lines)}


def _base64(content: bytes) -> str:
    return b64encode(content).decode()
