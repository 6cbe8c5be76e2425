"""Schemas by id: fetched once, kept for the life of the process."""

import asyncio
from collections.abc import Callable

from processor.engine.retry import Backoff, Chance
from processor.events.avro import Reader, SchemaId, reader_of
from processor.model.errors import RegistryUnavailableError
from processor.model.reasons import HaltReason
from processor.runtime.gate import Gate
from processor.runtime.notices import Observer, RegistryAsked
from processor.runtime.ports import Clock, Schemas

_ASK_AGAIN_AFTER_S = 60.0
"""How long an id without a schema is believed to have none: a producer may register late."""


class SchemaCache:
    """Readers by schema id. An id that has no schema is absent from `readers` and known as `is_known`."""

    def __init__(self, schemas: Schemas, gate: Gate, clock: Clock, chance: Chance, observe: Observer) -> None:
        self.readers: dict[SchemaId, Reader] = {}
        self._absent: dict[SchemaId, float] = {}
        self._fetching: dict[SchemaId, asyncio.Task[None]] = {}
        self._schemas = schemas
        self._gate = gate
        self._clock = clock
        self._chance = chance
        self._observe = observe
        self._backoff = Backoff()

    def has_all(self, ids: set[SchemaId], then: Callable[[], None]) -> bool:
        """Say whether every id's schema, or its absence, is known; otherwise fetch, and call `then` when it is."""
        unknown = [each for each in ids if each not in self.readers and not self._is_absent(each)]
        for each in unknown:
            if each not in self._fetching:
                self._fetching[each] = asyncio.get_running_loop().create_task(self._fetch(each, then))
        return not unknown

    @property
    def is_fetching(self) -> bool:
        """Whether a schema is on its way."""
        return bool(self._fetching)

    async def close(self) -> None:
        """Give up what is being fetched."""
        for task in self._fetching.values():
            task.cancel()
        await asyncio.gather(*self._fetching.values(), return_exceptions=True)

    def _is_absent(self, schema_id: SchemaId) -> bool:
        return self._absent.get(schema_id, float("-inf")) > self._clock.monotonic()

    async def _fetch(self, schema_id: SchemaId, then: Callable[[], None]) -> None:
        try:
            text = await self._ask(schema_id)
            if text is None:
                self._absent[schema_id] = self._clock.monotonic() + _ASK_AGAIN_AFTER_S
            else:
                self.readers[schema_id] = reader_of(text)
        finally:
            del self._fetching[schema_id]
        then()

    async def _ask(self, schema_id: SchemaId) -> str | None:
        """Ask until there is an answer: an outage of the registry says nothing about a record."""
        failures = 0
        while True:
            try:
                text = await self._schemas.fetch(schema_id)
            except RegistryUnavailableError as error:
                failures += 1
                self._observe(RegistryAsked("unavailable"))
                self._gate.halt(HaltReason.SCHEMA_REGISTRY, str(error))
                await asyncio.sleep(self._backoff.delay_s(failures, self._chance))
            else:
                self._observe(RegistryAsked("absent" if text is None else "found"))
                self._gate.resume(HaltReason.SCHEMA_REGISTRY)
                return text
