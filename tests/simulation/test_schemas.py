"""Schemas that are not there: what waits, for how long, and what it says meanwhile."""

import asyncio

import orjson
import pytest

from processor.engine.notices import Halted, RegistryAsked, Resumed
from processor.model.reasons import HaltReason
from tests.simulation.records import SCHEMA, SCHEMA_ID, as_avro
from tests.simulation.world import Plan, World, simulate

TEXT = orjson.dumps(SCHEMA).decode()
LIMIT_S = 300.0
UNKNOWN = b"\0\0\0\0\x09"


def told(world: World) -> list[tuple[str, HaltReason]]:
    """Return the halts that began and ended, in order."""
    told = [each for each in world.member.observer.notices if isinstance(each, Halted | Resumed)]
    return [(type(each).__name__, each.reason) for each in told]


def test_a_schema_that_is_registered_late_is_waited_for() -> None:
    """Nothing is dead-lettered, one halt names id and partition, and other partitions go on."""

    async def story(world: World) -> None:
        world.track("b", at=1)
        world.encode = as_avro
        world.track("a"), world.identify("a")
        await world.until(lambda: world.committed == [0, 1])
        await asyncio.sleep(LIMIT_S - 60.0)
        halts = world.member.worker.state().halts
        assert halts.keys() == {HaltReason.UNKNOWN_SCHEMA}
        assert "segment[0]" in halts[HaltReason.UNKNOWN_SCHEMA].cause
        assert f"the id {SCHEMA_ID}" in halts[HaltReason.UNKNOWN_SCHEMA].cause
        world.schemas.texts[SCHEMA_ID] = TEXT
        await world.settled()
        assert world.letters_of("unknown_schema") == []
        assert told(world) == [("Halted", HaltReason.UNKNOWN_SCHEMA), ("Resumed", HaltReason.UNKNOWN_SCHEMA)]

    simulate(story, Plan(partitions=2, unknown_after_s=LIMIT_S))


def test_a_schema_that_stays_absent_is_the_records_fault_after_a_time() -> None:
    """Not before; and records that name it later on do not wait as long again."""

    async def story(world: World) -> None:
        world.send(UNKNOWN, "dead_lettered")
        await asyncio.sleep(LIMIT_S - 1.0)
        assert world.letters_of("unknown_schema") == []
        await asyncio.sleep(5.0)
        assert world.letters_of("unknown_schema") == [0]
        await asyncio.sleep(1_000.0)
        world.send(UNKNOWN, "dead_lettered")
        await asyncio.sleep(5.0)
        assert world.letters_of("unknown_schema") == [0, 1]
        assert not world.member.gate.halts

    simulate(story, Plan(unknown_after_s=LIMIT_S))


def test_an_outage_while_a_schema_is_waited_for_dead_letters_nothing() -> None:
    """The time runs on, but only the registry can say that it still has none."""

    async def story(world: World) -> None:
        world.encode = as_avro
        world.track("a")
        await asyncio.sleep(60.0)
        world.schemas.is_out = True
        await asyncio.sleep(2 * LIMIT_S)
        assert world.member.worker.state().halts.keys() == {HaltReason.SCHEMA_REGISTRY}
        assert world.letters_of("unknown_schema") == []
        world.schemas.texts[SCHEMA_ID] = TEXT
        world.schemas.is_out = False
        await world.settled()
        assert world.delivered() == [0]
        assert [reason for name, reason in told(world) if name == "Halted"] == [
            HaltReason.UNKNOWN_SCHEMA,
            HaltReason.SCHEMA_REGISTRY,
        ]

    simulate(story, Plan(unknown_after_s=LIMIT_S))


def test_one_schema_that_is_found_does_not_end_the_halt_of_another() -> None:
    """While any is waited for, the halt stands."""

    async def story(world: World) -> None:
        world.send(UNKNOWN, "dead_lettered", at=1)
        await asyncio.sleep(10.0)
        world.encode = as_avro
        world.track("a", at=0)
        await world.until(lambda: world.committed == [1, 0])
        assert world.member.worker.state().halts.keys() == {HaltReason.UNKNOWN_SCHEMA}
        await world.settled()

    simulate(story, Plan(partitions=2, unknown_after_s=LIMIT_S, schemas={SCHEMA_ID: TEXT}))


@pytest.mark.parametrize("garbage", [20_000])
def test_a_topic_of_something_else_is_forgotten(garbage: int) -> None:
    """However many ids it seems to name, few are remembered."""

    async def story(world: World) -> None:
        for number in range(garbage):
            world.send(b"\0" + (number + 10).to_bytes(4, "big"), "dead_lettered")
        await world.settled()
        assert world.schemas.asked >= garbage
        assert len(world.member.worker._driver._schemas._absent) <= garbage / 2
        assert RegistryAsked("found") not in world.member.observer.notices

    simulate(story, Plan(max_records=1_000))
