"""`segment-fullstory check` and `explain` on a real Kafka: settings, rights, gaps, compaction."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from processor.model.records import Record
from processor.sandbox import Role, Sandbox, SandboxOptions
from tests.commands.program import Done, run
from tests.kafka.cluster import Cluster, KafkaCluster
from tests.kafka.conftest import Names
from tests.kafka.members import kip_848
from tests.kafka.topics import append, append_transaction, committed

KEY = "na1.c2VjcmV0LWtleQ"
DAY_MS = 86_400_000
ANSWER_S = 30.0
LASTING = {"retention.ms": str(30 * DAY_MS), "max.message.bytes": "1056780"}
TRACK = json.dumps({"type": "track", "userId": "u-1", "event": "Bought"}).encode()

AUTHORIZED = """
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
offset.metadata.max.bytes=1024
"""
"""A broker that knows rights, grants whatever nobody has spoken of, and takes little metadata."""


def environment(cluster: Cluster, names: Names, **settings: str) -> dict[str, str]:
    """Return settings that work, with others in their place."""
    return {
        "PROCESSOR_KAFKA__BOOTSTRAP_SERVERS": cluster.bootstrap_servers,
        "PROCESSOR_KAFKA__TOPICS": names.topic,
        "PROCESSOR_KAFKA__GROUP_ID": names.group,
        "PROCESSOR_KAFKA__DEAD_LETTER_TOPIC": names.dead_letters,
        "PROCESSOR_FULLSTORY__API_KEY": KEY,
        **settings,
    }


def check(cluster: Cluster, names: Names, *options: str, **settings: str) -> Done:
    """Run the command, with a FullStory where all is well."""

    async def ask() -> Done:
        async with Sandbox(SandboxOptions(keys={KEY: Role.ARCHITECT})) as sandbox:
            variables = environment(cluster, names, PROCESSOR_FULLSTORY__BASE_URL=sandbox.url, **settings)
            return await asyncio.to_thread(run, "check", *options, environment=variables)

    return asyncio.run(ask())


def findings(cluster: Cluster, names: Names, *levels: str, **settings: str) -> dict[str, str]:
    """Return what is not fine, and what is of these levels, by id."""
    (report,) = check(cluster, names, "--format", "json", **settings).objects()
    return {each["id"]: each["seen"] for each in report["findings"] if each["level"] in ("warning", "error", *levels)}


def records(*values: bytes) -> list[Record]:
    """Return records of now."""
    return [Record(0, 1_700_000_000_000, b"u-1", value, None) for value in values]


def test_where_nothing_is_wrong_the_exit_code_is_0(kafka: Cluster, names: Names) -> None:
    """With nothing wrong the exit code is 0, apart from the replicas that one broker cannot have."""
    kafka.create_topic(names.topic, 3)
    kafka.create_topic(names.dead_letters, 1, LASTING)
    append(kafka, names.topic, 1, records(TRACK, TRACK))

    assert findings(kafka, names).keys() == {"dead_letters.min_isr"}
    assert committed(kafka, names.group, names.topic) == {}


def test_settings_of_the_dead_letter_topic_are_read(kafka: Cluster, names: Names) -> None:
    """Retention, size, policy and replicas of the dead-letter topic are checked, and retention of the redrive topic."""
    kafka.create_topic(names.topic, 1, {"max.message.bytes": "2000000"})
    kafka.create_topic(redrive := f"{names.topic}-redrive", 1, {"retention.ms": "60000"})
    kafka.create_topic(
        names.dead_letters,
        config={"retention.ms": str(DAY_MS), "cleanup.policy": "compact,delete", "min.insync.replicas": "2"},
    )

    found = findings(kafka, names, PROCESSOR_KAFKA__REDRIVE_TOPIC=redrive)

    assert found.keys() == {
        "redrive.retention",
        "dead_letters.retention",
        "dead_letters.size",
        "dead_letters.compacted",
        "dead_letters.unwritable",
    }
    assert found["dead_letters.retention"] == f"{names.dead_letters}: retention.ms {DAY_MS}, 1.0 days"
    assert found["redrive.retention"] == f"{redrive}: retention.ms 60000, {DAY_MS} of the dead-letter topic"


def test_topics_that_are_missing_are_errors_and_stay_missing(kafka: Cluster, names: Names) -> None:
    """A missing topic is an error, and asking does not create it."""
    for _ in range(2):
        assert findings(kafka, names).keys() == {"topic.missing", "dead_letters.missing"}
    assert check(kafka, names).code == 2


def test_a_missing_topic_names_the_one_that_was_meant(kafka: Cluster, names: Names) -> None:
    """For a missing topic, neither Kafka's own topics nor configured ones are proposed."""
    kafka.create_topic(names.dead_letters, 1, LASTING)
    kafka.create_topic(f"{names.topic}s")

    assert findings(kafka, names)["topic.missing"] == (
        f"topic {names.topic} does not exist (did you mean {names.topic}s?)"
    )


