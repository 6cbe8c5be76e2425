"""Global ids of Apicurio's, which only its own API knows: beside that of Confluent's protocol, at `/apis/registry/v2`.

Releases 2.6.13 and 3.3.3 answer there alike (2026-11), but for one thing: by the global id of a version that is not the
latest of its artifact, the search of 2.6.13 finds nothing. Then the schema itself has to tell its language.
"""

import json
from http import HTTPStatus
from typing import Any, Literal

from confluent_kafka.schema_registry.error import SchemaRegistryError

from processor.adapters.schemas.local import fingerprint_of
from processor.events.avro_schema import SchemaError
from processor.events.languages import AVRO, JSON_SCHEMA, PROTOBUF
from processor.runtime.ports import SchemaIncompleteError, SchemaText

LongIds = Literal["global", "content"]
"""What the ids of eight bytes are that Apicurio's serializers write in front of a value."""

_CONFLUENTS_PATH = "/apis/ccompat/"
_OWN_API = "../../registry/v2"
"""As seen from there; the client's HTTP library resolves it."""


async def schema_of_global_id(client: Any, number: int) -> SchemaText | None:
    """Return the schema with all that it refers to; None where there is none, or this login may not see it.

    Raises what the client raises, and `SchemaIncompleteError` where the registry's address is not Apicurio's.
    """
    rest = client._rest_client  # noqa: SLF001 - the client has no method for it; its connection has the credentials
    if not all(_CONFLUENTS_PATH in f"{each}/" for each in rest.base_urls):
        raise SchemaIncompleteError(
            "only Apicurio's own API knows global ids, and it is found from an address that ends in /apis/ccompat/v7"
        )
    found = (await rest.get(f"{_OWN_API}/search/artifacts", {"globalId": number}))["artifacts"]
    language = str(found[0].get("type")) if found else None
    if language == PROTOBUF:  # nobody reads it
        return SchemaText("", language)
    try:
        schema = await rest.get(f"{_OWN_API}/ids/globalIds/{number}", {"dereference": "true"})
    except SchemaRegistryError as error:
        if error.http_status_code != HTTPStatus.NOT_FOUND:
            raise
        return None
    except ValueError:  # a registry's answer that is no JSON: see `is_registrys`
        return SchemaText("", PROTOBUF)
    return SchemaText(json.dumps(schema), language or _language_of(schema))


def _language_of(schema: Any) -> str:
    """Return the language of a schema in JSON: an object of Avro's has a type, which is never `object`."""
    if not isinstance(schema, dict):
        return AVRO
    kind = schema.get("type", "object")
    is_json_schema = "$schema" in schema or "object" in (kind if isinstance(kind, list) else [kind])
    return JSON_SCHEMA if is_json_schema else AVRO


def are_alike(one: SchemaText, other: SchemaText) -> bool:
    """Say whether values of both are written alike, by whichever of Apicurio's APIs each was had."""
    if one == other or one.language != other.language:
        return one == other
    try:
        return one.language != AVRO or fingerprint_of(one.text) == fingerprint_of(other.text)
    except SchemaError:
        return False
