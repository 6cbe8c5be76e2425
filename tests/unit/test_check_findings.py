"""What facts mean: tables of `check`'s judgements, and the pages that list them."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka.admin import AclOperation

from docs import generate
from processor.adapters.clock import SystemClock
from processor.adapters.kafka.config import KafkaSettings
from processor.adapters.kafka.described import allows, place_of
from processor.adapters.kafka.facts import Cluster, Group, Topic
from processor.adapters.kafka.membership import Membership
from processor.adapters.kafka.offsets import Stored
from processor.adapters.kafka.reading import latest
from processor.commands.check import findings
from processor.commands.check.checklist import in_order
from processor.commands.check.cluster import of_cluster, of_copies, of_expiry, of_group
from processor.commands.check.findings import FINDINGS, Finding, Found, Level
from processor.commands.check.probe import probe
from processor.commands.check.report import summary
from processor.engine.verdict import Answer, NoAnswer
from processor.model.reasons import Kind
from processor.model.records import OffsetRange, TopicPartition
from processor.settings.connections import KafkaSection

KAFKA = KafkaSection(
    bootstrap_servers="kafka:9092",
    topics=("segment",),
    group_id="fullstory",
    dead_letter_topic="letters",
)
DAY_MS = 86_400_000
LETTERS = {
    "min.insync.replicas": "2",
    "retention.ms": str(14 * DAY_MS),
    "cleanup.policy": "delete",
    "max.message.bytes": "1056780",
}
SOURCE = {"max.message.bytes": "1048588"}
PARTITION = TopicPartition("segment", 0)


def topic(settings: Mapping[str, str] | None = None, **known: Any) -> Topic:
    """Return a topic with which nothing is wrong."""
    return replace(
        Topic(replicas=[3, 3], settings=LETTERS | dict(settings or {}), may_read=True, may_write=True), **known
    )


def group_of(members: int, assignor: str = "cooperative-sticky", *, is_allowed: bool = True, **known: Any) -> Group:
    """Return a group with so many classic members."""
    names = frozenset(map(str, range(members)))
    membership = Membership(names, is_classic=True, assignor=assignor if members else "")
    return Group("stable" if members else "empty", membership, is_allowed, **known)


def cluster(**known: Any) -> Cluster:
    """Return a cluster with which nothing is wrong."""
    topics = {"segment": topic(SOURCE), "letters": topic()}
    whole = Cluster("c", 3, topics, {"offset.metadata.max.bytes": "4096"}, group_of(0))
    return replace(whole, **known)


def ids(findings: list[Found]) -> set[str]:
    """Return the ids of what is not fine."""
    return {each.finding.id for each in findings if each.finding.level is not Level.OK}


@pytest.mark.parametrize(
    ("letters", "expected"),
    [
        (topic(), set()),
        (topic({"min.insync.replicas": "1"}), {"dead_letters.min_isr"}),
        (topic({"min.insync.replicas": "4"}), {"dead_letters.unwritable"}),
        (topic(replicas=[3, 1]), {"dead_letters.unwritable"}),
        (topic({"retention.ms": str(14 * DAY_MS - 1)}), {"dead_letters.retention"}),
        (topic({"retention.ms": "0"}), {"dead_letters.retention"}),
        (topic({"retention.ms": "-1"}), set()),
        (topic({"cleanup.policy": "compact,delete"}), {"dead_letters.compacted"}),
        (topic({"max.message.bytes": "1056779"}), {"dead_letters.size"}),
        (topic({"max.message.bytes": "1056781"}), set()),
        (topic(may_write=False), {"dead_letters.forbidden"}),
        (replace(topic(), settings=None), {"kafka.reticent"}),
        (topic(may_write=None), {"kafka.reticent"}),
        (None, {"dead_letters.missing"}),
    ],
)
def test_the_dead_letter_topic_keeps_what_it_is_given(letters: Topic | None, expected: set[str]) -> None:
    """Each setting that would lose, refuse or hide a dead letter is told, and nothing else."""
    topics = {"segment": topic(SOURCE)} | ({"letters": letters} if letters else {})

    assert ids(list(of_cluster(KAFKA, cluster(topics=topics)))) == expected


@pytest.mark.parametrize(
    ("redrive", "letters", "expected"),
    [
        (topic(SOURCE), topic(), set()),
        (topic(SOURCE | {"retention.ms": "-1"}), topic({"retention.ms": "-1"}), set()),
        (topic(SOURCE | {"retention.ms": str(14 * DAY_MS - 1)}), topic(), {"redrive.retention"}),
        (topic(SOURCE), topic({"retention.ms": "-1"}), {"redrive.retention"}),
        (topic(SOURCE | {"message.timestamp.type": "LogAppendTime"}), topic({"retention.ms": "-1"}), set()),
        (topic(SOURCE | {"retention.ms": "1", "cleanup.policy": "compact"}), topic(), {"redrive.compacted"}),
        (
            topic(SOURCE | {"retention.ms": "1", "cleanup.policy": "compact,delete"}),
            topic(),
            {"redrive.compacted", "redrive.retention"},
        ),
        (replace(topic(), settings=None), topic(), {"kafka.reticent"}),
        (None, topic(), {"topic.missing"}),
        (topic(SOURCE | {"retention.ms": "1"}), None, {"dead_letters.missing"}),
    ],
)
def test_what_is_brought_back_stays_until_it_is_read(
    redrive: Topic | None, letters: Topic | None, expected: set[str]
) -> None:
    """A redrive topic that may delete records with old timestamps, or all of a user but the last, is told."""
    kafka = KAFKA.model_copy(update={"redrive_topic": "redrive"})
    found = {"segment": topic(SOURCE), "redrive": redrive, "letters": letters}
    topics = {name: each for name, each in found.items() if each is not None}

    assert ids(list(of_cluster(kafka, cluster(topics=topics)))) == expected


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"topics": {"letters": topic()}}, {"topic.missing"}),
        ({"topics": {"segment": topic(SOURCE, may_read=False), "letters": topic()}}, {"topic.forbidden"}),
        ({"broker_settings": None}, {"kafka.reticent"}),
        ({"broker_settings": {"offset.metadata.max.bytes": "4095"}}, {"kafka.offset_metadata"}),
        ({"broker_settings": {}}, set()),
    ],
)
def test_the_cluster_can_serve_the_worker(known: dict[str, Any], expected: set[str]) -> None:
    """Whatever the cluster lacks, forbids or limits too much becomes a finding."""
    assert ids(list(of_cluster(KAFKA, cluster(**known)))) == expected


@pytest.mark.parametrize(("names", "expected"), [(("parked",), set()), (("letters",), {"parking.missing"})])
def test_a_parking_topic_that_is_not_there_is_told(names: tuple[str, ...], expected: set[str]) -> None:
    """The worker needs none, so that is a warning: a redrive would end with an error."""
    kafka = KAFKA.model_copy(update={"parking_topic": "parked"})

    assert ids(list(of_cluster(kafka, cluster(names=names)))) == expected


def test_a_topic_that_another_setting_names_is_not_what_was_meant() -> None:
    """Neither a topic that is read already nor the dead-letter topic is proposed for a missing one."""
    kafka = KAFKA.model_copy(update={"topics": ("segment", "segments")})
    topics = {"segment": topic(SOURCE), "letters": topic()}

    def seen(*names: str) -> list[str]:
        found = of_cluster(kafka, cluster(topics=topics, names=names))
        return [each.seen for each in found if each.finding.id == "topic.missing"]

    assert seen("segment", "letters") == ["topic segments does not exist"]
    assert seen("segment", "letters", "Segments") == ["topic segments does not exist (did you mean Segments?)"]


@pytest.mark.parametrize(
    ("committed", "expected", "seen"),
    [
        (-1001, set(), "new: begins at the earliest record, 10 records behind, no members"),
        (10, set(), "committed on 1 of 1 partition, 10 records behind, no members"),
        (20, set(), "committed on 1 of 1 partition, 0 records behind, no members"),
        (9, {"group.gap"}, "committed on 1 of 1 partition, 0 records behind, no members"),
        (21, {"group.gap"}, "committed on 1 of 1 partition, 0 records behind, no members"),
    ],
)
def test_the_group_can_go_on_where_it_stands(committed: int, expected: set[str], seen: str) -> None:
    """A committed offset that the topic no longer holds, or does not hold yet, is a gap."""
    held = {PARTITION: OffsetRange(10, 20)}
    found = list(of_group(KAFKA, cluster(), {PARTITION: Stored(committed, "")}, held, is_classic=True))

    assert ids(found) == expected
    assert found[-1].seen == f"fullstory: {seen}"


def test_a_new_group_that_begins_at_the_end_is_not_behind() -> None:
    """A new group that begins at the end has no lag, and Kafka's word for its state, dead, is not shown."""
    latest = KAFKA.model_copy(update={"start": "latest"})
    new = cluster(group=group_of(0))
    found = of_group(latest, new, {PARTITION: Stored(-1001, "")}, {PARTITION: OffsetRange(10, 20)}, is_classic=True)

    assert [each.seen for each in found] == [
        "fullstory: new: begins at the latest record, 0 records behind, no members"
    ]


