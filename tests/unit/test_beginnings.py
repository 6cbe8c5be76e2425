"""Where a partition begins of which the group has committed nothing."""

import pytest

from processor.engine.beginnings import Beginning, Beginnings, GroupStart
from processor.model.records import TopicPartition

READ, ALSO_READ, NEWER, FRESH, ADDED, CREATED, UNSEEN = (
    TopicPartition("read", 0),
    TopicPartition("read", 1),
    TopicPartition("read", 2),
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
        ("latest", READ, "first"),
        ("latest", ADDED, "first"),
        ("latest", CREATED, "first"),
        ("earliest", FRESH, "first"),
        ("earliest", ADDED, "first"),
        ("halt", FRESH, "lost"),
        ("halt", UNSEEN, "lost"),
        ("halt", READ, "lost"),
        ("halt", NEWER, "first"),
        ("halt", CREATED, "first"),
    ],
)
def test_the_settings_are_for_what_was_there_before_the_group(
    start: GroupStart, partition: TopicPartition, expected: Beginning
) -> None:
    """Whatever appears while the group has a history begins at its first record."""
    beginnings = Beginnings(start)
    beginnings.came([READ, ALSO_READ, NEWER, FRESH], {ALSO_READ}, ["unseen"])

    assert beginnings.of(partition) == expected


@pytest.mark.parametrize(("start", "expected"), [("latest", {FRESH}), ("earliest", set())])
def test_a_group_that_begins_at_the_end_says_so_for_all_at_once(
    start: GroupStart, expected: set[TopicPartition]
) -> None:
    """Only what the group has never read is committed for it: what it has read may have another owner."""
    beginnings = Beginnings(start)
    beginnings.came([READ, ALSO_READ, NEWER, FRESH], {ALSO_READ}, ["unseen"])

    assert set(beginnings.to_commit) == expected


def test_what_was_committed_is_remembered_where_it_was() -> None:
    """A topic that was recreated under its name is another place."""
    beginnings = Beginnings("earliest")
    beginnings.remember(READ, "here")

    assert beginnings.remembers(READ, "here")
    assert not beginnings.remembers(READ, "there")
    assert not beginnings.remembers(FRESH, "here")
