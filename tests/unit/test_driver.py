"""What the partitions ask for is performed and reported, whatever becomes of it, and ends with their epoch."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from processor.engine.notices import Halted, Resumed, Settled
from processor.engine.partition import answers
from processor.engine.partition.actions import StandStill
from processor.engine.partition.common import PartitionSettings
from processor.engine.partition.request import Request, Stage
from processor.engine.verdict import Answer, NoAnswer
from processor.events.dead_letters import Stamp
from processor.model.reasons import DeadLetterReason, HaltReason
from processor.model.records import Record, TopicPartition
from processor.runtime.calls import Calls
from processor.runtime.driver import Driver, _Sender
from processor.runtime.gate import Gate
from processor.runtime.jobs import Jobs
from processor.runtime.letters import Letters
from processor.runtime.schemas import SchemaCache
from processor.simulation.loop import run_virtually
from tests.fakes.clock import FakeClock
from tests.fakes.dead_letters import FakeDeadLetters
from tests.fakes.fullstory import FakeFullStory, Lost, Refused
from tests.fakes.observer import RecordingObserver
from tests.fakes.partitions import a_common, a_partition, form, identify, track
from tests.fakes.schemas import FakeSchemas
from tests.fakes.source import FakeBroker, FakeSource


class SeekingSource(FakeSource):
    """A source that only remembers where it was told to go on."""

    def __init__(self) -> None:
        super().__init__(FakeBroker([]), 5.0)
        self.seeks: list[tuple[TopicPartition, int, int]] = []

    def seek(self, partition: TopicPartition, epoch: int, offset: int) -> None:
        """Remember it."""
        self.seeks.append((partition, epoch, offset))


class Scene:
    """A driver between fakes, with one partition that is looked at as the worker does; commits succeed at once."""

    def __init__(self, settings: PartitionSettings | None = None) -> None:
        clock = FakeClock()
        self.observer = RecordingObserver()
        self.fullstory = FakeFullStory()
        self.letters = FakeDeadLetters()
        self.source = SeekingSource()
        self.failures: list[Exception] = []
        self.common = a_common(settings, self.observer)
        self.gate = Gate(self.common.limits, clock, self.observer)
        calls = Calls(self.gate, clock, self.common.retries, self.observer)
        jobs = Jobs(self.fullstory, calls, clock, self.observer)
        letters = Letters(self.letters, self.gate, clock, lambda: 0.5, self.observer, Stamp("g", "0", "f"))
        schemas = SchemaCache(FakeSchemas({}), self.gate, clock, lambda: 0.5, self.observer)
        self.driver = Driver(self.fullstory, calls, jobs, letters, schemas, clock)
        self.driver.failed = self.failures.append
        self.partition = a_partition(self.common)
        self.gate.wake = self._look_soon
        self.gate.open()

    def form(self, *records: Record) -> Request:
        """Form a batch and have it committed; return its only request, which is POSTed by now."""
        now = FakeClock().monotonic()
        form(self.partition, records, now)
        (request,) = [each for batch in self.partition.batches for each in batch.requests]
        self.commit()
        self.look()
        return request

    def commit(self) -> None:
        """Have Kafka hold what there is to tell."""
        base, ranges = self.partition.told
        written = self.partition.journal.write(base, ranges)
        assert written is not None
        self.partition.journal.asked(base, written, FakeClock().monotonic())
        self.partition.journal.acknowledge()

    def _look_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self.look)

    def look(self) -> None:
        """Perform what is asked for by now."""
        self.driver.perform(self.partition, self.partition.look(FakeClock().monotonic()), self.source)
        self.gate.serve()

    def drop(self) -> None:
        """The partition is somebody else's."""
        self.partition.drop()
        self.driver.drop([self.partition])

    async def revoke(self, within_s: float) -> None:
        """The partition goes, and something may still end."""
        self.partition.revoking()
        await self.driver.finish([self.partition], within_s)

    @property
    def settled(self) -> int:
        """How many batches have settled."""
        return len(self.observer.of(Settled))

    def check_nothing_is_counted(self) -> None:
        """Whatever was in progress has been given back."""
        limits = self.common.limits
        assert (limits.jobs, limits.operations) == (0, 0)
        assert limits.room(FakeClock().monotonic()) == limits.concurrency