def test_a_gap_is_told_with_what_the_topic_holds(kafka: Cluster, names: Names) -> None:
    """If the committed offset was deleted unread, the gap is reported with the offsets that exist."""
    kafka.create_topic(names.topic)
    kafka.create_topic(names.dead_letters, 1, LASTING)
    append(kafka, names.topic, 0, records(TRACK, TRACK, TRACK))
    kafka.commit(names.group, names.topic, 0, 1)
    kafka.delete_records(names.topic, 0, 2)

    assert findings(kafka, names)["group.gap"] == f"{names.topic}[0]: committed 1, the topic holds 2 to 3"


def test_a_stopped_group_tells_how_long_its_offsets_stay(kafka: Cluster, names: Names) -> None:
    """The time that the brokers keep offsets counts from the newest record that the group has passed, at the latest."""
    kafka.create_topic(names.topic, config={"message.timestamp.type": "LogAppendTime"})
    kafka.create_topic(names.dead_letters, 1, LASTING)
    append(kafka, names.topic, 0, records(TRACK, TRACK))
    kafka.commit(names.group, names.topic, 0, 1)

    assert findings(kafka, names, "ok")["group.stopped"] == "at least 6.1 of 7.0 days are left"


def test_offsets_without_records_are_told_apart(kafka: Cluster, names: Names) -> None:
    """Offsets of transaction markers are not counted as records."""
    kafka.create_topic(names.topic)
    append_transaction(kafka, names.topic, 0, records(TRACK))
    append(kafka, names.topic, 0, records(TRACK))
    place = ["--topic", names.topic, "--partition", "0", "--offset"]
    settings = environment(kafka, names)

    assert run("explain", *place, "0", environment=settings).code == 0
    done = run("explain", *place, "1", environment=settings)
    assert done.code == 2
    assert f"the offset 1 of {names.topic}[0] holds no record" in done.err
    assert "the next record is 2" in done.err
    told = run("explain", *place, "0", "--count", "9", "--format", "json", environment=settings).objects()
    assert [each["record"] for each in told] == [f"{names.topic}[0] at {offset}" for offset in (0, 2)]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """Give a broker of our own that knows rights."""
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        pytest.skip("an external cluster's rights are not changed")
    with KafkaCluster(tmp_path_factory.mktemp("guarded"), properties=AUTHORIZED) as cluster:
        yield cluster


