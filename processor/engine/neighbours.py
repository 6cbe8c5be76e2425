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
        self._by_lanes = 0

    def seen(self, texts: Iterable[str], of_lanes: Iterable[str] = ()) -> Others | None:
        """Return what they have done since the first look; None where no worker tells anything.

        `texts` are what workers have committed with each offset now, `of_lanes` what those have who give way to them.

        A process tells with the commit of each of its partitions what it has done by then: the latest one counts.
        """
        workers, lanes = _latest(texts), _latest(of_lanes)
        latest = {**workers, **lanes}
        for process, tally in latest.items():
            before = self._latest.get(process, tally)
            taken = max(tally.taken - before.taken, 0)
            self._taken += taken
            self._refused += max(tally.refused - before.refused, 0)
            self._by_lanes += taken if process in lanes else 0
        self._latest = latest
        return Others(self._taken, self._refused, self._by_lanes, len(lanes)) if workers else None


def _latest(texts: Iterable[str]) -> dict[str, RequestTally]:
    latest: dict[str, RequestTally] = {}
    for tally in filter(None, map(tally_of, texts)):
        latest[tally.process] = max(tally, latest.get(tally.process, tally))
    return latest
