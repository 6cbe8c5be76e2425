"""Standing still: whatever is not a record's fault keeps the data, says why, and ends with its cause."""

import asyncio
from itertools import pairwise

import orjson
import pytest

from processor.engine.beginnings import GroupStart
from processor.engine.notices import Halted, RegistryAsked, Resumed
from processor.model.reasons import HaltReason
from processor.runtime.account import KeyAccount, identify_account
from processor.runtime.ports import DeadLetter
from tests.fakes.clock import FakeClock
from tests.fakes.dead_letters import coordinates
from tests.fakes.fullstory import Refused
from tests.simulation.records import SCHEMA, SCHEMA_ID, as_avro
from tests.simulation.world import DESTINATION, Plan, World, simulate

PROBE_S = 15.0


def halts_and_ends(world: World) -> list[tuple[str, HaltReason]]:
    """Return what was told of halts, in order."""
    notices = world.member.observer.notices
    return [(type(each).__name__, each.reason) for each in notices if isinstance(each, Halted | Resumed)]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, HaltReason.UNAUTHORIZED),
        (403, HaltReason.FORBIDDEN),
        (302, HaltReason.UNEXPECTED_ANSWER),
        (404, HaltReason.UNEXPECTED_ANSWER),
    ],
)
def test_a_refused_set_up_halts_probes_slowly_and_goes_on(status: int, reason: HaltReason) -> None:
    """One request at a time, a probe interval apart, asks whether the cause is gone; nothing is dead-lettered."""

    async def story(world: World) -> None:
        world.fullstory.outage = status
        for number in range(100):
            world.track(f"u{number}", at=number % 2)
        await asyncio.sleep(10.0)
        first = len(world.posts)
        assert first <= 4
        await asyncio.sleep(100.0)
        times = [post.at for post in world.posts][first - 1 :]
        assert len(times) in (7, 8)
        assert min(later - earlier for earlier, later in pairwise(times)) >= PROBE_S - 0.01
        assert world.member.worker.state().halts.keys() == {reason}
        assert world.committed == [0, 0]
        world.fullstory.outage = None
        await world.settled(within_s=60.0)
        assert halts_and_ends(world) == [("Halted", reason), ("Resumed", reason)]

    simulate(story, Plan(partitions=2))


@pytest.mark.parametrize("start", ["earliest", "latest", "halt"])
def test_an_offset_that_is_gone_halts_its_partition_until_it_is_set(start: GroupStart) -> None:
    """Nothing is sent twice or skipped, and the other partitions go on, wherever the settings let a group begin."""

    async def story(world: World) -> None:
        for at in (0, 0, 1):
            world.track("a", at)
        await world.settled()
        if start == "halt":  # nobody has seen the offset who could miss it
            world.broker.start = start
            await world.member.stop()
            world.forget(world.partitions[0])
            await world.start()
        else:
            await world.member.source.revoke(*world.partitions)
            world.forget(world.partitions[0])
            await world.member.source.assign(*world.partitions)
        world.track("b", 0), world.track("b", 1)
        await world.until(lambda: world.committed == [None, 2])
        assert world.member.gate.halts.keys() == {HaltReason.OFFSETS_LOST}
        await asyncio.sleep(100.0)
        assert (sorted(world.delivered(0)), sorted(world.delivered(1))) == ([0, 1], [0, 1])
        await world.member.stop()
        world.rewind(0, 2)
        await world.start()
        await world.settled()
        assert (sorted(world.delivered(0)), sorted(world.delivered(1))) == ([0, 1, 2], [0, 1])
        assert not world.member.gate.halts

    simulate(story, Plan(partitions=2, start="earliest" if start == "halt" else start))


def test_a_probe_that_meets_another_fault_counts_as_a_probe() -> None:
    """While halted a server error does not open the gate to one request after the other."""

    async def story(world: World) -> None:
        world.fullstory.outage = 401
        for number in range(100):
            world.track(f"u{number}", at=number % 4)
        await asyncio.sleep(10.0)
        first = len(world.posts)
        world.fullstory.outage = 503
        await asyncio.sleep(100.0)
        assert len(world.posts) - first <= 7
        world.fullstory.outage = None
        await world.settled()

    simulate(story, Plan(partitions=4))


