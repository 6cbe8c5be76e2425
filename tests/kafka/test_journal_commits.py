"""The source on a real Kafka: what the journal rests on, over the ways to assign.

Metadata beside the offset, ownership, partitions that wait to be resumed, their ends, and which partition is which.
"""

from collections.abc import Iterator, Mapping

import pytest
from confluent_kafka.admin import AdminClient

from processor.adapters.kafka.mock import MockCluster
from processor.adapters.kafka.source import KafkaSource
from processor.engine.partition.journal_format import JournalPlace
from processor.model.records import Commit, TopicPartition
from tests.kafka.cluster import ANSWER_DEADLINE_S, Cluster, ExternalCluster
from tests.kafka.conftest import Names
from tests.kafka.members import (
    Member,
    Protocol,
    member,
    numbered,
    on_a_loop,
    protocols,
    stay_paused,
    until,
    until_shared,
)
from tests.kafka.topics import append, append_transaction, commit_bytes, committed, journals

TOO_LARGE = 4_096
"""Characters: Kafka takes so many, and the Python client adds a zero."""

BYTES = [b"", b"plain", b"\xff\xfe\x00\x01", b"a\x00b", b"\xed\xa0\x80", "\u00e9\u2603".encode()]
"""What other tools may commit: with and without text, and without a zero at its end."""


async def until_answered(one: Member, calls: int) -> None:
    """Return when so many commits were answered."""
    await until(lambda: len(one.commits) == calls, f"{calls} commits are answered: {one.commits}")


# Metadata


