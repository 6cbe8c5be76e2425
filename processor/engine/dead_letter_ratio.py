"""Whether so many records would be dead-lettered that the fault is probably ours: a bad release, a wrong setting.

Records count, not time, so that it means the same on a busy and on a quiet topic.
"""

from collections import deque

WINDOW_RECORDS = 1_000
"""Over so many of the last records the ratio is taken; before there are as many, nothing is said."""


class DeadLetterRatio:
    """The ratio over the last records of one process."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._batches: deque[tuple[int, int]] = deque()
        self._records = self._letters = 0

    def settling(self, records: int, letters: int) -> float | None:
        """Count a batch whose letters are about to be written; return the ratio when it is above the limit."""
        self._batches.append((records, letters))
        self._records += records
        self._letters += letters
        while self._records - self._batches[0][0] >= WINDOW_RECORDS:
            oldest_records, oldest_letters = self._batches.popleft()
            self._records -= oldest_records
            self._letters -= oldest_letters
        if self._records < WINDOW_RECORDS or not are_too_many(self._letters, self._records, self._limit):
            return None
        return self._letters / self._records


def are_too_many(letters: int, records: int, limit: float) -> bool:
    """Say whether so many letters of so many records are above the limit."""
    return letters > limit * records
