"""A topic that is deleted and created anew: nothing of the new one is skipped, whatever was committed of the old."""

import asyncio
import random
from dataclasses import replace
from typing import Literal

import pytest

from processor.engine.notices import Recreated, Redelivered
from processor.engine.partition.owner import Partition
from processor.model.reasons import HaltReason
from tests.simulation.world import Plan, World, simulate

SEEDS = range(40)
OLD = 40
SHORTER, GROWN = 15, 90

When = Literal["running", "stopped", "killed"]


async def deliver_the_old_one(world: World) -> None:
    """Have the records of the first topic delivered, and another topic that goes on."""
    for number in range(OLD):
        world.track(f"u{number % 5}")
        world.track(f"u{number % 5}", at=1)
    await world.settled()


async def play(world: World, when: When, count: int, *, keeps_offset: bool, chance: random.Random) -> None:
    """Delete the topic and create it anew with so many records; let a worker own it and notice."""
    world.fullstory.weather.latency_s = (0.0, chance.choice((0.0, 2.0)))
    world.fullstory.weather.job_duration_s = (0.0, chance.choice((0.0, 20.0)))
    if chance.random() < 0.5:  # some are in flight
        for _ in range(7):
            world.track("late", fate="gone")
        await asyncio.sleep(chance.uniform(0.0, 5.0))
    if when != "running":
        await (world.member.stop() if when == "stopped" else world.member.kill())
    world.recreate(keeps_offset=keeps_offset)
    for _ in range(count):
        world.track(f"u{chance.randrange(5)}")
        await asyncio.sleep(chance.choice((0.0, 0.0, 0.1)))
    if when == "running":
        await asyncio.sleep(chance.uniform(0.0, 10.0))
        await world.member.source.compare()
    else:
        await world.start()


def story_of(seed: int) -> World:
    """Let a topic come back in one of many ways, under a worker that is to read it from its first record."""
    chance = random.Random(f"recreated {seed}")
    when: When = chance.choice(("running", "running", "stopped", "killed"))
    count, keeps_offset = chance.choice((SHORTER, GROWN)), chance.random() < 0.5

    async def story(world: World) -> None:
        await deliver_the_old_one(world)
        await play(world, when, count, keeps_offset=keeps_offset, chance=chance)
        await world.settled()

    plan = Plan(seed=seed, partitions=2, max_records=chance.choice((1, 5, 20)), on_recreated="restart")
    return simulate(story, plan)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_topic_that_came_back_is_read_whole(seed: int) -> None:
    """Each of its records is delivered before its offset is committed, and again only as far as that is counted."""
    story_of(seed)


def test_ids_that_are_not_compared_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the protection switched off the first records of a topic that has grown are skipped, or it stands still."""
    monkeypatch.setattr(Partition, "is_recreated", False)
    with pytest.raises(AssertionError):
        _play_all()


@pytest.mark.parametrize("keeps_offset", [True, False])
@pytest.mark.parametrize("count", [SHORTER, GROWN])
def test_the_partition_halts_and_the_halt_outlives_the_worker(count: int, *, keeps_offset: bool) -> None:
    """Nothing more of it is sent, other topics go on, and a worker that is told so reads it from its first record."""

    async def story(world: World) -> None:
        await deliver_the_old_one(world)
        await play(world, "running", count, keeps_offset=keeps_offset, chance=random.Random(1))
        await asyncio.sleep(5.0)
        assert world.member.gate.halts.keys() == {HaltReason.RECREATED}
        assert len(world.member.observer.of(Recreated)) == 1
        before = world.delivered()
        world.track("u", at=1)
        await world.until(lambda: world.committed[1] == OLD + 1)
        await world.member.stop()
        await world.start()
        await asyncio.sleep(60.0)
        assert world.member.gate.halts.keys() == {HaltReason.RECREATED}
        assert world.delivered() == before
        await world.member.stop()
        world.laws.repeats_allowed = max(count - OLD, 0)
        await world.start(plan=replace(world.plan, on_recreated="restart"))
        await world.settled()
        assert not world.member.gate.halts

    simulate(story, Plan(partitions=2))


def _play_all() -> None:
    for seed in SEEDS:
        story_of(seed)


def test_what_was_delivered_before_it_was_noticed_is_counted() -> None:
    """The worker was at 40 when the topic came back with 90 records: the last 50 of them come twice."""

    async def story(world: World) -> None:
        await deliver_the_old_one(world)
        await world.member.source.compare()
        world.recreate()
        for _ in range(GROWN):
            world.track("u")
        await asyncio.sleep(5.0)
        await world.member.source.compare()
        await world.settled()
        assert sum(each.records for each in world.member.observer.of(Redelivered)) == GROWN - OLD

    simulate(story, Plan(partitions=2, on_recreated="restart"))


def test_what_was_noticed_outlives_a_worker_that_ends_at_once() -> None:
    """Its last commit says whose the position is: the next worker would begin a new group, at the end of the topic."""

    async def story(world: World) -> None:
        await deliver_the_old_one(world)
        await world.member.source.compare()
        world.recreate()
        for _ in range(GROWN):
            world.track("u", fate="gone")
        world.member.source.commit_script.append("failed")
        await world.member.source.compare()
        await asyncio.sleep(0.1)
        await world.member.stop()
        await world.start(plan=replace(world.plan, start="latest"))
        await asyncio.sleep(30.0)
        assert world.member.gate.halts.keys() == {HaltReason.RECREATED}

    simulate(story, Plan(partitions=2))