def play(story: Callable[[Scene], Coroutine[Any, Any, None]]) -> Scene:
    """Tell a story of a driver on virtual time; unless it says otherwise, nothing unexpected is raised."""

    async def tell() -> Scene:
        scene = Scene()
        await story(scene)
        return scene

    return run_virtually(tell())


TWO = (track(0), track(1))


def test_a_batch_is_posted_followed_and_settled() -> None:
    """Each step follows from the report of the one before."""

    async def story(scene: Scene) -> None:
        request = scene.form(*TWO)
        assert scene.common.limits.jobs == 1
        await asyncio.sleep(5.0)
        assert request.stage is Stage.ENDED
        assert (scene.fullstory.posts, len(scene.fullstory.effects), scene.settled) == (1, 2, 1)
        scene.check_nothing_is_counted()

    assert play(story).failures == []


def test_nothing_is_posted_that_the_partition_does_not_want_any_more() -> None:
    """Its lease ended while it waited for room: it waits for another commit."""

    async def story(scene: Scene) -> None:
        scene.gate.block(PartitionSettings().lease_s)
        request = scene.form(*TWO)
        await asyncio.sleep(PartitionSettings().lease_s)
        scene.gate.serve()
        await asyncio.sleep(1.0)
        assert (request.stage, scene.fullstory.posts, scene.partition.awaiting_commit) == (Stage.READY, 0, 1)
        scene.check_nothing_is_counted()
        scene.commit()
        scene.look()
        assert request.stage is Stage.POSTED

    play(story)


def test_what_waits_for_room_is_sent_as_soon_as_an_answer_makes_some() -> None:
    """Not when the worker looks next: meanwhile the limits would take the room for unused."""

    async def story(scene: Scene) -> None:
        scene.gate.wake = lambda: None
        scene.common.limits.share(0, 1)
        scene.fullstory.weather.latency_s = (1.0, 1.0)
        for offset in range(2):
            form(scene.partition, [track(offset)], FakeClock().monotonic())
        scene.commit()
        scene.look()
        await asyncio.sleep(0.5)
        assert (scene.fullstory.posts, scene.gate.is_waited_for) == (1, True)
        await asyncio.sleep(1.0)
        assert (scene.fullstory.posts, scene.gate.is_waited_for) == (2, False)

    play(story)


# The end of an epoch


def test_a_post_that_was_given_up_before_it_began_is_counted() -> None:
    """The partition is lost in the very moment in which its request has room."""

    async def story(scene: Scene) -> None:
        scene.form(*TWO)
        assert scene.common.limits.jobs == 1
        scene.drop()
        await asyncio.sleep(1.0)
        assert scene.fullstory.posts == 0
        scene.check_nothing_is_counted()

    assert play(story).failures == []


def test_a_post_that_begins_while_the_partition_goes_is_not_made() -> None:
    """It had room, and its task had not run yet."""

    async def story(scene: Scene) -> None:
        scene.form(*TWO)
        await scene.revoke(5.0)
        assert scene.fullstory.posts == 0
        scene.check_nothing_is_counted()

    assert play(story).failures == []


def test_when_a_partition_goes_its_answers_are_waited_for() -> None:
    """What FullStory says in time is told to the next owner."""

    async def story(scene: Scene) -> None:
        scene.fullstory.weather.latency_s = (3.0, 3.0)
        request = scene.form(*TWO)
        await asyncio.sleep(1.0)
        await scene.revoke(5.0)
        assert FakeClock().monotonic() == pytest.approx(1_003.0)
        assert request.stage is Stage.GIVEN_UP
        commit = scene.partition.last_commit()
        assert commit is not None
        assert request.entry.job_id is not None
        assert request.entry.job_id in commit.metadata
        scene.check_nothing_is_counted()

    assert play(story).failures == []


