"""One owned partition with everything that belongs to its epoch, and what it is doing."""

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from processor.engine.journal import Entry
from processor.engine.order import UserOrder
from processor.engine.partition import BatchLimits, Partition
from processor.events.payload import PayloadBuilder
from processor.runtime.delivery import Batch
from processor.runtime.lease import Lease
from processor.runtime.signal import Signal
from processor.runtime.state import Blocked, PartitionState

HELD_UP_S = 30.0
"""A batch that has been on its way for longer, while later ones settled, holds its partition up."""


@dataclass(slots=True, eq=False)
class Owned:
    """From assignment to revoke; owned by the event loop's thread."""

    partition: Partition
    lease: Lease
    place: str
    metadata: str
    """What was committed with the start of the partition."""
    acknowledged: tuple[int, str] | None
    """The offset and the metadata of the last commit that the broker acknowledged; None while there is none."""
    order: UserOrder = field(default_factory=UserOrder)
    changed: Signal = field(default_factory=Signal)
    """Notified when `order` changed."""
    batches: dict[asyncio.Task[None], Batch] = field(default_factory=dict)
    """The batches in flight, by the tasks that carry them."""
    growing: PayloadBuilder | None = None
    """The next batch, when its turn has not come; until then it takes what arrives."""
    is_recovered: bool = False
    """Whether the journal was read; nothing is consumed before."""
    adopted: set[Entry] = field(default_factory=set)
    """Entries of the journal whose jobs go on and no batch follows yet: they hold their part of the limits."""
    is_going: bool = False
    """Whether the partition is being revoked: no more batches are formed."""
    end: int | None = None
    """The log end offset as Kafka last told it."""
    has_gap: bool = False
    """Whether it stands still because the next records are gone."""
    halts: ExitStack = field(default_factory=ExitStack)
    """Halts that end with the epoch."""

    @property
    def has_moved(self) -> bool:
        """Whether there is something to commit."""
        return (
            self.lease.is_behind or self.acknowledged is None or self.acknowledged[0] != self.partition.first_unsettled
        )

    @property
    def unconsumed(self) -> int:
        """How many records Kafka still holds for it, as far as that is known."""
        return 0 if self.end is None or self.partition.paused else max(self.end - self.partition.arrived, 0)

    def had_better_grow(self, limits: BatchLimits) -> bool:
        """Say whether the next batch could not be sent now but for waiting, and has room for more."""
        if self.growing is None or self.growing.is_full or self.partition.is_full(limits):
            return False
        return self.order.holds(self.growing.uids)

    def stop(self) -> set[asyncio.Task[Any]]:
        """Send nothing more; return what is worth its end: POSTs that await their answers, and last dead letters."""
        worth: set[asyncio.Task[Any]] = set()
        for task, batch in self.batches.items():
            batch.sending.is_given_up = True
            worth |= batch.sending.exchanges
            if batch.is_closing:
                worth.add(task)
            else:
                task.cancel()
        return worth

    def drop_all(self) -> None:
        """Give up whatever is in flight."""
        for task, batch in self.batches.items():
            batch.sending.is_given_up = True
            task.cancel()
            for exchange in batch.sending.exchanges:
                exchange.cancel()

    def blocked(self, now: float) -> Blocked | None:
        """Return the batch that holds the partition up, if one does."""
        first = self.partition.overtaken
        batch = next((each for each in self.batches.values() if each.opened is first), None)
        if first is None or batch is None or now - batch.since < HELD_UP_S:
            return None
        return Blocked(first.range.start, now - batch.since, batch.waits_for)

    def state(self, now: float) -> PartitionState:
        """Return what the partition is doing at this moment."""
        partition = self.partition
        oldest = partition.oldest_unsettled
        rests = partition.first_unsettled == partition.position and not (
            partition.buffered_records or partition.is_recovering
        )
        return PartitionState(
            id=partition.id,
            buffered_records=partition.buffered_records,
            in_flight_records=partition.open_records,
            is_paused=partition.paused,
            position=partition.arrived if rests else partition.first_unsettled,  # behind the mark of a transaction
            end=self.end,
            oldest_unsettled_ms=oldest.timestamp_ms if oldest else None,
            blocked=self.blocked(now),
        )
