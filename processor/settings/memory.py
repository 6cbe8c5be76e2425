"""How one memory budget becomes limits for librdkafka and for the worker."""

from dataclasses import dataclass

from processor.settings.container import memory_limit

MIB = 1024 * 1024

MAX_QUEUE_BYTES = 8 * MIB
"""A queue of 4 MiB already feeds more than one process can deliver; beyond this, memory is better held by batches."""

FETCH_BYTES = 256 * 1024
"""As compressed. librdkafka unpacks an answer as a whole, so topics of 48:1 take 12 MiB for it; `bench.memory` shows
what larger ones cost. An answer in 10 ms from each broker is still more than one process can deliver."""

PARTITION_FETCH_BYTES = FETCH_BYTES // 4
"""An answer serves several partitions. Brokers give one batch of a producer in any case, however large it is."""

DEFAULT_BUDGET = 256 * MIB
LEAST_BUDGET = 16 * MIB

PROCESS_BYTES = 96 * MIB
"""What the process needs beside its records: Python, its libraries, and connections."""

HELD_PER_BATCH_BYTE = 4
"""One batch is on its way while the next is collected, and each is held twice: as records and as request bodies."""


@dataclass(frozen=True, slots=True)
class MemorySplit:
    """The parts of a budget, in bytes; they bound the normal case, for a record larger than them passes alone."""

    queue_bytes: int
    """librdkafka's queue of records that nobody has consumed yet (`queued.max.messages.kbytes`)."""
    fetch_bytes: int
    """The answer to one fetch (`fetch.max.bytes`), as compressed: the same for every budget."""
    partition_fetch_bytes: int
    """A partition's part of such an answer (`max.partition.fetch.bytes`)."""
    held_bytes: int
    """Records that are buffered or on their way."""

    @property
    def pause_bytes(self) -> int:
        """When partitions pause: a fetch is on its way by then, and counts three times with its bodies."""
        return self.held_bytes // 2

    @classmethod
    def of(cls, budget_bytes: int) -> "MemorySplit":
        """Give a quarter to librdkafka's queue, as far as that helps, and the rest to records held."""
        queue = min(budget_bytes // 4, MAX_QUEUE_BYTES)
        return cls(queue, FETCH_BYTES, PARTITION_FETCH_BYTES, budget_bytes - queue)


def default_budget() -> int:
    """Return the budget where none is set: half of what the container's limit leaves, where that is less than usual.

    The other half is for what librdkafka unpacks, for bodies, and for what the allocator does not give back.
    """
    limit = memory_limit()
    if limit is None:
        return DEFAULT_BUDGET
    return min(max((limit - PROCESS_BYTES) // 2, LEAST_BUDGET), DEFAULT_BUDGET)


def budget_for(batch_bytes: int) -> int:
    """Return the smallest budget with which batches of so many bytes can be held."""
    held = batch_bytes * HELD_PER_BATCH_BYTE
    return min((held - 1) * 4 // 3 + 1, held + MAX_QUEUE_BYTES)


def largest_batch(budget_bytes: int) -> int:
    """Return the largest batch, in bytes, that the budget can hold."""
    return MemorySplit.of(budget_bytes).held_bytes // HELD_PER_BATCH_BYTE
