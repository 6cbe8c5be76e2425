"""Users who come, go and come again on a real Kafka, with a worker that is killed between their records."""

import json
import random
import sys
from collections import defaultdict
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from processor.model.reasons import Kind
from processor.workload import ExpectDelivered, GeneratedRecord
from tests.kafka.cluster import Cluster
from tests.kafka.conftest import Names
from tests.kafka.programs import SandboxProgram, environment_of, is_conserved, sandbox, wait_until, worker
from tests.kafka.topics import committed, end_offsets, produce_all

SEED = 20_261_129
PARTITIONS = 4
USERS = 120
KILLS = 4
LIFE = ("identify", "track", "delete", "track", "identify", "delete", "identify", "track")
"""The messages of each user, in order."""

Json = dict[str, Any]


def message(kind: str, uid: str, number: int) -> Json:
    """Return a message whose mark is its number."""
    match kind:
        case "identify":
            return {"type": kind, "userId": uid, "traits": {f"r{number}": True}}
        case "track":
            return {"type": kind, "userId": uid, "event": "e", "properties": {f"r{number}": True}}
        case _:
            return {"type": kind, "userId": uid}


def messages() -> list[Json]:
    """Return what is sent: all lives, mixed, each in its order."""
    lives = {f"u{user}": list(enumerate(LIFE)) for user in range(USERS)}
    turns = [uid for uid in lives for _ in LIFE]
    random.Random(SEED).shuffle(turns)
    return [message(kind, uid, number) for uid in turns for number, kind in [lives[uid].pop(0)]]


def lives_in(server: SandboxProgram) -> dict[str, list[set[int]]]:
    """Return what took effect of each user, by its lives: each deletion ends one and begins the next."""
    lives: dict[str, list[set[int]]] = defaultdict(lambda: [set()])
    for effect in server.truth():
        uid = (effect["item"].get("user") or effect["item"])["uid"]
        if effect["kind"] == "deletion":
            lives[uid].append(set())
        else:
            numbers = {int(name[1:]) for name in effect["item"]["properties"]}
            assert numbers.isdisjoint(lives[uid][-1]), f"{numbers} of {uid} take effect twice"
            lives[uid][-1] |= numbers
    return lives


@pytest.mark.timeout(420)
def test_a_deletion_ends_one_life_and_never_the_next_when_the_worker_is_killed(
    kafka: Cluster, names: Names, tmp_path: Path
) -> None:
    """After kills with deletions on their way each user had exactly the lives that the topic tells of."""
    sent = messages()
    kafka.create_topic(names.topic, PARTITIONS)
    kafka.create_topic(names.dead_letters, 1)
    expected = ExpectDelivered(Kind.EVENT, "", "")  # judged below, by marks
    records = [
        GeneratedRecord(each["userId"].encode(), json.dumps(each).encode(), [], 1_790_000_000_000, expected)
        for each in sent
    ]
    produce_all(kafka, names.topic, records)

    def deleted(server: SandboxProgram, at_least: int) -> bool:
        effects: dict[str, int] = server.stats()["effects"]
        return effects["deletion"] >= at_least

    def is_committed() -> bool:
        return committed(kafka, names.group, names.topic) == end_offsets(kafka, names.topic)

    with sandbox("--job-seconds", "0.2", "1", "--latency", "0.05") as server:
        settings = environment_of(
            kafka,
            names,
            server.url,
            MAPPING__MESSAGE_TYPES="identify,track,delete",
            BATCH__MAX_RECORDS=40,
            BATCH__LINGER_S=0.1,
            KAFKA__PROPERTIES='{"session.timeout.ms": 6000, "heartbeat.interval.ms": 1000}',
        )
        offsets = [0]
        for kill in range(1, KILLS + 1):
            with worker(settings, tmp_path / f"log-{kill}") as program:
                share = kill * 2 * USERS // (KILLS + 1)
                wait_until(partial(deleted, server, share), f"{share} users are deleted", 120, poll_s=0.005)
                program.kill()
            offsets.append(sum(committed(kafka, names.group, names.topic).values()))
        with worker(settings, tmp_path / "log") as program:
            wait_until(is_committed, "everything is committed", 240)
            metrics = program.metrics()
            assert program.terminate(30) == 0
        lives = lives_in(server)
        requests = server.stats()["requests"]

    sys.stdout.write(f"seed {SEED}: killed at the offsets {offsets[1:]} of {len(sent)}; {requests} requests\n")
    assert lives.keys() == {f"u{user}" for user in range(USERS)}
    assert {uid: each for uid, each in lives.items() if each != [{0, 1}, {3, 4}, {6, 7}]} == {}
    assert all(before < after for before, after in pairwise([*offsets, len(sent)]))
    assert is_conserved(metrics)
    assert metrics["records_delivered_total{kind=deletion}"] > 0
    assert metrics["records_redelivered_total"] == metrics["records_dead_lettered_total"] == 0