def test_an_answer_that_comes_too_late_is_not_waited_for() -> None:
    """The group waits for whoever lets a partition go."""

    async def story(scene: Scene) -> None:
        scene.fullstory.weather.latency_s = (60.0, 60.0)
        scene.form(*TWO)
        await asyncio.sleep(1.0)
        await scene.revoke(5.0)
        assert FakeClock().monotonic() == pytest.approx(1_006.0)
        await asyncio.sleep(0.001)
        assert len(asyncio.all_tasks()) == 1, "none is left but this one"
        scene.drop()
        await asyncio.sleep(1.0)
        scene.check_nothing_is_counted()

    assert play(story).failures == []


def test_jobs_are_not_followed_any_more_when_their_partition_goes() -> None:
    """The journal tells the next owner of them."""

    async def story(scene: Scene) -> None:
        scene.fullstory.weather.job_duration_s = (100.0, 100.0)
        request = scene.form(*TWO)
        await asyncio.sleep(1.0)
        assert request.stage is Stage.IN_JOB
        await scene.revoke(5.0)
        assert FakeClock().monotonic() == pytest.approx(1_001.0), "nothing is worth its end"
        await asyncio.sleep(0.001)
        assert len(asyncio.all_tasks()) == 1, "none is left but this one"
        await asyncio.sleep(200.0)
        assert scene.settled == 0
        scene.check_nothing_is_counted()

    assert play(story).failures == []


@pytest.mark.parametrize("after_s", [0.0, 0.5, 1.5, 3.5, 5.5])
def test_drop_ends_whatever_is_done_for_a_partition(after_s: float) -> None:
    """A POST before and after it has arrived, a question for a job, a pause: nothing of it is told or counted."""

    async def story(scene: Scene) -> None:
        scene.fullstory.weather.latency_s = (3.0, 3.0)
        scene.fullstory.weather.job_duration_s = (100.0, 100.0)
        request = scene.form(*TWO)
        await asyncio.sleep(after_s)
        scene.drop()
        await asyncio.sleep(0.001)
        assert len(asyncio.all_tasks()) == 1, "none is left but this one"
        assert request.stage is Stage.GIVEN_UP
        await asyncio.sleep(500.0)
        assert scene.settled == 0
        scene.check_nothing_is_counted()

    assert play(story).failures == []


def test_a_request_that_waits_for_room_leaves_with_its_partition() -> None:
    """It is not sent when there is room."""

    async def story(scene: Scene) -> None:
        scene.gate.block(10.0)
        scene.form(*TWO)
        scene.drop()
        await asyncio.sleep(20.0)
        scene.gate.serve()
        await asyncio.sleep(1.0)
        assert (scene.fullstory.posts, scene.gate.is_waited_for) == (0, False)
        scene.check_nothing_is_counted()

    play(story)


def test_what_stands_still_does_so_until_the_epoch_ends_and_is_not_cured_then() -> None:
    """Another worker has it now, and stands still as well."""

    async def story(scene: Scene) -> None:
        action = StandStill(HaltReason.GAP, "records are gone", "Look for them.")
        scene.driver.perform(scene.partition, [action], scene.source)
        halt = scene.gate.halts[HaltReason.GAP]
        assert (halt.cause, halt.action) == ("records are gone", "Look for them.")
        await asyncio.sleep(60.0)
        scene.drop()
        assert scene.gate.halts == {}

    observer = play(story).observer
    assert observer.of(Halted) == [Halted(HaltReason.GAP, "records are gone", "Look for them.")]
    assert observer.of(Resumed) == [Resumed(HaltReason.GAP, 60.0, is_cured=False)]


def test_a_halt_of_two_partitions_lasts_until_both_have_gone() -> None:
    """It shows what concerns the one that is left."""

    async def story(scene: Scene) -> None:
        other = a_partition(scene.common, 1)
        for partition, cause in ((scene.partition, "one"), (other, "other")):
            scene.driver.perform(partition, [StandStill(HaltReason.GAP, cause)], scene.source)
        scene.driver.drop([other])
        assert scene.gate.halts[HaltReason.GAP].cause == "one"
        scene.drop()
        assert scene.gate.halts == {}

    play(story)


