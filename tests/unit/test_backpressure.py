"""Which partitions are paused, so that what is held stays within the budget."""

import pytest

from processor.engine.backpressure import PartitionLoad, pauses
from processor.model.records import TopicPartition

A, B, C = (TopicPartition("t", number) for number in range(3))


@pytest.mark.parametrize(
    ("held", "paused", "expected"),
    [
        ((49, 0), (False, False), {}),
        ((50, 0), (False, False), {A: True}),
        ((50, 0), (True, False), {}),
        ((26, 0), (True, False), {}),
        ((25, 0), (True, False), {A: False}),
        ((90, 10), (True, False), {B: True}),
        ((90, 9), (True, True), {B: False}),
        ((90, 10), (True, True), {}),
    ],
)
def test_a_partition_pauses_at_its_share_and_resumes_at_half(
    held: tuple[int, int], paused: tuple[bool, bool], expected: dict[TopicPartition, bool]
) -> None:
    """A partition pauses at its share; with the budget used up all pause, even those that hold little."""
    demands = {each: PartitionLoad(*of) for each, of in zip((A, B), zip(held, paused, strict=True), strict=True)}
    assert pauses(demands, 100, None) == expected


def test_one_may_be_exempt() -> None:
    """An exempt partition is never paused, and is resumed if it was."""
    demands = {A: PartitionLoad(500, is_paused=True), B: PartitionLoad(500, is_paused=False)}
    assert pauses(demands, 100, A) == {A: False, B: True}
    assert pauses(demands, 100, B) == {}


def test_nothing_is_owned() -> None:
    """Without partitions there is nothing to pause or resume."""
    assert pauses({}, 100, None) == {}
