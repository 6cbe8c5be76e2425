"""The whole worker and a real registry: outages, late schemas, schemas that evolve."""

import os
import time
from pathlib import Path
from typing import Any

from tests.kafka.programs import WorkerProgram
from tests.registry.apicurio import Apicurio
from tests.registry.scene import Scene, scene

OUTAGE_S = float(os.environ.get("REGISTRY_OUTAGE_S", "5"))
"""A real outage is longer; what matters is that requests fail and time passes."""

STOP_S = 30.0


def track(name: str, *, user: Any = "string", user_field: str = "userId", **properties: Any) -> dict[str, Any]:
    """Return the schema of a track."""
    inner = [{"name": each, **kind} for each, kind in properties.items()]
    return {
        "type": "record",
        "name": name,
        "namespace": "com.acme",
        "fields": [
            {"name": "type", "type": "string"},
            {"name": user_field, "type": user, **({} if user_field == "userId" else {"aliases": ["userId"]})},
            {"name": "event", "type": "string"},
            {"name": "properties", "type": {"type": "record", "name": f"{name}Properties", "fields": inner}},
        ],
    }


NUMBER = {"type": "int"}


def event(user: str, **properties: Any) -> dict[str, Any]:
    """Return a track."""
    return {"type": "track", "userId": user, "event": "Seen", "properties": properties}


def numbers(scene: Scene) -> list[int]:
    """Return the numbers of the events that took effect."""
    return sorted(each["properties"]["number"] for each in scene.delivered())


def assert_nothing_was_lost(scene: Scene, program: WorkerProgram) -> None:
    """Assert that every record arrived once, and that none became a dead letter."""
    metrics = program.metrics()

    assert numbers(scene) == list(range(scene.produced))
    assert metrics["records_dead_lettered_total"] == 0
    assert metrics["records_redelivered_total"] == 0


def test_a_registry_that_stops_under_load_costs_nothing(registry: Apicurio, subject: str, tmp_path: Path) -> None:
    """If the registry stops, partitions with known schemas go on, the others wait, and all records arrive."""
    name = f"T{subject.split('-')[1]}"
    known, new = track(name, number=NUMBER), track(f"{name}New", number=NUMBER)
    known_id, new_id = registry.register(subject, known), registry.register(f"new-{subject}", new)

    with scene(registry, tmp_path) as here, here.worker() as program:
        for number in range(100):
            here.produce(known, known_id, event(f"u{number % 20}", number=number))
        here.wait_for(100, program)
        registry.stop()
        try:
            ends_at = time.monotonic() + OUTAGE_S
            here.produce(new, new_id, event("waits", number=here.produced))
            while time.monotonic() < ends_at or "schema_registry" not in here.halts(program):
                for user in ("waits", "u1", "u2", "u3", "u4"):
                    schema, its_id = (new, new_id) if user == "waits" else (known, known_id)
                    here.produce(schema, its_id, event(user, number=here.produced))
                here.pace()
            during = numbers(here)
            metrics = program.metrics()
        finally:
            registry.start()
        here.wait_for(here.produced, program)

        assert len(during) > 100
        assert len(during) < here.produced
        assert metrics["halted{reason=schema_registry}"] == 1
        assert metrics["registry_requests_total{outcome=unavailable}"] > 0
        assert_nothing_was_lost(here, program)
        assert program.metrics()["halted"] == 0
        assert program.terminate(STOP_S) == 0


def test_a_worker_with_a_warm_cache_needs_no_registry(
    registry: Apicurio, subject: str, cache: Path, tmp_path: Path
) -> None:
    """A worker with cached schemas starts without the registry; only a new schema waits for it."""
    name = f"T{subject.split('-')[1]}"
    known, new = track(name, number=NUMBER), track(f"{name}New", number=NUMBER)
    known_id, new_id = registry.register(subject, known), registry.register(f"new-{subject}", new)

    with scene(registry, tmp_path, SCHEMA_REGISTRY__CACHE_DIR=cache) as here:
        with here.worker() as program:
            here.produce(known, known_id, event("u", number=0))
            here.wait_for(1, program)
            assert program.terminate(STOP_S) == 0
        registry.stop()
        try:
            with here.worker() as program:
                for number in range(1, 50):
                    here.produce(known, known_id, event("u", number=number))
                here.wait_for(50, program)
                here.produce(new, new_id, event("u", number=50))
                here.wait_until(lambda: "schema_registry" in here.halts(program), program)
                assert program.metrics()["records_dead_lettered_total"] == 0
                registry.start()
                here.wait_for(51, program)
                assert_nothing_was_lost(here, program)
                assert program.metrics()["records_consumed_total"] == 50
        finally:
            registry.start()
        assert {path.name for path in cache.rglob("*.json")} == {f"id-{known_id}.json", f"id-{new_id}.json"}


