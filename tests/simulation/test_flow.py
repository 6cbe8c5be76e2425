"""When things are sent, fetched and committed while all is well, or FullStory asks for patience."""

import asyncio
from typing import Any

import orjson
import pytest

from processor.engine.limits import LimitSettings
from processor.engine.notices import Committed, JobEnded, Settled, SourceTrouble, Throttled, WaitsFor
from processor.engine.partition.owner import End
from processor.engine.verdict import Answer
from processor.model.reasons import Bottleneck, Kind
from processor.model.records import TopicPartition
from tests.fakes.fullstory import Refused
from tests.fakes.source import WALL_MS
from tests.simulation.laws import ROUNDED_S
from tests.simulation.world import Plan, World, simulate


@pytest.mark.parametrize("is_batch", [True, False])
def test_a_time_that_fullstory_names_holds_for_all(*, is_batch: bool) -> None:
    """Nothing is asked of FullStory before that time, not even after a job, and the next request goes out soon after.

    Not in that very moment: other workers were told the same.
    """

    async def story(world: World) -> None:
        world.fullstory.weather.job_duration_s = (5.0, 5.0)
        world.track("a", at=1), world.track("b", at=1)
        await asyncio.sleep(1.5)
        world.fullstory.script.append(Refused(429, retry_after_s=90.0))
        for number in range(40):
            world.track(f"u{number}", at=0)
        await asyncio.sleep(0.5)
        refused = next(post for post in world.posts if post.status == 429)
        others = [post.at for post in world.posts if post.at > refused.at]
        await asyncio.sleep(89.0)
        assert [post.at for post in world.posts if post.at > refused.at] == others == []
        assert max(world.member.wire.polls, default=0.0) <= refused.at
        await world.settled()
        again = next(post.at for post in world.posts if post.at > refused.at)
        assert refused.at + 90.0 <= again <= refused.at + 91.0
        assert world.member.observer.of(Throttled) == [Throttled(90.0)]

    simulate(story, Plan(partitions=2, is_batch=is_batch))


def test_a_longer_wait_that_comes_meanwhile_holds_for_polls_too() -> None:
    """A poll that waits for the first time named asks again whether that still holds."""

    async def story(world: World) -> None:
        world.fullstory.weather.job_duration_s = (30.0, 30.0)
        world.track("a"), world.track("b")
        await asyncio.sleep(2.0)
        world.member.gate.block(10.0)
        await asyncio.sleep(9.0)
        until = world.now + 50.0
        world.member.gate.block(50.0)
        await world.settled()
        assert not [at for at in world.member.wire.polls if until - 55.0 < at < until - 0.001]

    simulate(story)


def test_a_throttled_poll_is_asked_again_in_time() -> None:
    """What FullStory says to a question for a job holds for everything as well."""

    async def story(world: World) -> None:
        world.fullstory.weather.job_duration_s = (3.0, 3.0)
        world.track("a"), world.track("b")
        await world.until(lambda: world.posts)
        job = world.fullstory.job

        async def throttled(_kind: Kind, _job_id: str) -> object:
            world.fullstory.job = job  # type: ignore[method-assign]
            await asyncio.sleep(0)
            return Answer(429, None, 20.0)

        world.fullstory.job = throttled  # type: ignore[method-assign, assignment]
        await asyncio.sleep(2.0)
        world.track("c"), world.track("d")
        await asyncio.sleep(10.0)
        assert len(world.posts) == 1
        await world.settled()

    simulate(story)


def test_slow_answers_do_not_make_jobs_seem_slow() -> None:
    """What is learned of jobs is when they end, not when that is known: else each wait would lengthen the next ones."""

    async def story(world: World) -> None:
        world.fullstory.weather.latency_s = (0.3, 0.3)
        for number in range(30):
            world.track(f"a{number}"), world.track(f"b{number}")
            await world.settled()
        known_after_s = [each.duration_s for each in world.member.observer.of(JobEnded)]
        assert known_after_s == pytest.approx([known_after_s[0]] * 30, abs=ROUNDED_S)

    simulate(story)


