"""What sets a process apart from the workers of its group, beside which it delivers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from processor.runtime.ports import Source


def directly(source: Source) -> Source:
    """Put nothing in between."""
    return source


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


MAIN = Lane()
