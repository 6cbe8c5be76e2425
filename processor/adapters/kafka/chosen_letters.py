"""The letters of a dead-letter topic that were chosen to be brought back: of each, the record that it is of."""

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

from processor.events.letters import letter_of
from processor.model.records import OffsetRange, Record


@final
@dataclass(frozen=True, slots=True)
class ChosenLetters:
    """Those of one partition: a `Selection`."""

    end: int
    """All of them lie before it."""
    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    """Ascending."""

    def __contains__(self, offset: int) -> bool:
        at = bisect_left(self.offsets, offset)
        return at < len(self.offsets) and self.offsets[at] == offset

    def count(self, within: OffsetRange) -> int:
        """Count those of these offsets."""
        return bisect_left(self.offsets, within.end) - bisect_left(self.offsets, within.start)

    def behind(self, offset: int) -> "ChosenLetters":
        """Return those from this offset on."""
        return ChosenLetters(self.end, self.offsets[bisect_left(self.offsets, offset) :])

    def records_of(self, records: Sequence[Record]) -> list[Record]:
        """Return the records that the chosen ones among these letters are of, with the letters' offsets."""
        meant = [record for record in records if record.offset in self]
        return [letter.returned for record in meant if (letter := letter_of(record)) is not None]
