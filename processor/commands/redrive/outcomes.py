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


class Fated(NamedTuple):
    """What would become of one letter."""

    fate: Fate
    reason: str | None
    """Of the filter, or of the next letter."""
    is_user: bool
    """Whether it would change a user's properties, as an identify does."""


@final
class Forecast:
    """Maps each letter's own record with the schemas that there are."""

    def __init__(self, mapping: EventMapping, readers: Mapping[SchemaId, Reader]) -> None:
        self._mapping = mapping
        self._readers = readers

    def of(self, letter: Letter, original: Record) -> Fated:
        """Return what would become of a letter, of which this is the record."""
        if letter.is_empty:
            return Fated(Fate.NOT_COPIED, None, is_user=False)
        payload = PayloadBuilder(original.offset, self._mapping, self._readers, _ALONE).build([original])
        for _, rejected in payload.rejected:
            return Fated(Fate.DEAD_LETTERED, rejected.reason.value, is_user=False)
        for reason in payload.filtered:
            return Fated(Fate.FILTERED, reason.value, is_user=False)
        is_user = bool(payload.users)
        if letter.reason == DeadLetterReason.UNATTRIBUTED:
            return Fated(Fate.REPEATED, None, is_user)
        return Fated(Fate.UNDECIDED if letter.reason in BY_FULLSTORY else Fate.DELIVERED, None, is_user)


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
        self._forecast = Forecast(mapping, readers)
        self._letters: Counter[RedriveOutcome] = Counter()
        self.others = 0
        """Records of the topic that are no dead letters."""

    @property
    def letters(self) -> int:
        """How many there are."""
        return self._letters.total()

    def add(self, letters: Iterable[tuple[Letter, Record]]) -> None:
        """Count what becomes of each letter, which comes with its own record."""
        for letter, original in letters:
            fate, reason, _ = self._forecast.of(letter, original)
            self._letters[RedriveOutcome(letter.reason, fate, reason)] += 1

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
