"""The source on a real Kafka: records, starts, commits, gaps and faults of one member."""

import asyncio
import random
import threading
from collections.abc import Sequence
from typing import Literal

import pytest
from confluent_kafka import Consumer

from processor.adapters.kafka import commits as commits_module
from processor.adapters.kafka import source as module
from processor.adapters.kafka.source import KafkaSource
from processor.model.errors import SourceError
from processor.model.reasons import HaltReason
from processor.model.records import Commit, Headers, Record, TopicPartition, held_bytes
from processor.runtime.ports import SourceFault
from tests.kafka.cluster import Cluster, ExternalCluster, free_port
from tests.kafka.conftest import Names
from tests.kafka.members import (
    DEADLINE_S,
    DRAIN_S,
    NOW_MS,
    Listener,
    Protocol,
    member,
    numbered,
    on_a_loop,
    protocols,
    settings_of,
    until,
)
from tests.kafka.programs import wait_until
from tests.kafka.topics import append, committed

SEED = 20_261_124


def wild(count: int) -> list[Record]:
    """Return records of every shape that Kafka knows."""
    chance = random.Random(SEED)
    shapes: list[bytes | None] = [None, b"", b"\x00\xff", chance.randbytes(3_000)]
    headers: list[Headers | None] = [None, [("a", None)], [("a", b""), ("a", b"\xff\x00"), ("\u00fc", b"2")]]
    return [
        Record(0, NOW_MS + each, chance.choice(shapes), chance.choice(shapes), chance.choice(headers))
        for each in range(count)
    ]


@on_a_loop
async def test_records_arrive_untouched_and_in_order(kafka: Cluster, names: Names) -> None:
    """Records arrive in order with the key, value, headers and timestamp that were produced."""
    kafka.create_topic(names.topic, 2)
    produced = {TopicPartition(names.topic, each): wild(2_500) for each in range(2)}
    for (topic, partition), records in produced.items():
        append(kafka, topic, partition, records)

    async with member(kafka, names) as one:
        await one.until_assigned(*produced)
        for each in produced:
            await one.until_fetched(each, 2_499)
        received = {each: one.records[each, one.owned[each].epoch] for each in produced}

    assert received == {
        each: [record._replace(offset=offset) for offset, record in enumerate(records)]
        for each, records in produced.items()
    }
    assert one.partitions_in_topics == 2


@protocols
@pytest.mark.parametrize(("start", "offset"), [("earliest", 30), ("latest", 100)])
@on_a_loop
async def test_a_group_without_a_commit_starts_where_the_settings_say(
    kafka: Cluster, names: Names, protocol: Protocol, start: Literal["earliest", "latest"], offset: int
) -> None:
    """A new group starts where the settings say, once: the end is committed before it joins, the first record after."""
    kafka.create_topic(names.topic)
    partition = TopicPartition(names.topic, 0)
    append(kafka, *partition, numbered(100))
    kafka.delete_records(*partition, before=30)

    async with member(kafka, names, protocol, start=start) as one:
        await one.until_assigned(partition)
        assignment = one.owned[partition]
        append(kafka, *partition, numbered(50))
        await one.until_fetched(partition, 149)
        offsets = one.offsets(partition)

    assert (assignment.start, assignment.is_new) == (offset, start == "earliest")
    assert offsets == list(range(offset, 150))


