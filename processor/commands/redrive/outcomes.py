"""What would become of dead letters if they were brought back now: counted by what they were and what they would be."""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple, final

from processor.commands.common.next_steps import BY_FULLSTORY, NEXT_STEPS, NOT_COPIED, REDRIVE
from processor.events.avro import Reader
from processor.events.framing import SchemaId
from processor.events.letters import Letter
from processor.events.mapping import Mapping as EventMapping
from processor.events.payload import PayloadBuilder, PayloadLimits
from processor.model.reasons import DeadLetterReason
from processor.model.records import Record

_ALONE = PayloadLimits(max_records=1, max_bytes=sys.maxsize)


class Fate(StrEnum):
    """What would become of a letter."""

    DELIVERED = "delivered"
    """Mapping takes the record, and FullStory has never refused it."""
    UNDECIDED = "undecided"
    """Mapping takes the record, as it did before FullStory or a gateway refused it: only trying shows."""
    REPEATED = "repeated"
    """Mapping takes the record, and FullStory has it already, most likely."""
    FILTERED = "filtered"
    """A rule filters the record."""
    DEAD_LETTERED = "dead-lettered"
    """The record would be dead-lettered again."""
    NOT_COPIED = "not copied"
    """A share group's letter without the record."""


class RedriveOutcome(NamedTuple):
    """Why a letter was written, and what would become of it now."""

    was: str
    fate: Fate
    reason: str | None
    """Of the filter, or of the next letter."""

    @property
    def next_step(self) -> str:
        """What to do about it."""
        if self.reason is not None:
            return NEXT_STEPS[self.reason]
        return NOT_COPIED if self.fate is Fate.NOT_COPIED else BY_FULLSTORY.get(self.was, REDRIVE)


@final
class Histogram:
    """Letters by outcome; there are only so many outcomes."""

    def __init__(self, mapping: EventMapping, readers: Mapping[SchemaId, Reader]) -> None:
        self._mapping = mapping
        self._readers = readers
        self._letters: Counter[RedriveOutcome] = Counter()
        self.others = 0
        """Records of the topic that are no dead letters."""

    @property
    def letters(self) -> int:
        """How many there are."""
        return self._letters.total()

    def add(self, letters: Iterable[tuple[Letter, Record]]) -> None:
        """Map each letter's own record with the schemas that there are, and count what becomes of it."""
        for letter, original in letters:
            self._letters[RedriveOutcome(letter.reason, *self._fate_of(letter, original))] += 1

    def _fate_of(self, letter: Letter, original: Record) -> tuple[Fate, str | None]:
        if letter.is_empty:
            return Fate.NOT_COPIED, None
        payload = PayloadBuilder(original.offset, self._mapping, self._readers, _ALONE).build([original])
        for _, rejected in payload.rejected:
            return Fate.DEAD_LETTERED, rejected.reason.value
        for reason in payload.filtered:
            return Fate.FILTERED, reason.value
        if letter.reason == DeadLetterReason.UNATTRIBUTED:
            return Fate.REPEATED, None
        return (Fate.UNDECIDED if letter.reason in BY_FULLSTORY else Fate.DELIVERED), None

    def by_frequency(self) -> list[tuple[RedriveOutcome, int]]:
        """Return the outcomes, the most frequent first."""
        return sorted(self._letters.items(), key=lambda item: (-item[1], str(item[0])))

    def as_json(self, topic: str) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "topic": topic,
            "dry_run": True,
            "letters": self.letters,
            "other_records": self.others,
            "outcomes": [
                {**outcome._asdict(), "letters": count, "next_step": outcome.next_step}
                for outcome, count in self.by_frequency()
            ],
        }