@protocols
@on_a_loop
async def test_metadata_changes_at_an_unchanged_offset(kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """A commit at the same offset replaces the metadata, and the next member is given the last one."""
    kafka.create_topic(names.topic)
    partition = TopicPartition(names.topic, 0)

    async with member(kafka, names, protocol) as first:
        await first.until_assigned(partition)
        began = first.owned[partition]
        for count, journal in enumerate(("first", "second", "", "third \u2603"), 1):
            first.journal = journal
            first.commit({partition: 0})
            await until_answered(first, count)
        found = journals(kafka, names.group, names.topic)
    async with member(kafka, names, protocol) as second:
        await second.until_assigned(partition)
        assignment = second.owned[partition]

    assert (began.is_new, began.metadata) == (True, "")
    assert [faults for _, faults in first.commits] == [{}] * 4
    assert found == {0: (0, "third \u2603")}
    assert (assignment.start, assignment.is_new, assignment.metadata) == (0, False, "third \u2603")


@protocols
@on_a_loop
async def test_the_last_commit_carries_metadata(kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """The last commit of a member carries its metadata, even at the offset that the group has."""
    kafka.create_topic(names.topic, 2)
    partitions = [TopicPartition(names.topic, each) for each in range(2)]
    for each in partitions:
        kafka.commit(names.group, *each, 0)

    async with member(kafka, names, protocol) as one:
        await one.until_assigned(*partitions)
        one.to_commit, one.journal = {each: each.partition for each in partitions}, "last"
    found = journals(kafka, names.group, names.topic)

    assert found == {0: (0, "last"), 1: (1, "last")}
    assert one.troubles == []


@protocols
@on_a_loop
async def test_metadata_that_is_too_large_is_its_own_partitions_fault(
    kafka: Cluster, names: Names, protocol: Protocol
) -> None:
    """If one partition's metadata is too large, the other partitions of the same call are committed."""
    kafka.create_topic(names.topic, 3)
    small, large, full = (TopicPartition(names.topic, each) for each in range(3))

    async with member(kafka, names, protocol) as one:
        await one.until_assigned(small, large, full)
        commits = {
            each: Commit(one.owned[each].epoch, 0, "x" * size)
            for each, size in ((small, 10), (large, TOO_LARGE), (full, TOO_LARGE - 1))
        }
        one.source.commit(commits)
        await until_answered(one, 1)
        found = journals(kafka, names.group, names.topic)
        one.source.commit({large: commits[large]._replace(metadata="shorter")})
        await until_answered(one, 2)

    assert [committed for committed, _ in one.commits] == [
        commits,
        {large: commits[large]._replace(metadata="shorter")},
    ]
    (fault,) = one.commits[0][1].items()
    assert (fault[0], fault[1].is_too_large) == (large, True)
    assert "large" in fault[1].detail
    assert one.commits[1][1] == {}
    assert found == {0: (0, "x" * 10), 2: (0, "x" * (TOO_LARGE - 1))}


@pytest.mark.parametrize("metadata", BYTES)
@on_a_loop
async def test_metadata_of_others_does_no_harm(kafka: Cluster, names: Names, metadata: bytes) -> None:
    """Metadata of another tool is given as text with its offset, and the next commit replaces it."""
    kafka.create_topic(names.topic)
    partition = TopicPartition(names.topic, 0)
    append(kafka, *partition, numbered(3))
    commit_bytes(kafka, names.group, names.topic, metadata)

    async with member(kafka, names) as one:
        await one.until_assigned(partition)
        await one.until_fetched(partition, 2)
        assignment = one.owned[partition]
        one.journal = "ours"
        one.commit({partition: 1})
        await until_answered(one, 1)

    assert (assignment.start, assignment.is_new) == (1, False)
    assert isinstance(assignment.metadata, str)
    assert one.commits[0][1] == {}
    assert journals(kafka, names.group, names.topic) == {0: (1, "ours")}


# Ownership


def any_commit(_source: KafkaSource, commits: Mapping[TopicPartition, Commit]) -> Mapping[TopicPartition, Commit]:
    """Ask for no ownership."""
    return commits


@pytest.mark.parametrize("is_filtered", [True, False], ids=["with the filter", "without it"])
@protocols
@on_a_loop
async def test_a_commit_of_an_ended_epoch_is_left_out_and_answered(
    kafka: Cluster, names: Names, monkeypatch: pytest.MonkeyPatch, protocol: Protocol, *, is_filtered: bool
) -> None:
    """A commit for an ended epoch is left out and answered, although Kafka would accept it."""
    kafka.create_topic(names.topic, 2)
    partitions = [TopicPartition(names.topic, each) for each in range(2)]
    if not is_filtered:
        monkeypatch.setattr(KafkaSource, "_still_owned", any_commit)

    async with member(kafka, names, protocol) as first:
        await first.until_assigned(*partitions)
        commits = first.commits_of(dict.fromkeys(partitions, 7))
        async with member(kafka, names, protocol) as second:
            await until_shared(first, second, partitions=2)
            (taken,) = second.owned
            ended = partitions if protocol == "eager" else [taken]
            first.source.commit(commits)
            await until_answered(first, 1)
            found = committed(kafka, names.group, names.topic)

    left = commits if not is_filtered else {each: commits[each] for each in partitions if each not in ended}
    assert first.commits == [(left, {})]
    assert found == {each.partition: 7 for each in left}


# Pauses


@protocols
@on_a_loop
async def test_what_is_assigned_waits_until_it_is_resumed(kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """An assigned partition gives no record until it is resumed, and then begins exactly at its start."""
    kafka.create_topic(names.topic, 3)
    within, beginning, empty = (TopicPartition(names.topic, each) for each in range(3))
    for each in (within, beginning):
        append(kafka, *each, numbered(5_000))
    kafka.commit(names.group, *within, 4_000)

    async with member(kafka, names, protocol, resumes=False) as one:
        await one.until_assigned(within, beginning, empty)
        await until(lambda: one.ends_told.get(within) == (5_000, 5_000), "the end is told")
        await one.until_polled()
        before = (dict(one.records), list(one.stale), list(one.ends_reached))
        one.source.resume(one.epochs(within, beginning))
        await one.until_fetched(within, 4_999)
        await one.until_fetched(beginning, 4_999)
        read = {each: one.offsets(each) for each in (within, beginning)}

    assert before == ({}, [], [])
    assert read == {within: list(range(4_000, 5_000)), beginning: list(range(5_000))}
    assert {each for each, _, _ in one.ends_reached} <= {within, beginning}


@protocols
@on_a_loop
async def test_a_new_epoch_waits_whatever_the_one_before_did(kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """Each new epoch begins paused, also that of a partition that stays or comes back."""
    kafka.create_topic(names.topic, 2)
    partitions = [TopicPartition(names.topic, each) for each in range(2)]
    for each in partitions:
        append(kafka, *each, numbered(20_000))

    async with member(kafka, names, protocol) as first:
        await first.until_assigned(*partitions)
        for each in partitions:
            await first.until_fetched(each, 19_999)
        epochs = set(first.records)
        first.resume = stay_paused
        async with member(kafka, names, protocol, resumes=False) as second:
            await until_shared(first, second, partitions=2)
            await second.until_polled()
        await first.until_assigned(*partitions)
        await first.until_polled()
        silent = set(first.records) == epochs and second.records == {}
        first.source.resume(first.epochs(*partitions))
        for each in partitions:
            append(kafka, *each, numbered(10))
            await first.until_fetched(each, 20_009)

    assert silent
    assert first.wrong_starts() == []
    assert first.stale == second.stale == []


# Ends


@protocols
@on_a_loop
async def test_the_end_is_told_after_everything_before_it(kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """The end of a partition is reported after all its records, with the next offset, even if it has none."""
    kafka.create_topic(names.topic, 3)
    whole, empty, done = (TopicPartition(names.topic, each) for each in range(3))
    for each in (whole, done):
        append(kafka, *each, numbered(3_000))
    kafka.commit(names.group, *done, 3_000)

    async with member(kafka, names, protocol) as one:
        await one.until_assigned(whole, empty, done)
        await until(lambda: len(one.ends_reached) == 3, "the ends are told")
        append(kafka, *whole, numbered(10))
        await until(lambda: len(one.ends_reached) == 4, "the new end is told")

    assert sorted(one.ends_reached) == [
        (whole, 3_000, 3_000),
        (whole, 3_010, 3_010),
        (empty, 0, 0),
        (done, 3_000, 3_000),
    ]


@protocols
@on_a_loop
async def test_the_end_is_told_again_after_each_pause(kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """After each pause the end is reported again, with and without records in between."""
    kafka.create_topic(names.topic)
    partition = TopicPartition(names.topic, 0)
    append(kafka, *partition, numbered(10))

    async with member(kafka, names, protocol) as one:
        await one.until_assigned(partition)
        await until(lambda: (partition, 10, 10) in one.ends_reached, "the end is told")
        for end in (10, 15, 15):
            one.source.pause(one.epochs(partition))
            await one.until_polled()
            append(kafka, *partition, numbered(end - len(one.offsets(partition))))
            one.ends_reached.clear()
            one.source.resume(one.epochs(partition))
            await until(lambda end=end: (partition, end, end) in one.ends_reached, "it is told again")  # type: ignore[misc]


@protocols
@on_a_loop
async def test_the_end_lies_behind_offsets_that_are_no_records(
    kafka: Cluster, names: Names, protocol: Protocol
) -> None:
    """The end lies behind the mark of a transaction, which is never consumed."""
    kafka.create_topic(names.topic)
    partition = TopicPartition(names.topic, 0)
    append_transaction(kafka, *partition, numbered(5))

    async with member(kafka, names, protocol) as one:
        await one.until_assigned(partition)
        await until(lambda: one.ends_reached != [], "the end is told")

    assert one.ends_reached == [(partition, 6, 5)]


# Places


@protocols
@on_a_loop
async def test_a_place_is_one_partition_of_one_topic_and_group(
    kafka: Cluster, names: Names, protocol: Protocol
) -> None:
    """A partition's place is the same for every member, and another once its topic was created anew."""
    partitions = [TopicPartition(names.topic, each) for each in range(2)]
    other = Names(names.topic, names.dead_letters, f"{names.group}-2")

    async def places(group: Names) -> dict[TopicPartition, JournalPlace]:
        async with member(kafka, group, protocol) as one:
            await one.until_assigned(*partitions)
            return {each: assignment.place for each, assignment in one.owned.items()}

    kafka.create_topic(names.topic, 2)
    first, again, of_another_group = [await places(each) for each in (names, names, other)]
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.delete_topics([names.topic])[names.topic].result(ANSWER_DEADLINE_S)
    kafka.create_topic(names.topic, 2)
    recreated = await places(names)

    assert first == again
    assert len({place for each in (first, of_another_group, recreated) for place in each.values()}) == 6
    assert [each.lineage for each in first.values()] == [each.lineage for each in recreated.values()]
    assert len({place.lineage for each in (first, of_another_group) for place in each.values()}) == 4


# The embedded Kafka


@pytest.fixture
def mock(names: Names) -> Iterator[Cluster]:
    """Give librdkafka's mock cluster, with the topic."""
    with MockCluster(names.topic) as cluster:
        yield ExternalCluster(cluster.bootstrap_servers)


@on_a_loop
async def test_the_embedded_kafka_has_places_too(mock: Cluster, names: Names) -> None:
    """The embedded Kafka gives places without topic ids, and keeps metadata."""
    async with member(mock, names) as one:
        await until(lambda: one.owned != {}, "partitions are owned")
        places = {assignment.place for assignment in one.owned.values()}
        one.to_commit, one.journal = dict.fromkeys(one.owned, 0), "ours"
    found = journals(mock, names.group, names.topic)

    assert len(places) == len(found) > 1
    assert set(found.values()) == {(0, "ours")}
    assert one.troubles == []


@pytest.mark.parametrize("metadata", BYTES)
@on_a_loop
async def test_a_broker_that_keeps_any_bytes_does_no_harm(mock: Cluster, names: Names, metadata: bytes) -> None:
    """Metadata bytes that are no text are read without an exception."""
    commit_bytes(mock, names.group, names.topic, metadata)

    async with member(mock, names) as one:
        await until(lambda: one.owned != {}, "partitions are owned")
        assignment = one.owned[TopicPartition(names.topic, 0)]

    assert (assignment.start, assignment.is_new) == (1, False)
    assert isinstance(assignment.metadata, str)
