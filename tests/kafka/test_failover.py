"""An offset that was copied from another cluster, as MirrorMaker does: translated, with the metadata of the original.

`tests/kafka/failover.py` does it with MirrorMaker itself.
"""

import json
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from processor.model.records import Record
from tests.kafka.cluster import Cluster, KafkaCluster, free_port
from tests.kafka.conftest import Names
from tests.kafka.programs import SandboxProgram, environment_of, sandbox, wait_until, worker
from tests.kafka.topics import append, committed, end_offsets, journals

GRACE_S = 20
RECORDS = 60
GONE = 7
"""Records that the first topic had before there was a mirror: so much the offsets of the two differ."""
BEHIND = 9
"""Records by which the translated offset lies before the committed one, or so many as there are."""
QUICK = {"KAFKA__PROPERTIES": json.dumps({"session.timeout.ms": 6000, "heartbeat.interval.ms": 500})}


def fill(kafka: Cluster, topic: str, first: int) -> None:
    """Create a topic of one partition with all records from this one on, named by their numbers."""
    kafka.create_topic(topic)
    events = [{"type": "track", "event": "E", "userId": f"u{each}"} for each in range(first, RECORDS)]
    append(kafka, topic, 0, [Record(0, 1_790_000_000_000, b"k", json.dumps(each).encode(), None) for each in events])


def effects(server: SandboxProgram) -> Counter[str]:
    """Return how often each record took effect."""
    return Counter(effect["item"]["user"]["uid"] for effect in server.truth())


@pytest.mark.parametrize("is_idle", [False, True])
def test_what_may_come_twice_after_a_failover_is_counted_and_told(
    kafka: Cluster, names: Names, tmp_path: Path, *, is_idle: bool
) -> None:
    """Nothing halts, nothing is lost; by the next start the position is the mirror's own."""
    near, far = f"{names.topic}-near", f"{names.topic}-far"
    kafka.create_topic(names.dead_letters)
    fill(kafka, near, 0)
    fill(kafka, far, GONE)
    settings = {**QUICK, "BATCH__MAX_RECORDS": 10, "BATCH__LINGER_S": 0.1, "KAFKA__START": "halt"}

    def environment(topic: str) -> dict[str, str]:
        return environment_of(kafka, names, server.url, **{**settings, "KAFKA__TOPICS": topic})

    with sandbox("--job-seconds", *(("0", "0") if is_idle else ("3", "3"))) as server:
        kafka.commit(names.group, near, 0, 0)
        with worker(environment(near), tmp_path / "log-1"):
            if is_idle:
                wait_until(lambda: committed(kafka, names.group, near) == {0: RECORDS}, "all are settled")
            else:
                wait_until(lambda: bool(server.jobs()), "requests are in flight")
            offset, metadata = journals(kafka, names.group, near)[0]
        translated = max(offset - GONE - BEHIND, 0)
        kafka.commit(names.group, far, 0, translated, metadata)

        with worker(environment(far), tmp_path / "log-2") as program:
            wait_until(lambda: committed(kafka, names.group, far) == end_offsets(kafka, far), "all are settled")
            first = program.metrics()
            program.terminate(GRACE_S)
        with worker(environment(far), tmp_path / "log-3") as program:
            program.wait_until_joined()
            second = program.metrics()
        arrived = effects(server)

    may_repeat = RECORDS - GONE - translated
    assert set(arrived) == {f"u{each}" for each in range(RECORDS)}
    assert 0 < arrived.total() - len(arrived) <= may_repeat
    assert first["records_redelivered_total"] == may_repeat
    assert first["journal_ignored_total{reason=foreign}"] == 1
    assert first["halted"] == 0
    lines = [json.loads(line) for line in (tmp_path / "log-2").read_text(encoding="utf-8").splitlines()]
    (told,) = [each for each in lines if each["event"] == "journal ignored"]
    assert (told["partition"], told["perhaps_sent"]) == (f"{far}[0]", may_repeat)
    assert (second["records_redelivered_total"], second["journal_ignored_total"]) == (0, 0)


def test_a_worker_under_which_the_cluster_becomes_another_ends_and_the_next_one_goes_on(
    names: Names, tmp_path: Path
) -> None:
    """An address that leads to the mirror by now: no topic was created anew, so nothing halts or begins anew."""
    port = free_port()
    for each in ("near", "far"):
        (tmp_path / each).mkdir()
    near, far = KafkaCluster(tmp_path / "near", port), KafkaCluster(tmp_path / "far", port)
    with sandbox() as server, ExitStack() as running:
        environment = environment_of(near, names, server.url, **QUICK)
        running.enter_context(near)
        near.create_topic(names.dead_letters)
        fill(near, names.topic, 0)
        with worker(environment, tmp_path / "log-1") as program:
            wait_until(lambda: committed(near, names.group, names.topic) == {0: RECORDS}, "all are settled")
            _, metadata = journals(near, names.group, names.topic)[0]
            near.kill()
            running.enter_context(far)
            far.create_topic(names.dead_letters)
            fill(far, names.topic, GONE)
            assert program.process.wait(60.0) == 1
        far.commit(names.group, names.topic, 0, RECORDS - GONE - BEHIND, metadata)
        ends = end_offsets(far, names.topic)
        with worker(environment, tmp_path / "log-2") as program:
            wait_until(lambda: committed(far, names.group, names.topic) == ends, "all are settled")
            metrics = program.metrics()
        arrived = effects(server)

    assert "another cluster" in (tmp_path / "log-1").read_text(encoding="utf-8")
    assert metrics["records_redelivered_total"] == arrived.total() - len(arrived) == BEHIND
    assert metrics["halted"] == 0
