"""What other processes of a group do, by what they tell with their commits: for who delivers beside them."""

from collections.abc import Iterable
from typing import final

from processor.engine.leftover import Others
from processor.engine.partition.journal_format import RequestTally, tally_of


@final
class Neighbours:
    """Adds up what is told, look by look; what a process did before it was first seen does not count."""

    def __init__(self) -> None:
        self._latest: dict[str, RequestTally] = {}
        self._taken = 0
        self._refused = 0

    def seen(self, texts: Iterable[str]) -> Others | None:
        """Return what they have done since the first look; None where nobody tells anything.

        `texts` are what is committed now with each offset.

        A process tells with the commit of each of its partitions what it has done by then: the latest one counts.
        """
        latest: dict[str, RequestTally] = {}
        for tally in filter(None, map(tally_of, texts)):
            latest[tally.process] = max(tally, latest.get(tally.process, tally))
        for process, tally in latest.items():
            before = self._latest.get(process, tally)
            self._taken += max(tally.taken - before.taken, 0)
            self._refused += max(tally.refused - before.refused, 0)
        self._latest = latest
        return Others(self._taken, self._refused) if latest else None
