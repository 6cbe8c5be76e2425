"""What batches are formed with: the mapping, the schemas that are known by now, and chance."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from processor.events.avro import Reader
from processor.events.framing import SchemaId
from processor.events.mapping import Mapping as EventMapping
from processor.events.payload import PayloadBuilder, PayloadLimits
from processor.model.records import TopicPartition


@dataclass(frozen=True, slots=True)
class Forming:
    """How records become payloads, and payloads plans."""

    mapping: EventMapping
    readers: Mapping[SchemaId, Reader]
    has_schemas: Callable[[set[SchemaId], TopicPartition], bool]
    """Says whether each of these schemas, or its absence, is known; otherwise it is fetched, and comes later."""
    ask_ahead: Callable[[set[SchemaId], TopicPartition], None]
    """Has these schemas fetched for later, while the partition waits for others."""
    nonce: Callable[[], bytes]
    """Draws 16 bytes that nobody has drawn before."""

    def builder(self, start: int, limits: PayloadLimits) -> PayloadBuilder:
        """Return the builder of a batch that begins at this offset."""
        return PayloadBuilder(start, self.mapping, self.readers, limits)
