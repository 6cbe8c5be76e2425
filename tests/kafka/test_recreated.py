"""A topic that was deleted and created anew under its name: nothing of it is skipped, whatever was read of the old one.

Kafka deletes a group's offsets together with the topic, and tells a consumer nothing: one of the classic protocol goes
on at its position in the new topic, or finds it out of range; one of KIP-848 is assigned the partition once more.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from processor.model.reasons import ACTIONS, HaltReason
from processor.model.records import Record
from tests.kafka.cluster import Cluster
from tests.kafka.conftest import Names
from tests.kafka.consumer_groups import groups
from tests.kafka.members import kip_848
from tests.kafka.programs import SandboxProgram, WorkerProgram, environment_of, sandbox, wait_until, worker
from tests.kafka.topics import append, committed, end_offsets, journals

GRACE_S = 20
OLD = 100
NEW = {"grown": 300, "shorter": 20}
"""How many records each topic has when it was created anew: past the position in the old one, and fewer."""

PROPERTIES: dict[str, dict[str, object]] = {
    "classic": {"session.timeout.ms": 6000, "heartbeat.interval.ms": 500},
    "consumer": {"group.protocol": "consumer"},
}


class Scene:
    """Two topics, a worker's settings, and what FullStory has of which records."""

    def __init__(self, kafka: Cluster, names: Names, server: SandboxProgram, protocol: str) -> None:
        self._kafka, self._names, self._server = kafka, names, server
        self._properties = json.dumps(PROPERTIES[protocol])
        self.topics = {name: f"{names.topic}-{name}" for name in NEW}
        kafka.create_topic(names.dead_letters)

    def create(self, age: Literal["old", "new"]) -> None:
        """Create the topics and fill them."""
        for name, topic in self.topics.items():
            self._kafka.create_topic(topic)
            count = OLD if age == "old" else NEW[name]
            marks = [f"{age}-{name}-{number}" for number in range(count)]
            events = [{"type": "track", "event": "E", "userId": each, "properties": {}} for each in marks]
            records = [Record(0, 1_790_000_000_000, b"k", json.dumps(each).encode(), None) for each in events]
            append(self._kafka, topic, 0, records)

    def recreate(self, after_s: float = 0.0) -> None:
        """Delete the topics, and create and fill them again."""
        for topic in self.topics.values():
            self._kafka.delete_topic(topic)
        time.sleep(after_s)
        self.create("new")

    def environment(self, **settings: object) -> dict[str, str]:
        """Return a worker's environment."""
        own: dict[str, object] = {
            "KAFKA__TOPICS": ",".join(self.topics.values()),
            "KAFKA__PROPERTIES": self._properties,
        }
        own |= {"SHUTDOWN__GRACE_S": GRACE_S, "BATCH__LINGER_S": 0.1}
        return environment_of(self._kafka, self._names, self._server.url, **own, **settings)

    def is_committed(self) -> bool:
        """Say whether the group has committed every topic to its end."""
        return all(
            committed(self._kafka, self._names.group, each) == end_offsets(self._kafka, each)
            for each in self.topics.values()
        )

    def has_offsets(self) -> bool:
        """Say whether the group has offsets of any topic."""
        return any(committed(self._kafka, self._names.group, each) for each in self.topics.values())

    def until_committed(self) -> None:
        """Return when everything is committed."""
        wait_until(self.is_committed, "everything is committed", 60.0)

    def arrived(self, age: Literal["old", "new"]) -> Counter[str]:
        """Return how often each record of the old topics or the new ones took effect."""
        marks = Counter(effect["item"]["user"]["uid"] for effect in self._server.truth())
        return Counter({mark: count for mark, count in marks.items() if mark.startswith(age)})


def marks(**first: int) -> set[str]:
    """Return the marks of the new topics' records, from these offsets on."""
    return {f"new-{name}-{number}" for name, count in NEW.items() for number in range(first.get(name, 0), count)}


def halted(program: WorkerProgram) -> list[str]:
    """Return what is said of the partitions that stand still because of their topic."""
    halt = program.ready().get("halts", {}).get("recreated", {})
    return sorted(fault["cause"] for fault in halt.get("faults", [halt] if halt else []))


@pytest.fixture(params=["classic", pytest.param("consumer", marks=kip_848)])
def scene(kafka: Cluster, names: Names, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """Give two topics with the old records, and an empty FullStory; for each protocol."""
    with sandbox() as server:
        scene = Scene(kafka, names, server, request.param)
        scene.create("old")
        yield scene


def test_a_topic_that_comes_back_under_a_worker_is_read_whole_where_the_settings_say_so(
    scene: Scene, tmp_path: Path
) -> None:
    """What was delivered before it was noticed comes again, and is counted; nothing else does."""
    with worker(scene.environment(KAFKA__ON_RECREATED="restart"), tmp_path / "log") as program:
        scene.until_committed()
        scene.recreate(after_s=1.0)
        wait_until(lambda: program.metrics()["partitions_recreated_total"] == 2, "it is noticed", 60.0)
        scene.until_committed()
        metrics = program.metrics()

    new = scene.arrived("new")
    assert set(new) == marks()
    assert new.total() - len(new) <= metrics["records_redelivered_total"] <= sum(NEW.values())
    assert scene.arrived("old").total() == 2 * OLD
    assert metrics["halted{reason=recreated}"] == 0


def test_a_topic_that_comes_back_under_a_worker_halts_and_its_action_is_true(
    scene: Scene, kafka: Cluster, names: Names, tmp_path: Path
) -> None:
    """The halt outlives the worker, other topics go on, and either way that it names leads out of it."""
    with worker(scene.environment(), tmp_path / "log-1") as program:
        scene.until_committed()
        scene.recreate()
        wait_until(lambda: len(halted(program)) == 2, "both partitions stand still", 60.0)
        halt = program.ready()["halts"]["recreated"]
        program.terminate(GRACE_S)
    early = scene.arrived("new")
    with worker(scene.environment(KAFKA__START="latest"), tmp_path / "log-2") as program:
        wait_until(lambda: len(halted(program)) == 2, "so they do for the next worker", 60.0)
        program.terminate(GRACE_S)
    assert scene.arrived("new") == early

    reset = ["--reset-offsets", "--to-offset", "5", "--execute", "--topic", f"{scene.topics['shorter']}:0"]
    groups(kafka, names.group, *reset)
    with worker(scene.environment(KAFKA__ON_RECREATED="restart"), tmp_path / "log-3") as program:
        scene.until_committed()

    assert halt["action"] == ACTIONS[HaltReason.RECREATED]
    assert scene.arrived("new") - early == dict.fromkeys(marks(shorter=5), 1)


def test_a_topic_that_came_back_while_no_worker_ran_is_read_whole(
    scene: Scene, kafka: Cluster, names: Names, tmp_path: Path
) -> None:
    """Kafka has deleted the offsets with the topic; where something has brought them back, they say whose they are."""
    with worker(scene.environment(), tmp_path / "log-1") as program:
        scene.until_committed()
        program.terminate(GRACE_S)
    grown = scene.topics["grown"]
    kept = journals(kafka, names.group, grown)[0]
    scene.recreate()
    assert not scene.has_offsets()
    kafka.commit(names.group, grown, 0, *kept)
    with worker(scene.environment(KAFKA__ON_RECREATED="restart"), tmp_path / "log-2") as program:
        scene.until_committed()
        noticed = program.metrics()["partitions_recreated_total"]

    assert noticed == 1, "nothing tells of the other one, and nothing needs to"
    assert scene.arrived("new") == dict.fromkeys(marks(), 1)
    assert scene.arrived("old").total() == 2 * OLD
