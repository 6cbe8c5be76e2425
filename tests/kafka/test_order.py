"""One busy user on a real Kafka: its nested traits keep nobody waiting, and end as they would one by one."""

import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from processor.model.reasons import Kind
from processor.workload import ExpectDelivered, GeneratedRecord
from tests.kafka.cluster import Cluster
from tests.kafka.conftest import Names
from tests.kafka.programs import ask, environment_of, sandbox, wait_until, worker
from tests.kafka.topics import committed, end_offsets, produce_all

SEED = 20_261_128
RECORDS = 3_000
BUSY_EVERY = 10

Json = dict[str, Any]

SHAPES: dict[str, Callable[[int], object]] = {
    "flat": lambda number: number,
    "same": lambda number: {"seats": number, "plan": {"name": f"p{number}"}},
    "growing": lambda number: {f"n{each}": number for each in range(number // 100 + 1)},
    "shrinking": lambda number: {f"n{each}": number for each in range(20 - number // BUSY_EVERY % 20)},
}


def messages(shape: str) -> list[Json]:
    """Return what is sent: every tenth message identifies one user; the mark of each is a name of its own."""
    chance = random.Random(SEED)
    sent: list[Json] = []
    for number in range(RECORDS):
        if number % BUSY_EVERY == 0:
            traits = {f"r{number}": 1, "company": SHAPES[shape](number)}
            sent.append({"type": "identify", "userId": "busy", "traits": traits})
        elif chance.random() < 0.2:
            sent.append({"type": "identify", "userId": f"u{chance.randrange(300)}", "traits": {f"r{number}": 1}})
        else:
            properties = {f"r{number}": 1}
            sent.append(
                {"type": "track", "event": "e", "userId": f"u{chance.randrange(300)}", "properties": properties}
            )
    return sent


def marks(effect: Json) -> list[int]:
    """Return the numbers of the messages that an effect stands for."""
    return [int(name[1:]) for name in effect["item"]["properties"] if name[0] == "r"]


def told_one_by_one(shape: str, nested: str) -> object:
    """Return what the busy user's object is when each of its identifies is taken alone, by one reading."""
    stored: dict[str, Any] = {}
    for number in range(0, RECORDS, BUSY_EVERY):
        latest = SHAPES[shape](number)
        if not isinstance(latest, dict):
            return SHAPES[shape](RECORDS - BUSY_EVERY)
        stored = latest if nested == "replace" else {**stored, **latest}
    return stored


@pytest.mark.parametrize(
    ("shape", "nested", "is_killed"),
    [
        ("flat", "merge", False),
        ("same", "replace", False),
        ("growing", "merge", False),
        ("shrinking", "merge", True),
        ("shrinking", "replace", True),
    ],
)
def test_a_busy_users_nested_trait_keeps_nobody_waiting(
    kafka: Cluster, names: Names, tmp_path: Path, shape: str, nested: str, *, is_killed: bool
) -> None:
    """Nothing is lost or sent twice, also after SIGKILL; what the user has in the end is what order makes of it."""
    sent = messages(shape)
    kafka.create_topic(names.topic, 1)
    kafka.create_topic(names.dead_letters, 1)
    expected = ExpectDelivered(Kind.EVENT, "", "")  # judged below, by marks
    values = [json.dumps(each).encode() for each in sent]
    produce_all(kafka, names.topic, [GeneratedRecord(b"k", each, [], 1_790_000_000_000, expected) for each in values])

    def is_committed() -> bool:
        return committed(kafka, names.group, names.topic) == end_offsets(kafka, names.topic)

    with sandbox("--job-seconds", "3", "3", "--nested", nested, "--latency", "0.02") as server:
        settings = environment_of(
            kafka, names, server.url, KAFKA__PROPERTIES='{"session.timeout.ms": 6000, "heartbeat.interval.ms": 1000}'
        )
        if is_killed:
            with worker(settings, tmp_path / "killed") as program:
                wait_until(lambda: server.effects() > 20, "the busy user's identifies go one by one", poll_s=0.005)
                program.kill()
        began = time.monotonic()
        with worker(settings, tmp_path / "log") as program:
            wait_until(is_committed, "everything is committed", 240)
            took = time.monotonic() - began
            metrics = program.metrics()
            program.terminate(30)
        effects, stats = server.truth(), server.stats()
        user = json.loads(ask(f"{server.url}/v2/users?uid=busy", headers={"Authorization": "Basic na1.architect"}))

    sys.stdout.write(f"seed {SEED}, {shape}, {nested}: {took:.1f} s, {stats['requests']} requests\n")
    assert Counter(number for effect in effects for number in marks(effect)) == dict.fromkeys(range(RECORDS), 1)
    assert (metrics["records_redelivered_total"], stats["conflicts"]) == (0, 0)
    assert user["results"][0]["properties"]["company"] == told_one_by_one(shape, nested)
    of_busy = [effect["kind"] == "user" and effect["item"]["uid"] == "busy" for effect in effects]
    if shape == "shrinking":
        assert stats["requests"]["POST /users/batch"]["200"] < 10, "the others' batches are not cut short"
    else:
        assert sum(of_busy) < 30, "identifies are merged"
