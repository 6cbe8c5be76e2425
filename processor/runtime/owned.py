"""One owned partition with everything that belongs to its epoch, and what it is doing."""

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass, field

from processor.engine.order import UserOrder
from processor.engine.partition import Partition
from processor.runtime.delivery import Batch
from processor.runtime.signal import Signal
from processor.runtime.state import PartitionState


@dataclass(slots=True, eq=False)
class Owned:
    """From assignment to revoke; owned by the event loop's thread."""

    partition: Partition
    order: UserOrder = field(default_factory=UserOrder)
    changed: Signal = field(default_factory=Signal)
    """Notified when `order` changed."""
    batches: dict[asyncio.Task[None], Batch] = field(default_factory=dict)
    """The batches in flight, by the tasks that carry them."""
    is_going: bool = False
    """Whether the partition is being revoked: no more batches are formed."""
    acknowledged: int | None = None
    """The offset of the last commit that the broker acknowledged."""
    end: int | None = None
    """The log end offset as Kafka last told it."""
    has_gap: bool = False
    """Whether it stands still because the next records are gone."""
    halts: ExitStack = field(default_factory=ExitStack)
    """Halts that end with the epoch."""

    @property
    def to_commit(self) -> int | None:
        """The offset that may be committed and is not yet; None without one."""
        offset = self.partition.committable
        return None if offset == self.acknowledged else offset

    def drop_unsent(self) -> None:
        """Give up the newest batches of which nothing was ever sent: their next owner sends them for the first time.

        One that stands before a batch that was sent is carried out, or what is behind it could not be committed.
        """
        for task, batch in reversed(self.batches.items()):
            if batch.sent.count:
                return
            _give_up(task, batch)

    def drop_all(self) -> None:
        """Give up whatever is in flight."""
        for task, batch in self.batches.items():
            _give_up(task, batch)

    def state(self) -> PartitionState:
        """Return what the partition is doing at this moment."""
        partition = self.partition
        oldest = partition.oldest_unsettled
        return PartitionState(
            id=partition.id,
            buffered_records=partition.buffered_records,
            in_flight_records=partition.open_records,
            is_paused=partition.paused,
            position=partition.first_unsettled,
            end=self.end,
            oldest_unsettled_ms=oldest.timestamp_ms if oldest else None,
        )


def _give_up(task: asyncio.Task[None], batch: Batch) -> None:
    batch.sent.is_given_up = True
    task.cancel()
