"""Partitions come and go, workers end: what was sent is finished as far as time allows, the rest is released."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from processor.engine.beginnings import GroupStart
from processor.engine.limits import LimitSettings
from processor.engine.notices import Begun, JournalResumed, Rebalanced, Released, Settled
from processor.engine.partition.journal_format import ResumedPart
from processor.model.errors import SourceError
from processor.model.reasons import HaltReason, Kind, ReleaseReason
from processor.runtime.ports import Fetched
from tests.fakes.fullstory import Refused
from tests.simulation.records import SCHEMA_ID, as_avro
from tests.simulation.world import Plan, World, simulate


async def revoke_all(world: World) -> float:
    """Take every partition away; return how long that took."""
    begun = world.now
    await world.member.source.revoke(*world.partitions)
    assert not world.member.worker.state().partitions
    return world.now - begun


async def assign_all(world: World) -> None:
    """Give every partition back, and let everything settle."""
    await world.member.source.assign(*world.partitions)
    await world.settled()


def released(world: World) -> list[Released]:
    """Return what was told of records given up."""
    return world.member.observer.of(Released)


def resumed(world: World) -> Counter[ResumedPart]:
    """Add up what journals told of."""
    return sum((notice.parts for notice in world.member.observer.of(JournalResumed)), Counter())


def test_a_revoke_in_peace_costs_nothing() -> None:
    """Without anything in flight the partition goes at once, committed to the end."""

    async def story(world: World) -> None:
        world.track("a")
        await world.settled()
        assert await revoke_all(world) == 0.0
        assert (released(world), world.committed) == ([], [1])
        kinds = [notice.kind for notice in world.member.observer.of(Rebalanced)]
        assert kinds == ["assigned", "revoked"]

    simulate(story)


def test_what_the_group_has_never_committed_is_told_once() -> None:
    """A partition of a new group, or one that was added, begins; what somebody has committed goes on."""

    async def story(world: World) -> None:
        world.track("a")
        await world.settled()
        await revoke_all(world)
        await assign_all(world)
        assert world.member.observer.of(Begun) == [Begun(tuple(world.partitions))]

    simulate(story)


def test_buffered_records_are_released() -> None:
    """What was never sent is the next owner's to send."""

    async def story(world: World) -> None:
        world.track("a")
        await asyncio.sleep(0.5)
        assert await revoke_all(world) == 0.0
        assert released(world) == [Released(ReleaseReason.REVOKED, 1)]
        assert not world.posts
        await assign_all(world)
        assert world.delivered() == [0]

    simulate(story)


def test_a_batch_in_admission_is_dropped_unsent() -> None:
    """It waits for a slot when its partition goes, and is never sent in this epoch."""

    async def story(world: World) -> None:
        world.fullstory.weather.latency_s = (4.0, 4.0)
        world.track("a", at=0)
        await asyncio.sleep(1.5)
        for _ in range(2):
            world.track("b", at=1)
            world.identify("b", at=1)
        await asyncio.sleep(2.0)
        await world.member.source.revoke(world.partitions[1])
        await asyncio.sleep(20.0)
        assert {post.marks[0][0] for post in world.posts} == {0}
        await world.member.source.assign(world.partitions[1])
        await world.settled()

    simulate(story, Plan(partitions=2, limits=LimitSettings(max_concurrency=1)))


def test_a_batch_that_waits_for_its_users_turn_is_dropped_unsent() -> None:
    """The one before it is followed by the next owner; the one that waited for it is sent then for the first time."""

    async def story(world: World) -> None:
        world.fullstory.weather.job_duration_s = (7.0, 7.0)
        world.identify("a"), world.identify("b")
        await asyncio.sleep(3.0)
        world.identify("a"), world.identify("b"), world.track("b")
        await asyncio.sleep(3.0)
        assert await revoke_all(world) == 0.0
        assert (world.committed, len(world.posts)) == ([0], 1)
        assert released(world) == [Released(ReleaseReason.REVOKED, 5)]
        await assign_all(world)
        assert world.posts[0].offsets == [0, 1]
        assert sorted(world.delivered()) == [0, 1, 2, 3, 4]

    simulate(story)


