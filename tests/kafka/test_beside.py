"""What a redrive learns of workers on a real Kafka, from beside their group."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from processor.adapters.kafka.config import KafkaSettings
from processor.adapters.kafka.group_commits import GroupCommits
from processor.adapters.kafka.marks import mark
from processor.adapters.kafka.offsets import Stored
from processor.adapters.kafka.other_lanes import OtherLanes
from processor.engine.neighbours import Neighbours
from processor.model.errors import SourceError
from processor.model.records import TopicPartition
from processor.workload import Mix, generate
from tests.kafka.cluster import Cluster
from tests.kafka.conftest import Names
from tests.kafka.programs import environment_of, sandbox, wait_until, worker
from tests.kafka.topics import committed, end_offsets, produce_all

PARTITIONS = 4


def is_committed(kafka: Cluster, names: Names, ends: dict[int, int]) -> bool:
    """Say whether the group is at these ends."""
    return committed(kafka, names.group, names.topic) == ends


def test_commits_of_a_worker_tell_how_many_requests_it_makes(kafka: Cluster, names: Names, tmp_path: Path) -> None:
    """They are read without joining its group; once closed, nothing is asked any more."""
    kafka.create_topic(names.topic, PARTITIONS)
    kafka.create_topic(names.dead_letters)
    settings = KafkaSettings(kafka.bootstrap_servers, (names.topic,), names.group, names.dead_letters)
    neighbours = Neighbours()
    with sandbox() as server, GroupCommits(settings, (names.topic,)) as commits:
        assert neighbours.seen(commits.metadata()) is None
        with worker(environment_of(kafka, names, server.url, BATCH__LINGER_S=0.1), tmp_path / "log") as program:
            found = []
            for seed in (1, 2):
                produce_all(kafka, names.topic, generate(seed, 200, Mix(poison=0)))
                ends = end_offsets(kafka, names.topic)
                wait_until(partial(is_committed, kafka, names, ends), "all is committed")
                found.append(neighbours.seen(commits.metadata()))
            assert program.metrics()["partitions_assigned"] == PARTITIONS
        first, second = found
        requests = server.stats()["requests_total"]

    assert first is not None
    assert second is not None
    assert first.taken == 0
    assert 0 < second.taken < requests
    assert commits.metadata() == []


def test_other_lanes_are_those_of_the_group_that_go_on(kafka: Cluster, names: Names, tmp_path: Path) -> None:
    """A redrive or a backfill is seen while it has members, but not one of another group, nor oneself."""
    kafka.create_topic(names.topic, PARTITIONS)
    kafka.create_topic(names.dead_letters)
    settings = KafkaSettings(kafka.bootstrap_servers, (names.topic,), names.group, names.dead_letters)
    group = f"{names.group}.backfill.x"
    lane = replace(names, group=group)
    ended = replace(settings, group_id=f"{names.group}.redrive.z")
    mark(ended, {TopicPartition(names.topic, 0): Stored(0, "sf1,place,destination,0,lineage,a.1.0")})
    assert OtherLanes(settings, f"{names.group}.redrive.y").metadata() == []
    with sandbox() as server, worker(environment_of(kafka, lane, server.url), tmp_path / "log") as program:
        produce_all(kafka, names.topic, generate(1, 200, Mix(poison=0)))
        wait_until(partial(is_committed, kafka, lane, end_offsets(kafka, names.topic)), "all is committed")
        found = [OtherLanes(settings, own).metadata() for own in (ended.group_id, group)]
        alone = OtherLanes(replace(settings, group_id="other"), "own").metadata()
        assert program.terminate(30) == 0

    seen = Neighbours().seen(["sf1,place,destination,0,lineage,b.1.0"], found[0])
    assert seen is not None
    assert seen.lanes == 1
    assert (found[1], alone) == ([], [])
    assert OtherLanes(settings, ended.group_id).metadata() == []


def test_a_topic_that_does_not_exist_is_an_error(kafka: Cluster, names: Names) -> None:
    """The caller goes on without; each look tries again."""
    settings = KafkaSettings(kafka.bootstrap_servers, (names.topic,), names.group, names.dead_letters)
    with GroupCommits(settings, (names.topic,)) as commits, pytest.raises(SourceError, match=names.topic):
        commits.metadata()