def test_a_revoked_key_stops_polls_too_and_their_success_ends_the_halt() -> None:
    """A job goes on meanwhile; the first poll that is answered well says that the key works again."""

    async def story(world: World) -> None:
        world.fullstory.weather.job_duration_s = (20.0, 20.0)
        world.track("a"), world.track("b")
        await asyncio.sleep(2.0)
        world.fullstory.outage = 401
        await asyncio.sleep(60.0)
        assert world.member.worker.state().halts.keys() == {HaltReason.UNAUTHORIZED}
        polls = [at for at in world.member.wire.polls if at > world.now - 58.0]
        assert len(polls) <= 5
        world.fullstory.outage = None
        await world.settled()
        assert len(world.posts) == 1

    simulate(story)


def test_a_good_poll_does_not_say_that_the_key_may_write() -> None:
    """A 403 to a POST lasts until a POST is taken."""

    async def story(world: World) -> None:
        world.fullstory.weather.job_duration_s = (30.0, 30.0)
        world.track("a"), world.track("b")
        await asyncio.sleep(2.0)
        world.fullstory.script += [Refused(403)] * 2
        world.track("c"), world.track("d")
        await asyncio.sleep(14.0)
        assert world.member.worker.state().halts.keys() == {HaltReason.FORBIDDEN}
        await world.settled()

    simulate(story)


def test_a_halted_destination_is_probed_by_a_new_batch_when_the_waiting_one_was_revoked() -> None:
    """Nobody waits for the probe any more; the next batch that is due makes it."""

    async def story(world: World) -> None:
        world.fullstory.outage = 401
        world.track("a"), world.track("b")
        await asyncio.sleep(5.0)
        await world.member.source.revoke(world.partitions[0])
        world.fullstory.outage = None
        await world.member.source.assign(world.partitions[0])
        world.track("c", at=1)
        await world.settled(within_s=PROBE_S + 5.0)

    simulate(story, Plan(partitions=2))


def test_a_halt_that_only_a_request_ends_goes_with_the_last_partition() -> None:
    """A worker that has nothing left to send never learns that the key works again; whoever has it now finds out."""

    async def story(world: World) -> None:
        world.fullstory.outage = 401
        world.track("a"), world.track("b")
        await asyncio.sleep(5.0)
        assert world.member.gate.halts.keys() == {HaltReason.UNAUTHORIZED}
        await world.member.source.revoke(*world.partitions)
        assert not world.member.gate.halts
        await world.member.source.assign(*world.partitions)
        await asyncio.sleep(20.0)
        assert world.member.gate.halts.keys() == {HaltReason.UNAUTHORIZED}
        world.fullstory.outage = None
        await world.settled()

    simulate(story)


def test_a_dead_letter_topic_that_refuses_halts_everything() -> None:
    """Without a place for dead letters nothing is sent; the letter is tried again from time to time."""

    async def story(world: World) -> None:
        world.letters.refuses = lambda _letter: "refused"
        world.send(b"\xff", "dead_lettered")
        await asyncio.sleep(2.0)
        for number in range(50):
            world.track(f"u{number}", at=number % 2)
        await asyncio.sleep(60.0)
        assert world.member.worker.state().halts.keys() == {HaltReason.DEAD_LETTER_TOPIC}
        assert (world.posts, world.committed) == ([], [0, 0])
        assert world.letters.tries == 5
        world.letters.refuses = lambda _letter: None
        await world.settled(within_s=PROBE_S + 10.0)
        reason = HaltReason.DEAD_LETTER_TOPIC
        assert halts_and_ends(world) == [("Halted", reason), ("Resumed", reason)]

    simulate(story, Plan(partitions=2))


def test_the_first_letter_that_is_taken_ends_the_halt_of_all() -> None:
    """Several letters wait at once; what one of them finds out holds for all, whichever way it goes."""

    async def story(world: World) -> None:
        world.letters.script += ["refused", "refused", None, "refused"]
        world.send(b"\xff", "dead_lettered"), world.send(b"\xff", "dead_lettered")
        world.track("a", at=1)
        await world.settled()
        reason = HaltReason.DEAD_LETTER_TOPIC
        assert halts_and_ends(world) == [("Halted", reason), ("Resumed", reason)] * 2

    simulate(story, Plan(partitions=2))


