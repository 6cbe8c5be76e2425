"""The check of Kafka: what the cluster says of its brokers, topics and group, and what that means for the worker."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from functools import partial

from processor.adapters.kafka.facts import Cluster, Group, Topic, ask
from processor.adapters.kafka.offsets import Stored, offsets_in
from processor.adapters.kafka.reading import TopicReader, latest
from processor.app.parts import kafka_settings
from processor.commands.check import findings
from processor.commands.check.checklist import GROUP, LETTERS, RECORDS, TOPICS, Checklist
from processor.commands.check.findings import Found
from processor.engine.beginnings import Beginnings
from processor.model.errors import SourceError
from processor.model.nearest import nearest
from processor.model.records import OffsetRange, Record, TopicPartition
from processor.settings.connections import KafkaSection

DAY_MS = 24 * 3_600 * 1_000
MIN_RETENTION_DAYS = 14
MIN_OFFSET_METADATA_BYTES = 4_096
MIN_IN_SYNC = 2
MINUTES_OF_DAY = 24 * 60

MIGRATION_POLICY = "group.consumer.migration.policy"

PARTS = 8
"""The time that Kafka keeps offsets is looked at in so many parts."""

AHEAD_S = 3_600
"""Clocks of producers differ by less; what is dated further ahead is dated on purpose, or wrongly."""

LETTER_HEADERS_BYTES = 8_192
"""What a dead letter has beyond its record, at most: its headers, each with texts of a limited length."""

EXPLAIN_S = 0.7
"""Of the time for all checks, what is left for explaining the records: by then they have to be there."""

SAMPLE_RECORDS = 1_000
SAMPLE_BYTES = 64 * 1024 * 1024
"""Where records are large, fewer are sampled."""

Sample = Mapping[TopicPartition, list[Record]]


async def check_kafka(checklist: Checklist) -> Sample | None:
    """Check the cluster, the topics and the group; return the latest records, None where they cannot be read."""
    with checklist.reporting(), suppress(TimeoutError):
        async with asyncio.timeout(checklist.left_s()):
            return await asyncio.to_thread(_ask_kafka, checklist)
    return None


def _ask_kafka(checklist: Checklist) -> Sample | None:
    settings = checklist.settings
    kafka = kafka_settings(settings)
    try:
        cluster = ask(kafka, checklist.left_s() - EXPLAIN_S)
    except SourceError as error:
        checklist.add([Found(findings.KAFKA_UNREACHABLE, str(error))])
        return None
    checklist.add(of_cluster(settings.kafka, cluster), TOPICS, LETTERS)
    readable = [name for name in kafka.topics if (topic := cluster.topics.get(name)) and topic.may_read is not False]
    with TopicReader(kafka, checklist.left_s() - EXPLAIN_S) as reader:
        try:
            held = reader.available([each for topic in readable for each in reader.partitions(topic)])
        except SourceError as error:
            checklist.add([Found(findings.RECORDS_UNREAD, str(error))], RECORDS)
            return None
        try:
            committed = reader.committed(held)
            checklist.add(of_group(settings.kafka, cluster, committed, held, is_classic=kafka.is_classic), GROUP)
            checklist.add(of_copies(settings.kafka, cluster, committed, held), GROUP)
            checklist.add(of_expiry(cluster, committed, partial(reader.at_time, held), time.time()), GROUP)
        except SourceError as error:
            checklist.add([Found(findings.GROUP_UNKNOWN, str(error))], GROUP)
        try:
            return reader.read_ranges(latest(held, SAMPLE_RECORDS), SAMPLE_RECORDS, SAMPLE_BYTES)
        except SourceError as error:
            checklist.add([Found(findings.RECORDS_UNREAD, str(error))], RECORDS)
            return None


def of_cluster(kafka: KafkaSection, cluster: Cluster) -> Iterator[Found]:
    """Judge the brokers and the topics."""
    yield Found(findings.KAFKA_REACHED, f"{_counted(cluster.brokers, 'broker')}, cluster {cluster.id or '?'}")
    known = [each for name in (*kafka.consumed_topics, kafka.dead_letter_topic) if (each := cluster.topics.get(name))]
    if cluster.broker_settings is None or any(each.settings is None or each.may_write is None for each in known):
        yield Found(findings.KAFKA_RETICENT, "settings of topics and brokers, or rights")
    metadata = _number(cluster.broker_settings, "offset.metadata.max.bytes")
    if metadata is not None and metadata < MIN_OFFSET_METADATA_BYTES:
        yield Found(findings.KAFKA_OFFSET_METADATA, f"offset.metadata.max.bytes is {metadata}")
    named = (kafka.dead_letter_topic, kafka.parking_topic)
    free = set(cluster.names).difference(kafka.consumed_topics, named)
    for name in kafka.consumed_topics:
        yield _of_source(name, cluster.topics.get(name), free)
    if kafka.parking_topic is not None and kafka.parking_topic not in cluster.names:
        yield Found(findings.PARKING_MISSING, _missing(kafka.parking_topic, free))
    letters = cluster.topics.get(kafka.dead_letter_topic)
    if letters is None:
        yield Found(findings.LETTERS_MISSING, _missing(kafka.dead_letter_topic, free))
    else:
        sources = [topic for name in kafka.consumed_topics if (topic := cluster.topics.get(name))]
        for found in _of_letters(letters, sources):
            yield found._replace(seen=f"{kafka.dead_letter_topic}: {found.seen}")
        if kafka.redrive_topic is not None and (redrive := cluster.topics.get(kafka.redrive_topic)):
            for found in _of_redrive(redrive, letters):
                yield found._replace(seen=f"{kafka.redrive_topic}: {found.seen}")


def _of_source(name: str, topic: Topic | None, free: Collection[str]) -> Found:
    if topic is None:
        return Found(findings.TOPIC_MISSING, _missing(name, free))
    if topic.may_read is False:
        return Found(findings.TOPIC_FORBIDDEN, f"topic {name}: no right to read")
    return Found(findings.TOPIC_FOUND, f"{name}: {_counted(len(topic.replicas), 'partition')}")


def _missing(name: str, free: Collection[str]) -> str:
    """Say that a topic does not exist, with the one that was probably meant, of those that no other setting names."""
    meant = nearest(name, free)
    return f"topic {name} does not exist" + (f" (did you mean {meant}?)" if meant else "")


def _of_letters(letters: Topic, sources: list[Topic]) -> Iterator[Found]:
    if letters.may_write is False:
        yield Found(findings.LETTERS_FORBIDDEN, "no right to write")
    else:
        yield Found(findings.LETTERS_FOUND, _counted(len(letters.replicas), "partition"))
    in_sync, replicas = _number(letters.settings, "min.insync.replicas"), min(letters.replicas, default=0)
    if in_sync is not None and in_sync > replicas:
        yield Found(findings.LETTERS_UNWRITABLE, f"min.insync.replicas {in_sync}, {_counted(replicas, 'replica')}")
    elif in_sync is not None and in_sync < MIN_IN_SYNC:
        yield Found(findings.LETTERS_MIN_ISR, f"min.insync.replicas {in_sync}, {_counted(replicas, 'replica')}")
    retention = _number(letters.settings, "retention.ms")
    if retention is not None and 0 <= retention < MIN_RETENTION_DAYS * DAY_MS:
        yield Found(findings.LETTERS_RETENTION, f"retention.ms {retention}, {retention / DAY_MS:.1f} days")
    if "compact" in (policy := _policy(letters)):
        yield Found(findings.LETTERS_COMPACTED, f"cleanup.policy {policy}")
    size = _number(letters.settings, "max.message.bytes")
    largest = max((_number(each.settings, "max.message.bytes") or 0 for each in sources), default=0)
    if size is not None and size < largest + LETTER_HEADERS_BYTES:
        yield Found(findings.LETTERS_SIZE, f"max.message.bytes {size}, {largest} where records come from")


def _of_redrive(redrive: Topic, letters: Topic) -> Iterator[Found]:
    """Judge the topic that letters are brought back to, where their records have the age that they had."""
    if "compact" in (policy := _policy(redrive)):
        yield Found(findings.REDRIVE_COMPACTED, f"cleanup.policy {policy}")
    retention, theirs = (_number(each.settings, "retention.ms") for each in (redrive, letters))
    if retention is None or theirs is None or retention < 0 or "delete" not in policy:
        return
    keeps_times = (redrive.settings or {}).get("message.timestamp.type") != "LogAppendTime"
    if keeps_times and (theirs < 0 or retention < theirs):
        seen = f"retention.ms {retention}, {theirs} of the dead-letter topic"
        yield Found(findings.REDRIVE_RETENTION, seen)


def _policy(topic: Topic) -> str:
    return (topic.settings or {}).get("cleanup.policy", "")


def of_group(
    kafka: KafkaSection,
    cluster: Cluster,
    committed: Mapping[TopicPartition, Stored],
    available: Mapping[TopicPartition, OffsetRange],
    *,
    is_classic: bool,
) -> Iterator[Found]:
    """Judge where the group stands; its state may be unknown, its commits are not.

    `is_classic` says by which protocol this client would join it.
    """
    group = cluster.group
    if group is not None and group.is_allowed is False:
        yield Found(findings.GROUP_FORBIDDEN, f"group {kafka.group_id}: no right to read")
        return
    protocols = (cluster.broker_settings or {}).get("group.coordinator.rebalance.protocols")
    if protocols is not None and not is_classic and "consumer" not in protocols:
        yield Found(findings.GROUP_PROTOCOL, f"group.coordinator.rebalance.protocols is {protocols}")
    if group is not None and group.membership.members:
        yield from _of_members(group, cluster.broker_settings or {}, is_classic=is_classic)
    offsets = offsets_in(committed)
    gaps = [each for each, offset in offsets.items() if not available[each].start <= offset <= available[each].end]
    for each in gaps:
        finding = findings.GROUP_GAP if kafka.on_gap == "halt" else findings.GROUP_GAP_PASSED
        held = available[each]
        yield Found(finding, f"{each}: committed {offsets[each]}, the topic holds {held.start} to {held.end}")
    where = (
        f"committed on {len(offsets)} of {_counted(len(committed), 'partition')}"
        if offsets
        else f"new: begins at the {kafka.start} record"
    )
    beginnings = Beginnings(kafka.start)
    beginnings.came(available, offsets)
    places = {each: beginnings.of(each) for each in available.keys() - offsets.keys()}
    if lost := [each for each, place in sorted(places.items()) if place == "lost"]:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        yield Found(findings.GROUP_LOST, f"{kafka.group_id}: no offset of {lost[0]}{more}")
        return
    at_first = {
        each: available[each].start if place == "first" else available[each].end for each, place in places.items()
    }
    begins = at_first | offsets
    lag = sum(held.end - begins[each] for each, held in available.items() if each not in gaps)
    yield Found(findings.GROUP_READY, f"{kafka.group_id}: {where}, {_counted(lag, 'record')} behind{_members(group)}")


def of_copies(
    kafka: KafkaSection,
    cluster: Cluster,
    committed: Mapping[TopicPartition, Stored],
    available: Mapping[TopicPartition, OffsetRange],
) -> Iterator[Found]:
    """Judge offsets that were copied from another cluster, as those of a mirror are until a worker has committed."""
    behind = [
        max(available[each].end - stored.offset, 0)
        for each, stored in committed.items()
        if cluster.is_foreign(stored.metadata, each, kafka.group_id)
    ]
    if any(behind):
        seen = f"{_counted(len(behind), 'partition')}, up to {_counted(sum(behind), 'record')}"
        yield Found(findings.GROUP_COPIED, f"{kafka.group_id}: {seen}")


def _of_members(group: Group, brokers: Mapping[str, str], *, is_classic: bool) -> Iterator[Found]:
    """Judge whether the members that there are let another one in; `is_classic` says of which protocol that one is."""
    limit = "group.max.size" if is_classic else "group.consumer.max.size"
    most, theirs = _number(brokers, limit), _counted(len(group.membership.members), "member")
    if most is not None and len(group.membership.members) >= most:
        yield Found(findings.GROUP_FULL, f"{theirs}, {limit} is {most}")
    policy = brokers.get(MIGRATION_POLICY, "bidirectional").lower()
    if group.refusal is not None:
        yield Found(findings.GROUP_REFUSED, f"{group.refusal.cause}. {group.refusal.action}")
    elif is_classic or not group.membership.is_classic:
        return
    elif policy not in ("bidirectional", "upgrade"):
        remedy = "Set it to bidirectional on the brokers, or stop the members."
        yield Found(findings.GROUP_REFUSED, f"{theirs} by the classic protocol, {MIGRATION_POLICY} {policy}. {remedy}")
    else:
        yield Found(findings.GROUP_CHANGES_OVER, f"{theirs} by the classic protocol, {group.membership.assignor}")


def of_expiry(
    cluster: Cluster,
    committed: Mapping[TopicPartition, Stored],
    at_time: Callable[[int], Mapping[TopicPartition, int]],
    now_s: float,
) -> Iterator[Found]:
    """Judge how long the offsets of a group without members stay; `at_time` gives the first offsets from a time on.

    Kafka tells neither when the last member left nor when an offset was committed. But the group was at work when a
    record came that it has passed; of partitions with records that are dated ahead nobody knows when they came.
    """
    minutes = _number(cluster.broker_settings, "offsets.retention.minutes")
    offsets = offsets_in(committed)
    if minutes is None or not offsets or cluster.group is None or cluster.group.membership.members:
        return
    ahead = at_time(int((now_s + AHEAD_S) * 1_000))
    told = {each: offset for each, offset in offsets.items() if not 0 <= ahead.get(each, -1) < offset}
    for parts in range(PARTS - 1, 0, -1):
        since = at_time(int((now_s - minutes * 60 * (PARTS - parts) / PARTS) * 1_000))
        if any(0 <= since.get(each, -1) < offset for each, offset in told.items()):
            break
    else:
        parts = 0
    days = minutes / MINUTES_OF_DAY
    left = f"at least {days * parts / PARTS:.1f} of" if parts else "no record shows how many of"
    finding = findings.GROUP_STOPPED if parts >= PARTS / 2 else findings.GROUP_EXPIRING
    yield Found(finding, f"{left} {days:.1f} days are left")


def _members(group: Group | None) -> str:
    """Say who is in the group, if that is known; Kafka calls a group dead that has no members and no commits."""
    if group is None:
        return ""
    count, assignor = len(group.membership.members), group.membership.assignor
    if not count:
        return ", no members"
    return f", {group.state}, {_counted(count, 'member')}" + (f" by {assignor}" if assignor else "")


def _number(settings: Mapping[str, str] | None, name: str) -> int | None:
    """Return a setting that is a number; None where it is not told."""
    text = (settings or {}).get(name) or ""
    return int(text) if text.removeprefix("-").isdecimal() else None


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
