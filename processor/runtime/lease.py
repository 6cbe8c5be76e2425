"""The right to POST for one partition: its plan stands in Kafka, and Kafka has lately called the partition ours.

A process that was suspended wakes up and would POST before it learns that others took over; a commit that the broker
acknowledges shows that nobody has. So a POST is made only within the lease of such a commit, and only of what the
journal committed with it tells.
"""

from collections.abc import Callable, Iterable

from processor.engine.journal import Plan
from processor.runtime.ports import Clock
from processor.runtime.signal import Signal


class Lease:
    """The lease of one partition in one epoch; owned by the event loop's thread.

    `lasts_s` counts from the moment at which a commit was asked for. `wake` is called when a commit is wanted soon.
    """

    def __init__(self, clock: Clock, lasts_s: float, wake: Callable[[], None]) -> None:
        self._clock = clock
        self._lasts_s = lasts_s
        self._wake = wake
        self._ends_at = float("-inf")
        self.waiting: list[Plan] = []
        """Plans of which a POST waits for a commit; one stands here as often as it has such POSTs."""
        self._acknowledged = Signal()
        self.is_behind = False
        """Whether Kafka does not know yet all that the journal has to tell."""

    def note(self) -> None:
        """The journal has something new to tell, with the next commit."""
        self.is_behind = True
        self._wake()

    def covers(self, plan: Plan) -> bool:
        """Say whether the requests of a plan may be POSTed at this moment."""
        return plan.acknowledged == plan.revision and self._clock.monotonic() < self._ends_at

    async def until_covered(self, plan: Plan) -> None:
        """Return when the requests of a plan may be POSTed."""
        if self.covers(plan):
            return
        self.waiting.append(plan)
        self._wake()
        try:
            await self._acknowledged.until(lambda: self.covers(plan))
        finally:
            self.waiting.remove(plan)

    def acknowledge(self, plans: Iterable[tuple[Plan, int]], asked_at: float) -> None:
        """A commit is acknowledged that held these revisions of these plans."""
        for plan, revision in plans:
            plan.acknowledged = revision
        self._ends_at = asked_at + self._lasts_s
        self._acknowledged.notify()
