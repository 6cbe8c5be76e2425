"""The schemas of records that are read from a topic, fetched as they come."""

from collections.abc import Collection, Iterable, Mapping
from typing import final

from processor.events.avro import MAPPED_FIELDS, Reader, reader_of
from processor.events.framing import SchemaId, schema_ids
from processor.model.errors import RegistryUnavailableError
from processor.model.records import Record
from processor.runtime.ports import SchemaIncompleteError, Schemas


@final
class LearnedReaders:
    """Asks for each schema once; a registry that does not answer is not asked again."""

    def __init__(self, schemas: Schemas, wanted: Collection[str] = MAPPED_FIELDS) -> None:
        self._schemas = schemas
        self._wanted = wanted
        self._asked: set[SchemaId] = set()
        self._readers: dict[SchemaId, Reader] = {}
        self.fault: RegistryUnavailableError | None = None
        """Why some schemas are not known."""

    @property
    def readers(self) -> Mapping[SchemaId, Reader]:
        """Those of the schemas that are known by now; the mapping grows."""
        return self._readers

    async def demand(self, records: Iterable[Record]) -> None:
        """Fetch them, or raise `RegistryUnavailableError`: without them, records would seem to fail that do not."""
        await self.learn(records)
        if self.fault is not None:
            raise self.fault

    async def learn(self, records: Iterable[Record]) -> None:
        """Fetch the schemas that the records name."""
        for named in schema_ids(records) - self._asked:
            self._asked.add(named)
            if self.fault is not None:
                continue
            try:
                found = await self._schemas.fetch(named)
            except RegistryUnavailableError as error:
                self.fault = error
            except SchemaIncompleteError:
                pass
            else:
                if found is not None:
                    self._readers[named] = reader_of(found.text, self._wanted, found.language_for(named))
