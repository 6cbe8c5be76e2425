"""Which partitions are read on and which are paused, so that what is held stays within the memory budget.

A partition is paused when it holds its share of the budget, and all are while the budget is used up; it is resumed at
half its share, for pausing costs what librdkafka has fetched already.
"""

from collections.abc import Mapping
from typing import NamedTuple

from processor.model.records import TopicPartition


class PartitionLoad(NamedTuple):
    """One partition: what it holds with all that is going to be made of it, and whether it is paused."""

    bytes: int
    is_paused: bool


def pauses(
    demands: Mapping[TopicPartition, PartitionLoad], budget_bytes: int, exempt: TopicPartition | None
) -> dict[TopicPartition, bool]:
    """Return the partitions to pause (True) and to resume (False); `exempt` is read in any case."""
    high = budget_bytes // max(len(demands), 1)
    is_used_up = sum(demand.bytes for demand in demands.values()) >= budget_bytes
    changes: dict[TopicPartition, bool] = {}
    for each, (held, is_paused) in demands.items():
        if not is_paused and each != exempt and (is_used_up or held >= high):
            changes[each] = True
        elif is_paused and (each == exempt or not (is_used_up or held > high // 2)):
            changes[each] = False
    return changes