def test_a_partition_that_was_added_is_behind_from_its_first_record() -> None:
    """Where the group has a history, START is not for what it has not committed."""
    latest, added = KAFKA.model_copy(update={"start": "latest"}), TopicPartition("segment", 1)
    held = {PARTITION: OffsetRange(10, 20), added: OffsetRange(0, 5)}
    found = of_group(latest, cluster(), {PARTITION: Stored(20, ""), added: Stored(-1001, "")}, held, is_classic=True)

    assert [each.seen for each in found] == ["fullstory: committed on 1 of 2 partitions, 5 records behind, no members"]


@pytest.mark.parametrize(
    ("elsewhere", "offset", "expected"),
    [
        ("c", 15, []),
        ("another", 15, ["fullstory: 1 partition, up to 5 records"]),
        ("another", 20, []),
    ],
)
def test_an_offset_of_another_cluster_may_have_been_passed_there(
    elsewhere: str, offset: int, expected: list[str]
) -> None:
    """Its metadata was copied with it; that the topic's id is another one says nothing by itself."""
    place = place_of(PARTITION, "id", elsewhere, "fullstory")
    stored = Stored(offset, f"sf1,{place.exact},destination,{offset:x},{place.lineage}")
    found = list(of_copies(KAFKA, cluster(), {PARTITION: stored}, {PARTITION: OffsetRange(10, 20)}))

    assert [each.seen for each in found if each.finding.id == "group.copied"] == expected