def test_what_goes_apart_goes_apart_again_after_a_crash() -> None:
    """The journal tells who waited for whom, so each request has the same body and key, and nothing is sent twice."""

    async def story(world: World) -> None:
        world.fullstory.weather.job_duration_s = (30.0, 30.0)
        for uid in "abcd":
            world.identify(uid)
        await asyncio.sleep(3.0)
        for number in range(3):  # apart, because it waits for a job, and with several items that cannot be merged
            world.identify("a", company={f"n{number}": 1})
            world.track("a")
        world.identify("e", company={"n": 1}), world.identify("e", company={"m": 1})
        for uid in "fgh":
            world.identify(uid)
            world.track(uid)
        await asyncio.sleep(3.0)
        await world.member.kill()
        before = [(post.key, post.offsets, post.is_batch) for post in world.posts]
        await world.start()
        await world.settled()
        again = [(post.key, post.offsets, post.is_batch) for post in world.posts]
        assert [offsets for _, offsets, is_batch in before if is_batch] == [[0, 1, 2, 3], [12, 14, 16], [13, 15, 17]]
        assert not {key for key, *_ in again} & {key for key, offsets, is_batch in before if is_batch}, "jobs go on"
        assert [offsets for _, offsets, _ in again if offsets[0] in (4, 6, 8)] == [[4], [6], [8]]
        assert [offsets for _, offsets, is_batch in again if is_batch] == [[5, 7, 9]]
        assert Counter(world.delivered()) == dict.fromkeys(range(18), 1)

    simulate(story)


def test_a_post_in_flight_is_finished_and_committed() -> None:
    """An answer that comes within the drain time counts."""

    async def story(world: World) -> None:
        world.fullstory.weather.latency_s = (3.0, 3.0)
        world.track("a")
        await asyncio.sleep(1.5)
        assert 0.0 < await revoke_all(world) <= 3.0
        assert (released(world), world.committed) == ([], [1])

    simulate(story)


def test_a_post_that_is_not_answered_in_time_is_given_up() -> None:
    """The drain time bounds a revoke; its records are released and read again."""

    async def story(world: World) -> None:
        world.fullstory.weather.latency_s = (60.0, 60.0)
        world.track("a")
        await asyncio.sleep(1.5)
        assert await revoke_all(world) == pytest.approx(5.0)
        assert (released(world), world.committed) == ([Released(ReleaseReason.REVOKED, 1)], [0])
        world.fullstory.weather.latency_s = (0.0, 0.0)
        await assign_all(world)

    simulate(story)


def test_a_job_in_progress_is_left_to_the_next_owner() -> None:
    """A revoke does not wait for it; the limits get back what it held, and count it again where it is followed."""

    async def story(world: World) -> None:
        world.fullstory.weather.job_duration_s = (400.0, 400.0)
        world.track("a"), world.track("b")
        await asyncio.sleep(1.5)
        limits = world.member.limits
        assert (limits.jobs, limits.operations) == (1, 2)
        assert await revoke_all(world) == 0.0
        await asyncio.sleep(0.1)
        assert (limits.jobs, limits.operations) == (0, 0)
        await world.member.source.assign(*world.partitions)
        assert (limits.jobs, limits.operations) == (1, 2)
        assert resumed(world) == {"job": 1}
        await world.settled()
        assert (len(world.posts), sorted(world.delivered())) == (1, [0, 1])

    simulate(story)


def test_half_a_batch_in_a_job_gives_back_what_it_held() -> None:
    """A batch was split, one half is a job and the other still waits: a revoke leaves nothing counted."""

    async def story(world: World) -> None:
        world.fullstory.weather.job_duration_s = (400.0, 400.0)
        world.fullstory.weather.latency_s = (0.3, 0.3)
        world.fullstory.script.append(Refused(413))
        for number in range(8):
            world.track(f"u{number}")
        await world.until(lambda: len(world.posts) == 2)
        world.member.gate.block(100.0)
        await asyncio.sleep(1.0)
        await revoke_all(world)
        await asyncio.sleep(0.1)
        limits = world.member.limits
        assert (limits.jobs, limits.operations, limits._concurrency.awaiting) == (0, 0, 0)
        await assign_all(world)

    simulate(story, Plan(limits=LimitSettings(max_concurrency=1)))


