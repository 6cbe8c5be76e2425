"""What sets a process apart from the workers of its group, beside which it delivers."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import final

from structlog.typing import FilteringBoundLogger

from processor.engine.neighbours import Neighbours
from processor.model.errors import SourceError
from processor.runtime.gate import Gate
from processor.runtime.ports import Clock, Source

LOOK_EVERY_S = 1.0

UNTOLD = "no commit of the group tells how many requests its workers make"


def directly(source: Source) -> Source:
    """Put nothing in between."""
    return source


LaneTexts = tuple[Collection[str], Collection[str]]
"""What workers have committed with their offsets, and what other lanes have with theirs."""


def nothing() -> LaneTexts:
    """Tell of nobody."""
    return (), ()


@final
@dataclass(frozen=True, slots=True)
class Lane:
    """A way to FullStory beside others; without anything said, that of a worker among its equals."""

    through: Callable[[Source], Source] = directly
    """Puts something between Kafka and the worker: it returns the source that the worker sees."""
    share: float = 1.0
    """Below 1 it gives way to the others: of what the workers may have in progress it takes this part at most, and of
    the rate of requests what they leave."""
    max_rate: float | None = None
    """How many items it sends in a second, at most."""
    stale_before_ms: int | None = None
    """It passes over records with an earlier timestamp that change a user, as identifies do."""
    others: Callable[[], LaneTexts] = nothing
    """Returns what is committed, which tells what the others leave. It blocks, and raises `SourceError`."""

    async def watch_others(self, gate: Gate, clock: Clock, log: FilteringBoundLogger) -> None:
        """Look again and again what the others do, to give way to them; say when that cannot be seen."""
        neighbours, is_seen = Neighbours(), True
        while self.share < 1:
            found, detail = None, UNTOLD
            try:
                found = neighbours.seen(*await asyncio.to_thread(self.others))
            except SourceError as error:
                detail = str(error)
            if found is not None:
                gate.limits.beside(clock.monotonic(), found)
                gate.wake()  # there may be more room than before
            if is_seen != (found is not None):
                is_seen = not is_seen
                if is_seen:
                    log.info("workers are seen")
                else:
                    log.warning("workers are not seen", detail=detail)
            await asyncio.sleep(LOOK_EVERY_S)


MAIN = Lane()