def test_a_group_that_has_started_and_has_no_offsets_would_halt() -> None:
    """START=halt is an operator's word that there were offsets."""
    started = KAFKA.model_copy(update={"start": "halt"})
    found = list(
        of_group(started, cluster(), {PARTITION: Stored(-1001, "")}, {PARTITION: OffsetRange(10, 20)}, is_classic=True)
    )

    assert [(each.finding.id, each.seen) for each in found] == [("group.lost", "fullstory: no offset of segment[0]")]


@pytest.mark.parametrize(
    ("passed_days_ago", "members", "expected"),
    [
        (1.5, 0, [("group.stopped", "at least 6.0 of 8.0 days are left")]),
        (3.5, 0, [("group.stopped", "at least 4.0 of 8.0 days are left")]),
        (4.5, 0, [("group.expiring", "at least 3.0 of 8.0 days are left")]),
        (30.0, 0, [("group.expiring", "no record shows how many of 8.0 days are left")]),
        (-1.0, 0, [("group.expiring", "no record shows how many of 8.0 days are left")]),
        (30.0, 2, []),
    ],
)
def test_a_stopped_group_tells_how_long_its_offsets_stay(
    passed_days_ago: float, members: int, expected: list[tuple[str, str]]
) -> None:
    """A group was at work when the newest record came that it has passed; one with members keeps its offsets.

    A record that is dated ahead does not tell when it came.
    """
    brokers, now_s = {"offsets.retention.minutes": str(8 * 24 * 60)}, 1_800_000_000.0
    known = cluster(broker_settings=brokers, group=group_of(members))

    def at_time(time_ms: int) -> dict[TopicPartition, int]:
        return {PARTITION: 19 if time_ms <= (now_s - passed_days_ago * 86_400) * 1_000 else -1}

    found = of_expiry(known, {PARTITION: Stored(20, "")}, at_time, now_s)

    assert [(each.finding.id, each.seen) for each in found] == expected


def test_a_group_at_work_tells_its_members() -> None:
    """A group at work is shown with the state and number of members that Kafka gives."""
    working = cluster(group=group_of(2))
    found = of_group(KAFKA, working, {PARTITION: Stored(12, "")}, {PARTITION: OffsetRange(10, 20)}, is_classic=True)

    assert [each.seen for each in found] == [
        "fullstory: committed on 1 of 1 partition, 8 records behind, stable, 2 members by cooperative-sticky"
    ]


