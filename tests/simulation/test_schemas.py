"""Schemas that are not there: what waits, for how long, and what it says meanwhile."""

import asyncio

import orjson
import pytest

from processor.engine.notices import Halted, RegistryAsked, Resumed
from processor.model.errors import RegistryUnavailableError
from processor.model.reasons import HaltReason
from processor.runtime.ports import SchemaIncompleteError
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


async def miss_a_schema_and_the_registry(world: World) -> None:
    """Let a record wait for a schema that the registry has not, and then for the registry."""
    world.encode = as_avro
    world.track("a")
    await asyncio.sleep(60.0)
    world.schemas.is_out = True
    await asyncio.sleep(2 * LIMIT_S)


def test_an_outage_while_a_schema_is_waited_for_dead_letters_nothing() -> None:
    """Only the registry can say that it still has none."""

    async def story(world: World) -> None:
        await miss_a_schema_and_the_registry(world)
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


def garbage(number: int) -> bytes:
    """Return a value that names a schema of its own, as bare Avro does whose first byte is 0."""
    return b"\0" + (number + 10).to_bytes(4, "big")


@pytest.mark.parametrize("count", [20_000])
def test_a_topic_of_something_else_is_forgotten(count: int) -> None:
    """However many ids it seems to name, few are remembered."""

    async def story(world: World) -> None:
        for number in range(count):
            world.send(garbage(number), "dead_lettered")
        await world.settled()
        assert world.schemas.asked >= count
        assert world.member.worker._driver._schemas._search.remembered <= count / 2
        assert RegistryAsked("found") not in world.member.observer.notices

    simulate(story, Plan(max_records=1_000))


def test_a_topic_of_something_else_is_no_rush_on_the_registry() -> None:
    """With thousands of unknown ids few questions are open at once, each id is asked for a few times, and all end."""

    async def story(world: World) -> None:
        world.schemas.latency_s = 0.01
        for number in range(12_000):
            world.send(garbage(number), "dead_lettered", at=number % 12)
        begun = world.now
        await world.until(lambda: len(world.letters_of("unknown_schema")) == 12_000)
        assert world.schemas.most_awaiting <= 8
        assert world.schemas.asked <= 3 * 12_000
        assert world.now - begun < LIMIT_S + 60.0

    simulate(story, Plan(partitions=12, max_records=1_000, unknown_after_s=LIMIT_S, budget_bytes=50_000_000))


def test_a_slow_registry_comes_to_an_end_with_many_ids() -> None:
    """Absences are believed until the batch is formed, however long the answers for the others of it take."""

    async def story(world: World) -> None:
        world.schemas.latency_s = 1.0
        for number in range(1_000):
            world.send(garbage(number), "dead_lettered")
        await world.until(lambda: len(world.letters_of("unknown_schema")) == 1_000)
        assert world.schemas.asked == 1_000

    simulate(story, Plan(max_records=1_000, budget_bytes=50_000_000))


def test_one_wait_is_for_all_that_is_buffered() -> None:
    """Records of unknown schemas in many batches take the time of one: the ids are asked for ahead of their batch."""

    async def story(world: World) -> None:
        for number in range(500):
            if number % 50 == 7:
                world.send(garbage(number), "dead_lettered")
            else:
                world.track("a")
        begun = world.now
        await world.settled()
        assert LIMIT_S <= world.now - begun < LIMIT_S + 30.0
        assert len(world.letters_of("unknown_schema")) == 10

    simulate(story, Plan(max_records=20, unknown_after_s=LIMIT_S))


def test_an_id_that_no_registry_gives_is_not_waited_for() -> None:
    """Its record is dead-lettered at once, and no halt is raised."""

    async def story(world: World) -> None:
        for schema_id in (0, 2**31, 2**32 - 1):
            world.send(b"\0" + schema_id.to_bytes(4, "big") + b"x", "dead_lettered")
        begun = world.now
        await world.settled()
        assert world.now - begun < 5.0
        assert told(world) == []
        assert RegistryAsked("absent") not in world.member.observer.notices

    simulate(story, Plan(unknown_after_s=LIMIT_S))


def test_an_absence_after_an_outage_is_waited_for_anew() -> None:
    """A registry that has just come back may not know yet what it has: what it lacks then is no record's fault."""

    async def story(world: World) -> None:
        await miss_a_schema_and_the_registry(world)
        world.schemas.is_out = False
        await asyncio.sleep(LIMIT_S - 60.0)
        assert world.letters_of("unknown_schema") == []
        world.schemas.texts[SCHEMA_ID] = TEXT
        await world.settled()
        assert world.delivered() == [0]

    simulate(story, Plan(unknown_after_s=LIMIT_S))


def test_a_schema_that_may_not_be_read_holds_up_no_other() -> None:
    """A refusal of one schema is no outage: what else is absent is waited for no longer than it should be."""

    async def story(world: World) -> None:
        world.schemas.faults[SCHEMA_ID] = RegistryUnavailableError("may not", is_of_one_schema=True)
        world.send(UNKNOWN, "dead_lettered", at=1)
        world.encode = as_avro
        world.track("a", at=0)
        await asyncio.sleep(LIMIT_S + 5.0)
        assert len(world.letters_of("unknown_schema")) == 1
        assert world.member.worker.state().halts.keys() == {HaltReason.SCHEMA_REGISTRY}
        world.schemas.faults.clear()
        world.schemas.texts[SCHEMA_ID] = TEXT
        await world.settled()

    simulate(story, Plan(partitions=2, unknown_after_s=LIMIT_S))


def test_a_schema_that_cannot_be_had_whole_is_told_and_ends() -> None:
    """The halt names what lacks; after the time its record is dead-lettered, and the others go on."""

    async def story(world: World) -> None:
        world.schemas.faults[9] = SchemaIncompleteError("it refers to 'Place', which the registry does not have")
        world.send(UNKNOWN, "dead_lettered")
        world.track("a")
        await asyncio.sleep(10.0)
        assert "it refers to 'Place'" in world.member.worker.state().halts[HaltReason.UNKNOWN_SCHEMA].cause
        await world.settled()
        assert world.delivered() == [1]

    simulate(story, Plan(unknown_after_s=LIMIT_S))


def test_an_outage_is_found_to_be_over_by_one_question_at_a_time() -> None:
    """However many schemas are wanted, a registry that is out is not asked for all of them again and again."""

    async def story(world: World) -> None:
        world.schemas.is_out = True
        for number in range(1_000):
            world.send(garbage(number), "dead_lettered")
        await asyncio.sleep(300.0)
        assert world.schemas.asked < 60
        world.schemas.is_out = False
        await world.settled()

    simulate(story, Plan(max_records=1_000, budget_bytes=50_000_000))


def test_a_registry_that_asks_for_time_is_left_alone() -> None:
    """Nothing is asked until that time is over."""

    async def story(world: World) -> None:
        world.schemas.faults[9] = RegistryUnavailableError("busy", retry_after_s=60.0)
        world.send(UNKNOWN, "dead_lettered")
        await asyncio.sleep(5.0)
        asked = world.schemas.asked
        await asyncio.sleep(50.0)
        assert world.schemas.asked == asked
        world.schemas.faults.clear()
        await world.settled()

    simulate(story)