def test_no_time_named_is_not_no_time_at_all() -> None:
    """`Retry-After: 0` is answered by the usual growing waits."""

    async def story(world: World) -> None:
        world.fullstory.weather.throttled = 1.0
        world.fullstory.weather.retry_after_s = 0.0
        world.track("a"), world.track("b")
        await asyncio.sleep(300.0)
        assert 5 < len(world.posts) < 100
        world.fullstory.weather.throttled = 0.0
        await world.settled()

    simulate(story)


def test_a_lone_record_waits_for_the_linger_and_no_longer() -> None:
    """The linger counts from the first record; later ones do not prolong it."""

    async def story(world: World) -> None:
        begun = world.now
        for number in range(10):
            world.track(f"u{number}")
            await asyncio.sleep(0.3)
        await world.settled()
        assert [post.at - begun for post in world.posts] == pytest.approx([1.0, 2.2, 3.4], abs=ROUNDED_S)
        assert [post.offsets for post in world.posts] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]

    simulate(story)


def test_a_full_batch_does_not_wait() -> None:
    """By count or by size: what is full goes at once, and what is left keeps its own time."""

    async def story(world: World) -> None:
        begun = world.now
        for number in range(25):
            world.track(f"u{number}")
        await asyncio.sleep(5.0)
        for number in range(3):
            world.track(f"u{number}", text="x" * 7_000)
        await world.settled()
        assert [len(post.items) for post in world.posts] == [20, 5, 1, 1, 1]
        assert [post.at - begun for post in world.posts] == pytest.approx([0.0, 1.0, 5.0, 5.0, 6.0], abs=ROUNDED_S)

    simulate(story, Plan(max_bytes=10_000))


def test_batches_grow_while_there_is_no_room() -> None:
    """Natural batching: what arrives while all slots are taken travels together when one is free."""

    async def story(world: World) -> None:
        world.fullstory.weather.latency_s = (9.0, 9.0)
        for number in range(15):
            world.track(f"u{number}")
            await asyncio.sleep(1.0)
        await world.settled()
        assert [len(post.items) for post in world.posts] == [1, 10, 4]

    simulate(story, Plan(limits=LimitSettings(max_concurrency=1)))


def test_a_slot_that_an_answer_frees_is_used_at_once() -> None:
    """Nothing else has to happen: the answer itself leads to the next batch."""

    async def story(world: World) -> None:
        world.fullstory.weather.latency_s = (3.0, 3.0)
        world.fullstory.weather.job_duration_s = (50.0, 50.0)
        for number in range(100):
            world.track(f"u{number}")
        await asyncio.sleep(14.0)
        begun = world.posts[0].at
        assert [post.at - begun for post in world.posts] == pytest.approx([0.0, 3.0, 6.0, 9.0, 12.0])
        await world.settled()

    simulate(story, Plan(limits=LimitSettings(max_concurrency=1)))


def test_a_slot_that_the_end_of_a_job_frees_is_used_soon() -> None:
    """Where jobs are scarce their ends make room, as soon as they are known."""

    async def story(world: World) -> None:
        world.fullstory.weather.job_duration_s = (10.0, 10.0)
        for number in range(100):
            world.track(f"u{number}")
        await world.settled()
        assert world.fullstory.peak_jobs == 1
        assert world.now - world.posts[0].at < 5 * 10.0 * 1.3

    simulate(story, Plan(limits=LimitSettings(org_share=0.001)))


def test_room_that_a_batch_cannot_use_yet_goes_to_another() -> None:
    """A batch waits for an earlier one with the same user; a batch of another partition takes its place."""

    async def story(world: World) -> None:
        world.fullstory.weather.job_duration_s = (60.0, 60.0)
        world.identify("a"), world.identify("b")
        await asyncio.sleep(5.0)
        world.identify("a"), world.identify("c")
        world.track("z", at=1), world.track("y", at=1)
        due = world.now + 1.0
        await world.settled()
        assert [post.at for post in world.posts if post.kind is Kind.EVENT] == pytest.approx([due])

    simulate(story, Plan(partitions=2, limits=LimitSettings(max_concurrency=1)))


