"""A letter that is too large for its topic, on a real Kafka: docs/dead-letters.md#letters-that-are-too-large."""

import random
import time
from pathlib import Path

from processor.model.records import Record
from tests.commands.program import run
from tests.kafka.cluster import Cluster
from tests.kafka.conftest import Names
from tests.kafka.programs import WorkerProgram, environment_of, sandbox, wait_until, worker
from tests.kafka.topics import allow, append, committed, end_offsets, read_all

LIMIT_BYTES = 20_000
LARGE = random.Random(33).randbytes(5 * LIMIT_BYTES)
"""No message, and nothing that compresses."""
SHORT_SESSION = '{"session.timeout.ms": 6000}'
REFUSED = b'{"type": "track", "userId": "u", "event": ""}'


def put(kafka: Cluster, names: Names, partition: int, *values: bytes) -> None:
    """Append records with these values, as now."""
    now_ms = round(time.time() * 1_000)
    append(kafka, names.topic, partition, [Record(0, now_ms, b"k-%d" % partition, each, None) for each in values])


def track(number: int) -> bytes:
    """Return a message that FullStory takes."""
    return b'{"type": "track", "userId": "u", "event": "E-%d"}' % number


def is_told(program: WorkerProgram) -> bool:
    """Say whether the worker tells of the halt wherever somebody looks."""
    return program.metrics().get("halted{reason=dead_letter_too_large}") == 1


def test_the_partition_waits_for_room_and_nothing_is_lost(kafka: Cluster, names: Names, tmp_path: Path) -> None:
    """Only that partition waits, also after `kill -9`, until its topic takes the letter, which then is whole."""
    kafka.create_topic(names.topic, 2)
    kafka.create_topic(names.dead_letters, 1, {"max.message.bytes": str(LIMIT_BYTES)})
    put(kafka, names, 0, REFUSED, LARGE, track(1), REFUSED, track(2))
    put(kafka, names, 1, track(3), REFUSED, track(4))
    settings = {"DELIVERY__DEAD_LETTER_RATIO": 1, "BATCH__LINGER_S": 0.1, "KAFKA__PROPERTIES": SHORT_SESSION}
    with sandbox("--job-seconds", "0.1", "0.2") as server:
        environment = environment_of(kafka, names, server.url, **settings)
        with worker(environment, tmp_path / "killed") as program:
            program.wait_until_joined()
            wait_until(lambda: committed(kafka, names.group, names.topic).get(1) == 3, "the other partition goes on")
            wait_until(lambda: is_told(program), "the halt is told")
            told = program.ready()
            program.kill()
        with worker(environment, tmp_path / "log") as program:
            program.wait_until_joined()
            wait_until(lambda: is_told(program), "the next worker waits, too")
            assert committed(kafka, names.group, names.topic)[0] <= 1
            allow(kafka, names.dead_letters, 2 * len(LARGE))
            wait_until(
                lambda: committed(kafka, names.group, names.topic) == end_offsets(kafka, names.topic), "all is settled"
            )
            metrics, after = program.metrics(), program.ready()
        events = [each.item["name"] for each in server.arrivals()]
    values = [each.value() for each in read_all(kafka, names.dead_letters)]

    assert told["halts"].keys() == {"dead_letter_too_large"}
    halt = told["halts"]["dead_letter_too_large"]
    assert f"{names.topic}[0] offset 1" in halt["cause"]
    assert "Raise max.message.bytes of the dead-letter topic" in halt["action"]
    assert after["halts"] == {}
    assert metrics["halted{reason=dead_letter_too_large}"] == 0
    assert metrics["dead_letter_writes_total{outcome=too_large}"] >= 1
    assert sorted(events) == ["E-1", "E-2", "E-3", "E-4"]
    assert (values.count(LARGE), set(values)) == (1, {LARGE, REFUSED})
    account = run("audit", "--format", "json", environment=environment).objects()[0]
    assert (account["balanced"], account["delivered"], account["dead_lettered"], account["pending"]) == (True, 4, 4, 0)
