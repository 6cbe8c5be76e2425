"""The places of millions of letters, in 8 bytes each: of which record each is, and what that record held."""

from array import array
from bisect import bisect_left
from typing import Literal, final

from processor.model.records import OffsetRange, Record

MAX_OFFSET = 1 << 44
"""A partition has as many at a million records a second in half a year."""

_HELD_BITS = 20
_HELD_MASK = (1 << _HELD_BITS) - 1

LetterMatch = Literal["none", "same", "other"]
"""Whether a record has a letter; other: the letter in its place holds something else."""


@final
class LetterPlaces:
    """The letters of one partition's records: added in any order, then asked for in the order of the records.

    Two records are the same if 20 bits of a digest agree.
    """

    def __init__(self) -> None:
        self._places = array("Q")
        self._next = 0
        self.repeated = 0
        """Letters of records that had one already."""
        self.of_others = 0
        """Letters that hold something else than the record in their place."""
        self.without_record = 0
        """Letters in whose place there is no record."""

    def add(self, offset: int, letter: Record) -> bool:
        """Add a letter of the record at the offset; False if no record can be there."""
        if not 0 <= offset < MAX_OFFSET:
            return False
        self._places.append(offset << _HELD_BITS | _held(letter))
        return True

    def begin(self, offset: int) -> None:
        """All are added, and the first record that is asked for will not be before this offset."""
        self._places = array("Q", sorted(self._places))
        self._next = self._index(offset)

    def match(self, record: Record) -> LetterMatch:
        """Say whether a record has a letter; it comes behind those that were asked for before."""
        self.pass_to(record.offset)
        found: LetterMatch = "none"
        while (place := self._place()) is not None and place >> _HELD_BITS == record.offset:
            if place & _HELD_MASK != _held(record):
                self.of_others += 1
                found = "other" if found == "none" else found
            else:
                self.repeated += found == "same"
                found = "same"
            self._next += 1
        return found

    def pass_to(self, offset: int) -> None:
        """There is no record before this offset but those that were asked for."""
        while (place := self._place()) is not None and place >> _HELD_BITS < offset:
            self.without_record += 1
            self._next += 1

    def within(self, offsets: OffsetRange) -> int:
        """Return how many letters are of these offsets, whether or not there are records."""
        return self._index(offsets.end) - self._index(offsets.start)

    def _place(self) -> int | None:
        return self._places[self._next] if self._next < len(self._places) else None

    def _index(self, offset: int) -> int:
        return bisect_left(self._places, offset << _HELD_BITS)


def _held(record: Record) -> int:
    return hash((record.key, record.value)) & _HELD_MASK