def test_what_came_first_goes_first_when_slots_are_scarce() -> None:
    """A full partition does not keep what is older in another from being sent."""

    async def story(world: World) -> None:
        world.fullstory.weather.latency_s = (1.0, 1.0)
        for number in range(60):
            world.track(f"u{number}", at=0)
        await asyncio.sleep(0.5)
        world.track("z", at=1), world.track("y", at=1)
        await asyncio.sleep(0.1)
        for number in range(60):
            world.track(f"u{number}", at=0)
        await world.settled()
        assert [post.marks[0][0] for post in world.posts] == [0, 0, 0, 1, 0, 0, 0]

    simulate(story, Plan(partitions=2, limits=LimitSettings(max_concurrency=1)))


def test_only_so_many_batches_of_a_partition_overlap() -> None:
    """One that does not settle holds up those behind it when the depth is reached."""

    async def story(world: World) -> None:
        world.fullstory.weather.job_duration_s = (30.0, 30.0)
        for number in range(100):
            world.track(f"u{number}")
        await asyncio.sleep(10.0)
        assert len(world.posts) == 3
        await world.settled()

    simulate(story, Plan(depth=3))


def test_what_is_held_is_bounded_and_fetching_goes_on_afterwards() -> None:
    """Over its share of the budget a partition is paused, and resumed when half of it is gone."""

    async def story(world: World) -> None:
        world.fullstory.outage = 503
        world.member.source.max_records = 2
        world.member.source.handover_s = lambda: 0.01
        for number in range(1_000):
            world.track(f"u{number}", at=number % 2, text="x" * 100)
        await asyncio.sleep(60.0)
        state = world.member.worker.state()
        assert [each.is_paused for each in state.partitions] == [True, True]
        assert 40_000 < state.bytes_held < 60_000
        world.fullstory.outage = None
        await world.settled()
        await asyncio.sleep(1.0)
        assert [each.is_paused for each in world.member.worker.state().partitions] == [False, False]

    simulate(story, Plan(partitions=2, budget_bytes=50_000))


def test_a_record_larger_than_the_budget_is_delivered_alone() -> None:
    """A partition with one such record is paused, and goes on when it has settled."""

    async def story(world: World) -> None:
        world.member.source.max_records = 1
        for number in range(3):
            world.track(f"u{number}", text="x" * 8_000)
        await world.settled()
        assert len(world.posts) == 3

    simulate(story, Plan(budget_bytes=1_000, max_bytes=2_000))


@pytest.mark.parametrize("outcome", ["failed", "unknown"])
def test_a_commit_that_fails_is_made_again_after_a_while(outcome: str) -> None:
    """Whether it took effect or not, the plan is committed until the broker says so, and nothing is sent before."""

    async def story(world: World) -> None:
        world.member.source.commit_s = lambda: 0.01
        world.member.source.commit_script += ["ok", outcome, outcome]  # type: ignore[list-item]
        begun = world.now
        world.track("a")
        await world.settled()
        outcomes = [notice.outcome for notice in world.member.observer.of(Committed)]
        assert outcomes[:4] == ["ok", "failed", "failed", "ok"]
        assert world.posts[0].at - begun >= 1.0 + 0.25 + 0.5

    simulate(story)


def test_a_failing_commit_is_not_made_with_every_record() -> None:
    """Traffic does not hurry it."""

    async def story(world: World) -> None:
        await asyncio.sleep(1.0)
        world.member.source.commit_outcome = lambda: "failed"
        for number in range(200):
            world.track(f"u{number}")
            await asyncio.sleep(0.05)
        assert len(world.member.observer.of(Committed)) <= 12
        world.member.source.commit_outcome = lambda: "ok"
        await world.settled()

    simulate(story)