def test_schemas_evolve_while_the_worker_runs(registry: Apicurio, subject: str, tmp_path: Path) -> None:
    """Records are read as written while fields are added, removed, renamed and promoted."""
    name = f"T{subject.split('-')[1]}"
    plan, color = {"type": "string"}, {"type": ["null", "string"], "default": None}
    versions = [
        track(name, number=NUMBER, plan=plan),
        track(name, number=NUMBER, plan=plan, color=color),
        track(name, number=NUMBER, color=color),
        track(name, user_field="customer", number=NUMBER, color=color),
        track(name, user_field="customer", number={"type": "long"}, color=color),
        track(name, user_field="customer", number={"type": "double"}, color=color),
    ]
    expected = [
        {"number": 0, "plan": "premium"},
        {"number": 1, "plan": "premium", "color": "red"},
        {"number": 2, "color": "red"},
        {"number": 3, "color": "red"},
        {"number": 2**40, "color": "red"},
        {"number": 5.5, "color": "red"},
    ]

    with scene(registry, tmp_path) as here, here.worker() as program:
        written = []
        for version, properties in zip(versions, expected, strict=True):
            schema_id = registry.register(subject, version)
            registry.keep(subject, "BACKWARD")
            given = event("u", **properties)
            written.append((version, schema_id, given | {"customer": "u"}))
            here.produce(*written[-1])
            here.wait_for(here.produced, program)
        for old in reversed(written):
            here.produce(*old)
        here.wait_for(here.produced, program)
        items = here.delivered()
        metrics = program.metrics()

    delivered = [each["properties"] for each in items]
    assert delivered[: len(expected)] == expected
    assert sorted(delivered, key=str) == sorted([*expected, *expected], key=str)
    assert {each["user"]["uid"] for each in items} == {"u"}
    assert len({schema_id for _, schema_id, _ in written}) == len(versions)
    assert metrics["records_dead_lettered_total"] == 0


def test_a_schema_may_be_registered_after_its_records(registry: Apicurio, subject: str, tmp_path: Path) -> None:
    """Records of a schema that is not registered yet wait, and arrive once it is."""
    name = f"T{subject.split('-')[1]}"
    schema = track(name, number=NUMBER)
    coming_id = registry.register(f"before-{subject}", track(f"{name}Before", number=NUMBER)) + 1

    with scene(registry, tmp_path) as here, here.worker() as program:
        here.produce(schema, coming_id, event("u", number=0))
        here.wait_until(lambda: "unknown_schema" in here.halts(program), program)
        assert f"the id {coming_id}" in here.halts(program)["unknown_schema"]
        assert registry.register(subject, schema) == coming_id
        here.wait_for(1, program)

        assert_nothing_was_lost(here, program)
        assert here.halts(program) == {}


def test_a_schema_that_stays_unknown_dead_letters_after_the_time(
    registry: Apicurio, subject: str, tmp_path: Path
) -> None:
    """After the operator's time limit, records of an unknown schema are dead-lettered and the partition goes on."""
    schema = track("Never", number=NUMBER)
    registry.register(subject, track(f"T{subject.split('-')[1]}", number=NUMBER))

    with scene(registry, tmp_path, SCHEMA_REGISTRY__UNKNOWN_AFTER_S=1.5) as here, here.worker() as program:
        begun = time.monotonic()
        here.produce(schema, 2**31 - 1, event("u", number=0))
        here.produce_raw(b'{"type": "track", "userId": "u", "event": "Seen", "properties": {"number": 1}}', "u")
        here.wait_for(1, program)
        waited_s = time.monotonic() - begun
        letters = "records_dead_lettered_total{reason=unknown_schema}"
        here.wait_until(lambda: program.metrics()[letters] == 1, program)

        assert numbers(here) == [1]
        assert waited_s >= 1.5


def test_an_id_that_no_registry_gives_holds_up_nothing(registry: Apicurio, tmp_path: Path) -> None:
    """A record whose id no registry gives is dead-lettered at once, and the partition goes on."""
    schema = track("Never", number=NUMBER)

    with scene(registry, tmp_path, SCHEMA_REGISTRY__UNKNOWN_AFTER_S=3600) as here, here.worker() as program:
        here.produce(schema, 2**31, event("u", number=0))
        here.produce_raw(b'{"type": "track", "userId": "u", "event": "Seen", "properties": {"number": 1}}', "u")
        letters = "records_dead_lettered_total{reason=unknown_schema}"
        here.wait_until(lambda: program.metrics()[letters] == 1, program)
        here.wait_for(1, program)

        assert here.halts(program) == {}


def test_a_topic_of_something_else_keeps_the_worker_answering(registry: Apicurio, subject: str, tmp_path: Path) -> None:
    """With thousands of unknown ids in every partition the worker answers its probes, and ends when it is told to."""
    registry.register(subject, track(f"T{subject.split('-')[1]}", number=NUMBER))

    with scene(registry, tmp_path, SCHEMA_REGISTRY__UNKNOWN_AFTER_S=3600) as here, here.worker() as program:
        for number in range(12_000):
            here.produce_raw(b"\0" + (10**9 + number).to_bytes(4, "big") + b"x", f"u{number}")
        here.wait_until(lambda: program.metrics()["records_consumed_total"] == 12_000, program)
        here.wait_until(lambda: "unknown_schema" in here.halts(program), program)
        slowest = 0.0
        for _ in range(50):
            asked_at = time.monotonic()
            program.ready()
            slowest = max(slowest, time.monotonic() - asked_at)
            here.pace()
        log = program.said()

        assert slowest < 2.0
        assert program.terminate(STOP_S) == 0
        assert "HTTP Request" not in log
        assert log.count("\n") < 200