def test_a_partition_lost_as_its_batch_is_accepted_leaves_nothing_counted() -> None:
    """The loss comes in the very moment in which a job begins to be followed."""

    async def story(world: World) -> None:
        post = world.fullstory.post

        async def losing(kind: Kind, body: bytes, key: str, *, batch: bool) -> object:
            answer = await post(kind, body, key, batch=batch)
            asyncio.get_running_loop().call_soon(world.member.worker.lost, world.partitions)
            return answer

        world.fullstory.post = losing  # type: ignore[method-assign, assignment]
        world.track("a"), world.track("b")
        await world.until(lambda: world.posts)
        await asyncio.sleep(1.0)
        limits = world.member.limits
        assert (limits.jobs, limits.operations, limits._concurrency.awaiting) == (0, 0, 0)

    simulate(story)


def test_a_halted_destination_is_not_waited_for() -> None:
    """No answer will come: a revoke goes through at once."""

    async def story(world: World) -> None:
        world.fullstory.outage = 401
        world.track("a")
        await asyncio.sleep(2.0)
        assert await revoke_all(world) == 0.0
        world.fullstory.outage = None
        await assign_all(world)

    simulate(story)


@pytest.mark.parametrize("retry_after_s", [2.0, 100.0])
def test_a_block_is_not_waited_for(retry_after_s: float) -> None:
    """FullStory named a time: the next owner waits for it."""

    async def story(world: World) -> None:
        world.fullstory.script.append(Refused(429, retry_after_s))
        world.track("a")
        await asyncio.sleep(1.1)
        assert await revoke_all(world) == 0.0
        await assign_all(world)

    simulate(story)


def test_a_failed_last_commit_makes_the_next_owner_read_again() -> None:
    """Nothing is lost by it and nothing takes effect twice: the same key is answered as before."""

    async def story(world: World) -> None:
        world.fullstory.weather.latency_s = (3.0, 3.0)
        world.track("a")
        await world.until(lambda: world.posts)
        world.member.source.commit_s = lambda: 100.0
        world.member.source.commit_script.append("failed")
        await revoke_all(world)
        assert (released(world), world.committed) == ([], [0])
        world.member.source.commit_s = lambda: 0.0
        await assign_all(world)
        assert (len(world.posts), world.fullstory.replays, world.delivered()) == (2, 1, [0])

    simulate(story)


def test_lost_partitions_are_dropped_at_once_and_not_committed() -> None:
    """Somebody else owns them already."""

    async def story(world: World) -> None:
        world.fullstory.weather.latency_s = (3.0, 3.0)
        world.track("a"), world.track("b", at=1)
        await asyncio.sleep(1.5)
        await world.member.source.lose(world.partitions[0])
        assert released(world) == [Released(ReleaseReason.LOST, 1)]
        await world.until(lambda: world.committed == [0, 1])
        await assign_all(world)

    simulate(story, Plan(partitions=2))


def test_records_and_commits_of_an_ended_epoch_change_nothing() -> None:
    """They may come late; the partition that is owned anew knows nothing of them."""

    async def story(world: World) -> None:
        source = world.member.source
        await asyncio.sleep(1.0)
        sent = world.track("a")
        await world.until(lambda: world.posts)
        source.commit_s = lambda: 50.0
        await asyncio.sleep(2.0)  # the commit took effect and is not answered yet
        assert world.committed == [1]
        source.commit_s = lambda: 0.0
        await source.lose(*world.partitions)
        world.rewind(0, 0)  # by the other owner, who began before that
        await source.assign(*world.partitions)
        world.member.worker.fetched([Fetched(world.partitions[0], 1, [sent.record], 300)])
        await world.until(lambda: world.committed == [1], within_s=300.0)
        assert world.delivered() == [0, 0]

    simulate(story)


