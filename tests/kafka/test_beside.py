"""What a redrive learns of workers on a real Kafka, from beside their group."""

from functools import partial
from pathlib import Path

import pytest

from processor.adapters.kafka.config import KafkaSettings
from processor.adapters.kafka.group_commits import GroupCommits
from processor.engine.neighbours import Neighbours
from processor.model.errors import SourceError
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


def test_a_topic_that_does_not_exist_is_an_error(kafka: Cluster, names: Names) -> None:
    """The caller goes on without; each look tries again."""
    settings = KafkaSettings(kafka.bootstrap_servers, (names.topic,), names.group, names.dead_letters)
    with GroupCommits(settings, (names.topic,)) as commits, pytest.raises(SourceError, match=names.topic):
        commits.metadata()
