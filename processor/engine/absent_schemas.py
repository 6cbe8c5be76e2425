"""Schemas that a registry was asked for in vain, and for how long that is believed."""

from processor.events.framing import SchemaId

BELIEVED_FOR_S = 60.0
"""A producer may register the schema later still: it is asked for again after this."""

MAX_ABSENT = 10_000
"""How many are remembered. In a topic of something else every record may name another."""


class AbsentSchemas:
    """For one process; `now` is monotonic."""

    def __init__(self) -> None:
        self._believed_until: dict[SchemaId, float] = {}

    def __contains__(self, schema_id: SchemaId) -> bool:
        """Whether it was found absent before, however long ago."""
        return schema_id in self._believed_until

    def __len__(self) -> int:
        return len(self._believed_until)

    def is_believed(self, schema_id: SchemaId, now: float) -> bool:
        """Say whether it is still taken to be absent."""
        return self._believed_until.get(schema_id, now) > now

    def add(self, schema_id: SchemaId, now: float) -> None:
        """It was waited for in vain."""
        if len(self._believed_until) >= MAX_ABSENT:
            self._believed_until.clear()
        self._believed_until[schema_id] = now + BELIEVED_FOR_S

    def discard(self, schema_id: SchemaId) -> None:
        """It was found after all."""
        self._believed_until.pop(schema_id, None)