def test_a_group_that_never_committed_commits_where_it_begins() -> None:
    """The start that the settings chose is not chosen anew after a restart."""

    async def story(world: World) -> None:
        await asyncio.sleep(1.0)
        assert world.committed == [0, 0]
        for _ in range(3):
            world.member.worker.committed({}, {})  # of nothing: all of it had gone meanwhile
        await world.member.source.revoke(*world.partitions)
        await world.member.source.assign(*world.partitions)
        await asyncio.sleep(1.0)
        assert len(world.member.observer.of(Committed)) == 1

    simulate(story, Plan(partitions=2))


def test_the_mark_of_a_transaction_is_no_lag() -> None:
    """Its offset is the last one and is never consumed: a topic that rests is not behind."""

    async def story(world: World) -> None:
        partition = world.partitions[0]
        world.track("u", at=0)
        await world.settled()
        worker = world.member.worker
        worker.ends({partition: End(2, 2)})
        assert worker.state().partitions[0].lag == 1  # it may be a record yet to come
        worker.at_end({partition: 2})
        assert worker.state().partitions[0].lag == 0
        worker.ends({partition: End(3, 3)})
        assert worker.state().partitions[0].lag == 1

    simulate(story, Plan())


@pytest.mark.parametrize(
    ("end", "waits_for"),
    [
        (End(5, 1), WaitsFor.TRANSACTION),
        (End(5, 5), WaitsFor.RECORDS),
        (WaitsFor.LEADER, WaitsFor.LEADER),
        (WaitsFor.BROKER, WaitsFor.BROKER),
    ],
)
def test_records_that_kafka_withholds_are_told(end: End | WaitsFor, waits_for: WaitsFor) -> None:
    """After half a minute the state says what is waited for and since when, until something arrives."""

    async def story(world: World) -> None:
        partition, worker = world.partitions[0], world.member.worker
        world.track("u", at=0)
        await world.settled()
        since_ms = int(world.clock.wall() * 1_000)
        for _ in range(7):
            worker.ends({partition: end})
            assert worker.state().partitions[0].blocked is None
            assert worker.state().bottleneck is Bottleneck.NONE
            await asyncio.sleep(4.0)
        await asyncio.sleep(4.0)
        state = worker.state()
        (told,) = state.partitions
        assert told.lag == (4 if isinstance(end, End) else None)
        assert told.unreadable == (4 if waits_for is WaitsFor.TRANSACTION else 0)
        assert told.unreached is (None if isinstance(end, End) else end)
        assert told.blocked is not None
        assert (told.blocked.offset, told.blocked.waits_for) == (1, waits_for)
        assert state.bottleneck is Bottleneck.KAFKA
        assert told.oldest_unsettled_ms == since_ms
        world.track("u", at=0)
        await world.settled()
        (told,) = worker.state().partitions
        assert (told.blocked, told.oldest_unsettled_ms) == (None, None)

    simulate(story, Plan())


def test_a_partition_without_a_leader_holds_up_no_other() -> None:
    """What is added there waits, and is delivered once it has one."""

    async def story(world: World) -> None:
        leaderless = world.partitions[0]
        for number in range(20):
            world.track(f"u{number}", at=number % 2)
        await world.settled()
        world.elect(leaderless)
        for number in range(20):
            world.track(f"u{number}", at=number % 2)
        await world.until(lambda: world.committed == [10, 20])
        await asyncio.sleep(40.0)
        assert world.committed == [10, 20]
        assert not world.member.gate.halts
        world.elect()
        await world.settled()

    simulate(story, Plan(partitions=2))


