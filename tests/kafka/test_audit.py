"""What a worker did on a real Kafka, as `segment-fullstory audit` accounts for it, and gaps that were put there."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from processor.events.dead_letters import Attempts, Stamp, dead_letter_headers
from processor.model.outcomes import Rejected
from processor.model.reasons import DeadLetterReason
from processor.model.records import Record, TopicPartition
from processor.workload import ExpectDeadLettered, ExpectFiltered, Mix, generate
from tests.commands.program import run
from tests.kafka.cluster import Cluster
from tests.kafka.conftest import Names
from tests.kafka.programs import SandboxProgram, WorkerProgram, environment_of, sandbox, wait_until, worker
from tests.kafka.topics import append, append_transaction, committed, end_offsets, produce_all, producing

PARTITIONS = 4
RECORDS = 4_000
SMALL = Mix(oversize_bytes=20_000, users=300)
TRACK = b'{"type": "track", "userId": "u", "event": "E"}'
REFUSED = b'{"type": "track", "userId": "u", "event": ""}'
UNWANTED = b'{"type": "group", "userId": "u", "groupId": "g"}'
SETTINGS = {"DELIVERY__DEAD_LETTER_RATIO": 1, "SCHEMA_REGISTRY__UNKNOWN_AFTER_S": 0, "BATCH__LINGER_S": 0.1}


class Scene(NamedTuple):
    """Topics, and the settings of those who work on them."""

    kafka: Cluster
    names: Names
    server: SandboxProgram
    log: Path

    @property
    def environment(self) -> dict[str, str]:
        """The settings."""
        return environment_of(self.kafka, self.names, self.server.url, **SETTINGS)

    @contextmanager
    def working(self) -> Iterator[WorkerProgram]:
        """Run a worker, which leaves in good order."""
        with worker(self.environment, self.log) as program:
            program.wait_until_joined()
            yield program
            assert program.terminate(60) == 0

    def wait_until_settled(self) -> None:
        """Return when the group has committed the topic to its end."""
        wait_until(lambda: committed(self.kafka, self.names.group, self.names.topic) == self.ends, "all is settled")

    @property
    def ends(self) -> dict[int, int]:
        """The end of each partition."""
        return end_offsets(self.kafka, self.names.topic)

    def put(self, *values: bytes | None, partition: int = 0) -> None:
        """Append records with these values."""
        now_ms = round(time.time() * 1_000)
        append(self.kafka, self.names.topic, partition, [Record(0, now_ms, b"k", each, None) for each in values])

    def audit(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """Return the account."""
        done = run("audit", "--format", "json", *arguments, environment=self.environment)
        assert (done.code, done.err) == (code, ""), done
        (told,) = done.objects()
        assert told["balanced"] == (code == 0)
        columns = ("delivered", "filtered", "dead_lettered", "pending", "unaccounted", "empty")
        for each in told["partitions"]:
            assert sum(each[name] for name in columns) == each["end"] - each["start"]
        return told


@pytest.fixture
def scene(request: pytest.FixtureRequest, kafka: Cluster, names: Names, tmp_path: Path) -> Iterator[Scene]:
    """Give topics and a sandbox, whose options a test may name."""
    kafka.create_topic(names.topic, PARTITIONS)
    kafka.create_topic(names.dead_letters, 2)
    with sandbox(*getattr(request, "param", ())) as server:
        yield Scene(kafka, names, server, tmp_path / "log")


def columns(told: dict[str, Any]) -> tuple[int, ...]:
    """Return delivered, filtered, dead-lettered and pending records, and those that are unaccounted for."""
    return tuple(told[name] for name in ("delivered", "filtered", "dead_lettered", "pending", "unaccounted"))


def gaps(told: dict[str, Any]) -> dict[str, int]:
    """Return the gaps that there are."""
    return {name: count for name, count in told["gaps"].items() if count}


@pytest.mark.parametrize("scene", [("--failing-items", "0.01")], ids=["failing items"], indirect=True)
def test_the_account_of_a_worker_balances_at_every_moment(scene: Scene) -> None:
    """While a worker delivers, rejects and filters, and at the end, every record is accounted for."""
    records = list(generate(32, RECORDS, SMALL))
    with producing(scene.kafka, scene.names.topic, iter(records[RECORDS // 2 :]), 400), scene.working() as program:
        produce_all(scene.kafka, scene.names.topic, iter(records[: RECORDS // 2]))
        during = [scene.audit() for _ in range(2)]
        wait_until(lambda: program.metrics()["records_consumed_total"] == RECORDS, "all are read")
        scene.wait_until_settled()
        metrics = program.metrics()
    told = scene.audit()

    refused = sum(isinstance(each.expectation, ExpectDeadLettered) for each in records)
    filtered = sum(isinstance(each.expectation, ExpectFiltered) for each in records)
    assert told["filtered"] == filtered == metrics["records_filtered_total"]
    assert told["dead_lettered"] == metrics["records_dead_lettered_total"] > refused
    assert told["delivered"] == metrics["records_delivered_total"]
    assert (told["pending"], told["unaccounted"]) == (0, 0)
    assert told["letters"]["counted"] == told["dead_lettered"]
    assert {each["set_by"] for each in told["partitions"]} == {"worker"}
    assert all(sum(columns(each)) > 0 for each in during)


def letter(names: Names, offset: int) -> Record:
    """Return the letter of a refused record in partition 0."""
    headers = dead_letter_headers(
        Stamp(names.group, "1.0.0", "f1"),
        TopicPartition(names.topic, 0),
        record := Record(offset, 1, b"k", REFUSED, None),
        Rejected(DeadLetterReason.MISSING_EVENT_NAME, "why"),
        Attempts(0, 1.0, 1.0),
    )
    return record._replace(headers=headers)


def of_partition(told: dict[str, Any], number: int) -> tuple[str, dict[str, int]]:
    """Return who set the offset of a partition, and the gaps that it has."""
    each = told["partitions"][number]
    return each["set_by"], gaps(each)


def test_gaps_that_were_put_there_are_found(scene: Scene) -> None:
    """Moved offsets, deleted letters and deleted records are found, each in its partition, until a worker commits."""
    moved, unlettered, deleted, beyond = range(PARTITIONS)
    scene.put(TRACK, UNWANTED, partition=moved)
    scene.put(TRACK, REFUSED, partition=unlettered)
    scene.put(TRACK, TRACK, partition=deleted)
    scene.put(TRACK, partition=beyond)
    with scene.working():
        scene.wait_until_settled()
    scene.put(TRACK, TRACK, REFUSED, UNWANTED, partition=moved)
    scene.put(TRACK, TRACK, TRACK, partition=deleted)
    before = scene.audit()
    scene.kafka.commit(scene.names.group, scene.names.topic, moved, 6)
    scene.kafka.commit(scene.names.group, scene.names.topic, beyond, 9)
    scene.kafka.delete_records(scene.names.topic, deleted, 4)
    for partition, end in end_offsets(scene.kafka, scene.names.dead_letters).items():
        scene.kafka.delete_records(scene.names.dead_letters, partition, end)
    after = scene.audit(code=1)
    shown = run("audit", environment=scene.environment)
    scene.put(TRACK, partition=moved)
    with scene.working():
        wait_until(lambda: committed(scene.kafka, scene.names.group, scene.names.topic)[moved] == 7, "a worker commits")
    later = scene.audit(code=1)

    assert columns(before) == (5, 1, 1, 7, 0)
    assert of_partition(after, moved) == ("another tool", {"not_by_worker": 3, "no_letter": 1})
    assert of_partition(after, unlettered) == ("worker", {"no_letter": 1})
    assert of_partition(after, deleted) == ("worker", {"deleted": 2})
    assert of_partition(after, beyond) == ("another tool", {"beyond_end": 8, "not_by_worker": 1})
    assert after["letters"]["deleted"] == 1
    assert any("no longer holds its first offsets (1 in all)" in each for each in after["limits"])

    assert shown.code == 1
    assert "no_letter: 2 settled, refused by today's mapping, and no letter is there" in shown.out
    assert f"{scene.names.topic}[{unlettered}] at 1, today: missing_event_name" in shown.out
    assert "Whether FullStory has what counts as delivered" in shown.out
    assert shown.out.endswith("NOT balanced: see what is unaccounted for\n")

    assert of_partition(later, moved) == ("worker", {"no_letter": 1})


def test_a_topic_that_was_created_anew_is_not_taken_for_the_one_before(scene: Scene) -> None:
    """The letters of an earlier topic are no letters of this one's records; the group has no offset in it."""
    append(scene.kafka, scene.names.dead_letters, 0, [letter(scene.names, each) for each in range(5)])
    scene.kafka.delete_topic(scene.names.topic)
    scene.kafka.create_topic(scene.names.topic, PARTITIONS)
    scene.put(TRACK, REFUSED, TRACK)
    told = scene.audit()

    assert of_partition(told, 0) == ("nobody", {})
    assert columns(told) == (0, 0, 0, 3, 0)
    assert (told["letters"]["of_another_record"], told["letters"]["ahead"], told["letters"]["beyond_end"]) == (2, 1, 2)


def test_only_records_of_the_time_are_looked_at(scene: Scene) -> None:
    """`--since` and `--until` choose records by their time; marks of transactions are no records."""
    topic = scene.names.topic
    append(scene.kafka, topic, 0, [Record(0, each * 1_000, b"k", TRACK, None) for each in range(1, 6)])
    append_transaction(scene.kafka, topic, 0, [Record(0, each * 1_000, b"k", TRACK, None) for each in range(6, 11)])
    told = scene.audit("--since", "1970-01-01T00:00:04Z", "--until", "1970-01-01T00:00:08Z")
    rest = scene.audit("--since", "1970-01-01T00:00:09Z")

    assert (told["from"], told["to"]) == ("1970-01-01T00:00:04.000Z", "1970-01-01T00:00:08.000Z")
    assert (told["pending"], told["partitions"][0]["start"], told["partitions"][0]["end"]) == (4, 3, 7)
    assert (rest["pending"], rest["partitions"][0]["empty"]) == (2, 1)
