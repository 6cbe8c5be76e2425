"""Subjects of a registry: where a schema stands in one, and how it gets there."""

from typing import Any, Literal, NamedTuple, final

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


@final
class RegistrySubjects:
    """The subjects of a registry. Every method raises `RegistryUnavailableError` where it gives no answer."""

    def __init__(self, registry: RegistrySchemas) -> None:
        self._registry = registry

    async def state(self, subject: str, text: str) -> State:
        """Return whether the subject has the schema, or would take it by its rule of compatibility."""
        return await self._registry.ask(lambda client: _state(client, subject, Schema(text, "AVRO")))

    async def register(self, subject: str, text: str) -> int:
        """Register the schema and return its id; one that is there already keeps its id."""
        return await self._registry.ask(lambda client: client.register_schema(subject, Schema(text, "AVRO")))


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
    is_compatible = await client.test_compatibility(subject, schema)
    return State("compatible" if is_compatible else "incompatible", latest.schema_id, latest.version)


def _raise_unless_absent(error: SchemaRegistryError) -> None:
    if error.http_status_code != 404 or error.error_code not in _ABSENT:
        raise error
