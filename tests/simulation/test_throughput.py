"""How much of FullStory's limits is used, and how often they are met: bands, on virtual time."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from processor.engine.limits import LimitSettings
from processor.engine.verdict import Answer
from processor.model.reasons import Bottleneck
from processor.simulation.limit import HiddenLimit
from tests.simulation.fleet import Fleet, play, windows
from tests.simulation.records import marks_of
from tests.simulation.world import Plan, World, simulate

WARM_UP_S = 20.0
SEED = 7

SINGLE = Plan(partitions=16, is_batch=False, max_records=100, linger_s=0.5, budget_bytes=20_000_000)
BATCH = replace(SINGLE, is_batch=True, max_records=5)
"""Few records a batch, so that the rate of requests is what limits."""


def fleet_of(
    workers: int, limit: HiddenLimit, *, is_batch: bool, hot_share: float | None = None, seed: int = SEED
) -> Fleet:
    """Return workers with more to send than the limit lets through, also after it has doubled."""
    plan = replace(BATCH if is_batch else SINGLE, seed=seed)
    fleet = Fleet(workers, limit, plan, limit.per_s * 3, hot_share)
    fleet.fullstory.weather.latency_s = (0.02, 0.08)
    fleet.fullstory.weather.job_duration_s = (0.02, 0.05)
    return fleet


def drawn_limit(workers: int, *, is_batch: bool, is_hot: bool) -> float:
    """Draw a limit; one of eight workers has so few of the jobs in progress that it cannot use much more in batches."""
    limit = random.Random(f"{SEED} {workers} {is_batch} {is_hot}").uniform(40.0, 50.0 if is_batch and is_hot else 90.0)
    print(f"seed {SEED}: {limit:.1f} requests/s")  # noqa: T201 - shown when it fails
    return limit


@pytest.mark.parametrize("workers", [1, 2, 4, 8])
@pytest.mark.parametrize("is_batch", [True, False], ids=["batch", "single"])
@pytest.mark.parametrize("is_hot", [False, True], ids=["even", "hot"])
def test_a_hidden_limit_is_used_and_seldom_met(workers: int, *, is_batch: bool, is_hot: bool) -> None:
    """At least 95 % of it with less than 1 % refused; and 90 % of twice as much within half a minute.

    A worker with less than about five requests a second looks for more so slowly, lest refusals become many, that eight
    behind a limit of 35 may take ten seconds longer.
    """
    limit = HiddenLimit(drawn_limit(workers, is_batch=is_batch, is_hot=is_hot))

    async def story(fleet: Fleet) -> None:
        begun = fleet.now
        await asyncio.sleep(140.0)
        since, now = begun + WARM_UP_S, fleet.now
        used, refused = limit.used(since, now), limit.refusals(since, now)
        print(f"{used:.3f} used, {refused:.4f} refused")  # noqa: T201 - shown when it fails
        assert used >= 0.95
        assert refused < 0.01
        limit.per_s *= 2
        await asyncio.sleep(30.0 + 10.0)
        assert any(part >= 0.9 for _, part in windows(limit, now, fleet.now, 10.0))
        assert fleet.fullstory.peak_jobs <= 100

    play(story, partial(fleet_of, workers, limit, is_batch=is_batch, hot_share=0.8 if is_hot else None))


def test_the_jobs_in_progress_stay_within_the_documented_limit_while_partitions_move() -> None:
    """Slow jobs, many of them, and a rebalance every few seconds: they count for whoever follows them."""
    chance = random.Random(SEED)

    async def story(fleet: Fleet) -> None:
        fleet.fullstory.weather.job_duration_s = (20.0, 40.0)
        for _ in range(40):
            await asyncio.sleep(5.0)
            giver, taker = chance.sample(fleet.members, 2)
            if giver.source.holdings:
                moving = chance.choice(list(giver.source.holdings))
                await giver.source.revoke(moving)
                await taker.source.assign(moving)
        assert 50 <= fleet.fullstory.peak_jobs <= 100
        print(f"seed {SEED}: {fleet.fullstory.peak_jobs} jobs at most")  # noqa: T201 - shown when it fails

    play(story, partial(fleet_of, 4, HiddenLimit(80.0), is_batch=True))


@pytest.mark.parametrize("is_batch", [True, False], ids=["batch", "single"])
def test_after_an_outage_the_limit_is_used_again_within_half_a_minute(*, is_batch: bool) -> None:
    """Ten minutes of 503: few requests while it lasts, and nothing about the rate is forgotten."""
    limit = HiddenLimit(60.0)

    async def story(fleet: Fleet) -> None:
        await asyncio.sleep(60.0)
        fleet.load_per_s, load = 1.0, fleet.load_per_s
        fleet.fullstory.outage = 503
        posts = fleet.fullstory.posts
        await asyncio.sleep(600.0)
        assert fleet.fullstory.posts - posts < 600
        fleet.fullstory.outage, fleet.load_per_s = None, load
        ended = fleet.now
        await asyncio.sleep(60.0)
        assert any(part >= 0.9 for start, part in windows(limit, ended, fleet.now, 10.0) if start <= 30.0)
        assert limit.refusals(ended, fleet.now) < 0.01

    play(story, partial(fleet_of, 2, limit, is_batch=is_batch))


def test_a_limit_that_halves_costs_few_refusals() -> None:
    """And what is left of it is used."""
    limit = HiddenLimit(80.0)

    async def story(fleet: Fleet) -> None:
        await asyncio.sleep(60.0)
        limit.per_s /= 2
        halved = fleet.now
        await asyncio.sleep(90.0)
        assert limit.refusals(halved, halved + 30.0) < 0.06
        assert limit.refusals(halved + 30.0, fleet.now) < 0.01
        assert limit.used(halved + 30.0, fleet.now) >= 0.95

    play(story, partial(fleet_of, 2, limit, is_batch=False))


def test_a_limit_that_drifts_is_followed() -> None:
    """Up and down by half within five minutes."""
    limit = HiddenLimit(40.0)

    async def story(fleet: Fleet) -> None:
        await asyncio.sleep(WARM_UP_S)
        begun, allowed = fleet.now, 0.0
        for step in range(300):
            limit.per_s = 40.0 + 20.0 * (1 - abs(step - 150) / 150)
            allowed += limit.per_s
            await asyncio.sleep(1.0)
        taken = sum(at >= begun for at in limit.taken)
        assert taken >= 0.95 * allowed
        assert limit.refusals(begun, fleet.now) < 0.01

    play(story, partial(fleet_of, 2, limit, is_batch=False))


def test_bursts_below_the_limit_meet_no_refusal_and_no_wait() -> None:
    """A load that a burst of FullStory's holds is sent at once, and changes no rate."""
    limit = HiddenLimit(50.0)

    async def story(fleet: Fleet) -> None:
        for _ in range(10):
            fleet.load_per_s = 80.0
            await asyncio.sleep(1.0)
            fleet.load_per_s = 0.0
            await asyncio.sleep(9.0)
        assert fleet.fullstory.posts >= 800
        assert not limit.refused
        assert fleet.broker.is_committed()

    def quiet() -> Fleet:
        return Fleet(1, limit, replace(SINGLE, seed=SEED), 0.0)

    play(story, quiet)


