"""What the next owner of a partition makes of the journal that it finds."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from processor.engine.limits import LimitSettings
from processor.engine.notices import JournalIgnored, JournalResumed, Redelivered
from processor.engine.partition.journal_format import ResumedPart
from processor.events.mapping import Mapping as EventMapping
from processor.events.mapping import MappingRules
from processor.model.reasons import HaltReason
from tests.fakes.fullstory import Lost, Refused
from tests.simulation.world import Plan, World, simulate


async def crash_in_flight(world: World, events: int = 6) -> None:
    """Let a request of so many events arrive at FullStory and its answer be lost with the process."""
    world.fullstory.weather.latency_s = (3.0, 3.0)
    for number in range(events):
        world.track(f"u{number}")
    await world.until(lambda: world.posts)
    await asyncio.sleep(2.5)
    await world.member.kill()
    world.fullstory.weather.latency_s = (0.0, 0.0)


async def crash_with_a_job(world: World, events: int = 6) -> None:
    """Let a request of so many events be accepted and journaled, and the process end before its job does."""
    world.fullstory.weather.job_duration_s = (100.0, 100.0)
    for number in range(events):
        world.track(f"u{number}")
    await world.until(lambda: ",,+/" in world.broker.metadata.get(world.partitions[0], ""))
    await world.member.kill()


def resumed(world: World) -> Counter[ResumedPart]:
    """Add up what journals told the worker of the moment."""
    return sum((notice.parts for notice in world.member.observer.of(JournalResumed)), Counter())


def redelivered(world: World) -> int:
    """Add up what the worker of the moment sent anew."""
    return sum(notice.records for notice in world.member.observer.of(Redelivered))


def test_a_request_in_flight_keeps_its_key() -> None:
    """It is formed again byte for byte, whatever limits are set by now."""

    async def story(world: World) -> None:
        await crash_in_flight(world)
        await world.start(plan=replace(world.plan, max_records=2, is_batch=False))
        await world.settled()
        assert resumed(world) == {"request": 1}
        assert (len(world.posts), world.fullstory.replays, redelivered(world)) == (1, 1, 0)
        assert sorted(world.delivered()) == list(range(6))

    simulate(story)


def test_a_job_is_followed_and_not_sent() -> None:
    """It counts against the limits from the assignment on."""

    async def story(world: World) -> None:
        await crash_with_a_job(world)
        await world.start()
        assert (world.member.limits.jobs, world.member.limits.operations) == (1, 6)
        await world.settled()
        assert (resumed(world), len(world.posts)) == ({"job": 1}, 0)
        assert (world.member.limits.jobs, world.member.limits.operations) == (0, 0)

    simulate(story)


def test_ranges_that_settled_behind_an_open_one_are_passed_over() -> None:
    """They are neither sent nor counted as consumed again."""

    async def story(world: World) -> None:
        world.fullstory.weather.job_duration_s = (100.0, 100.0)
        for number in range(20):
            world.track(f"u{number}")
        await world.until(lambda: world.posts)
        world.fullstory.weather.job_duration_s = (0.0, 0.0)
        for number in range(5):
            world.track(f"v{number}")
        await world.until(lambda: "=5" in world.broker.metadata[world.partitions[0]])
        await world.member.kill()
        await world.start()
        world.track("w")
        await world.settled()
        assert resumed(world) == {"job": 1, "settled": 1}
        assert [post.offsets for post in world.posts] == [[25]]
        assert world.member.ledger.consumed == 21

    simulate(story)


def test_a_later_release_sends_anew_what_it_maps_otherwise_and_has_no_job() -> None:
    """It is counted, and what has a job is left to it."""

    async def story(world: World) -> None:
        world.fullstory.weather.job_duration_s = (100.0, 100.0)
        for number in range(4):
            world.track(f"u{number}")
        await world.until(lambda: ",,+/" in world.broker.metadata.get(world.partitions[0], ""))
        await crash_in_flight(world, 3)
        world.mapping = EventMapping(MappingRules(session="most_recent"))  # another body for each event
        await world.start()
        await world.settled()
        assert resumed(world) == {"job": 1, "request": 1}
        assert redelivered(world) == 3
        assert [post.offsets for post in world.posts] == [[4, 5, 6]]
        assert Counter(world.delivered()) == {**dict.fromkeys(range(4), 1), **dict.fromkeys(range(4, 7), 2)}

    simulate(story)


@pytest.mark.parametrize("gone", [(0,), (2, 3), (5,), (4, 5), (0, 1, 2, 3, 4, 5)])
def test_records_that_were_compacted_away_do_not_hold_up_their_range(gone: tuple[int, ...]) -> None:
    """At its start, within it, at its end where no record follows: what is left is sent anew and counted."""

    async def story(world: World) -> None:
        await crash_in_flight(world)
        world.broker.compact(world.partitions[0], *gone)
        await world.start()
        await world.until(lambda: world.committed == [6])
        assert redelivered(world) == 6 - len(gone)
        assert set(world.delivered()) == set(range(6))

    simulate(story)


def test_records_that_were_compacted_away_are_left_to_their_job() -> None:
    """FullStory has them already."""

    async def story(world: World) -> None:
        await crash_with_a_job(world)
        world.broker.compact(world.partitions[0], 1, 5)
        await world.start()
        await world.settled()
        assert (len(world.posts), redelivered(world)) == (0, 0)

    simulate(story)


@pytest.mark.parametrize("has_job", [False, True])
def test_records_deleted_under_a_planned_range_are_a_gap(*, has_job: bool) -> None:
    """The operator decides; then what is left of the range goes on."""

    async def story(world: World) -> None:
        await (crash_with_a_job(world) if has_job else crash_in_flight(world))
        world.broker.truncate(world.partitions[0], 4)
        await world.start(plan=replace(world.plan, on_gap="halt"))
        await asyncio.sleep(30.0)
        assert HaltReason.GAP in world.member.gate.halts
        assert not world.posts
        await world.member.stop()
        await world.start(plan=replace(world.plan, on_gap="continue"))
        await world.settled()
        assert [post.offsets for post in world.posts] == ([] if has_job else [[4, 5]])
        assert redelivered(world) == (0 if has_job else 2)

    simulate(story)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("sf1,elsewhere,destination,0,other;=5", "foreign"),
        ("sf2,and;more", "newer"),
        ("sf1,half", "corrupt"),
        ("theirs", "foreign"),
    ],
)
def test_metadata_that_cannot_be_read_loses_nothing(text: str, fault: str) -> None:
    """What was in flight is sent anew, and the journal that was ignored is counted."""

    async def story(world: World) -> None:
        await crash_in_flight(world)
        world.broker.metadata[world.partitions[0]] = text
        world.laws.repeats_allowed = 6
        await world.start()
        await world.settled()
        (ignored,) = world.member.observer.of(JournalIgnored)
        assert ignored.fault == fault

    simulate(story)


@pytest.mark.parametrize("is_idle", [False, True])
def test_what_was_perhaps_sent_before_it_was_copied_from_another_cluster_is_counted(*, is_idle: bool) -> None:
    """The copied journal says how far its writer had come when it was copied, not when it ended: all may come again."""

    async def story(world: World) -> None:
        await crash_in_flight(world)
        head, *ranges = world.broker.metadata[world.partitions[0]].split(";")
        version, _, destination, base, _ = head.split(",")
        copied = f"{version},there,{destination},{base},lineage there"
        world.broker.metadata[world.partitions[0]] = copied if is_idle else ";".join((copied, *ranges))
        await world.start()
        await world.settled()
        (ignored,) = world.member.observer.of(JournalIgnored)
        assert (ignored.fault, ignored.perhaps_sent, redelivered(world)) == ("foreign", 6, 6)
        assert Counter(world.delivered()) == dict.fromkeys(range(6), 2)

    simulate(story)


def test_what_went_to_another_organisation_before_it_was_copied_is_not_sent_again() -> None:
    """It goes to this one for the first time."""

    async def story(world: World) -> None:
        await world.member.kill()
        world.track("a")
        world.broker.committed[world.partitions[0]] = 0
        world.broker.metadata[world.partitions[0]] = "sf1,there,other,0,lineage there"
        await world.start()
        await world.settled()
        (ignored,) = world.member.observer.of(JournalIgnored)
        assert (ignored.fault, ignored.perhaps_sent, redelivered(world)) == ("foreign", 0, 0)

    simulate(story)


def test_a_release_that_is_rolled_back_finds_its_way_in_the_later_ones_journal() -> None:
    """Fields that it does not know are passed over."""

    async def story(world: World) -> None:
        await crash_in_flight(world)
        head, *ranges = world.broker.metadata[world.partitions[0]].split(";")
        later = [f"{head},more", *(each.replace("|", ",more|") + ",,,,more" for each in ranges)]
        world.broker.metadata[world.partitions[0]] = ";".join(later)
        await world.start()
        await world.settled()
        assert (resumed(world), len(world.posts), world.fullstory.replays) == ({"request": 1}, 1, 1)

    simulate(story)


@pytest.mark.parametrize("shift_s", [-7_200.0, 7_200.0])
def test_a_wall_clock_that_is_put_forward_or_back_changes_nothing(shift_s: float) -> None:
    """The lease counts on the monotonic clock, and a key is trusted for much longer than that."""

    async def story(world: World) -> None:
        await crash_in_flight(world)
        world.clock.shift_s = shift_s
        await world.start()
        await world.settled()
        assert (len(world.posts), world.fullstory.replays, redelivered(world)) == (1, 1, 0)

    simulate(story)


def test_a_plan_whose_keys_may_be_forgotten_is_sent_anew() -> None:
    """After 23 hours, and counted."""

    async def story(world: World) -> None:
        await crash_in_flight(world)
        await asyncio.sleep(23 * 3_600.0)
        await world.start()
        await world.settled()
        assert (redelivered(world), Counter(world.delivered())) == (6, dict.fromkeys(range(6), 2))

    simulate(story)


def test_a_key_that_may_be_forgotten_is_given_up_by_a_living_process_too() -> None:
    """An outage of a day: what was sent before it may take effect once more, and is counted."""

    async def story(world: World) -> None:
        world.fullstory.script.append(Lost(took_effect=True))
        world.track("a")
        await world.until(lambda: world.posts)
        world.fullstory.outage = 503
        await asyncio.sleep(24 * 3_600.0)
        world.fullstory.outage = None
        await world.settled()
        assert (redelivered(world), world.delivered()) == (1, [0, 0])

    simulate(story)


def test_the_halves_of_a_split_keep_their_keys() -> None:
    """They stand in the journal before either is POSTed."""

    async def story(world: World) -> None:
        world.fullstory.script.append(Refused(413))
        world.fullstory.weather.latency_s = (3.0, 3.0)
        world.fullstory.weather.job_duration_s = (10.0, 10.0)
        for number in range(8):
            world.track(f"u{number}")
        await world.until(lambda: len(world.posts) == 3)
        await asyncio.sleep(2.5)  # the first half has a job, the answer to the second is on its way
        await world.member.kill()
        world.fullstory.weather.latency_s = (0.0, 0.0)
        await world.start()
        await world.settled()
        assert resumed(world) == {"job": 1, "request": 1}
        assert [post.offsets for post in world.posts] == [[4, 5, 6, 7]]
        assert (world.fullstory.replays, redelivered(world)) == (1, 0)

    simulate(story)


def test_a_split_for_which_the_journal_has_no_room_is_sent_item_by_item() -> None:
    """Keys of single items follow from the plan, so they need no room; a crash repeats none of them."""

    async def story(world: World) -> None:
        world.member.worker._common.room.metadata_bytes = 300  # as learned from brokers that take no more
        world.fullstory.script.append(Refused(413))
        world.fullstory.weather.latency_s = (1.0, 1.0)
        for number in range(8):
            world.track(f"u{number}")
        await world.until(lambda: len(world.posts) == 5)
        await asyncio.sleep(0.7)
        await world.member.kill()
        await world.start()
        await world.settled()
        assert not any(post.is_batch for post in world.posts)
        assert sorted(world.delivered()) == list(range(8))

    simulate(story, Plan(limits=LimitSettings(max_concurrency=4)))


def test_brokers_that_take_no_metadata_halt_delivery() -> None:
    """Nothing is sent that the journal cannot tell of, until the operator has raised the limit."""

    async def story(world: World) -> None:
        world.broker.max_metadata = 50
        world.track("a"), world.track("b")
        await asyncio.sleep(60.0)
        assert "offset.metadata.max.bytes" in world.member.gate.halts[HaltReason.OFFSET_METADATA].action
        assert (world.posts, world.committed) == ([], [0])
        world.broker.max_metadata = 4_096
        await world.settled(within_s=60.0)
        assert not world.member.gate.halts

    simulate(story)


def test_brokers_that_forget_metadata_are_sent_nothing_of_until_they_keep_it() -> None:
    """They take every commit; the next owner would not know what was sent."""

    async def story(world: World) -> None:
        await world.member.stop()
        world.broker.keeps_metadata = False
        await world.start()
        world.track("u")
        await asyncio.sleep(60.0)
        assert not world.posts
        assert world.member.gate.halts.keys() == {HaltReason.OFFSET_METADATA}
        world.broker.keeps_metadata = True
        await world.settled()
        assert not world.member.gate.halts

    simulate(story)


def test_a_worker_that_is_cut_off_stops_to_post_when_its_lease_ends() -> None:
    """Others have taken over; what it tries until then has the keys that they use."""

    async def story(world: World) -> None:
        for _ in range(30):
            world.fullstory.script.append(Lost(took_effect=True))
        for number in range(4):
            world.track(f"u{number}")
        await world.until(lambda: world.posts)
        cut_off = world.member
        cut_off.cut_off_at = world.now
        cut_off.source.is_cut_off = True
        await asyncio.sleep(300.0)
        last = cut_off.wire.posts[-1].at
        assert last <= cut_off.cut_off_at + cut_off.settings.partition.lease_s
        world.fullstory.script.clear()
        await world.start()
        await world.settled()
        cut_off.worker.lost(world.partitions)
        await asyncio.sleep(60.0)
        assert cut_off.wire.posts[-1].at == last
        assert sorted(world.delivered()) == list(range(4))

    simulate(story)


def test_a_planned_range_is_read_although_the_budget_is_used_up() -> None:
    """Else it could never be finished, and nothing behind it either."""

    async def story(world: World) -> None:
        world.fullstory.weather.latency_s = (3.0, 3.0)
        for number in range(20):
            world.track(f"u{number}", at=0, text="x" * 500)
            world.track(f"u{number}", at=1, text="x" * 500)
        await world.until(lambda: len(world.posts) == 2)
        await world.member.kill()
        await world.start(plan=replace(world.plan, budget_bytes=1_000))
        await world.settled()
        assert redelivered(world) == 0

    simulate(story, Plan(partitions=2))