def test_what_a_batch_of_an_ended_epoch_reports_changes_nothing() -> None:
    """Law 4: its partition may be owned anew, and knows nothing of it."""

    async def story(world: World) -> None:
        world.fullstory.weather.latency_s = (3.0, 3.0)
        world.track("a")
        await asyncio.sleep(1.5)
        (partition,) = world.partitions
        before = world.member.worker._owned[partition]
        (batch,) = before.batches
        await world.member.source.lose(partition)
        await world.member.source.assign(partition)
        before.settle(batch)
        assert not world.member.observer.of(Settled)
        await world.settled()

    simulate(story)


def test_a_partition_lost_during_its_revoke_is_lost() -> None:
    """The drain took too long for the group; nothing of it is committed."""

    async def story(world: World) -> None:
        world.fullstory.weather.latency_s = (3.0, 3.0)
        world.track("a")
        await asyncio.sleep(1.5)
        worker = world.member.worker
        revoking = asyncio.create_task(worker.revoking(world.partitions))
        await asyncio.sleep(1.0)
        worker.lost(world.partitions)
        assert await revoking == {}
        assert released(world) == [Released(ReleaseReason.LOST, 1)]

    simulate(story)


def test_a_shutdown_waits_for_answers_and_leaves_jobs_to_the_next_owner() -> None:
    """What was never sent is read again, and nothing takes effect twice."""

    async def story(world: World) -> None:
        world.fullstory.weather.job_duration_s = (15.0, 15.0)
        world.fullstory.weather.latency_s = (2.0, 2.0)
        for number in range(20):
            world.track(f"u{number}")
        await asyncio.sleep(0.5)
        world.track("late")
        await asyncio.sleep(0.2)
        begun = world.now
        await world.member.stop()
        assert 1.0 < world.now - begun < 2.0
        assert world.committed == [0]
        assert released(world) == [Released(ReleaseReason.SHUTDOWN, 21)]
        assert len(world.posts) == 1
        await world.start()
        await world.settled()
        assert [post.offsets for post in world.posts] == [[20]]
        assert sorted(world.delivered()) == list(range(21))

    simulate(story)


def test_a_shutdown_does_not_take_longer_than_its_grace() -> None:
    """What does not end in time is released."""

    async def story(world: World) -> None:
        world.fullstory.weather.latency_s = (600.0, 600.0)
        world.track("a")
        await asyncio.sleep(1.5)
        begun = world.now
        await world.member.stop()
        assert world.now - begun == pytest.approx(2.0)
        assert (released(world), world.committed) == ([Released(ReleaseReason.SHUTDOWN, 1)], [0])

    simulate(story, Plan(grace_s=4.0))


def test_a_worker_that_never_had_a_timer_ends_as_well() -> None:
    """A spare process without partitions stops at once."""

    async def story(world: World) -> None:
        await world.member.stop()

    simulate(story, Plan(partitions=0))


@pytest.mark.parametrize("start", ["earliest", "latest"])
def test_a_partition_that_is_added_is_delivered_from_its_first_record(start: GroupStart) -> None:
    """It holds records before the worker hears of it, and another worker may be the first who does."""

    async def story(world: World) -> None:
        world.track("a")
        await world.settled()
        for restarts in (False, True):
            added = world.grow()
            world.track("a", added.partition), world.track("b", added.partition)
            if restarts:
                await world.member.stop()
                await world.start()
            else:
                await world.member.source.assign(added)
        await world.settled()
        assert [world.delivered(each.partition) for each in world.partitions] == [[0], [0, 1], [0, 1]]

    simulate(story, Plan(start=start))


def test_a_killed_worker_loses_nothing() -> None:
    """The next one begins at the committed offset and delivers again what had not been committed."""

    async def story(world: World) -> None:
        world.fullstory.weather.job_duration_s = (10.0, 10.0)
        for number in range(30):
            world.identify(f"u{number % 4}")
            world.track(f"u{number % 4}")
        await asyncio.sleep(3.0)
        await world.member.kill()
        await world.start()
        await world.settled()
        assert set(world.delivered()) == set(range(60))

    simulate(story)


