"""Where partitions begin of which the group has committed nothing, on a real Kafka."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from processor.engine.beginnings import GroupStart
from processor.model.reasons import HaltReason
from processor.model.records import TopicPartition
from tests.kafka.cluster import Cluster
from tests.kafka.conftest import Names
from tests.kafka.members import (
    IMPATIENT,
    Member,
    Protocol,
    fill,
    member,
    members_of,
    numbered,
    on_a_loop,
    protocols,
    stalled,
    until,
    until_shared,
)
from tests.kafka.topics import append, committed, end_offsets

QUICK = {"topic.metadata.refresh.interval.ms": 1_000}
OLD = 10
"""Records that were there before the group."""


@contextmanager
def load(kafka: Cluster, partitions: list[TopicPartition]) -> Iterator[None]:
    """Add records to whatever partitions the list holds until the end of the `with`."""
    is_over = threading.Event()

    def produce() -> None:
        while not is_over.is_set():
            for each in list(partitions):
                append(kafka, *each, numbered(20))

    producer = threading.Thread(target=produce)
    producer.start()
    try:
        yield
    finally:
        is_over.set()
        producer.join()


@protocols
@pytest.mark.parametrize("start", ["earliest", "latest"])
@on_a_loop
async def test_a_partition_that_is_added_is_read_from_its_first_record(
    kafka: Cluster, names: Names, protocol: Protocol, start: GroupStart
) -> None:
    """Whatever came before the group knew of the partition is read, under load, wherever the group began."""
    partitions = fill(kafka, names.topic, 2, OLD)
    added = [TopicPartition(names.topic, each) for each in (2, 3)]

    async with member(kafka, names, protocol, QUICK, start) as one:
        await one.until_assigned(*partitions)
        with load(kafka, partitions):
            kafka.add_partitions(names.topic, 4)
            for each in added:
                append(kafka, *each, numbered(OLD))
            partitions += added
            await one.until_assigned(*partitions)
        ends = end_offsets(kafka, names.topic)
        for each in partitions:
            await one.until_fetched(each, ends[each.partition] - 1)
        read = {each: one.offsets(each) for each in added}
        began = dict(one.starts)

    assert read == {each: list(range(ends[each.partition])) for each in added}
    first = OLD if start == "latest" else 0
    assert {offset for (each, _), offset in began.items() if each not in added} == {first}


@protocols
@on_a_loop
async def test_a_partition_goes_on_where_its_group_began(kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """A group begins at one moment: who takes a partition later reads what has come since, though nobody committed."""
    partitions = fill(kafka, names.topic, 4, OLD)

    async with member(kafka, names, protocol, start="latest") as first:
        await first.until_assigned(*partitions)
        for each in partitions:
            append(kafka, *each, numbered(5))
        async with member(kafka, names, protocol, start="latest") as second:
            await until_shared(first, second, partitions=4)
            for each in second.owned:
                await second.until_fetched(each, OLD + 4)
            read = [second.offsets(each) for each in second.owned]

    assert read == [list(range(OLD, OLD + 5))] * len(read)


@protocols
@on_a_loop
async def test_a_topic_that_is_added_begins_where_the_settings_say(
    kafka: Cluster, names: Names, protocol: Protocol
) -> None:
    """A topic that was there before the group reads it begins at START; one that is created then is read whole."""
    partitions = fill(kafka, names.topic, 2, OLD)
    added, created = f"{names.topic}.added", f"{names.topic}.created"
    (there,) = fill(kafka, added, 1, OLD)

    async with member(kafka, names, protocol, QUICK, "latest") as old:
        await old.until_assigned(*partitions)
        async with member(kafka, names, protocol, QUICK, "latest", others=[added, created]) as new:
            await until(lambda: there in new.owned, "the added topic is read")
            begun = new.owned[there].start
            (late,) = fill(kafka, created, 1, OLD)
            await until(lambda: late in new.owned, "the created topic is read")
            await new.until_fetched(late, OLD - 1)
            read = new.offsets(late)

    assert begun == OLD
    assert read == list(range(OLD))


# Offsets that are gone


def lost_of(one: Member) -> list[str]:
    """Return where the member last said that offsets are lost."""
    told = one.source_faults[-1] if one.source_faults else {}
    return [each.where for each in told.get(HaltReason.OFFSETS_LOST, ())]


@protocols
@on_a_loop
async def test_a_group_that_has_begun_does_not_begin_again(kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """With START=halt, partitions whose offsets are gone stand still, and those that were added are read."""
    begun, gone, later, added = fill(kafka, names.topic, 4, OLD)
    kafka.commit(names.group, *begun, 5)
    kafka.commit(names.group, *later, OLD)

    async with member(kafka, names, protocol, start="halt") as one:
        await one.until_assigned(begun, later, added)
        await until(lambda: lost_of(one) == [str(gone)], "the loss is told")
        await one.until_fetched(added, OLD - 1)
        starts = {each: one.owned[each].start for each in one.owned}
    kafka.delete_group(names.group)
    async with member(kafka, names, protocol, start="halt") as one:
        await until(lambda: len(lost_of(one)) == 4, "all are lost")
        await one.until_polled()
        events, owned = list(one.events), dict(one.owned)

    assert starts == {begun: 5, later: OLD, added: 0}
    assert (events, owned) == ([("assigned", [])], {})
    assert committed(kafka, names.group, names.topic) == {}


@protocols
@on_a_loop
async def test_offsets_that_go_while_a_worker_runs_are_missed(kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """A process remembers what was committed: the partition stands still, wherever the settings let a group begin."""
    (partition,) = fill(kafka, names.topic, 1, OLD)

    async with member(kafka, names, protocol, IMPATIENT[protocol]) as one:
        await one.until_assigned(partition)
        one.commit({partition: 5})
        await until(lambda: len(one.commits) == 1, "the commit is answered")
        with stalled(one):
            await until(lambda: members_of(kafka, names.group) == 0, "the member is given up")
            kafka.delete_group(names.group)
        await until(lambda: lost_of(one) == [str(partition)], "the loss is told")
        owned = dict(one.owned)

    assert owned == {}
    assert committed(kafka, names.group, names.topic) == {}
