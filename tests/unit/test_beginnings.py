"""Where a partition begins of which the group has committed nothing."""

import pytest

from processor.engine.beginnings import Beginnings, Place, Start
from processor.model.records import TopicPartition

READ, ALSO_READ, FRESH, ADDED, CREATED, UNSEEN = (
    TopicPartition("read", 0),
    TopicPartition("read", 1),
    TopicPartition("fresh", 0),
    TopicPartition("fresh", 1),
    TopicPartition("created", 0),
    TopicPartition("unseen", 0),
)


@pytest.mark.parametrize(
    ("start", "partition", "expected"),
    [
        ("latest", FRESH, "end"),
        ("latest", UNSEEN, "end"),
        ("latest", ALSO_READ, "first"),
        ("latest", ADDED, "first"),
        ("latest", CREATED, "first"),
        ("earliest", FRESH, "first"),
        ("earliest", ADDED, "first"),
    ],
)
def test_the_settings_are_for_what_was_there_before_the_group(
    start: Start, partition: TopicPartition, expected: Place
) -> None:
    """Whatever appears while the group has a history begins at its first record."""
    beginnings = Beginnings(start)
    beginnings.came([READ, ALSO_READ, FRESH], {READ}, ["unseen"])

    assert beginnings.of(partition) == expected


@pytest.mark.parametrize(("start", "expected"), [("latest", {FRESH}), ("earliest", set())])
def test_a_group_that_begins_at_the_end_says_so_for_all_at_once(start: Start, expected: set[TopicPartition]) -> None:
    """Only what the group has never read is committed for it: what it has read may have another owner."""
    beginnings = Beginnings(start)
    beginnings.came([READ, ALSO_READ, FRESH], {READ}, ["unseen"])

    assert set(beginnings.to_commit) == expected