def test_a_source_that_cannot_go_on_ends_the_worker() -> None:
    """The process ends with the first reason, and without waiting for anything."""

    async def story(world: World) -> None:
        world.fullstory.weather.latency_s = (600.0, 600.0)
        world.track("a")
        await asyncio.sleep(1.5)
        world.member.worker.failed(SourceError("fenced"))
        world.member.worker.failed(SourceError("and more"))
        with pytest.raises(SourceError, match="fenced"):
            await world.member.stop()

    simulate(story)


class _Defect(BaseException):
    """What no program should raise."""


@pytest.mark.parametrize(("raised", "expected"), [(ValueError("a bug"), ValueError), (_Defect(), RuntimeError)])
def test_a_defect_in_a_batchs_task_ends_the_worker(raised: BaseException, expected: type[Exception]) -> None:
    """Nothing is committed on the ground of a batch that ended by an exception."""

    async def story(world: World) -> None:
        async def failing(_kind: Kind, _body: bytes, _key: str, *, batch: bool) -> Any:
            assert not batch
            raise raised

        world.fullstory.post = failing  # type: ignore[method-assign, assignment]
        world.track("a")
        await world.until(lambda: not world.member.is_running)
        with pytest.raises(expected):
            await world.member.stop()
        assert world.committed == [0]

    simulate(story)


def test_a_defect_where_schemas_are_asked_for_ends_the_worker() -> None:
    """A partition would wait for them for ever, and nobody would know why."""

    async def story(world: World) -> None:
        world.schemas.faults[SCHEMA_ID] = ValueError("a bug")
        world.encode = as_avro
        world.track("a")
        await world.until(lambda: not world.member.is_running)
        with pytest.raises(ValueError, match="a bug"):
            await world.member.stop()

    simulate(story)


def test_halts_of_a_partition_end_with_it() -> None:
    """A dead letter that is too large no longer halts anybody when its partition has gone."""

    async def story(world: World) -> None:
        world.letters.refuses = lambda _letter: "too_large"
        world.send(b"\xff", "dead_lettered")
        await asyncio.sleep(5.0)
        assert world.member.gate.halts.keys() == {HaltReason.DEAD_LETTER_TOO_LARGE}
        await revoke_all(world)
        await asyncio.sleep(0.1)
        assert not world.member.gate.halts
        world.letters.refuses = lambda _letter: None
        await assign_all(world)

    simulate(story)


def test_a_batch_admitted_in_the_moment_of_its_revoke_is_not_sent() -> None:
    """Granted and given up at once: the slot goes to the next one."""

    async def story(world: World) -> None:
        world.fullstory.weather.latency_s = (3.0, 3.0)
        world.track("a", at=0)
        await asyncio.sleep(1.1)
        world.identify("b", at=1), world.track("b", at=1)
        world.member.gate.block(5.0)
        await asyncio.sleep(1.5)
        world.member.gate.limits.blocked_until = world.now
        world.member.gate.serve()
        world.member.worker.lost([world.partitions[1]])
        await world.until(lambda: world.committed[0] == 1)
        assert len(world.posts) == 1
        await world.member.source.lose(world.partitions[1])
        await world.member.source.assign(world.partitions[1])
        await world.settled()

    simulate(story, Plan(partitions=2))


def test_nothing_is_sent_in_the_moment_in_which_a_partition_goes() -> None:
    """A request is let through just then: its batch is given up before all of its tasks have learned of it."""

    async def story(world: World) -> None:
        first, second = world.partitions
        post = world.fullstory.post

        async def losing(kind: Kind, body: bytes, key: str, *, batch: bool) -> object:
            answer = await post(kind, body, key, batch=batch)
            if b"r1x0" in body:
                del world.member.source.holdings[first]
                world.member.worker.lost([first])
            return answer

        world.fullstory.post = losing  # type: ignore[method-assign, assignment]
        world.fullstory.weather.latency_s = (3.0, 3.0)
        world.track("a", at=1)
        await asyncio.sleep(0.1)
        world.track("b", at=0), world.track("c", at=0)
        await asyncio.sleep(10.0)
        assert [post.marks for post in world.posts] == [[(second.partition, 0)], [(first.partition, 0)]]
        await world.member.source.assign(first)
        await world.settled()

    simulate(story, Plan(partitions=2, is_batch=False, limits=LimitSettings(max_concurrency=2)))
