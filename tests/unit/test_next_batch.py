"""When the next batch of a partition goes, and when it grows instead."""

from processor.engine.partition.common import PartitionSettings
from processor.engine.partition.owner import Partition
from processor.engine.partition.range_queue import BatchLimits
from processor.model.records import Record, held_bytes
from tests.fakes.partitions import a_common, a_partition, form, identify, track


def fetched(partition: Partition, now: float, *records: Record) -> None:
    """Let records come."""
    partition.fetched(list(records), held_bytes(records), now)


def goes(partition: Partition, now: float) -> bool:
    """Say whether a batch is formed, as the worker would do it."""
    return partition.is_due(now) and partition.next.is_free and partition.form(now, now) is not None


def test_who_comes_after_a_user_that_waits_does_not_wait_with_it() -> None:
    """A batch of nobody else grows until that user's job is complete; others that come meanwhile go at once."""
    for later, is_of_others in ((identify(3, "a"), False), (track(3, "c"), True)):
        partition = a_partition(a_common(PartitionSettings(BatchLimits(max_records=100, linger_s=1.0))), is_new=True)
        form(partition, [identify(0, "a"), identify(1, "b")], 0.0)
        fetched(partition, 0.0, identify(2, "a"))
        assert not goes(partition, 1.0)
        assert not partition.is_waiting(1.0)
        fetched(partition, 2.0, later)
        assert goes(partition, 2.0) is is_of_others
        assert partition.queue.open_records == (4 if is_of_others else 2)