def test_a_halt_for_a_letter_ends_when_nobody_is_left_to_write_it() -> None:
    """The partition with the letter is revoked; the others must not stand still for ever."""

    async def story(world: World) -> None:
        world.letters.refuses = lambda _letter: "refused"
        world.send(b"\xff", "dead_lettered")
        await asyncio.sleep(5.0)
        world.track("a", at=1)
        await asyncio.sleep(5.0)
        assert world.committed == [0, 0]
        await world.member.source.revoke(world.partitions[0])
        await world.until(lambda: world.committed == [0, 1], within_s=5.0)
        world.letters.refuses = lambda _letter: None
        await world.member.source.assign(world.partitions[0])
        await world.settled()

    simulate(story, Plan(partitions=2))


def test_a_passing_fault_of_the_dead_letter_topic_is_no_halt() -> None:
    """The broker is away: the letter is written when it is back, and the offset waits."""

    async def story(world: World) -> None:
        world.letters.script += ["retry"] * 5
        world.send(b"\xff", "dead_lettered")
        await world.settled()
        assert world.letters.tries == 6
        assert not halts_and_ends(world)

    simulate(story)


def test_a_letter_that_is_too_large_halts_its_partition_alone() -> None:
    """Other partitions go on; each that stands still is named for as long as it does."""

    def refuses(letter: DeadLetter) -> str | None:
        return "too_large" if coordinates(letter)[1] < limit else None

    limit = 2

    async def story(world: World) -> None:
        nonlocal limit
        world.letters.refuses = refuses  # type: ignore[assignment]
        world.send(b"\xff", "dead_lettered", at=0)
        await asyncio.sleep(3.0)
        world.send(b"\xff", "dead_lettered", at=1)
        world.send(b"\xff", "dead_lettered", at=2)
        world.track("a", at=2)
        await asyncio.sleep(60.0)
        assert world.committed == [0, 0, 2]
        halts = world.member.worker.state().halts
        assert halts.keys() == {HaltReason.DEAD_LETTER_TOO_LARGE}
        limit = 1
        await world.until(lambda: world.committed == [0, 1, 2])
        assert "segment[0]" in world.member.worker.state().halts[HaltReason.DEAD_LETTER_TOO_LARGE].cause
        limit = 0
        await world.settled()
        await asyncio.sleep(1.0)
        assert not world.member.worker.state().halts

    simulate(story, Plan(partitions=3))


def test_a_letter_may_meet_one_fault_after_another() -> None:
    """Each is treated as what it is, and no halt outlives its fault."""

    async def story(world: World) -> None:
        world.letters.script += ["too_large", "retry", "refused", "refused", "too_large", "retry"]
        world.send(b"\xff", "dead_lettered")
        await world.settled()
        large, topic = HaltReason.DEAD_LETTER_TOO_LARGE, HaltReason.DEAD_LETTER_TOPIC
        assert [reason for name, reason in halts_and_ends(world) if name == "Halted"] == [large, topic, large]
        assert not world.member.gate.halts

    simulate(story)


def test_a_registry_that_is_out_keeps_the_records_of_its_schemas_and_nothing_else() -> None:
    """Records that name no schema go on; the others wait until the registry answers, each schema asked for once."""

    async def story(world: World) -> None:
        world.schemas.is_out = True
        world.track("b", at=1)
        world.encode = as_avro
        world.track("a"), world.identify("a")
        await world.until(lambda: world.committed == [0, 1])
        await asyncio.sleep(100.0)
        assert world.member.worker.state().halts.keys() == {HaltReason.SCHEMA_REGISTRY}
        world.schemas.is_out = False
        await world.settled()
        assert world.schemas.asked > 5
        assert world.member.observer.of(RegistryAsked)[-1] == RegistryAsked("found")

    simulate(story, Plan(partitions=2, schemas={SCHEMA_ID: orjson.dumps(SCHEMA).decode()}))


