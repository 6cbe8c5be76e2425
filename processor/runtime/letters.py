"""Dead letters: each is written as often as it takes."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from processor.engine.halts import CLOSING
from processor.engine.notices import DeadLetterWrite, Observer, WrittenLetter
from processor.engine.retry import Backoff, Chance
from processor.events.dead_letters import Attempts, Stamp, dead_letter_headers, origin_of
from processor.model.errors import DeadLetterError, WriteFault
from processor.model.outcomes import Rejected
from processor.model.reasons import DeadLetterReason, HaltReason
from processor.model.records import Record, TopicPartition
from processor.runtime.gate import Gate
from processor.runtime.ports import Clock, DeadLetter, DeadLetters

_HALTS: Mapping[WriteFault, HaltReason] = {
    "refused": HaltReason.DEAD_LETTER_TOPIC,
    "too_large": HaltReason.DEAD_LETTER_TOO_LARGE,
}
"""Faults of the dead-letter topic that do not pass by themselves; the first halts everything."""


class _Writing(NamedTuple):
    """A letter to write, and of which record it is, which was read from `source`."""

    letter: DeadLetter
    source: TopicPartition
    record: Record
    reason: DeadLetterReason


class Letters:
    """Writes the dead letters of all batches of a process."""

    def __init__(
        self,
        dead_letters: DeadLetters,
        gate: Gate,
        clock: Clock,
        chance: Chance,
        observe: Observer,
        stamp: Stamp,
    ) -> None:
        self._dead_letters = dead_letters
        self._gate = gate
        self._clock = clock
        self._chance = chance
        self._observe = observe
        self._stamp = stamp
        self._backoff = Backoff()

    async def write(
        self, source: TopicPartition, letters: Sequence[tuple[Record, Rejected]], attempts: Attempts | None
    ) -> None:
        """Return when the broker has acknowledged all of them; `attempts` were those of their batch, if any."""
        now = self._clock.wall()
        untried = Attempts(0, now, now)
        async with asyncio.TaskGroup() as group:
            for record, rejected in letters:
                was_tried = rejected.http_status or rejected.job_id
                tried = attempts if attempts and was_tried else untried
                headers = dead_letter_headers(self._stamp, source, record, rejected, tried)
                letter = DeadLetter(record.key, record.value, headers)
                group.create_task(self._write(_Writing(letter, source, record, rejected.reason)))

    async def _write(self, writing: _Writing) -> None:
        """Write one dead letter, as often as it takes: nothing else may be done with its record."""
        tries = 0
        error = await self._try_write(writing)
        while error is not None:
            reason = _HALTS.get(error.fault)
            if reason is None:
                tries += 1
                await asyncio.sleep(self._backoff.delay_s(tries, self._chance))
                error = await self._try_write(writing)
            else:
                error = await self._insist(writing, reason, error)

    async def _insist(
        self, writing: _Writing, reason: HaltReason, error: DeadLetterError | None
    ) -> DeadLetterError | None:
        """Halt and try again from time to time, for somebody may mend the topic; return another fault, or None.

        The halt ends with this task, too: whoever reads the record again finds out for himself.
        """
        where = "" if reason in CLOSING else str(writing.source)
        detail = f"{error}; {writing.source} offset {writing.record.offset} belongs there"
        with self._gate.held(reason, where, detail):
            while error is not None and _HALTS.get(error.fault, reason) is reason:
                self._gate.halt(reason, detail, where=where)  # another letter may have been taken meanwhile
                await asyncio.sleep(self._gate.limits.probe_interval_s)
                error = await self._try_write(writing)
        return error

    async def _try_write(self, writing: _Writing) -> DeadLetterError | None:
        letter, source, record, reason = writing
        try:
            place = await self._dead_letters.write(letter)
        except DeadLetterError as error:
            self._observe(DeadLetterWrite(error.fault, str(error)))
            return error
        self._observe(DeadLetterWrite("ok", letter=WrittenLetter(*origin_of(source, record), reason, place)))
        self._gate.resume(HaltReason.DEAD_LETTER_TOPIC)
        return None
