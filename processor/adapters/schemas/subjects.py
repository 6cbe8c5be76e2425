"""Subjects of a registry: where a schema stands in one, and how it gets there."""

from typing import Any, Literal, NamedTuple, final
from urllib.parse import quote

from confluent_kafka.schema_registry import Schema, SchemaRegistryError

from processor.adapters.schemas.registry import RegistrySchemas

Standing = Literal["registered", "new", "compatible", "incompatible"]

_ABSENT = frozenset({40401, 40402, 40403})
"""The registry's codes for a subject, a version and a schema that it does not have."""


class State(NamedTuple):
    """Where a schema stands in a subject; id and version are its own when it is registered, else the latest ones."""

    standing: Standing
    schema_id: int | None = None
    version: int | None = None
    objections: tuple[str, ...] = ()
    """Why it is incompatible, in the registry's words, where it has some."""


@final
class RegistrySubjects:
    """The subjects of a registry. Every method raises `RegistryUnavailableError` where it gives no answer."""

    def __init__(self, registry: RegistrySchemas) -> None:
        self._registry = registry

    async def state(self, subject: str, text: str) -> State:
        """Return whether the subject has the schema, or would take it by its rule of compatibility."""
        return await self._registry.ask(lambda client: _state(client, subject, Schema(text, "AVRO")))

    async def register(self, subject: str, text: str) -> int | None:
        """Register the schema and return its id, or None when the registry refuses it as incompatible.

        One that is there already keeps its id. A rule that is transitive compares with versions before the latest.
        """
        return await self._registry.ask(lambda client: _register(client, subject, Schema(text, "AVRO")))


async def _state(client: Any, subject: str, schema: Schema) -> State:
    try:
        found = await client.lookup_schema(subject, schema)
    except SchemaRegistryError as error:
        _raise_unless_absent(error)
    else:
        return State("registered", found.schema_id, found.version)
    try:
        latest = await client.get_latest_version(subject)
    except SchemaRegistryError as error:
        _raise_unless_absent(error)
        return State("new")
    # The client's own method throws the reasons away; its connection has the addresses and credentials.
    path = f"compatibility/subjects/{quote(subject, safe='')}/versions/latest?verbose=true"
    body = {"schema": schema.schema_str, "schemaType": schema.schema_type}
    answer = await client._rest_client.post(path, body=body)  # noqa: SLF001
    if answer["is_compatible"]:
        return State("compatible", latest.schema_id, latest.version)
    objections = answer.get("messages") or [answer.get("reason")]  # Confluent's, Apicurio's
    return State("incompatible", latest.schema_id, latest.version, tuple(str(each) for each in objections if each))


async def _register(client: Any, subject: str, schema: Schema) -> int | None:
    try:
        schema_id: int = await client.register_schema(subject, schema)
    except SchemaRegistryError as error:
        if error.http_status_code != 409:
            raise
        return None
    return schema_id


def _raise_unless_absent(error: SchemaRegistryError) -> None:
    if error.http_status_code != 404 or error.error_code not in _ABSENT:
        raise error
