"""Where events come from and go to."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal, final

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from processor.cli.settings import checks
from processor.cli.settings.definitions import About, Group, Line, Word
from processor.cli.settings.properties import (
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

_KafkaProperties = Annotated[Properties, BeforeValidator(partial(parse_properties, reserved=KAFKA_RESERVED))]
_RegistryProperties = Annotated[Properties, BeforeValidator(partial(parse_properties, reserved=REGISTRY_RESERVED))]
_KafkaFile = Annotated[Path, AfterValidator(partial(checks.readable, read=kafka_properties_in))]
_RegistryFile = Annotated[Path, AfterValidator(partial(checks.readable, read=registry_properties_in))]

_ANY_KEY = "unknown"
"""In place of a key that could not be taken, so that the rest is checked all the same."""


@final
class Kafka(Group):
    """Where events come from and dead letters go to."""

    bootstrap_servers: Annotated[
        str,
        AfterValidator(checks.servers),
        About("Brokers to ask first, separated by commas.", "", "kafka-1:9092,kafka-2:9092"),
    ]
    topics: Annotated[
        tuple[str, ...],
        BeforeValidator(checks.comma_list),
        AfterValidator(checks.topics),
        About("Topics to read, separated by commas; no patterns.", "", "segment.identify,segment.track"),
    ]
    group_id: Annotated[
        Line, About("Consumer group; all processes that share the work have the same.", "", "segment-fullstory")
    ]
    dead_letter_topic: Annotated[
        str,
        AfterValidator(checks.topic),
        About("Topic for records that FullStory can never take; must exist.", "", "segment.dead-letters"),
    ]
    properties_file: Annotated[
        _KafkaFile | None,
        About(
            "File that holds more of these properties as a JSON object, as a mounted secret does; they outrank the "
            "others. What changes there is used without a restart.",
            "Without secrets all of them may stand in the variable.",
            "/run/secrets/kafka.json",
            default="none",
        ),
    ] = None
    properties: Annotated[
        _KafkaProperties,
        About(
            "Properties of librdkafka as a JSON object (a table in TOML): SASL, TLS, OAuth and the like.",
            "A broker without authentication needs none.",
            '{"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.username": "…", "sasl.password": "…"}',
        ),
    ] = Field(default_factory=dict, validate_default=True)
    start: Annotated[
        Literal["earliest", "latest"],
        Word,
        About(
            "Where a group begins that never committed an offset.",
            "What is in the topic is meant to be delivered.",
            "latest",
        ),
    ] = "earliest"
    on_gap: Annotated[
        Literal["halt", "continue"],
        Word,
        About(
            "What to do where records were deleted before they were read.",
            "Records that are missing are an operator's decision, not a line in a log.",
            "continue",
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

    def client_properties(self) -> dict[str, str]:
        """Return the properties as librdkafka reads them, secrets included."""
        return {name: as_text(value) for name, value in reveal(self.properties).items()}


@final
class SchemaRegistry(Group):
    """Where Avro schemas are found."""

    url: Annotated[
        Annotated[str, AfterValidator(checks.urls)] | None,
        About(
            "Base URLs of a registry that speaks Confluent's protocol, separated by commas.",
            "Without one, ids are those of `ids.json` in the folder of schemas.",
            "http://schema-registry:8081",
            default="none",
        ),
    ] = None
    properties_file: Annotated[
        _RegistryFile | None,
        About(
            "File that holds more of these properties as a JSON object, as a mounted secret does; they outrank the "
            "others. What changes there is used without a restart.",
            "Without secrets all of them may stand in the variable.",
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

    cache_dir: Annotated[
        Path | None,
        About(
            "Folder that keeps schemas on disk, by registry and id; made if need be. Processes may share it.",
            "Not every process may write. With one, a worker that starts while the registry is away goes on.",
            "/var/cache/segment-fullstory",
            default="none",
        ),
    ] = None
    unknown_after_s: Annotated[
        float,
        Field(ge=0, allow_inf_nan=False),
        About(
            "How many seconds records wait for a schema that the registry says it does not have. "
            "Then they are dead-lettered as `unknown_schema`.",
            "Long enough for a replica of the registry to catch up, or for an operator to register what was forgotten. "
            "Without a registry nothing is waited for.",
            "900",
        ),
    ] = 300.0
    folder: Annotated[
        Path | None,
        About(
            "Folder of Avro schemas, `*.avsc`: known by their fingerprints, and without a registry also by the ids of "
            "its `ids.json`.",
            "The schemas that come with the worker.",
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
        return 0.0 if self.url is None else self.unknown_after_s

    def client_properties(self) -> dict[str, Scalar]:
        """Return the properties with their values, secrets included."""
        return reveal(self.properties)


@final
class FullStory(Group):
    """Where events go to. The key is given directly or as a file, not both."""

    api_key_file: Annotated[
        Annotated[Path, AfterValidator(partial(checks.readable, read=checks.read_key))] | None,
        About(
            "File that holds the API key, as a mounted secret does; white space around the key is ignored.",
            "The key may be given directly.",
            "/run/secrets/fullstory-api-key",
            default="none",
        ),
    ] = None
    api_key: Annotated[
        SecretStr,
        About(
            "API key. One of level Architect can tell which items failed.",
            "",
            "na1.EXAMPLE",
            default="this or the file",
        ),
        Field(validate_default=True),
    ] = SecretStr("")
    allow_private: Annotated[
        bool,
        About(
            "Whether the API may be in a private network, and be spoken to by http: a gateway of yours, or the "
            "sandbox.",
            "Who can change a name in your network could otherwise have the key sent to a service of his. The same "
            "computer is always allowed.",
            "true",
        ),
    ] = False
    base_url: Annotated[
        str,
        About(
            "Base URL of the API.",
            "Keys name their data centre: `eu1.` is `https://api.eu1.fullstory.com`, all others "
            "`https://api.fullstory.com`. A key is never sent to the other one.",
            "https://api.fullstory.com",
            default="by the key's prefix",
        ),
        Field(validate_default=True),
    ] = ""
    org_id: Annotated[
        Line | None,
        About(
            "Organisation that the key must belong to; another one halts delivery before anything is sent.",
            "The key alone says where events go.",
            "o-1A2B3C-na1",
            default="none",
        ),
    ] = None

    @field_validator("api_key")
    @classmethod
    def _one_key(cls, key: SecretStr, info: ValidationInfo) -> SecretStr:
        path, given = info.data.get("api_key_file"), key.get_secret_value()
        checks.not_both(given, path, "PROCESSOR_FULLSTORY__API_KEY_FILE")
        if given:
            return SecretStr(checks.key(given))
        if path is not None:
            return SecretStr(checks.read_key(path))
        if "api_key_file" in info.data:
            raise PydanticCustomError("missing", "is not set")
        return key

    @field_validator("base_url")
    @classmethod
    def _serves_the_key(cls, base_url: str, info: ValidationInfo) -> str:
        key: SecretStr = info.data.get("api_key", SecretStr(""))
        allow_private = bool(info.data.get("allow_private"))
        return checks.base_url(base_url, key.get_secret_value() or _ANY_KEY, allow_private=allow_private)