def test_drop_of_a_partition_for_which_nothing_was_done_does_nothing() -> None:
    """It came and went."""

    async def story(scene: Scene) -> None:
        scene.drop()

    play(story)


def test_a_gap_is_passed_over_where_the_operator_said_so() -> None:
    """The source goes on in the epoch of the partition."""

    async def tell() -> None:
        scene = Scene(PartitionSettings(on_gap="continue"))
        scene.partition.gap(0, 10, 20)
        scene.look()
        assert scene.source.seeks == [(scene.partition.id, 1, 10)]
        assert scene.gate.halts == {}

    run_virtually(tell())


# Dead letters


def test_a_batch_settles_when_its_dead_letters_are_acknowledged() -> None:
    """What FullStory refuses for good, and what could never be sent."""

    async def story(scene: Scene) -> None:
        scene.fullstory.refuse = lambda _kind, _item: "invalid_argument"
        scene.letters.delay_s = lambda: 3.0
        scene.form(track(0))
        await asyncio.sleep(1.0)
        assert (len(scene.letters.letters), scene.settled, scene.partition.is_closing) == (1, 0, True)
        await asyncio.sleep(3.0)
        assert (len(scene.letters.acknowledged), scene.settled) == (1, 1)
        scene.check_nothing_is_counted()

    (settled,) = play(story).observer.of(Settled)
    assert settled.dead_lettered == {DeadLetterReason.REJECTED: 1}


@pytest.mark.parametrize(("delay_s", "settled"), [(3.0, 1), (30.0, 0)])
def test_when_a_partition_goes_its_dead_letters_are_waited_for(delay_s: float, settled: int) -> None:
    """In time, or they are written again by its next owner."""

    async def story(scene: Scene) -> None:
        scene.fullstory.refuse = lambda _kind, _item: "invalid_argument"
        scene.letters.delay_s = lambda: delay_s
        scene.form(track(0))
        await asyncio.sleep(1.0)
        await scene.revoke(5.0)
        assert scene.settled == settled
        scene.drop()
        await asyncio.sleep(60.0)
        assert scene.settled == settled

    assert play(story).failures == []


# Answers that concern all


def test_a_refusal_blocks_everything_for_as_long_as_fullstory_names() -> None:
    """The same request is sent again then."""

    async def story(scene: Scene) -> None:
        scene.fullstory.script.append(Refused(429, 30.0))
        request = scene.form(*TWO)
        await asyncio.sleep(1.0)
        assert scene.gate.is_blocked_for(28.0)
        scene.look()
        assert request.stage is Stage.QUEUED
        await asyncio.sleep(60.0)
        scene.commit()
        scene.look()
        await asyncio.sleep(1.0)
        assert scene.fullstory.posts == 2

    play(story)


def test_a_fault_of_the_set_up_halts_and_a_good_answer_ends_that() -> None:
    """The request waits as a probe; an answer that says nothing of the set-up changes nothing."""

    async def story(scene: Scene) -> None:
        scene.fullstory.script.extend([Refused(403), Lost(took_effect=False)])
        request = scene.form(*TWO)
        await asyncio.sleep(1.0)
        assert list(scene.gate.halts) == [HaltReason.FORBIDDEN]
        assert request.stage is Stage.QUEUED, "a probe"
        await asyncio.sleep(15.0)
        scene.gate.serve()
        await asyncio.sleep(1.0)
        assert (request.stage, scene.fullstory.posts) == (Stage.RESTING, 2)
        assert list(scene.gate.halts) == [HaltReason.FORBIDDEN]
        await asyncio.sleep(15.0)
        scene.commit()
        scene.look()
        await asyncio.sleep(1.0)
        assert (scene.fullstory.posts, scene.gate.halts) == (3, {})

    play(story)