@protocols
@on_a_loop
async def test_a_group_starts_at_its_commit(kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """The committed offset is the start, whatever the settings say, even at the end of the partition."""
    kafka.create_topic(names.topic, 2)
    within, end = (TopicPartition(names.topic, each) for each in range(2))
    for each, offset in ((within, 40), (end, 60)):
        append(kafka, *each, numbered(60))
        kafka.commit(names.group, *each, offset)

    async with member(kafka, names, protocol, start="latest") as one:
        await one.until_assigned(within, end)
        await one.until_fetched(within, 59)
        owned, offsets = dict(one.owned), one.offsets(within)

    assert [(owned[each].start, owned[each].is_new) for each in (within, end)] == [(40, False), (60, False)]
    assert offsets == list(range(40, 60))


# Commits


@protocols
@on_a_loop
async def test_a_commit_is_answered_when_the_group_has_it(kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """A commit is answered with its offsets once the group has them."""
    kafka.create_topic(names.topic, 2)
    first, second = (TopicPartition(names.topic, each) for each in range(2))

    async with member(kafka, names, protocol) as one:
        await one.until_assigned(first, second)
        commits = one.commits_of({first: 0, second: 0})
        one.source.commit(commits)
        await until(lambda: len(one.commits) == 1, "the commit is answered")
        found = committed(kafka, names.group, names.topic)

    assert one.commits == [(commits, {})]
    assert found == {0: 0, 1: 0}


@protocols
@on_a_loop
async def test_the_last_commit_is_made_before_the_group_is_left(
    kafka: Cluster, names: Names, protocol: Protocol
) -> None:
    """The offsets that the listener returns on stopping are committed before the group is left."""
    kafka.create_topic(names.topic, 2)
    partitions = [TopicPartition(names.topic, each) for each in range(2)]

    async with member(kafka, names, protocol) as one:
        await one.until_assigned(*partitions)
        one.to_commit = {each: 70 + each.partition for each in partitions}
    found = committed(kafka, names.group, names.topic)

    assert found == {0: 70, 1: 71}
    assert [sorted(going) for going in one.happened("revoking")] == [partitions]
    assert one.troubles == []


@on_a_loop
async def test_a_command_of_another_epoch_is_left_out(kafka: Cluster, names: Names) -> None:
    """Commits, pauses and seeks of an ended epoch have no effect."""
    kafka.create_topic(names.topic)
    partition = TopicPartition(names.topic, 0)
    append(kafka, *partition, numbered(10))

    async with member(kafka, names) as one:
        await one.until_assigned(partition)
        await one.until_fetched(partition, 9)
        stale = one.owned[partition].epoch - 1
        one.source.pause({partition: stale})
        one.source.seek(partition, stale, 3)
        one.source.commit({partition: Commit(stale, 7, ""), TopicPartition(names.topic, 1): Commit(1, 7, "")})
        await until(lambda: len(one.commits) == 1, "the commit is answered")
        append(kafka, *partition, numbered(10))
        await one.until_fetched(partition, 19)
        offsets = one.offsets(partition)

    assert one.commits == [({}, {})]
    assert committed(kafka, names.group, names.topic) == {}
    assert offsets == list(range(20))


@protocols
@on_a_loop
async def test_a_commit_that_the_broker_refuses_is_told(kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """A commit to a deleted topic is reported as refused."""
    kafka.create_topic(names.topic)
    partition = TopicPartition(names.topic, 0)

    async with member(kafka, names, protocol) as one:
        await one.until_assigned(partition)
        await asyncio.to_thread(kafka.delete_topic, names.topic)
        one.commit({partition: 0})
        await until(lambda: len(one.commits) == 1, "the commit is answered")

    ((commits, faults),) = one.commits
    assert commits.keys() == faults.keys() == {partition}
    assert not faults[partition].is_too_large


@protocols
@on_a_loop
async def test_a_commit_that_the_broker_refuses_holds_no_other_back(
    kafka: Cluster, names: Names, protocol: Protocol
) -> None:
    """Of a call, what concerns a deleted topic is told as refused, and the rest is committed."""
    own, gone = (TopicPartition(topic, 0) for topic in (names.topic, f"{names.topic}-gone"))
    for each in (own, gone):
        kafka.create_topic(each.topic)

    async with member(kafka, names, protocol, others=(gone.topic,)) as one:
        await one.until_assigned(own, gone)
        await asyncio.to_thread(kafka.delete_topic, gone.topic)
        one.commit({own: 3, gone: 4})
        await until(lambda: len(one.commits) == 1, "the commit is answered")
        found = committed(kafka, names.group, names.topic)

    ((commits, faults),) = one.commits
    assert commits.keys() - faults.keys() == {own}
    assert found == {0: 3}


@on_a_loop
async def test_a_late_answer_is_not_taken_for_the_next_commits(
    kafka: Cluster, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The late answer of a commit that was given up is not taken for the next one's."""
    kafka.create_topic(names.topic)
    partition = TopicPartition(names.topic, 0)

    async with member(kafka, names) as one:
        await one.until_assigned(partition)
        fine = Commit(one.owned[partition].epoch, 3, "fine")
        too_large = fine._replace(metadata="x" * 4_096)

        def give_up_the_first(_consumer: Consumer) -> None:
            with monkeypatch.context() as patch:
                patch.setattr(commits_module, "COMMIT_DEADLINE_S", -1.0)
                one.source._commits.send({partition: fine})
                one.source._commits.give_up_late()
            one.source._commits.send({partition: too_large})

        one.source._commands.append(give_up_the_first)
        await until(lambda: len(one.commits) == 2, "both are answered")
        await one.until_polled()

    assert [(commits[partition], faults[partition].is_too_large) for commits, faults in one.commits] == [
        (fine, False),
        (too_large, True),
    ]


# Pauses and memory


@protocols
@on_a_loop
async def test_a_paused_partition_is_silent_and_loses_nothing(kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """A paused partition gives no records while polling goes on, and resumes where it stopped."""
    kafka.create_topic(names.topic, 2)
    paused, other = (TopicPartition(names.topic, each) for each in range(2))
    append(kafka, *paused, numbered(30_000))

    async with member(kafka, names, protocol) as one:
        await one.until_assigned(paused, other)
        await until(lambda: bool(one.offsets(paused)), "records arrive")
        one.source.pause(one.epochs(paused))
        await one.until_polled()
        before = one.offsets(paused)
        append(kafka, *paused, numbered(5_000))
        append(kafka, *other, numbered(10))
        await one.until_fetched(other, 9)
        await until(lambda: one.ends_told.get(paused) == (35_000, 35_000), "the end is told")
        silent = one.offsets(paused)
        one.source.resume(one.epochs(paused))
        await one.until_fetched(paused, 34_999)
        after = one.offsets(paused)

    assert silent == before
    assert after == list(range(35_000))


@on_a_loop
async def test_the_thread_waits_for_a_busy_loop(kafka: Cluster, names: Names) -> None:
    """While the loop is blocked, no more than the limit and one chunk is handed over."""
    limit = 200_000
    kafka.create_topic(names.topic)
    partition = TopicPartition(names.topic, 0)
    records = numbered(20_000, size=100)
    append(kafka, *partition, records)
    chunk = module.CONSUME_RECORDS * held_bytes([records[0]])
    one = Listener()
    source = KafkaSource(settings_of(kafka, names, {}, queue_bytes=limit), DRAIN_S)

    source.start(one)
    await until(lambda: partition in one.owned, "the partition is owned")
    source.resume({partition: one.owned[partition].epoch})
    polled = {source.polled_at}

    def is_waiting() -> bool:
        if source._handed_over > limit:
            polled.add(source.polled_at)
        return len(polled) > 20

    wait_until(is_waiting, "the thread has looked at the loop twenty times")
    ahead = source._handed_over
    await until(lambda: one.offsets(partition)[-1:] == [19_999], "everything is fetched")
    offsets = one.offsets(partition)
    await source.stop()

    assert limit < ahead <= limit + chunk
    assert offsets == list(range(20_000))


@on_a_loop
async def test_the_client_tells_what_it_holds(kafka: Cluster, names: Names) -> None:
    """The client reports the bytes that wait to be consumed and the round trip to the brokers."""
    kafka.create_topic(names.topic)
    async with member(kafka, names, properties={"statistics.interval.ms": 50}) as one:
        await until(lambda: (one.source.figures.round_trip_s or 0) > 0, "a round trip was measured")
        assert (one.source.figures.round_trip_s or 0) < 10
        assert one.source.figures.fetch_queue_bytes == 0


# Gaps


@protocols
@on_a_loop
async def test_records_that_were_deleted_are_a_gap(kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """Deleted records are reported as a gap with its offsets; a seek goes on, and other partitions are left alone."""
    kafka.create_topic(names.topic, 2)
    cut, whole = (TopicPartition(names.topic, each) for each in range(2))
    for each in (cut, whole):
        append(kafka, *each, numbered(60))
        kafka.commit(names.group, *each, 5)
    kafka.delete_records(*cut, before=20)

    async with member(kafka, names, protocol) as one:
        await until(lambda: len(one.gaps) == 1, "the gap is told")
        kafka.delete_records(*cut, before=30)
        one.source.seek(cut, one.owned[cut].epoch, 20)
        await until(lambda: len(one.gaps) == 2, "the next gap is told")
        one.source.seek(cut, one.owned[cut].epoch, 30)
        await one.until_fetched(cut, 59)
        append(kafka, *whole, numbered(10))
        await one.until_fetched(whole, 69)
        offsets = {each: one.offsets(each) for each in (cut, whole)}

    assert one.gaps == [(cut, 5, (20, 60)), (cut, 20, (30, 60))]
    assert offsets == {cut: list(range(30, 60)), whole: list(range(5, 70))}


@protocols
@on_a_loop
async def test_a_gap_may_open_while_the_partition_is_read(kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """A gap that opens while reading is reported from the position of the next record."""
    kafka.create_topic(names.topic)
    partition = TopicPartition(names.topic, 0)
    append(kafka, *partition, numbered(20))

    async with member(kafka, names, protocol) as one:
        await one.until_assigned(partition)
        await one.until_fetched(partition, 19)
        one.source.pause(one.epochs(partition))
        await one.until_polled()
        append(kafka, *partition, numbered(20))
        kafka.delete_records(*partition, before=30)
        one.source.resume(one.epochs(partition))
        await until(lambda: len(one.gaps) == 1, "the gap is told")

    assert one.gaps == [(partition, 20, (30, 40))]


@protocols
@on_a_loop
async def test_a_commit_beyond_the_end_is_a_gap(kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """A commit beyond the end, as after a topic was created anew, is reported as a gap."""
    kafka.create_topic(names.topic)
    partition = TopicPartition(names.topic, 0)
    append(kafka, *partition, numbered(10))
    kafka.commit(names.group, *partition, 1_000)

    async with member(kafka, names, protocol) as one:
        await until(lambda: len(one.gaps) == 1, "the gap is told")

    assert one.gaps == [(partition, 1_000, (0, 10))]


# Faults


@protocols
@on_a_loop
async def test_a_missing_topic_is_told_until_it_is_created(kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """A missing topic is named as the cause, and read without a restart once it is created."""
    async with member(kafka, names, protocol) as one:
        await until(lambda: one.source_faults != [], "it is told")
        assert one.owned == {}
        kafka.create_topic(names.topic)
        await until(lambda: one.source_faults[-1] == {}, "the fault is over")
        await until(lambda: one.owned != {}, "the topic is read")

    told, *_ = one.source_faults
    assert told == {HaltReason.SOURCE_TOPIC: [SourceFault(f"topic {names.topic} does not exist", where=names.topic)]}
    assert one.failures == []


def named(one: Listener) -> Sequence[SourceFault]:
    """Return the faults of topics that were told last."""
    return one.source_faults[-1].get(HaltReason.SOURCE_TOPIC, ()) if one.source_faults else ()


@protocols
@on_a_loop
async def test_topics_are_watched_while_others_are_read(kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """A topic that is missing, created, or deleted is seen within the deadline, and the others are read meanwhile."""
    kafka.create_topic(names.topic)
    own, late, wrong = TopicPartition(names.topic, 0), TopicPartition(f"{names.topic}-late", 0), f"{names.topic}-wrong"

    async with member(kafka, names, protocol, others=(late.topic, wrong)) as one:

        async def until_named(*topics: str) -> None:
            await until(lambda: [each.where for each in named(one)] == [*topics], f"{topics} are named")

        await until_named(late.topic, wrong)
        assert [each.cause for each in named(one)] == [
            f"topic {each} does not exist (did you mean {names.topic}?)" for each in (late.topic, wrong)
        ]
        append(kafka, *own, numbered(10))
        await one.until_fetched(own, 9)
        kafka.create_topic(late.topic)
        await one.until_assigned(own, late)
        await until_named(wrong)
        append(kafka, *late, numbered(10))
        await one.until_fetched(late, 9)
        await asyncio.to_thread(kafka.delete_topic, late.topic)
        await until_named(late.topic, wrong)
        await one.until_assigned(own)
        append(kafka, *own, numbered(10))
        await one.until_fetched(own, 19)

    assert one.failures == []


@protocols
@on_a_loop
async def test_a_topic_is_not_missing_because_no_broker_answers(
    own_kafka: Cluster, names: Names, protocol: Protocol
) -> None:
    """While the broker is away, Kafka is what is missing; a topic that was, still is."""
    own_kafka.create_topic(names.topic)
    wrong = f"{names.topic}-wrong"

    async with member(own_kafka, names, protocol, others=(wrong,)) as one:
        await until(lambda: one.source_faults != [], "the missing one is named")
        own_kafka.kill()
        try:
            await until(lambda: HaltReason.KAFKA_UNAVAILABLE in one.source_faults[-1], "Kafka is away")
        finally:
            await asyncio.to_thread(own_kafka.restart)
        await until(lambda: HaltReason.KAFKA_UNAVAILABLE not in one.source_faults[-1], "Kafka is back")

    told = [[each.where for each in faults[HaltReason.SOURCE_TOPIC]] for faults in one.source_faults]
    assert told == [[wrong]] * len(told)
    assert one.failures == []


@on_a_loop
async def test_an_absent_broker_is_told(names: Names) -> None:
    """While the broker is away, the source reports it, goes on trying, and can be stopped."""
    nowhere = ExternalCluster(f"127.0.0.1:{free_port()}")

    async with member(nowhere, names) as one:
        await until(lambda: any("Connection refused" in each for each in one.troubles), "it is told")
        await until(lambda: one.source_faults != [], "it is a fault of the source")

    ((fault,),) = one.source_faults[0].values()
    assert fault.cause == f"Kafka does not answer at {nowhere.bootstrap_servers} (connection refused)"
    assert one.is_stopped
    assert one.failures == []


@on_a_loop
async def test_a_refused_login_is_told(kafka: Cluster, names: Names) -> None:
    """While its login is refused, the source reports it, goes on trying, and can be stopped."""
    login = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "somebody",
        "sasl.password": "wrong",
    }

    async with member(kafka, names, properties=login) as one:
        await until(lambda: any("SASL" in each for each in one.troubles), f"it is told: {one.troubles}")

    assert one.is_stopped
    assert one.failures == []


@on_a_loop
async def test_a_fatal_error_is_a_failure(kafka: Cluster, names: Names) -> None:
    """A fatal error, as when another member took this one's name, ends the source."""
    kafka.create_topic(names.topic)
    partition = TopicPartition(names.topic, 0)
    static = {"group.instance.id": "the-only-one"}

    async with member(kafka, names, properties=static) as first:
        await first.until_assigned(partition)
        async with member(kafka, names, properties=static) as second:
            await until(lambda: first.failures != [], "the first one fails")
            await second.until_assigned(partition)

    assert [type(each) for each in first.failures[:1]] == [SourceError]
    assert first.is_stopped
    assert second.failures == []


@protocols
@on_a_loop
async def test_a_listener_that_raises_ends_the_source(kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """An exception of the listener inside a callback ends the source and is raised."""
    kafka.create_topic(names.topic)
    partition = TopicPartition(names.topic, 0)

    async def fail() -> None:
        raise ValueError("out of order")

    async with member(kafka, names, protocol) as one:
        await one.until_assigned(partition)
        one.let_go = fail

    assert [str(each) for each in one.failures] == ["Kafka's client ended: ValueError: out of order"]
    assert one.is_stopped


def test_a_loop_that_has_closed_is_told_nothing(kafka: Cluster, names: Names) -> None:
    """The thread ends quietly if the loop has closed."""
    kafka.create_topic(names.topic)
    one = Listener()
    source = KafkaSource(settings_of(kafka, names, {}), DRAIN_S)

    async def abandon() -> None:
        source.start(one)
        await until(lambda: one.owned != {}, "the partition is owned")

    asyncio.run(abandon())
    (thread,) = (each for each in threading.enumerate() if each.name == "kafka-consumer")
    source._stopping.set()
    thread.join(DEADLINE_S)

    assert not thread.is_alive()
    assert one.failures == []


@protocols
@on_a_loop
async def test_a_broker_that_dies_is_waited_for(own_kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """After the broker dies, a commit is answered as failed, and reading goes on when it is back."""
    own_kafka.create_topic(names.topic)
    partition = TopicPartition(names.topic, 0)
    append(own_kafka, *partition, numbered(100))

    async with member(own_kafka, names, protocol) as one:
        await one.until_assigned(partition)
        await one.until_fetched(partition, 99)
        own_kafka.kill()
        try:
            await until(lambda: one.troubles != [], "it is told")
            one.commit({partition: 100})
            await one.until_polled()
        finally:
            await asyncio.to_thread(own_kafka.restart)
        await until(lambda: one.commits != [], "the commit is answered")
        append(own_kafka, *partition, numbered(10))
        await one.until_fetched(partition, 109)

    assert one.failures == []


@protocols
@on_a_loop
async def test_a_member_can_be_stopped_without_its_broker(own_kafka: Cluster, names: Names, protocol: Protocol) -> None:
    """A member stops without its broker; its last commit is given up and every partition is let go."""
    own_kafka.create_topic(names.topic)
    partition = TopicPartition(names.topic, 0)

    async with member(own_kafka, names, protocol) as one:
        await one.until_assigned(partition)
        one.to_commit = {partition: 0}
        own_kafka.kill()
        try:
            await one.source.stop()
        finally:
            await asyncio.to_thread(own_kafka.restart)

    assert one.is_stopped
    assert one.happened("revoking") == [[partition]]
    assert one.failures == []


@on_a_loop
async def test_a_defect_in_what_is_told_ends_the_process(kafka: Cluster, names: Names) -> None:
    """If what the source tells is not taken without an exception, the listener is told that it failed."""

    def defective(*_: object) -> None:
        raise ZeroDivisionError

    kafka.create_topic(names.topic)
    partition = TopicPartition(names.topic, 0)
    async with member(kafka, names) as one:
        await one.until_assigned(partition)
        one.committed = defective  # type: ignore[method-assign, assignment]
        one.commit({partition: 0})
        await until(lambda: one.failures != [], "the failure is told")
    assert [type(each) for each in one.failures] == [ZeroDivisionError]