def test_the_state_tells_what_the_worker_is_doing() -> None:
    """Lag, age and what is in flight can be seen at any moment."""

    async def story(world: World) -> None:
        world.fullstory.weather.job_duration_s = (60.0, 60.0)
        for number in range(23):
            world.track(f"u{number}", at=0)
        await asyncio.sleep(0.1)
        worker = world.member.worker
        busy, idle = worker.state().partitions
        assert (busy.in_flight_records, busy.buffered_records, busy.position, busy.lag) == (20, 3, 0, None)
        assert busy.oldest_unsettled_ms == world.records[world.partitions[0]][0].record.timestamp_ms
        assert idle.oldest_unsettled_ms is None
        worker.ends({world.partitions[0]: End(23, 23), TopicPartition("other", 1): End(7, 7)})
        state = worker.state()
        assert (state.partitions[0].lag, state.jobs_in_flight, state.operations_in_flight) == (23, 1, 20)
        assert (state.has_joined, state.is_draining, state.concurrency_limit) == (True, False, 4)
        assert state.polled_at == world.now
        worker.trouble("the broker is away")
        assert world.member.observer.of(SourceTrouble) == [SourceTrouble("the broker is away")]
        await world.settled()

    simulate(story, Plan(partitions=2))


@pytest.mark.parametrize("ticks_per_ms", [1, 1_000, 1_000_000])
def test_ages_are_by_the_unit_that_a_clock_surely_means(ticks_per_ms: int) -> None:
    """Microseconds or nanoseconds in the place of Kafka's milliseconds make no record old, and none fresh for ever."""

    async def story(world: World) -> None:
        world.broker.ticks_per_ms = ticks_per_ms
        world.fullstory.weather.job_duration_s = (60.0, 60.0)
        world.track("u")
        await asyncio.sleep(0.1)
        (partition,) = world.member.worker.state().partitions
        await world.settled()
        (settled,) = world.member.observer.of(Settled)
        assert partition.oldest_unsettled_ms == WALL_MS
        assert list(settled.timestamps_ms) == [WALL_MS]

    simulate(story, Plan())


@pytest.mark.parametrize(("assigned", "expected"), [([0, 1, 2, 3], 4), ([0], 1)])
def test_the_share_of_the_organisations_limits_follows_the_partitions(assigned: list[int], expected: int) -> None:
    """A revoke takes its part of the allowance along, also when no assignment follows."""

    async def story(world: World) -> None:
        gone = [each for each in world.partitions if each.partition not in assigned]
        await world.member.source.revoke(*gone)
        world.fullstory.weather.job_duration_s = (60.0, 60.0)
        for number in range(400):
            world.track(f"u{number}", at=assigned[number % len(assigned)])
        await asyncio.sleep(20.0)
        assert world.member.limits.jobs == expected
        for log in world.records.values():
            for sent in log:
                sent.fate = "delivered"
        await world.member.source.assign(*gone)
        await world.settled()

    simulate(story, Plan(partitions=4, limits=LimitSettings(org_share=0.04)))


def test_a_request_body_is_the_sum_of_its_items() -> None:
    """What is sent is what was built: the bodies of the items, in a fixed frame."""

    async def story(world: World) -> None:
        bodies: list[Any] = []
        post = world.fullstory.post

        async def listening(kind: Kind, body: bytes, key: str, *, batch: bool) -> object:
            bodies.append(orjson.loads(body))
            return await post(kind, body, key, batch=batch)

        world.fullstory.post = listening  # type: ignore[method-assign, assignment]
        world.track("a"), world.track("b")
        await world.settled()
        assert [[item["user"]["uid"] for item in body["requests"]] for body in bodies] == [["a", "b"]]

    simulate(story)


def test_a_larger_share_lets_through_what_waits() -> None:
    """A request that waits for the share of one partition goes out as soon as a second one comes."""

    async def story(world: World) -> None:
        world.fullstory.weather.job_duration_s = (100.0, 100.0)
        await world.member.source.revoke(world.partitions[1])
        for number in range(2):
            world.identify(f"a{number}"), world.track(f"b{number}")
        await asyncio.sleep(60.0)
        assert [post.kind for post in world.posts] == [Kind.USER]
        await world.member.source.assign(world.partitions[1])
        await asyncio.sleep(0.1)
        assert [post.kind for post in world.posts] == [Kind.USER, Kind.EVENT]
        await world.settled()

    simulate(story, Plan(partitions=2, limits=LimitSettings(org_share=0.02)))
