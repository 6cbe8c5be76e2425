"""What lasts too long: a job without an end, an item that FullStory always fails on, a batch that others overtake."""

import asyncio
from collections.abc import Callable

import orjson
import pytest

from processor.engine.limits import LimitSettings
from processor.engine.notices import HeldUp, JobIsLate, Redelivered
from processor.engine.verdict import Answer, NoAnswer
from processor.model.reasons import Bottleneck, HaltReason, Kind
from processor.runtime.watch import Watch
from tests.fakes.clock import FakeClock
from tests.fakes.fullstory import Gateway
from tests.simulation.records import SCHEMA, SCHEMA_ID, as_avro
from tests.simulation.world import Plan, World, simulate

HOUR_S = 3_600.0


def fail_on(world: World, uid: str, status: int = 503) -> None:
    """Have FullStory fail on every request that carries an item of this user."""
    answer = Answer(status, {"code": "server_error", "message": "no"})
    world.fullstory.gateway = Gateway(answer, stops=lambda body: f'"{uid}"'.encode() in body, questions=False)


async def trickle(world: World, hours: float, at: int = 1) -> None:
    """Let an event of somebody else come every twenty seconds."""
    for number in range(int(hours * HOUR_S / 20)):
        world.track(f"other{number}", at=at)
        await asyncio.sleep(20.0)


@pytest.mark.parametrize("is_batch", [True, False])
def test_a_lone_item_that_always_fails_is_given_up_while_others_succeed(*, is_batch: bool) -> None:
    """After an hour and not before; its record is dead-lettered and its partition goes on."""

    async def story(world: World) -> None:
        fail_on(world, "poison")
        world.track("poison", at=0, fate="dead_lettered")
        await trickle(world, 0.95)
        assert not world.letters.letters
        await trickle(world, 0.2)
        assert world.letters_of("destination_error") == [0]
        world.track("next", at=0)
        await world.settled()

    simulate(story, Plan(partitions=2, is_batch=is_batch))


def test_the_culprit_of_a_batch_is_found_before_it_is_given_up() -> None:
    """The batch is split until it stands alone; what was perhaps taken before is counted as redelivered."""

    async def story(world: World) -> None:
        fail_on(world, "poison")
        for number in range(10):
            uid, fate = ("poison", "dead_lettered") if number == 7 else (f"u{number}", "delivered")
            world.track(uid, at=0, fate=fate)  # type: ignore[arg-type]
        await trickle(world, 1.5)
        assert world.letters_of("destination_error") == [7]
        assert sum(each.records for each in world.member.observer.of(Redelivered)) >= 10
        await world.settled()

    simulate(story, Plan(partitions=2))


def test_an_outage_gives_nothing_up() -> None:
    """However long it lasts: nobody else succeeds either."""

    async def story(world: World) -> None:
        world.fullstory.outage = 503
        world.track("a", at=0)
        await trickle(world, 3.0)
        world.fullstory.outage = None
        await world.settled()
        assert not world.letters.letters

    simulate(story, Plan(partitions=2))


def test_a_service_that_fails_often_gives_nothing_up() -> None:
    """Whatever fails by chance succeeds at last."""

    async def story(world: World) -> None:
        world.fullstory.weather.server_error = 0.8
        for number in range(20):
            world.track(f"u{number}", at=0)
        await trickle(world, 2.0)
        world.fullstory.weather.server_error = 0.0
        await world.settled()
        assert not world.letters.letters

    simulate(story, Plan(partitions=2, is_batch=False))


def test_a_job_that_does_not_end_is_told_of_and_then_a_halt() -> None:
    """Its partition stands still in the end, others go on, and when it ends after all so does the halt."""

    async def story(world: World) -> None:
        world.fullstory.weather.job_duration_s = (2 * HOUR_S, 2 * HOUR_S)
        world.track("a", at=0), world.track("b", at=0)
        await world.until(lambda: world.posts)
        world.fullstory.weather.job_duration_s = (1.0, 1.0)
        world.track("c", at=1), world.track("d", at=1)
        await asyncio.sleep(0.9 * HOUR_S)
        [late] = world.member.observer.of(JobIsLate)
        assert (late.kind, late.where) == (Kind.EVENT, "segment[0]")
        assert not world.member.gate.halts
        await asyncio.sleep(0.2 * HOUR_S)
        assert world.member.gate.halts.keys() == {HaltReason.STUCK_JOB}
        assert world.committed == [0, 2]
        await world.settled(2 * HOUR_S)
        assert not world.member.gate.halts

    simulate(story, Plan(partitions=2))