def test_constant_latency_costs_no_throughput() -> None:
    """A second of it, and still as many requests are on their way as it takes."""
    limit = HiddenLimit(40.0)

    async def story(fleet: Fleet) -> None:
        fleet.fullstory.weather.latency_s = (1.0, 1.0)
        await asyncio.sleep(60.0)
        begun = fleet.now
        await asyncio.sleep(60.0)
        assert limit.used(begun, fleet.now) >= 0.95

    play(story, partial(fleet_of, 1, limit, is_batch=False))


def test_busy_users_are_fresh() -> None:
    """Who is identified again while FullStory is still at the last identify waits for its end, once.

    What is behind it goes along. From the record to its effect within the linger and five seconds.
    """
    chance = random.Random(SEED)
    sent_at: dict[tuple[int, int], float] = {}
    held_back: Counter[Bottleneck] = Counter()

    async def story(world: World) -> None:
        world.fullstory.weather.latency_s = (0.2, 0.2)
        world.fullstory.weather.job_duration_s = (2.0, 2.0)
        for number in range(7_500):
            send = world.identify if chance.random() < 0.2 else world.track
            sent = send(f"u{number // 100 + chance.randrange(60)}", at=number % 2)
            sent_at[sent.partition.partition, sent.record.offset] = world.now
            await asyncio.sleep(1 / 250)
            held_back[world.member.worker.state().bottleneck] += 1
        await world.settled()
        ages = sorted(
            effect.at - sent_at[each]
            for effect in world.fullstory.effects
            for each in marks_of(effect.item)
            if sent_at[each] > 10.0
        )
        p99 = ages[int(len(ages) * 0.99)]
        print(f"seed {SEED}: p50 {ages[len(ages) // 2]:.2f} s, p99 {p99:.2f} s")  # noqa: T201 - shown when it fails
        assert p99 < 1.0 + 5.0
        assert held_back[Bottleneck.NONE] > 0.9 * held_back.total(), "what grows is not held back"

    simulate(story, Plan(partitions=2, max_records=1_000, max_bytes=1_000_000, budget_bytes=20_000_000))