# Defects


@pytest.mark.parametrize("raised", [ValueError("a bug"), BaseException("a very odd bug")])
def test_a_defect_in_a_post_is_told_and_counted(raised: BaseException) -> None:
    """The process must not go on, but it must still be able to let its partitions go."""

    async def story(scene: Scene) -> None:
        async def post(*_: object, **__: object) -> Answer | NoAnswer:
            raise raised

        scene.fullstory.post = post  # type: ignore[method-assign]
        request = scene.form(*TWO)
        await asyncio.sleep(1.0)
        (failure,) = scene.failures
        assert str(raised) in str(failure)
        assert request.stage is Stage.GIVEN_UP
        scene.check_nothing_is_counted()
        scene.drop()

    play(story)


def test_a_defect_in_what_follows_a_job_is_told() -> None:
    """Nobody else would learn of it."""

    async def story(scene: Scene) -> None:
        async def job(*_: object, **__: object) -> Answer | NoAnswer:
            raise ValueError("a bug")

        scene.fullstory.job = job  # type: ignore[method-assign]
        scene.form(*TWO)
        await asyncio.sleep(1.0)

    assert [str(each) for each in play(story).failures] == ["a bug"]


def test_a_defect_in_writing_dead_letters_is_told() -> None:
    """Its task group names it."""

    async def story(scene: Scene) -> None:
        def refuses(_letter: object) -> None:
            raise ValueError("a bug")

        scene.fullstory.refuse = lambda _kind, _item: "invalid_argument"
        scene.letters.refuses = refuses
        scene.form(identify(0))
        await asyncio.sleep(1.0)
        assert scene.settled == 0

    (failure,) = play(story).failures
    assert isinstance(failure, ExceptionGroup)
    assert [str(each) for each in failure.exceptions] == ["a bug"]


def test_the_end_of_a_partition_is_no_defect() -> None:
    """Whatever it cuts short."""

    async def story(scene: Scene) -> None:
        partitions = [a_partition(scene.common, number) for number in range(4)]
        for partition in partitions:
            scene.partition = partition
            scene.form(*TWO)
        await asyncio.sleep(0.3)
        for scene.partition in partitions:
            scene.drop()
        await asyncio.sleep(1.0)

    assert play(story).failures == []


def test_a_defect_in_what_follows_from_an_answer_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A callback's exception would only be logged by asyncio, and its batch would never settle."""

    async def story(scene: Scene) -> None:
        scene.form(*TWO)

        def failing(*_arguments: object) -> None:
            raise KeyError("a bug")

        monkeypatch.setattr(answers, "answered", failing)
        await asyncio.sleep(5.0)

    assert [type(each) for each in play(story).failures] == [KeyError]


def test_what_a_dropped_partition_had_queued_is_let_go_at_once() -> None:
    """Behind a request that has to wait it would hold its records for as long."""

    async def story(scene: Scene) -> None:
        scene.gate.halt(HaltReason.DEAD_LETTER_TOPIC, "closed")
        scene.form(*TWO)
        other = a_partition(scene.common, 1)
        form(other, TWO, FakeClock().monotonic())
        scene.partition, kept = other, scene.partition
        scene.commit()
        scene.look()
        assert len(scene.gate._queue) == 2
        scene.drop()
        assert [sender.request.batch.owner for sender in scene.gate._queue if isinstance(sender, _Sender)] == [kept]

    assert play(story).failures == []


def test_a_revoke_gives_its_room_to_others_before_it_ends() -> None:
    """What its jobs held is free as soon as nobody follows them; the drain may take seconds."""

    async def story(scene: Scene) -> None:
        scene.fullstory.weather.job_duration_s = (100.0, 100.0)
        scene.form(*TWO)
        await asyncio.sleep(1.0)
        assert scene.common.limits.jobs == 1
        looks: list[int] = []
        scene.gate.wake = lambda: looks.append(scene.common.limits.jobs)
        await scene.revoke(5.0)
        assert looks[:1] == [0]

    assert play(story).failures == []
