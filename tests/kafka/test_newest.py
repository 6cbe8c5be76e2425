"""A short form of this suite on the newest Kafka: what the worker's promises take a broker for.

`KAFKA_VERSION=3.9.2 make test ARGS=tests/kafka` runs all of the suite on another one.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import ShareConsumer  # type: ignore[attr-defined]  # which the stubs do not know yet

from tests.kafka.cluster import NEWEST, Cluster, KafkaCluster

# Tests that are imported are collected here once more, and given the fixture of this module.
from tests.kafka.conftest import Names
from tests.kafka.programs import wait_until
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
from tests.kafka.topics import append


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
