"""Two places in one: no registry of Confluent's protocol can be asked for a fingerprint, but a folder can."""

from typing import final

from processor.events.framing import Fingerprint, SchemaId
from processor.runtime.ports import Schemas


@final
class RegistryAndFolder:
    """The `Schemas` port: fingerprints are looked up in the folder, ids and guids in the registry."""

    def __init__(self, registry: Schemas, folder: Schemas) -> None:
        self._registry = registry
        self._folder = folder

    async def fetch(self, schema_id: SchemaId) -> str | None:
        """Return the schema's text, None when there is none; raises what the registry raises."""
        place = self._folder if isinstance(schema_id, Fingerprint) else self._registry
        return await place.fetch(schema_id)