def test_one_hot_user_keeps_no_other_waiting() -> None:
    """Identifies of one user go one after the other; those of others in the same partition meanwhile."""

    async def story(world: World) -> None:
        world.fullstory.weather.latency_s = (0.2, 0.2)
        for number in range(300):
            world.identify("hot", level=number)
            world.identify(f"u{number}")
        begun = world.now
        await world.settled(60.0)
        assert world.now - begun < 30.0

    simulate(story, Plan(max_records=40))


NESTED: dict[str, Callable[[int], Any]] = {
    "flat": lambda number: number,
    "same": lambda number: {"seats": number},
    "growing": lambda number: {f"n{each}": 1 for each in range(number // 100 + 1)},
    "shrinking": lambda number: {f"n{each}": number for each in range(20 - number % 20)},
}


def busy_and_others(shape: str, *, is_batch: bool) -> tuple[float, float]:
    """Deliver 3,000 records, every tenth of one user with such a trait; return after how long all, and others, end."""
    chance = random.Random(SEED)
    of_busy: set[int] = set()

    async def story(world: World) -> None:
        world.fullstory.weather.latency_s = (0.05, 0.05)
        world.fullstory.weather.job_duration_s = (3.0, 3.0)
        for number in range(3_000):
            if number % 10 == 0:
                of_busy.add(world.identify("busy", company=NESTED[shape](number)).record.offset)
            else:
                (world.identify if chance.random() < 0.2 else world.track)(f"u{chance.randrange(300)}")
        begun = world.now
        await world.settled(3_000.0)
        ends = {offset: effect.at for effect in world.fullstory.effects for _, offset in marks_of(effect.item)}
        took.append(max(ends.values()) - begun)
        took.append(max(at for offset, at in ends.items() if offset not in of_busy) - begun)

    took: list[float] = []
    simulate(story, Plan(max_records=1_000, max_bytes=1_000_000, budget_bytes=50_000_000, is_batch=is_batch))
    print(f"seed {SEED}, {shape}: all {took[0]:.1f} s, others {took[1]:.1f} s")  # noqa: T201 - shown when it fails
    return took[0], took[1]


@pytest.mark.parametrize(("is_batch", "most"), [(True, 3.0), (False, 4.0)])
def test_a_nested_trait_that_changes_slows_down_nobody_but_its_user(most: float, *, is_batch: bool) -> None:
    """Of the same shape or a growing one it is merged; of a shrinking one it goes apart, one after the other.

    Singly, nobody waits for jobs, so 285 identifies in a row take longer than all others together.
    """
    flat, flat_of_others = busy_and_others("flat", is_batch=is_batch)
    for shape, factor in (("same", 1.5), ("growing", 1.5), ("shrinking", most)):
        took, of_others = busy_and_others(shape, is_batch=is_batch)
        assert took < factor * flat, shape
        assert of_others < 1.2 * flat_of_others, shape


def test_huge_records_in_one_partition_keep_no_other_waiting() -> None:
    """They have their share of the memory, and batches of the others go out in their turn."""

    async def story(world: World) -> None:
        world.fullstory.weather.latency_s = (0.5, 0.5)
        for number in range(60):
            world.track(f"big{number}", at=0, text="x" * 60_000)
        for number in range(200):
            world.track(f"u{number}", at=1 + number % 3)
        await world.until(lambda: all(offset for offset in world.committed[1:]), within_s=20.0)
        for number in range(200):
            world.track(f"v{number}", at=1 + number % 3)
        begun = world.now
        await world.until(lambda: all((offset or 0) >= 132 for offset in world.committed[1:]), within_s=60.0)
        assert world.now - begun < 10.0
        await world.settled()

    simulate(story, Plan(partitions=4, max_bytes=100_000, limits=LimitSettings(max_concurrency=4)))


def test_a_body_that_is_refused_as_too_large_is_learned_once() -> None:
    """O(log n) requests find out; the batches after it fit at once."""

    async def story(world: World) -> None:
        world.fullstory.max_body_bytes = 10_000
        for number in range(400):
            world.track(f"u{number}", text="x" * 300)
        await world.settled()
        refused = [post for post in world.posts if isinstance(post.answer, Answer) and post.answer.status == 413]
        assert 4 <= len(refused) <= 10
        seen = len(world.posts)
        for number in range(400):
            world.track(f"v{number}", text="x" * 300)
        await world.settled()
        assert all(post.status == 200 for post in world.posts[seen:])

    simulate(story, Plan(max_records=200, max_bytes=200_000))