@pytest.mark.parametrize("answer", [Answer(202, {}), Answer(202, {"queued": True}), Answer(503)], ids=str)
def test_a_job_whose_failed_items_are_never_told_is_a_halt(answer: Answer) -> None:
    """It has not ended before they are known, whoever puts that off."""

    async def story(world: World) -> None:
        async def put_off(kind: Kind, job_id: str, page_token: str) -> Answer | NoAnswer:
            del kind, job_id, page_token
            await asyncio.sleep(1.0)
            return answer

        errors, world.fullstory.errors = world.fullstory.errors, put_off  # type: ignore[method-assign]
        world.fullstory.refuse = lambda _kind, item: "invalid_argument" if "poison" in item["properties"] else None
        world.track("a", fate="dead_lettered", poison=1), world.track("b")
        await asyncio.sleep(0.9 * HOUR_S)
        assert len(world.member.observer.of(JobIsLate)) == 1
        assert HaltReason.STUCK_JOB not in world.member.gate.halts
        await asyncio.sleep(0.2 * HOUR_S)
        assert HaltReason.STUCK_JOB in world.member.gate.halts
        world.fullstory.errors = errors  # type: ignore[method-assign]
        await world.settled(120.0)
        assert HaltReason.STUCK_JOB not in world.member.gate.halts

    simulate(story)


def test_a_bad_release_halts_instead_of_emptying_the_topic() -> None:
    """The letters of the batch that shows it are not written, and nothing more is sent."""

    async def story(world: World) -> None:
        for number in range(1_000):
            world.track(f"u{number}")
        await world.settled()
        posts, letters = len(world.posts), len(world.letters.letters)
        for _ in range(3_000):
            world.send(b"{}", "dead_lettered")
        await asyncio.sleep(HOUR_S)
        assert world.member.gate.halts.keys() == {HaltReason.DEAD_LETTER_RATIO}
        assert "unknown_type" in world.member.gate.halts[HaltReason.DEAD_LETTER_RATIO].cause
        assert letters < len(world.letters.letters) <= 1_000
        assert len(world.posts) == posts
        await world.member.stop()
        await world.start(plan=Plan())  # without a limit: the records are as they should be
        await world.settled()

    simulate(story, Plan(dead_letter_ratio=0.5))


def test_an_outage_lets_one_request_through_at_a_time_and_ends_at_once() -> None:
    """The breaker probes every ten seconds at the latest; with the first answer everything goes on."""

    async def story(world: World) -> None:
        world.fullstory.weather.latency_s = (0.1, 0.1)
        for number in range(400):
            world.track(f"u{number}", at=number % 4)
        world.fullstory.outage = 503
        await asyncio.sleep(60.0)
        assert world.member.limits.is_broken
        before = len(world.posts)
        await asyncio.sleep(500.0)
        assert 500 / 10 <= len(world.posts) - before <= 500 / 5 + 1
        world.fullstory.outage = None
        await world.settled(within_s=30.0)

    simulate(story, Plan(partitions=4))


def watch_of(world: World) -> Watch:
    """Return a watch over the world's worker, which has no use for CPU time."""
    member = world.member
    return Watch(member.worker.state, member.gate, FakeClock(), lambda: 0.0, member.observer, lambda _state: None)


def test_a_batch_that_is_overtaken_is_named() -> None:
    """With its offset, how long it has been on its way, and what it waits for; once, while the state shows it."""

    async def story(world: World) -> None:
        watch = watch_of(world)
        watching = asyncio.get_running_loop().create_task(watch.run())
        world.fullstory.weather.job_duration_s = (300.0, 300.0)
        world.track("a"), world.track("b")
        await world.until(lambda: world.posts)
        world.fullstory.weather.job_duration_s = (1.0, 1.0)
        world.track("c"), world.track("d")
        await asyncio.sleep(100.0)
        [held_up] = world.member.observer.of(HeldUp)
        assert (held_up.partition, held_up.offset) == (world.partitions[0], 0)
        assert held_up.waits_for.startswith("FullStory's job ")
        [partition] = world.member.worker.state().partitions
        assert partition.blocked is not None
        assert partition.blocked.offset == 0
        await world.settled()
        assert world.member.worker.state().partitions[0].blocked is None
        watching.cancel()

    simulate(story)


