"""Ranges of a topic's records that are to be delivered as they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from processor.model.records import OffsetRange, Record


@final
@dataclass(frozen=True, slots=True)
class RecordRange:
    """Everything of one partition before an offset, but for what is settled: a `Selection`.

    What is settled is given all the same, for the journal tells of it.
    """

    end: int
    settled: Sequence[OffsetRange] = ()
    """Ranges that need nothing more; they do not overlap."""

    def count(self, within: OffsetRange) -> int:
        """Count what is to be delivered of these offsets."""
        start, end = within.start, min(within.end, self.end)
        overlaps = (min(each.end, end) - max(each.start, start) for each in self.settled)
        return max(end - start, 0) - sum(each for each in overlaps if each > 0)

    def records_of(self, records: Sequence[Record]) -> list[Record]:
        """Return those before the end."""
        if records[-1].offset < self.end:
            return [*records]
        return [record for record in records if record.offset < self.end]