def deny(cluster: Cluster, kind: ResourceType, name: str, *operations: AclOperation) -> None:
    """Deny operations to everybody who has no name, which is us, and allow the others."""
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})
    every = [(AclOperation.ALL, AclPermissionType.ALLOW), *((each, AclPermissionType.DENY) for each in operations)]
    acls = [
        AclBinding(kind, name, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", operation, permission)
        for operation, permission in every
    ]
    for answer in admin.create_acls(acls).values():
        answer.result(ANSWER_S)


def test_rights_that_are_missing_are_errors(guarded: KafkaCluster, names: Names) -> None:
    """Missing rights to the topic, the dead letters or the group are errors, and small metadata is reported."""
    guarded.create_topic(names.topic)
    guarded.create_topic(names.dead_letters, 1, LASTING)
    append(guarded, names.topic, 0, records(TRACK))
    before = findings(guarded, names)
    deny(guarded, ResourceType.TOPIC, names.dead_letters, AclOperation.WRITE)
    deny(guarded, ResourceType.TOPIC, names.topic, AclOperation.READ)
    deny(guarded, ResourceType.GROUP, names.group, AclOperation.READ)
    after = findings(guarded, names)

    assert before.keys() == {"dead_letters.min_isr", "kafka.offset_metadata"}
    assert after.keys() == before.keys() | {"dead_letters.forbidden", "topic.forbidden", "group.forbidden"}


def test_what_may_not_be_seen_counts_as_missing(guarded: KafkaCluster, names: Names) -> None:
    """A topic that may not be seen is reported as missing, because Kafka does not tell them apart."""
    guarded.create_topic(names.topic)
    guarded.create_topic(names.dead_letters, 1, LASTING)
    deny(guarded, ResourceType.TOPIC, names.dead_letters, AclOperation.DESCRIBE)

    assert "dead_letters.missing" in findings(guarded, names)


def test_settings_that_may_not_be_read_are_said_to_be_unknown(guarded: KafkaCluster, names: Names) -> None:
    """A check whose settings may not be read is reported as unknown, not left out."""
    guarded.create_topic(names.topic)
    guarded.create_topic(names.dead_letters, 1, LASTING)
    deny(guarded, ResourceType.TOPIC, names.dead_letters, AclOperation.DESCRIBE_CONFIGS)

    found = findings(guarded, names)

    assert "kafka.reticent" in found
    assert not any(each.startswith("dead_letters.") for each in found)


def test_a_record_that_may_not_be_read_is_not_explained(guarded: KafkaCluster, names: Names) -> None:
    """`explain` reports in one line that the record may not be read."""
    guarded.create_topic(names.topic)
    append(guarded, names.topic, 0, records(TRACK))
    deny(guarded, ResourceType.TOPIC, names.topic, AclOperation.READ)
    place = ["--topic", names.topic, "--partition", "0", "--offset", "0"]
    done = run("explain", *place, environment=environment(guarded, names))

    assert done.code == 2
    assert "Topic authorization failed" in done.err


@pytest.mark.parametrize("protocol", ["classic", pytest.param("consumer", marks=kip_848)])
def test_a_probe_of_the_group_joins_commits_and_leaves_nothing(kafka: Cluster, names: Names, protocol: str) -> None:
    """With --probe-group the group is joined and left, metadata is read back, and no offset or group is left over."""
    kafka.create_topic(names.topic)
    kafka.create_topic(names.dead_letters, 1, LASTING)
    properties = json.dumps({"group.protocol": protocol})
    done = check(kafka, names, "--probe-group", "--format", "json", PROCESSOR_KAFKA__PROPERTIES=properties)
    (report,) = done.objects()
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})  # its futures end with it, without an answer
    listed: Any = admin.list_consumer_groups().result(ANSWER_S)

    assert {"group.joined", "group.metadata_kept"} <= {each["id"] for each in report["findings"]}
    assert committed(kafka, names.group, names.topic) == {}
    assert not any(each.group_id.startswith(f"{names.group}.check-") for each in listed.valid)


def test_a_folder_is_no_configuration(kafka: Cluster, names: Names, tmp_path: Path) -> None:
    """Both commands name a configuration file that is a folder."""
    for command in (["check"], ["explain", "-"]):
        done = run(*command, "--config", str(tmp_path), environment=environment(kafka, names))
        assert done.code == 2
        assert str(tmp_path) in done.out + done.err
