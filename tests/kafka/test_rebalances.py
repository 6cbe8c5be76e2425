"""The source on a real Kafka: what members of one group take from each other, over the ways to assign."""

import asyncio

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
from tests.kafka.topics import append, committed

RECORDS = 200


@protocols
@on_a_loop
async def test_a_partition_goes_on_where_it_was_left(kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """A revoked partition's offsets are committed before the next member begins, exactly there."""
    partitions = fill(kafka, names.topic, 4, RECORDS)
    asked_at_takeover: list[bool] = []

    async with member(kafka, names, protocol) as first:
        await first.until_assigned(*partitions)
        for each in partitions:
            await first.until_fetched(each, RECORDS - 1)
        began = dict(first.owned)
        first.to_commit = {each: 100 + each.partition for each in partitions}
        async with member(kafka, names, protocol) as second:
            await until(lambda: bool(second.owned), "the second one owns something")
            asked_at_takeover += [any(each in going for going in first.happened("revoking")) for each in second.owned]
            await until_shared(first, second, partitions=4)
            taken, kept = dict(second.owned), dict(first.owned)
            for each in taken:
                await second.until_fetched(each, RECORDS - 1)
            read = {each: second.offsets(each) for each in taken}

    assert all(asked_at_takeover)
    assert {each: (taken[each].start, taken[each].is_new) for each in taken} == {
        each: (100 + each.partition, False) for each in taken
    }
    assert read == {each: list(range(100 + each.partition, RECORDS)) for each in taken}
    stays = protocol != "eager"
    assert all((kept[each].epoch == began[each].epoch) is stays for each in kept)
    assert first.failures == second.failures == []


@protocols
@on_a_loop
async def test_no_epoch_has_records_of_another(kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """While members come and go under load, each epoch reads its records without hole or repeat."""
    partitions = fill(kafka, names.topic, 3, 60_000)
    members: list[Member] = []

    async with member(kafka, names, protocol) as first:
        members.append(first)
        await first.until_assigned(*partitions)
        for _ in range(3):
            async with member(kafka, names, protocol) as another:
                members.append(another)
                await until_shared(first, another, partitions=3)
            await first.until_assigned(*partitions)
        for each in partitions:
            await first.until_fetched(each, 59_999)

    for one in members:
        for records in one.records.values():
            offsets = [record.offset for record in records]
            assert offsets == list(range(offsets[0], offsets[-1] + 1))
        assert one.wrong_starts() == []
        assert all(end == position for _, end, position in one.ends_reached)
        assert one.stale == []
        assert one.failures == []


@protocols
@on_a_loop
async def test_a_pause_ends_with_its_epoch(kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """A paused partition that was given away and regained is read again; one that stayed is still paused."""
    partitions = fill(kafka, names.topic, 2, RECORDS)

    async with member(kafka, names, protocol) as first:
        await first.until_assigned(*partitions)
        for each in partitions:
            await first.until_fetched(each, RECORDS - 1)
        began = first.epochs(*partitions)
        first.source.pause(began)
        first.to_commit = dict.fromkeys(partitions, RECORDS)
        async with member(kafka, names, protocol) as second:
            second.to_commit = dict.fromkeys(partitions, RECORDS)
            await until_shared(first, second, partitions=2)
        await first.until_assigned(*partitions)
        for each in partitions:
            append(kafka, *each, numbered(10))
        regained = [each for each in partitions if first.owned[each].epoch != began[each]]
        for each in regained:
            await first.until_fetched(each, RECORDS + 9)
        silent = [first.offsets(each)[-1] for each in partitions if each not in regained]

    assert regained
    assert silent == [RECORDS - 1] * len(silent)
    assert len(regained) == (2 if protocol == "eager" else 1)


@protocols
@on_a_loop
async def test_a_member_that_does_not_poll_loses_its_partitions(
    kafka: Cluster, names: Names, protocol: Protocol
) -> None:
    """A member that does not poll is told of the loss, commits nothing of it, and joins again."""
    partitions = fill(kafka, names.topic, 2, RECORDS)

    async with member(kafka, names, protocol, IMPATIENT[protocol]) as one:
        await one.until_assigned(*partitions)
        before = one.epochs(*partitions)
        one.to_commit = dict.fromkeys(partitions, 50)
        with stalled(one):
            await until(lambda: members_of(kafka, names.group) == 0, "the member is given up")
            one.commit(dict.fromkeys(partitions, 50))
        await until(lambda: len(one.commits) == 1, "the commit is answered")
        await until(lambda: one.happened("lost") != [], "the loss is told")
        await one.until_assigned(*partitions)
        found = committed(kafka, names.group, names.topic)
        after = one.epochs(*partitions)

    assert [set(lost) for lost in one.happened("lost")] == [set(partitions)]
    ((commits, faults),) = one.commits
    assert commits.keys() == faults.keys() == set(partitions)
    assert found == {}
    assert all(after[each] > before[each] for each in partitions)
    assert one.failures == []


@protocols
@on_a_loop
async def test_what_another_member_has_taken_is_not_committed(kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """A member that was given up commits nothing of what another one has taken."""
    partitions = fill(kafka, names.topic, 2, RECORDS)

    async with member(kafka, names, protocol, IMPATIENT[protocol]) as first:
        await first.until_assigned(*partitions)
        first.to_commit = dict.fromkeys(partitions, 50)
        async with member(kafka, names, protocol) as second:
            with stalled(first):
                await second.until_assigned(*partitions)
                first.commit(dict.fromkeys(partitions, 50))
            await until_shared(first, second, partitions=2)
            found = committed(kafka, names.group, names.topic)

    gone = [each for what in ("revoking", "lost") for going in first.happened(what)[:1] for each in going]
    assert sorted(gone) == partitions
    assert found == {}
    assert first.failures == second.failures == []


@protocols
@on_a_loop
async def test_a_surplus_member_is_told_that_it_has_nothing(kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """A member without partitions has joined, knows their number, and leaves no ghost."""
    (partition,) = fill(kafka, names.topic, 1, RECORDS)

    async with member(kafka, names, protocol) as first:
        await first.until_assigned(partition)
        async with member(kafka, names, protocol) as second:
            await until(lambda: second.events != [], "the second one is told")
            surplus, busy = (first, second) if second.owned else (second, first)
            await until(lambda: surplus.owned == {}, "it has nothing")
            await surplus.source.stop()
            left = members_of(kafka, names.group)
            await busy.until_assigned(partition)

    assert surplus.partitions_in_topics == 1
    assert left == 1


@on_a_loop
async def test_a_member_that_stops_while_it_joins_leaves_no_ghost(kafka: Cluster, names: Names) -> None:
    """A member that stops while it joins waits for the join's answer, and is gone then."""
    (partition,) = fill(kafka, names.topic, 1, RECORDS)
    is_stopping = asyncio.Event()

    async def hold() -> None:
        await is_stopping.wait()
        await asyncio.sleep(6)  # librdkafka gives up to leave after 5 s

    async with member(kafka, names, "eager") as first:
        await first.until_assigned(partition)
        first.let_go = hold
        async with member(kafka, names, "eager"):
            await until(lambda: first.happened("revoking") != [], "the first one is asked")
            is_stopping.set()
        left = members_of(kafka, names.group)
        await first.until_assigned(partition)

    assert left == 1


@protocols
@on_a_loop
async def test_a_member_that_drains_too_long_goes_without_its_word(
    kafka: Cluster, names: Names, protocol: Protocol
) -> None:
    """A member that drains too long is told of a loss, and nothing of it is committed."""
    partitions = fill(kafka, names.topic, 2, RECORDS)

    async with member(kafka, names, protocol) as first:
        await first.until_assigned(*partitions)
        first.source._revoke_deadline_s = 0.2
        first.let_go = asyncio.Event().wait
        first.to_commit = dict.fromkeys(partitions, 50)
        async with member(kafka, names, protocol) as second:
            await until(lambda: bool(second.owned), "the second one owns something")
            taken = dict(second.owned)
            await until(lambda: first.happened("lost") != [], "the first one is told")

    assert all(assignment.is_new for assignment in taken.values())
    assert first.happened("lost")[0] == first.happened("revoking")[0]
    assert first.failures == []
