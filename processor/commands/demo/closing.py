"""The end of a demo: whether what the worker says, what Kafka holds and what FullStory has add up."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from processor.commands.demo.rows import in_words
from processor.commands.demo.tally import WorkerTally
from processor.sandbox import Condition
from processor.workload.account import Balance


@final
@dataclass(frozen=True, slots=True)
class Closing:
    """What was found when the worker had stopped."""

    balance: Balance
    tally: WorkerTally
    in_flight: int
    """Records that the worker holds after its end."""
    ends: Mapping[int, int]
    """The end offset of each partition."""
    committed: Mapping[int, int]
    failures: Sequence[str] = ()
    """What went wrong on the way, in words."""
    is_cut_short: bool = False
    """Whether the user did not wait for the rest to be delivered."""
    weather: Sequence[Condition] = ()
    """All that FullStory did on purpose."""
    elapsed_s: float = 0.0
    """From the first record until the last one had settled, or until it was cut short."""

    @property
    def is_balanced(self) -> bool:
        """Whether everything adds up."""
        return not any(self.faults())

    @property
    def equation(self) -> str:
        """The conservation equation with its numbers; `faults` tells whether it holds."""
        tally = self.tally
        return (
            f"consumed {tally.consumed:,} = delivered {tally.delivered.total():,} + filtered {tally.filtered.total():,}"
            f" + dead-lettered {tally.dead_lettered.total():,} + released {tally.released:,}"
            f" + in flight {self.in_flight:,}"
        )

    def faults(self) -> Iterator[str]:
        """Name everything that does not add up."""
        yield from self.failures
        yield from self.balance.faults
        yield from self._counts()
        yield from self._commits()

    def _counts(self) -> Iterator[str]:
        """Compare what the worker counted with itself, and with where the records were found."""
        tally, balance = self.tally, self.balance
        if tally.consumed != tally.settled + tally.released + self.in_flight:
            yield f"the worker's counters do not balance: {self.equation}"
        if balance.lost:
            yield f"{balance.lost:,} records are lost"
        if tally.has_lost_partitions or self.is_cut_short:  # records may settle, arrive and count once more
            return
        announced = tally.redelivered + tally.released
        if balance.repeated > announced:
            yield f"{balance.repeated:,} arrivals are repeated, of which the worker announced {announced:,}"
        yield from _differences("delivered", tally.delivered, balance.delivered)
        yield from _differences("filtered", tally.filtered, balance.filtered)
        yield from _differences("dead-lettered", tally.dead_lettered, balance.dead_lettered)

    def _commits(self) -> Iterator[str]:
        if self.is_cut_short:
            return
        for partition, end in self.ends.items():
            if self.committed[partition] != end:
                yield f"partition {partition} ends at {end:,} and is committed to {self.committed[partition]:,}"


def _differences(name: str, counted: Counter[Any], found: Counter[Any]) -> Iterator[str]:
    if counted != found:
        yield f"{name}: the worker counted {in_words(counted)}; found were {in_words(found)}"