def test_an_id_without_a_schema_is_asked_for_again_after_a_minute() -> None:
    """Its records are dead-lettered, and a producer that registers late is believed soon."""

    async def story(world: World) -> None:
        world.encode = as_avro
        world.track("a", fate="dead_lettered")
        await world.settled()
        world.schemas.texts[SCHEMA_ID] = orjson.dumps(SCHEMA).decode()
        world.track("a", fate="dead_lettered")
        await world.settled()
        assert (world.letters_of("unknown_schema"), world.schemas.asked) == ([0, 1], 1)
        await asyncio.sleep(60.0)
        world.track("a")
        await world.settled()
        assert world.delivered() == [2]

    simulate(story)


def test_a_shutdown_does_not_wait_for_a_schema() -> None:
    """What is being fetched is given up."""

    async def story(world: World) -> None:
        world.schemas.latency_s = 1e6
        world.send(b"\x00\x00\x00\x00\x07", "gone")
        await asyncio.sleep(5.0)
        begun = world.now
        await world.member.stop()
        assert world.now - begun < 1.0

    simulate(story)


def test_nothing_is_sent_before_it_is_known_whose_key_it_is() -> None:
    """Another organisation's key halts everything until it is changed; then delivery begins by itself."""

    async def story(world: World) -> None:
        world.fullstory.org_id = "OTHER"
        world.track("a"), world.track("b")
        gate = world.member.gate
        asking = asyncio.create_task(
            identify_account(world.fullstory, "MINE", gate, FakeClock(), lambda: 0.5, world.member.observer)
        )
        await asyncio.sleep(100.0)
        assert (world.posts, world.committed) == ([], [0])
        assert world.member.worker.state().halts.keys() == {HaltReason.WRONG_ORG}
        world.fullstory.org_id = "MINE"
        assert await asking == KeyAccount("MINE", "ARCHITECT")
        assert not gate.halts
        world.member.worker.open(DESTINATION)
        await world.settled(within_s=5.0)

    simulate(story, is_open=False)


@pytest.mark.parametrize("on_gap", ["halt", "continue"])
def test_records_that_were_deleted_unread_halt_their_partition(on_gap: str) -> None:
    """Nothing is passed over in silence: the halt names what is missing, unless the operator said to go on."""

    async def story(world: World) -> None:
        world.track("a"), world.track("b")
        await world.settled()
        await world.member.source.revoke(*world.partitions)
        for _ in range(4):
            world.track("c", fate="gone")
        world.broker.truncate(world.partitions[0], 5)
        world.track("d", at=1)
        await world.member.source.assign(*world.partitions)
        if on_gap == "continue":
            world.records[world.partitions[0]][-1].fate = "delivered"
            await world.settled()
            assert world.committed == [6, 1]
            assert not world.member.gate.halts
            return
        await world.until(lambda: world.committed == [2, 1])
        await asyncio.sleep(5.0)
        detail = world.member.gate.halts[HaltReason.GAP].cause
        assert "segment[0] holds the offsets 5 to 6, and the next one to consume is 2" in detail
        assert "3 records were deleted" in detail
        await world.member.source.revoke(world.partitions[0])
        assert not world.member.gate.halts
        world.member.worker.gap(world.partitions[0], 2, (5, 6))  # of an epoch that has ended
        assert not world.member.gate.halts

    simulate(story, Plan(partitions=2, on_gap=on_gap))  # type: ignore[arg-type]


def test_a_topic_that_was_cut_back_halts_even_where_gaps_are_passed_over() -> None:
    """The committed offset lies beyond the end of the same topic: an unclean election, say."""

    async def story(world: World) -> None:
        await world.settled()
        await world.member.source.revoke(*world.partitions)
        world.broker.available[world.partitions[0]] = (0, 3)
        world.broker.committed[world.partitions[0]] = 7
        await world.member.source.assign(*world.partitions)
        await asyncio.sleep(1.0)
        assert "was truncated" in world.member.gate.halts[HaltReason.GAP].cause
        world.member.worker.gap(world.partitions[0], 7, (0, 3))  # told again
        assert len(world.member.observer.of(Halted)) == 1

    simulate(story, Plan(on_gap="continue"))


def test_values_that_name_no_schema_need_no_registry() -> None:
    """Plain JSON never asks."""

    async def story(world: World) -> None:
        world.track("a")
        await world.settled()
        assert world.schemas.asked == 0

    simulate(story)
