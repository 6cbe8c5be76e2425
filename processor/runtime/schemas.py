"""Schemas by what records name them by: fetched once, kept for the life of the process.

A registry that cannot be asked, and one that does not have the schema (yet), say nothing against a record: its
partition waits, and a halt says why. Only a schema that stays absent for `unknown_after_s` is the record's own fault.
"""

import asyncio
from contextlib import ExitStack

from processor.engine.absent_schemas import AbsentSchemas
from processor.engine.notices import Observer, RegistryAsked
from processor.engine.retry import Backoff, Chance
from processor.events.avro import Reader, reader_of
from processor.events.framing import SchemaId, kind_of
from processor.model.errors import RegistryUnavailableError
from processor.model.reasons import HaltReason
from processor.model.records import TopicPartition
from processor.runtime.gate import Gate
from processor.runtime.ports import Clock, Schemas


class SchemaCache:
    """Readers by schema id. One that is known to have no schema is absent from `readers`.

    `unknown_after_s` is 0 where an absent schema can never appear.
    """

    def __init__(
        self,
        schemas: Schemas,
        gate: Gate,
        clock: Clock,
        chance: Chance,
        observe: Observer,
        unknown_after_s: float = 0.0,
    ) -> None:
        self.readers: dict[SchemaId, Reader] = {}
        self._absent = AbsentSchemas()
        self._fetching: dict[SchemaId, asyncio.Task[None]] = {}
        self._schemas = schemas
        self._gate = gate
        self._clock = clock
        self._chance = chance
        self._observe = observe
        self._unknown_after_s = unknown_after_s
        self._backoff = Backoff()

    def has_all(self, ids: set[SchemaId], partition: TopicPartition) -> bool:
        """Say whether every schema, or its absence, is known; otherwise fetch, and wake the gate when it is.

        `partition` is whose records are waiting.
        """
        unknown = [each for each in ids if each not in self.readers and not self._is_absent(each)]
        for each in unknown:
            if each not in self._fetching:
                self._fetching[each] = asyncio.get_running_loop().create_task(self._fetch(each, partition))
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
        return self._absent.is_believed(schema_id, self._clock.monotonic())

    async def _fetch(self, schema_id: SchemaId, partition: TopicPartition) -> None:
        try:
            text = await self._wait_for(schema_id, partition)
            if text is None:
                self._absent.add(schema_id, self._clock.monotonic())
            else:
                self._absent.discard(schema_id)
                self.readers[schema_id] = reader_of(text)
        finally:
            del self._fetching[schema_id]
        self._gate.wake()

    async def _wait_for(self, schema_id: SchemaId, partition: TopicPartition) -> str | None:
        """Ask until there is a schema, or it has been absent for too long; meanwhile a halt says what is waited for."""
        tries = 0
        give_up_at = self._clock.monotonic() if schema_id in self._absent else None
        with ExitStack() as waiting:
            while True:
                tries += 1
                delay_s = self._backoff.delay_s(tries, self._chance)
                try:
                    text = await self._schemas.fetch(schema_id)
                except RegistryUnavailableError as error:
                    self._observe(RegistryAsked("unavailable", str(error)))
                    reason, where, detail = HaltReason.SCHEMA_REGISTRY, "", str(error)
                else:
                    self._observe(RegistryAsked("absent" if text is None else "found"))
                    now = self._clock.monotonic()
                    give_up_at = now + self._unknown_after_s if give_up_at is None else give_up_at
                    if text is not None or now >= give_up_at:
                        return text
                    delay_s = min(delay_s, give_up_at - now)
                    reason, where = HaltReason.UNKNOWN_SCHEMA, str(schema_id)
                    detail = self._absence(schema_id, partition)
                with ExitStack() as next_wait:  # begins before the last one ends: a halt that lasts is told once
                    next_wait.enter_context(self._gate.held(reason, where, detail))
                    waiting.close()
                    waiting.push(next_wait.pop_all())
                await asyncio.sleep(delay_s)

    def _absence(self, schema_id: SchemaId, partition: TopicPartition) -> str:
        return (
            f"{partition} holds records whose schema has the {kind_of(schema_id)} {schema_id}, which the registry does "
            f"not have; they are dead-lettered {self._unknown_after_s:g} s after the first look"
        )