def _destination(world: World) -> None:
    world.fullstory.outage = 503


def _halt(world: World) -> None:
    world.fullstory.is_key_revoked = True


def _throttled(world: World) -> None:
    world.fullstory.weather.throttled = 1.0


def _slow(world: World) -> None:
    world.fullstory.weather.latency_s = (90.0, 90.0)


def _dead_letters(world: World) -> None:
    world.letters.refuses = lambda _letter: "refused"
    world.send(b"{}", "dead_lettered")


def _schemas(world: World) -> None:
    world.schemas.is_out = True
    world.encode = as_avro


def _commits(world: World) -> None:
    world.member.source.commit_s = lambda: 15.0


def _fetches(world: World) -> None:
    world.member.source.max_records = 1
    world.member.source.handover_s = lambda: 2.0


def _few_users(world: World) -> None:
    world.fullstory.weather.job_duration_s = (5.0, 5.0)
    for number in range(600):
        world.identify(f"user{number % 4}", at=number % 2)


def _long_jobs(world: World) -> None:
    world.member.source.max_records = 20  # more in one fetch would be held, however little may be
    world.fullstory.weather.job_duration_s = (20.0, 20.0)


def _recover(world: World) -> None:
    world.fullstory.outage, world.fullstory.is_key_revoked = None, False
    weather = world.fullstory.weather
    weather.throttled, weather.latency_s, weather.job_duration_s = 0.0, (0.0, 0.0), (0.0, 0.0)
    world.letters.refuses = lambda _letter: None
    world.schemas.is_out = False
    source = world.member.source
    source.commit_s, source.max_records, source.handover_s = lambda: 0.0, 500, lambda: 0.0


def _nothing(_world: World) -> None:
    pass


SCARCE: list[tuple[Callable[[World], None], Bottleneck]] = [
    (_destination, Bottleneck.DESTINATION),
    (_halt, Bottleneck.DESTINATION),
    (_throttled, Bottleneck.DESTINATION),
    (_slow, Bottleneck.DESTINATION),
    (_dead_letters, Bottleneck.DEAD_LETTERS),
    (_schemas, Bottleneck.REGISTRY),
    (_commits, Bottleneck.KAFKA),
    (_fetches, Bottleneck.KAFKA),
    (_few_users, Bottleneck.ORDER),
    (_long_jobs, Bottleneck.MEMORY),
    (_nothing, Bottleneck.NONE),
]
"""What is made scarce, and nothing else, and what is told of it. CPU: `test_simulated`."""


def test_each_kind_of_bottleneck_is_made_scarce_by_a_test() -> None:
    """None is a word that no test has ever seen."""
    assert {expected for _, expected in SCARCE} == set(Bottleneck) - {Bottleneck.CPU}


@pytest.mark.parametrize(("trouble", "expected"), SCARCE)
def test_what_holds_throughput_back_is_told(trouble: Callable[[World], None], expected: Bottleneck) -> None:
    """Whatever is scarce has its own word, before and after which there is none."""

    async def story(world: World) -> None:
        watch = watch_of(world)
        watching = asyncio.get_running_loop().create_task(watch.run())
        for number in range(40):
            world.track(f"early{number}", at=number % 2)
        await asyncio.sleep(20.0)
        assert watch.state().bottleneck is Bottleneck.NONE
        trouble(world)
        for number in range(400):
            world.track(f"u{number}", at=number % 2)
        world.elect()  # tells where the partitions end
        await asyncio.sleep(25.0)
        assert watch.state().bottleneck is expected
        _recover(world)
        await world.settled()
        await asyncio.sleep(20.0)
        assert watch.state().bottleneck is Bottleneck.NONE
        watching.cancel()

    limits = LimitSettings(initial_concurrency=2, max_concurrency=4)
    simulate(
        story,
        Plan(partitions=2, limits=limits, budget_bytes=100_000, schemas={SCHEMA_ID: orjson.dumps(SCHEMA).decode()}),
    )
