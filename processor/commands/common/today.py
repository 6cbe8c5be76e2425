"""What today's settings and schemas make of a record."""

from collections.abc import Iterable
from typing import final

from processor.commands.common.learned_readers import LearnedReaders
from processor.events.avro import decode
from processor.events.mapping import Mapping
from processor.events.rules import MappingRules
from processor.model.outcomes import Outcome, unnoted
from processor.model.records import Record
from processor.runtime.ports import Schemas


@final
class Today:
    """Maps records as a worker would that has these settings."""

    def __init__(self, rules: MappingRules, schemas: Schemas) -> None:
        self._mapping = Mapping(rules)
        self._learned = LearnedReaders(schemas)

    async def learn(self, records: Iterable[Record]) -> None:
        """Fetch the schemas that records name; raise `RegistryUnavailableError` where they cannot be had."""
        await self._learned.demand(records)

    def outcome_of(self, record: Record) -> Outcome:
        """Return what becomes of a record whose schema was learned."""
        decoded = decode(record, self._learned.readers)
        if not isinstance(decoded, dict):
            return decoded
        return self._mapping.map(decoded, record.timestamp_ms, unnoted)
