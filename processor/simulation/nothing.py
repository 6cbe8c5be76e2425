"""Ports that nothing comes through: simulated records are JSON, and FullStory takes all of them."""

from typing import final

from processor.events.framing import SchemaId
from processor.model.records import LetterPlace
from processor.runtime.ports import DeadLetter, SchemaText


@final
class NoLetters:
    """A dead-letter topic to which nothing is written."""

    async def write(self, letter: DeadLetter) -> LetterPlace | None:
        """Never asked for."""
        raise AssertionError(letter)


@final
class NoSchemas:
    """A registry that nobody asks."""

    async def fetch(self, schema_id: SchemaId) -> SchemaText | None:
        """Never asked for."""
        raise AssertionError(schema_id)
