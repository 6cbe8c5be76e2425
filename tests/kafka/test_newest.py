"""A short form of this suite on the newest Kafka: what the worker's promises take a broker for.

`KAFKA_VERSION=3.9.2 make test ARGS=tests/kafka` runs all of the suite on another one.
"""

import json
import subprocess
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import pytest
from confluent_kafka import Producer, ShareConsumer  # type: ignore[attr-defined]  # which the stubs do not know yet

from processor.commands.common.next_steps import NOT_COPIED
from processor.model.records import Headers
from tests.commands.program import run
from tests.kafka.cluster import ANSWER_DEADLINE_S, NEWEST, Cluster, KafkaCluster, java

# Tests that are imported are collected here once more, and given the fixture of this module.
from tests.kafka.conftest import Names
from tests.kafka.programs import environment_of, wait_until
from tests.kafka.test_change_over import (
    test_a_worker_joins_classic_members_that_assign_by_range,  # noqa: F401
    test_a_worker_that_cannot_join_classic_members_waits_for_their_end,  # noqa: F401
)
from tests.kafka.test_check import (
    LASTING,
    TRACK,
    check,
    records,
    test_where_nothing_is_wrong_the_exit_code_is_0,  # noqa: F401
)
from tests.kafka.test_dead_letters import (
    test_a_missing_topic_refuses_until_it_is_there,  # noqa: F401
    test_an_acknowledged_letter_is_on_the_topic_byte_for_byte,  # noqa: F401
)
from tests.kafka.test_end_to_end import test_nothing_is_lost_or_repeated_when_the_worker_is_killed  # noqa: F401
from tests.kafka.test_journal_commits import (
    test_metadata_changes_at_an_unchanged_offset,  # noqa: F401
    test_metadata_that_is_too_large_is_its_own_partitions_fault,  # noqa: F401
    test_the_end_lies_behind_offsets_that_are_no_records,  # noqa: F401
)
from tests.kafka.test_rebalances import (
    test_a_partition_goes_on_where_it_was_left,  # noqa: F401
    test_what_another_member_has_taken_is_not_committed,  # noqa: F401
)
from tests.kafka.test_source import test_records_that_were_deleted_are_a_gap  # noqa: F401
from tests.kafka.tools import FAST_START
from tests.kafka.topics import append, read_all


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Give the newest broker."""
    with KafkaCluster(tmp_path_factory.mktemp("newest"), version=NEWEST) as cluster:
        yield cluster


@contextmanager
def share_group(kafka: Cluster, names: Names) -> Iterator[None]:
    """Have a group of the worker's name whose members share the records, until the end of the `with`."""
    with ShareConsumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": names.group}) as consumer:
        consumer.subscribe([names.topic])

        def reads() -> bool:
            append(kafka, names.topic, 0, records(TRACK))  # such a group begins at the end, whenever that was
            return bool(consumer.poll(0.5))

        wait_until(reads, "the share group reads")
        yield


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_share_group_of_the_same_name_is_told_by_the_probe(kafka: Cluster, names: Names, protocol: str) -> None:
    """`check --probe-group` reports that the group does not take the worker, and names share groups as a cause."""
    kafka.create_topic(names.topic)
    kafka.create_topic(names.dead_letters, 1, LASTING)
    with share_group(kafka, names):
        properties = json.dumps({"group.protocol": protocol})
        done = check(kafka, names, "--probe-group", "--format", "json", PROCESSOR_KAFKA__PROPERTIES=properties)

    (report,) = done.objects()
    seen = {each["id"]: each["seen"] for each in report["findings"]}
    assert "a share group" in seen.get("group.refused", ""), seen
    assert done.code == 2


SHARES: Mapping[str, str] = {
    "share.auto.offset.reset": "earliest",
    "errors.deadletterqueue.topic.name": "{topic}",
    "errors.deadletterqueue.copy.record.enable": "{copies}",
}
"""Settings of a share group whose dead letters Kafka writes (KIP-1191)."""
OWN: Headers = [("own", b"1"), ("fullstory.dlq.reason", b"malformed")]


def carry_out(program: str, kafka: Cluster, *arguments: str) -> None:
    """Run one of Kafka's programs."""
    command = [*java(NEWEST), *FAST_START, f"org.apache.kafka.tools.{program}"]
    done = subprocess.run(
        [*command, "--bootstrap-server", kafka.bootstrap_servers, *arguments], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("copies", [True, False], ids=["copied", "not copied"])
def test_the_dead_letters_of_a_share_group_are_read(kafka: Cluster, names: Names, copies: bool) -> None:  # noqa: FBT001
    """Kafka's own letters have their place and message; a copied one holds key and value, and no header, no time."""
    letters = f"dlq.{names.topic}"
    kafka.create_topic(names.topic)
    kafka.create_topic(letters, 1, {"errors.deadletterqueue.group.enable": "true"})
    carry_out("FeatureCommand", kafka, "upgrade", "--feature", "share.version=2")
    shares = ",".join(f"{name}={value}" for name, value in SHARES.items()).format(
        topic=letters, copies=str(copies).lower()
    )
    group = ["--entity-type", "groups", "--entity-name", names.group]
    carry_out("ConfigCommand", kafka, "--alter", *group, "--add-config", shares)
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    for headers in (OWN, None):
        producer.produce(names.topic, TRACK, b"key", headers=headers, timestamp=1_424_730_535_111)  # type: ignore[arg-type]
    assert producer.flush(ANSWER_DEADLINE_S) == 0
    reading = ["--topic", names.topic, "--group", names.group, "--reject", "--max-messages", "2"]
    carry_out("consumer.ConsoleShareConsumer", kafka, *reading)

    wait_until(lambda: len(read_all(kafka, letters)) == 2, "both letters are written")
    environment = environment_of(kafka, replace(names, dead_letters=letters), "http://127.0.0.1:1")
    listed = run("dead-letters", "list", "--format", "json", "--with-data", environment=environment).objects()
    (shown,) = run("dead-letters", "show", "0:1", "--format", "json", environment=environment).objects()

    assert [(each["reason"], each["detail"]) for each in listed] == [("share_group", "Offset rejected by client.")] * 2
    assert [each["source"] for each in listed] == [
        {"topic": names.topic, "partition": 0, "offset": offset} for offset in (0, 1)
    ]
    held = [(each["record"]["key"], each["record"]["value"], each["record"]["headers"]) for each in listed]
    key, value = (b64encode(each).decode() if copies else None for each in (b"key", TRACK))
    assert held == [(key, value, [])] * 2
    assert all(each["record"]["timestamp_ms"] > 1_424_730_535_111 for each in listed)
    assert shown["now"]["outcome"] == ("delivered" if copies else "filtered")
    assert (shown["now"]["next_step"] == NOT_COPIED) is not copies
