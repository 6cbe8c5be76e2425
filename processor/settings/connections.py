"""Where events come from and go to."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal, final

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from processor.settings import validators
from processor.settings.client_properties import (
    KAFKA_RESERVED,
    REGISTRY_RESERVED,
    Properties,
    Scalar,
    as_text,
    kafka_properties_in,
    outranked,
    parse_properties,
    registry_properties_in,
    reveal,
)
from processor.settings.definitions import About, OneLine, Section, Word

_KafkaProperties = Annotated[Properties, BeforeValidator(partial(parse_properties, reserved=KAFKA_RESERVED))]
_RegistryProperties = Annotated[Properties, BeforeValidator(partial(parse_properties, reserved=REGISTRY_RESERVED))]
_KafkaFile = Annotated[Path, AfterValidator(partial(validators.readable, read=kafka_properties_in))]
_RegistryFile = Annotated[Path, AfterValidator(partial(validators.readable, read=registry_properties_in))]
_PemFile = Annotated[Path, AfterValidator(partial(validators.readable, read=validators.secret_in))]

_ANY_KEY = "unknown"
"""In place of a key that could not be taken, so that the rest is checked all the same."""


@final
class KafkaSection(Section):
    """Where events come from and dead letters go to."""

    bootstrap_servers: Annotated[
        str,
        AfterValidator(validators.servers),
        About("Brokers for the first connection, as HOST:PORT, separated by commas.", "", "kafka-1:9092,kafka-2:9092"),
    ]
    topics: Annotated[
        tuple[str, ...],
        BeforeValidator(validators.comma_list),
        AfterValidator(validators.topics),
        About(
            "Topics to consume, separated by commas. Patterns are not supported.", "", "segment.identify,segment.track"
        ),
    ]
    group_id: Annotated[
        OneLine, About("Consumer group. Use the same for all processes that share the work.", "", "segment-fullstory")
    ]
    dead_letter_topic: Annotated[
        str,
        AfterValidator(validators.topic),
        About("Topic for records that FullStory can never accept. It must exist.", "", "dlq.segment"),
    ]
    redrive_topic: Annotated[
        Annotated[str, AfterValidator(validators.topic)] | None,
        About(
            "Topic to which `redrive` writes the records of dead letters. The worker consumes it like the others. It "
            "must exist.",
            "Without it, records could only be brought back to their own topics, which others may read too.",
            "segment.redrive",
            default="none",
        ),
    ] = None
    parking_topic: Annotated[
        Annotated[str, AfterValidator(validators.topic)] | None,
        About(
            "Topic to which `redrive` copies the dead letters of records that came back too often, to be looked at by "
            "a person. It must exist.",
            "Such letters are skipped all the same, and their number is told.",
            "dlq.segment.parked",
            default="none",
        ),
    ] = None
    properties_file: Annotated[
        _KafkaFile | None,
        About(
            "File with more of these properties as a JSON object, such as a mounted secret. They take precedence over "
            "the others. Changes to the file are applied without a restart.",
            "Properties that are no secrets need no file.",
            "/run/secrets/kafka.json",
            default="none",
        ),
    ] = None
    properties: Annotated[
        _KafkaProperties,
        About(
            "Properties of librdkafka as a JSON object (a table in TOML), for example for SASL, TLS or OAuth.",
            "A broker without authentication needs none.",
            '{"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.username": "…", "sasl.password": "…"}',
        ),
    ] = Field(default_factory=dict, validate_default=True)
    start: Annotated[
        Literal["earliest", "latest", "halt"],
        Word,
        About(
            "Where a consumer group starts that has no committed offset, or that begins to read another topic. "
            "Partitions and topics that appear later start at their first record. Set it to `halt` once the group has "
            "started: if its offsets are lost, partitions then wait for you instead of starting again.",
            "Records that are already in the topic are delivered too.",
            "latest",
        ),
    ] = "earliest"
    on_gap: Annotated[
        Literal["halt", "continue"],
        Word,
        About(
            "What to do if records were deleted before they were consumed: stop, or go on with the next record.",
            "Whether lost records matter is for an operator to decide.",
            "continue",
        ),
    ] = "halt"
    on_recreated: Annotated[
        Literal["halt", "restart"],
        Word,
        About(
            "What to do if a topic was deleted and created anew under its name: stop, or read the new topic from its "
            "first record.",
            "Whether the new topic holds what was delivered already is for an operator to know.",
            "restart",
        ),
    ] = "halt"

    @field_validator("properties")
    @classmethod
    def _with_those_of_the_file(cls, properties: Properties, info: ValidationInfo) -> Properties:
        path = info.data.get("properties_file")
        return outranked(properties, kafka_properties_in(path)) if path else properties

    @field_validator("dead_letter_topic")
    @classmethod
    def _is_no_source(cls, name: str, info: ValidationInfo) -> str:
        if name in info.data.get("topics", ()):
            raise ValueError(
                "is also one of PROCESSOR_KAFKA__TOPICS: every dead letter would be read again; use another topic"
            )
        return name

    @field_validator("redrive_topic")
    @classmethod
    def _is_of_its_own(cls, name: str | None, info: ValidationInfo) -> str | None:
        if name is not None and name in info.data.get("topics", ()):
            raise ValueError("is also one of PROCESSOR_KAFKA__TOPICS: name it here alone, the worker reads it too")
        if name is not None and name == info.data.get("dead_letter_topic"):
            raise ValueError(
                "is also PROCESSOR_KAFKA__DEAD_LETTER_TOPIC: every dead letter would be read again; use another topic"
            )
        return name

    @field_validator("parking_topic")
    @classmethod
    def _is_read_by_nobody(cls, name: str | None, info: ValidationInfo) -> str | None:
        others = {
            **dict.fromkeys(info.data.get("topics", ()), "one of PROCESSOR_KAFKA__TOPICS"),
            info.data.get("redrive_topic"): "PROCESSOR_KAFKA__REDRIVE_TOPIC",
            info.data.get("dead_letter_topic"): "PROCESSOR_KAFKA__DEAD_LETTER_TOPIC",
        }
        if name is not None and name in others:
            raise ValueError(f"is also {others[name]}: every parked letter would be read again; use another topic")
        return name

    @property
    def consumed_topics(self) -> tuple[str, ...]:
        """What the worker reads: the topics, and that of redrives, where there is one."""
        return self.topics if self.redrive_topic is None else (*self.topics, self.redrive_topic)

    def client_properties(self) -> dict[str, str]:
        """Return the properties as librdkafka reads them, secrets included."""
        return {name: as_text(value) for name, value in reveal(self.properties).items()}


@final
class SchemaRegistrySection(Section):
    """Where Avro schemas come from."""

    url: Annotated[
        Annotated[str, AfterValidator(validators.urls)] | None,
        About(
            "Base URLs of a schema registry with Confluent's API, separated by commas.",
            "Without a registry, schema ids come from `ids.json` in the folder of schemas.",
            "http://schema-registry:8081",
            default="none",
        ),
    ] = None
    properties_file: Annotated[
        _RegistryFile | None,
        About(
            "File with more of these properties as a JSON object, such as a mounted secret. They take precedence over "
            "the others. Changes to the file are applied without a restart.",
            "Properties that are no secrets need no file.",
            "/run/secrets/schema-registry.json",
            default="none",
        ),
    ] = None
    properties: Annotated[
        _RegistryProperties,
        About(
            "Properties of Confluent's registry client as a JSON object (a table in TOML): credentials, TLS, timeouts.",
            "A registry without authentication needs none.",
            '{"basic.auth.user.info": "…:…"}',
        ),
    ] = Field(default_factory=dict, validate_default=True)

    long_ids: Annotated[
        Literal["global", "content"] | None,
        Word,
        About(
            "What the ids of eight bytes are that Apicurio's serializers write in front of values if they write no "
            "headers: `global` ids (the default of release 2) or `content` ids (of release 3).",
            "The worker asks for both, and halts if they are of different schemas.",
            "global",
            default="none",
        ),
    ] = None
    glue_region: Annotated[
        OneLine | None,
        About(
            "Region of AWS Glue, where values in its framing have their schemas. AWS's client finds credentials and "
            "proxies as it does everywhere. Needs the extra `glue`: `pip install '.[glue]'`.",
            "Few use it, and AWS's client is large.",
            "eu-central-1",
            default="none",
        ),
    ] = None
    cache_dir: Annotated[
        Path | None,
        About(
            "Folder for a cache of schemas on disk. It is created if it does not exist, and processes may share it. "
            "With it, a worker can start while the registry is down.",
            "Not every process has a disk that it may write to.",
            "/var/cache/segment-fullstory",
            default="none",
        ),
    ] = None
    unknown_after_s: Annotated[
        float,
        Field(ge=0, allow_inf_nan=False),
        About(
            "Seconds that records wait for a schema that the registry does not have. After that they are "
            "dead-lettered as `unknown_schema`. Without a registry they do not wait.",
            "Long enough for a replica of the registry to catch up, or for an operator to register the schema.",
            "900",
        ),
    ] = 300.0
    folder: Annotated[
        Path | None,
        About(
            "Folder of Avro schemas, `*.avsc`. They are found by their fingerprints and, without a registry, also by "
            "the ids in its `ids.json`.",
            "The worker then uses the schemas that it ships with.",
            "/etc/segment-fullstory/schemas",
            default="none",
        ),
    ] = None

    @field_validator("properties")
    @classmethod
    def _with_those_of_the_file(cls, properties: Properties, info: ValidationInfo) -> Properties:
        path = info.data.get("properties_file")
        return outranked(properties, registry_properties_in(path)) if path else properties

    @property
    def waits_s(self) -> float:
        """How long records wait for a schema that is absent: a folder will not have it later."""
        return 0.0 if self.url is None and self.glue_region is None else self.unknown_after_s

    def client_properties(self) -> dict[str, Scalar]:
        """Return the properties with their values, secrets included."""
        return reveal(self.properties)


@final
class FullStorySection(Section):
    """Where events go. Set the key directly or as a file, not both."""

    api_key_file: Annotated[
        Annotated[Path, AfterValidator(partial(validators.readable, read=validators.read_key))] | None,
        About(
            "File that contains the API key, such as a mounted secret. White space around the key is ignored.",
            "You can set the key directly instead.",
            "/run/secrets/fullstory-api-key",
            default="none",
        ),
    ] = None
    api_key: Annotated[
        SecretStr,
        About(
            "API key. A key with the role Architect can read which items of a job failed.",
            "",
            "na1.EXAMPLE",
            default="this or the file",
        ),
        Field(validate_default=True),
    ] = SecretStr("")
    allow_private: Annotated[
        bool,
        About(
            "Whether the API may be in a private network and use http, for example your own gateway or the "
            "sandbox. Loopback addresses are always allowed.",
            "Otherwise, anyone who can change a DNS name in your network could have the key sent to their own service.",
            "true",
        ),
    ] = False
    base_url: Annotated[
        str,
        About(
            "Base URL of the API.",
            "The prefix of a key names its data centre: `eu1.` is `https://api.eu1.fullstory.com`, any other is "
            "`https://api.fullstory.com`. A key is never sent to another data centre.",
            "https://api.fullstory.com",
            default="by the key's prefix",
        ),
        Field(validate_default=True),
    ] = ""
    client_certificate_file: Annotated[
        _PemFile | None,
        About(
            "File with a client certificate, as PEM, for a gateway or an https proxy that wants one. Changes to "
            "the file are applied without a restart.",
            "FullStory asks for none.",
            "/run/secrets/tls.crt",
            default="none",
        ),
    ] = None
    client_key_file: Annotated[
        _PemFile | None,
        About(
            "File with the key of that certificate, as PEM, without a password.",
            "One file may hold both.",
            "/run/secrets/tls.key",
            default="the certificate's file",
        ),
        Field(validate_default=True),
    ] = None
    org_id: Annotated[
        OneLine | None,
        About(
            "Organisation that the key must belong to. A key of another one halts delivery before anything is sent.",
            "The key alone determines the organisation.",
            "o-1A2B3C-na1",
            default="none",
        ),
    ] = None

    @field_validator("api_key")
    @classmethod
    def _one_key(cls, key: SecretStr, info: ValidationInfo) -> SecretStr:
        path, given = info.data.get("api_key_file"), key.get_secret_value()
        validators.not_both(given, path, "PROCESSOR_FULLSTORY__API_KEY_FILE")
        if given:
            return SecretStr(validators.key(given))
        if path is not None:
            return SecretStr(validators.read_key(path))
        if "api_key_file" in info.data:
            raise PydanticCustomError("missing", "is not set")
        return key

    @field_validator("client_key_file")
    @classmethod
    def _opens_the_certificate(cls, key_file: Path | None, info: ValidationInfo) -> Path | None:
        certificate = info.data.get("client_certificate_file")
        if certificate is not None:
            validators.client_certificate(certificate, key_file)
        elif key_file is not None and "client_certificate_file" in info.data:
            raise ValueError("belongs to PROCESSOR_FULLSTORY__CLIENT_CERTIFICATE_FILE, which is not set")
        return key_file

    @field_validator("base_url")
    @classmethod
    def _serves_the_key(cls, base_url: str, info: ValidationInfo) -> str:
        key: SecretStr = info.data.get("api_key", SecretStr(""))
        allow_private = bool(info.data.get("allow_private"))
        return validators.base_url(base_url, key.get_secret_value() or _ANY_KEY, allow_private=allow_private)
