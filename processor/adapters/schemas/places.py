"""Several places in one, each for what it knows: no registry can be asked for a fingerprint, but a folder can."""

from typing import final

from processor.events.framing import Fingerprint, GlueId, SchemaId
from processor.runtime.ports import SchemaIncompleteError, Schemas, SchemaText


@final
class SchemaPlaces:
    """The `Schemas` port: fingerprints are looked up in the folder, Glue's ids in Glue, the others in the registry.

    Without a registry they are the folder's, too.
    """

    def __init__(self, folder: Schemas, registry: Schemas | None, glue: Schemas | None = None) -> None:
        self._folder = folder
        self._registry = registry or folder
        self._glue = glue

    async def fetch(self, schema_id: SchemaId) -> SchemaText | None:
        """Return the schema, None when there is none; raises what the place raises.

        `SchemaIncompleteError` where the settings name no Glue to ask.
        """
        if isinstance(schema_id, Fingerprint):
            return await self._folder.fetch(schema_id)
        if not isinstance(schema_id, GlueId):
            return await self._registry.fetch(schema_id)
        if self._glue is None:
            raise SchemaIncompleteError("it is in AWS Glue, and PROCESSOR_SCHEMA_REGISTRY__GLUE_REGION names no region")
        return await self._glue.fetch(schema_id)