@pytest.mark.parametrize(
    ("protocol", "brokers", "expected"),
    [
        ("classic", {"group.max.size": "3"}, set()),
        ("classic", {"group.max.size": "2", "group.consumer.max.size": "3"}, {"group.full"}),
        ("consumer", {"group.max.size": "3", "group.consumer.max.size": "2"}, {"group.full"}),
        ("consumer", {"group.coordinator.rebalance.protocols": "classic,consumer,streams"}, set()),
        ("consumer", {"group.coordinator.rebalance.protocols": "classic"}, {"group.protocol"}),
        ("classic", {"group.coordinator.rebalance.protocols": "classic"}, set()),
    ],
)
def test_a_group_that_would_refuse_one_more_member_is_told(
    protocol: str, brokers: dict[str, str], expected: set[str]
) -> None:
    """What the brokers' settings say of a further member's chances is a finding, for the protocol that it uses."""
    working = cluster(group=group_of(2), broker_settings=brokers)

    assert ids(list(of_group(KAFKA, working, {}, {}, is_classic=protocol == "classic"))) == expected


@pytest.mark.parametrize(
    ("properties", "assignor", "brokers", "expected"),
    [
        ({}, "cooperative-sticky", {}, set()),
        ({}, "range", {}, {"group.refused"}),
        ({"partition.assignment.strategy": "roundrobin, range"}, "range", {}, set()),
        ({"partition.assignment.strategy": "range"}, "cooperative-sticky", {}, {"group.refused"}),
        ({}, "", {}, set()),
        ({"group.protocol": "consumer"}, "range", {}, {"group.changes_over"}),
        ({"group.protocol": "consumer"}, "cooperative-sticky", {}, {"group.refused"}),
        ({"group.protocol": "consumer"}, "range", {"group.consumer.migration.policy": "DISABLED"}, {"group.refused"}),
        ({"group.protocol": "consumer"}, "range", {"group.consumer.migration.policy": "downgrade"}, {"group.refused"}),
        (
            {"group.protocol": "consumer"},
            "range",
            {"group.consumer.migration.policy": "Upgrade"},
            {"group.changes_over"},
        ),
    ],
)
def test_whether_the_members_let_a_worker_in_follows_from_how_they_assign(
    properties: dict[str, str], assignor: str, brokers: dict[str, str], expected: set[str]
) -> None:
    """Classic members let in who knows their assignor, or one of KIP-848 unless their assignor keeps data."""
    settings = KafkaSettings("k:9092", ("segment",), "g", "letters", properties=properties)
    working = group_of(2, assignor)
    known = cluster(group=replace(working, refusal=working.membership.refusal(settings)), broker_settings=brokers)

    found = {each.finding.id for each in of_group(KAFKA, known, {}, {}, is_classic=settings.is_classic)}

    assert found & {"group.refused", "group.changes_over"} == expected


def test_members_of_the_brokers_protocol_let_every_worker_in() -> None:
    """A group of KIP-848 takes classic members of any assignor, and one without members anybody."""
    theirs = Membership(frozenset("a"), is_classic=False, assignor="uniform")
    nobody = Membership(frozenset(), is_classic=True, assignor="")
    for properties in ({}, {"partition.assignment.strategy": "range"}, {"group.protocol": "consumer"}):
        settings = KafkaSettings("k:9092", ("segment",), "g", "letters", properties=properties)
        assert theirs.refusal(settings) is None
        assert nobody.refusal(settings) is None


def test_a_gap_that_the_settings_pass_is_a_warning() -> None:
    """A gap is only a warning if the operator chose to pass gaps over."""
    going_on = KAFKA.model_copy(update={"on_gap": "continue"})
    found = of_group(going_on, cluster(), {PARTITION: Stored(1, "")}, {PARTITION: OffsetRange(10, 20)}, is_classic=True)

    assert ids(list(found)) == {"group.gap_passed"}


def test_a_group_that_may_not_be_joined_is_an_error() -> None:
    """A group without the right to join is an error; where Kafka tells no rights, readable commits suffice."""
    forbidden = cluster(group=group_of(0, is_allowed=False))

    assert ids(list(of_group(KAFKA, forbidden, {}, {}, is_classic=True))) == {"group.forbidden"}
    assert ids(list(of_group(KAFKA, cluster(group=None), {}, {}, is_classic=True))) == set()


def test_a_cluster_that_tells_no_rights_forbids_nothing() -> None:
    """An empty list of rights, as managed clusters and old brokers answer, is no error."""
    assert allows([AclOperation.DESCRIBE], AclOperation.WRITE) is False
    assert allows([AclOperation.DESCRIBE, AclOperation.WRITE], AclOperation.WRITE) is True
    assert allows([], AclOperation.WRITE) is None
    assert allows(None, AclOperation.WRITE) is None


