"""Schemas by what records name them by: fetched once, kept for the life of the process.

A registry that cannot be asked, and one that does not have the schema (yet), say nothing against a record: its
partition waits, and a halt says why. Only a schema that stays absent for `unknown_after_s` is the record's own fault.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress

from processor.engine.notices import Observer, RegistryAsked
from processor.engine.retry import Chance
from processor.engine.schema_search import SchemaSearch
from processor.events.avro import Reader, reader_of
from processor.events.framing import SchemaId, may_be_registered
from processor.model.errors import RegistryUnavailableError
from processor.model.reasons import HaltReason
from processor.model.records import TopicPartition
from processor.runtime.gate import Gate
from processor.runtime.ports import Clock, SchemaIncompleteError, Schemas


class SchemaCache:
    """Readers by schema id. One that is known to have no schema is absent from `readers`.

    `unknown_after_s` is 0 where an absent schema can never appear. `ended` is called with each task that has ended.
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
        self.ended: Callable[[asyncio.Task[None]], None]
        self.readers: dict[SchemaId, Reader] = {}
        self._search = SchemaSearch(chance, unknown_after_s)
        self._schemas = schemas
        self._gate = gate
        self._clock = clock
        self._observe = observe
        self._asking: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._faults: dict[SchemaId, str] = {}
        """Of schemas about which the registry gave no answer when it was asked last."""
        self._out = ExitStack()
        """The halt while there are any of these."""
        self._absences: dict[TopicPartition, ExitStack] = {}
        """The halt of each partition that waits for what the registry does not have."""

    def has_all(self, ids: set[SchemaId], partition: TopicPartition) -> bool:
        """Say whether every schema, or its absence, is known; otherwise fetch, and wake the gate when it is.

        `partition` is whose records are waiting.
        """
        now = self._clock.monotonic()
        unknown = [
            each for each in ids if each not in self.readers and not self._search.is_absent(each, partition, now)
        ]
        if unknown:
            self._search.need(unknown, partition, now)
            self._serve()
        else:
            self._search.begin(ids, partition)
        return not unknown

    def ask_ahead(self, ids: Iterable[SchemaId], partition: TopicPartition) -> None:
        """Fetch these, too: the partition waits, and they come later in it."""
        self._search.ask_ahead((each for each in ids if each not in self.readers), partition, self._clock.monotonic())
        self._serve()

    def forget(self, partition: TopicPartition) -> None:
        """The partition is another worker's now: nothing is fetched for it any more."""
        self._search.forget(partition)
        self._tell_absences([partition], is_cured=False)

    @property
    def is_fetching(self) -> bool:
        """Whether a schema is on its way."""
        return not self._search.is_over

    async def close(self) -> None:
        """Give up what is being fetched."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        for halt in (self._out, *self._absences.values()):
            _end(halt, is_cured=False)

    def _serve(self) -> None:
        """Ask what is to be asked by now, and come back when time alone gives more."""
        now, loop = self._clock.monotonic(), asyncio.get_running_loop()
        while (schema_id := self._search.next(now)) is not None:
            task = loop.create_task(self._ask(schema_id))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
            task.add_done_callback(self.ended)
        if self._timer is not None:
            self._timer.cancel()
        next_at = self._search.next_at(now)
        self._timer = None if next_at is None else loop.call_later(max(next_at - now, 0.0), self._serve)

    async def _ask(self, schema_id: SchemaId) -> None:
        found, why, fault = None, "", None
        try:
            found = await self._schemas.fetch(schema_id)
        except SchemaIncompleteError as error:
            why = str(error)
        except RegistryUnavailableError as error:
            fault = error
        search, now = self._search, self._clock.monotonic()
        partitions = search.partitions_of(schema_id)
        is_one_ready = False
        if fault is not None:
            self._observe(RegistryAsked("unavailable", str(fault)))
            self._faults[schema_id] = str(fault)
            if fault.is_of_one_schema:
                search.refused(schema_id, now)
            else:
                search.failed(schema_id, now, fault.retry_after_s)
        elif found is None:
            if may_be_registered(schema_id):
                self._observe(RegistryAsked("absent"))
            is_one_ready = search.absent(schema_id, now, why)
        else:
            self._observe(RegistryAsked("found"))
            self.readers[schema_id] = reader_of(found.text, language=found.language_for(schema_id))
            is_one_ready = search.found(schema_id, now)
        if fault is None:
            self._faults.pop(schema_id, None)
        self._tell_absences(partitions)  # a halt that turns into the other one is told before that ends
        self._tell_faults()
        self._serve()
        if is_one_ready:
            self._gate.wake()

    def _tell_faults(self) -> None:
        """Show one halt while any schema has no answer, with the last thing that was said instead."""
        self._faults = {each: fault for each, fault in self._faults.items() if self._search.is_wanted(each)}
        before, self._out = self._out, ExitStack()
        if self._faults:
            cause = next(reversed(self._faults.values()))
            self._out.enter_context(self._gate.held(HaltReason.SCHEMA_REGISTRY, "", cause))
        before.close()  # after the next one has begun: a halt that lasts is told once

    def _tell_absences(self, partitions: Iterable[TopicPartition], *, is_cured: bool = True) -> None:
        for partition in partitions:
            before = self._absences.pop(partition, ExitStack())
            if (cause := self._search.absence(partition)) is not None:
                held = self._gate.held(HaltReason.UNKNOWN_SCHEMA, str(partition), cause)
                self._absences[partition] = after = ExitStack()
                after.enter_context(held)
            _end(before, is_cured=is_cured)


def _end(halt: ExitStack, *, is_cured: bool) -> None:
    """End a halt; one that is not cured ends as a block that is cancelled."""
    if is_cured:
        halt.close()
        return
    with suppress(asyncio.CancelledError), halt:
        raise asyncio.CancelledError