@pytest.mark.parametrize(
    ("sizes", "count", "expected"),
    [
        ([100, 100], 10, [5, 5]),
        ([1, 100], 10, [1, 9]),
        ([0, 3, 100], 10, [0, 3, 7]),
        ([2, 2], 10, [2, 2]),
        ([5, 5, 5], 2, [0, 1, 1]),
        ([], 10, []),
    ],
)
def test_a_sample_takes_evenly_from_partitions(sizes: list[int], count: int, expected: list[int]) -> None:
    """A sample takes the latest records evenly, no more than `count`, and makes up for short partitions."""
    held = {TopicPartition("t", number): OffsetRange(7, 7 + size) for number, size in enumerate(sizes)}
    taken = latest(held, count)

    assert [len(range(*taken.get(each, (0, 0)))) for each in held] == expected
    assert all(taken[each].end == held[each].end for each in taken)


@pytest.mark.parametrize(
    ("answers", "finding"),
    [
        ([Answer(200, {"job": {"id": "a"}}), Answer(200, {"job": {"id": "a"}})], "idempotency.honoured"),
        ([Answer(200, {"job": {"id": "a"}}), Answer(200, {"job": {"id": "b"}})], "idempotency.ignored"),
        ([Answer(429), Answer(200, {"job": {"id": "b"}})], "idempotency.unclear"),
        ([Answer(200, {"job": {"id": "a"}}), Answer(409, {"code": "x"})], "idempotency.unclear"),
    ],
)
def test_a_probe_compares_two_answers(answers: list[Answer], finding: str) -> None:
    """One job is a replay, two are none, and anything else says nothing; both requests are the same."""
    destination = Scripted([*answers, *answers])

    async def ask() -> list[Found]:
        return [found async for found in probe(destination, SystemClock())]

    assert [each.finding.id for each in asyncio.run(ask())] == [finding, finding]
    assert len(destination.posts) == 4
    assert len(set(destination.posts)) == 2


class Scripted:
    """A `Destination` that answers each POST by the script, and no question."""

    def __init__(self, answers: list[Answer]) -> None:
        self._answers = answers
        self.posts: list[tuple[Kind, bytes, str, bool]] = []

    async def post(self, kind: Kind, body: bytes, key: str, *, batch: bool) -> Answer | NoAnswer:
        """Answer, and remember the request."""
        self.posts.append((kind, body, key, batch))
        return self._answers.pop(0)

    async def delete(self, uid: str) -> Answer | NoAnswer:
        """Deletions are no part of it."""
        raise NotImplementedError

    async def job(self, kind: Kind, job_id: str) -> Answer | NoAnswer:
        """Refuse: nobody is to ask."""
        raise AssertionError(kind, job_id)

    async def errors(self, kind: Kind, job_id: str, page_token: str) -> Answer | NoAnswer:
        """Refuse: nobody is to ask."""
        raise AssertionError(kind, job_id, page_token)

    async def me(self) -> Answer | NoAnswer:
        """Refuse: nobody is to ask."""
        raise AssertionError


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([findings.KAFKA_REACHED], "no errors, no warnings, 1 ok"),
        ([findings.CLOCK_SKEW, findings.KAFKA_REACHED], "no errors, 1 warning, 1 ok"),
        (
            [findings.CLOCK_SKEW, findings.GROUP_FORBIDDEN],
            "1 error: seen: allow Read on the group to the worker's principal",
        ),
        ([findings.RECORDS_UNREAD, findings.KAFKA_UNREACHABLE], "2 errors, the first: seen"),
    ],
)
def test_the_last_line_names_the_first_error_and_its_remedy(found: list[Finding], expected: str) -> None:
    """Causes come before what follows from them; without an error there is a count."""
    assert summary(in_order(Found(each, "seen") for each in found)) == expected


def test_every_finding_has_one_id_and_one_shape() -> None:
    """Ids are stable names in two parts; whatever is not fine says what to do."""
    names = [each.id for each in FINDINGS]

    assert len(set(names)) == len(names)
    assert all(name.count(".") == 1 and name == name.lower() for name in names)
    assert [each.id for each in FINDINGS if (each.level is Level.OK) == bool(each.advice)] == []


def test_the_documentation_is_what_the_catalogue_says() -> None:
    """docs/check.md is current; `python -m docs.generate` writes it."""
    assert (generate.DOCS / "check.md").read_text(encoding="utf-8") == generate.check()
