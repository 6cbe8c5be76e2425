"""Something between the worker and FullStory: nothing it says counts, and what it never lets pass stops nobody else."""

import asyncio

import pytest

from processor.engine.notices import Redelivered
from processor.engine.verdict import Answer, NoAnswer, RetryReason
from processor.model.reasons import Bottleneck, HaltReason, Kind
from tests.fakes.fullstory import Gateway
from tests.simulation.test_patience import trickle, watch_of
from tests.simulation.world import Plan, Story, World
from tests.simulation.world import simulate as simulate_world

PAGE = Answer(403, None, server="Apache", media_type="text/html")
CLOSED = NoAnswer(RetryReason.CONNECTION, "the server closed the connection", was_connected=True)
SILENT = NoAnswer(RetryReason.TIMEOUT, "the server does not answer in time", was_connected=True)


def simulate(story: Story, plan: Plan | None = None) -> None:
    """Simulate a worker that is looked at each second, as it is in a process."""

    async def watched(world: World) -> None:
        watching = asyncio.create_task(watch_of(world).run())
        await story(world)
        watching.cancel()

    simulate_world(watched, plan)


@pytest.mark.parametrize("is_batch", [True, False])
@pytest.mark.parametrize(
    "answer",
    [Answer(204), Answer(200, {"status": "maintenance"}), Answer(200, []), Answer(302), Answer(404), Answer(401), PAGE],
)
def test_what_is_not_fullstorys_delivers_nothing_and_is_an_outage_with_a_name(
    answer: Answer, *, is_batch: bool
) -> None:
    """Told within ten seconds; when it is gone all is delivered, under the same keys."""

    async def story(world: World) -> None:
        world.fullstory.gateway = Gateway(answer)
        for number in range(6):
            world.track(f"u{number}", at=number % 2)
            world.identify(f"u{number}", at=number % 2)
        await world.until(lambda: HaltReason.GATEWAY in world.member.gate.halts, 12.0)
        assert str(answer.status) in world.member.gate.halts[HaltReason.GATEWAY].cause
        await asyncio.sleep(120.0)
        assert world.member.gate.halts.keys() == {HaltReason.GATEWAY}
        assert world.committed == [0, 0]
        world.fullstory.gateway = None
        await world.settled(60.0)
        assert not world.member.observer.of(Redelivered)
        assert not world.letters.letters

    simulate(story, Plan(partitions=2, is_batch=is_batch))


@pytest.mark.parametrize("answer", [Answer(404), PAGE, Answer(200, {"status": "maintenance"}), Answer(502)])
def test_what_answers_a_question_in_fullstorys_place_denies_no_job(answer: Answer) -> None:
    """However long it does: nothing is sent again, and the halt says what stands in between."""

    async def story(world: World) -> None:
        world.track("a"), world.track("b")
        await world.until(lambda: world.posts)
        world.fullstory.gateway = Gateway(answer, stops=lambda _body: False)
        await world.until(lambda: HaltReason.GATEWAY in world.member.gate.halts, 20.0)
        await asyncio.sleep(300.0)
        assert len(world.posts) == 1
        assert world.member.gate.halts.keys() == {HaltReason.GATEWAY}
        world.fullstory.gateway = None
        await world.settled(60.0)
        assert len(world.posts) == 1

    simulate(story)


@pytest.mark.parametrize("answer", [PAGE, Answer(200, {"status": "maintenance"}), Answer(200, None)])
def test_what_answers_for_the_failed_items_does_not_say_that_none_can_be_read(answer: Answer) -> None:
    """With `accept` failed events would count as delivered, with `halt` the page would be gone and the halt not."""

    async def story(world: World) -> None:
        world.fullstory.refuse = lambda _kind, item: "invalid_argument" if "poison" in item["properties"] else None
        errors = world.fullstory.errors
        asked: list[float] = []

        async def page(kind: Kind, job_id: str, page_token: str) -> Answer | NoAnswer:
            asked.append(world.now)
            return answer if world.now < asked[0] + 10.0 else await errors(kind, job_id, page_token)

        world.fullstory.errors = page  # type: ignore[method-assign]
        world.track("a"), world.track("b", fate="dead_lettered", poison=1)
        await world.settled(120.0)
        assert world.letters_of("rejected") == [1]
        await asyncio.sleep(2.0)
        assert not world.member.gate.halts

    simulate(story, Plan(unattributed="accept"))


@pytest.mark.parametrize("is_batch", [True, False])
@pytest.mark.parametrize("answer", [PAGE, Answer(502), Answer(503), Answer(413), CLOSED, SILENT], ids=str)
def test_one_record_that_never_passes_is_found_and_waits_alone(answer: Answer | NoAnswer, *, is_batch: bool) -> None:
    """Its partition waits, says for what, and all the rest is delivered; in the end it is dead-lettered for that."""

    async def story(world: World) -> None:
        world.fullstory.gateway = Gateway(answer, stops=lambda body: b'"blocked"' in body, questions=False)
        for number in range(30):
            is_blocked = number == 13
            uid = "blocked" if is_blocked else f"u{number}"
            world.track(uid, at=0, fate="dead_lettered" if is_blocked else "delivered")
        others = asyncio.create_task(trickle(world, 1.6))
        await asyncio.sleep(900.0)
        assert len(world.delivered(0)) == 29, "it keeps nobody else"
        halt = world.member.gate.halts[HaltReason.GATEWAY]
        assert halt.faults.keys() == {"segment[0]"}
        assert "segment[0]: the record at offset 13 has not passed while others did" in halt.cause
        assert world.member.worker.state().bottleneck is Bottleneck.NONE
        assert not world.letters.letters
        await others
        assert world.letters_of("blocked_by_gateway") == [13]
        await world.settled(120.0)
        assert not world.member.gate.halts

    simulate(story, Plan(partitions=2, max_records=30, is_batch=is_batch))


@pytest.mark.parametrize("answer", [Answer(502), Answer(403), CLOSED], ids=str)
def test_bodies_that_are_too_large_to_pass_become_smaller(answer: Answer | NoAnswer) -> None:
    """Also where none has passed yet: one record alone finds out that the way is open."""

    async def story(world: World) -> None:
        world.fullstory.gateway = Gateway(answer, stops=lambda body: len(body) > 1_500, questions=False)
        for number in range(400):
            world.track(f"u{number}", at=number % 2, text="x" * 100)
        await world.settled(600.0)
        assert not world.letters.letters
        assert max(post.size for post in world.posts[-10:]) < max(post.size for post in world.posts)

    simulate(story, Plan(partitions=2, max_records=100))


def test_a_gateway_that_fails_for_long_splits_nothing_that_has_passed_before() -> None:
    """An outage behind it is no body's fault: the same requests go out again, under their keys."""

    async def story(world: World) -> None:
        for number in range(20):
            world.track(f"u{number}", text="x" * 100)
        await world.settled()
        world.fullstory.gateway = Gateway(Answer(502))
        for number in range(20):
            world.track(f"u{number}", text="x" * 50)
        await asyncio.sleep(1_200.0)
        world.fullstory.gateway = None
        await world.settled(60.0)
        assert not world.member.observer.of(Redelivered)
        assert len({post.key for post in world.posts}) == 2

    simulate(story)


def test_a_limit_that_answers_503_is_learned_like_one_that_answers_429() -> None:
    """Most requests pass: nearly as many as the limit lets."""
    limit = 5.0

    async def story(world: World) -> None:
        post, taken = world.fullstory.post, [world.now]

        async def limited(kind: Kind, body: bytes, key: str, *, batch: bool) -> Answer | NoAnswer:
            await asyncio.sleep(0.01)
            if world.now < taken[-1] + 1 / limit:
                return Answer(503, None, server="nginx", media_type="text/html")
            taken.append(world.now)
            return await post(kind, body, key, batch=batch)

        world.fullstory.post = limited  # type: ignore[method-assign]
        for number in range(1_500):
            world.track(f"u{number}", at=number % 2)
        begun = world.now
        await world.settled()
        refused = sum(each.status == 503 for each in world.posts)
        assert world.now - begun < 2 * 1_500 / limit
        assert refused < 150

    simulate(story, Plan(partitions=2, is_batch=False))


@pytest.mark.parametrize("is_batch", [True, False])
@pytest.mark.parametrize("answer", [PAGE, Answer(502), Answer(403, None, 60.0)], ids=str)
def test_several_records_that_never_pass_stop_nobody_else(answer: Answer, *, is_batch: bool) -> None:
    """Also where each probe of an outage could be one of them: whoever failed least is tried first."""

    async def story(world: World) -> None:
        for number in range(20):
            world.track(f"warm{number}", at=1, text="x" * 300)
        await world.settled()
        world.fullstory.gateway = Gateway(answer, stops=lambda body: b'"bad' in body, questions=False)
        for number in range(8 * 20):
            world.track(f"bad{number}" if number % 20 == 0 else f"good{number}", at=0)
        begun = len(world.delivered(1))
        await trickle(world, 0.5)
        assert len(world.delivered(1)) - begun >= 85, "of 90"
        assert len(world.delivered(0)) == 8 * 19
        assert world.member.gate.halts.keys() == {HaltReason.GATEWAY}
        assert "" not in world.member.gate.halts[HaltReason.GATEWAY].faults
        world.fullstory.gateway = None
        await world.settled()

    simulate(story, Plan(partitions=2, is_batch=is_batch, max_records=20))


def test_a_clean_record_beside_a_blocked_one_outlives_an_outage() -> None:
    """Its own failures count, from its own first one, and not those of the batch that it was in."""

    async def story(world: World) -> None:
        world.track("warm", at=1, text="x" * 500), world.track("warmer", at=1, text="x" * 500)
        await world.settled()
        out: list[float] = []

        def stands(body: bytes) -> bool:
            if not out and b'"clean"' in body and b'"bad"' not in body:
                out.append(world.now)
            return b'"bad"' in body or bool(out and world.now < out[0] + 840.0)

        world.fullstory.gateway = Gateway(CLOSED, stops=stands, questions=False)
        world.track("clean", at=0), world.track("bad", at=0, fate="dead_lettered")
        for number in range(20):
            world.track(f"other{number}", at=1)
            await asyncio.sleep(480.0)
        assert world.letters_of("blocked_by_gateway") == [1]
        await world.settled()

    simulate(story, Plan(partitions=2))


def test_an_outage_that_begins_while_a_culprit_is_sought_is_told_and_splits_nothing_more() -> None:
    """Parts are suspects for as long as others pass."""

    async def story(world: World) -> None:
        page = Answer(502, server="nginx")
        world.fullstory.gateway = Gateway(page, stops=lambda body: b'"bad"' in body, questions=False)
        for number in range(64):
            world.track("bad" if number == 3 else f"u{number}", at=0)
        others = asyncio.create_task(trickle(world, 0.05))
        await world.until(lambda: world.member.observer.of(Redelivered))
        others.cancel()
        world.fullstory.gateway = Gateway(page, questions=False)
        await asyncio.sleep(300.0)
        told = sum(each.records for each in world.member.observer.of(Redelivered))
        assert "" in world.member.gate.halts[HaltReason.GATEWAY].faults
        await asyncio.sleep(900.0)
        assert sum(each.records for each in world.member.observer.of(Redelivered)) == told
        assert "" in world.member.gate.halts[HaltReason.GATEWAY].faults
        world.fullstory.gateway = None
        await world.settled()

    simulate(story, Plan(partitions=2, max_records=64))


@pytest.mark.parametrize("status", [502, 413])
def test_an_outage_in_which_nothing_ever_passed_is_told_for_as_long_as_it_lasts(status: int) -> None:
    """What was split because of it tells of it, too."""

    async def story(world: World) -> None:
        world.fullstory.gateway = Gateway(Answer(status, server="nginx"))
        for number in range(20):
            world.track(f"u{number}", text="x" * 200)
        for _ in range(20):
            await asyncio.sleep(60.0)
            assert "" in world.member.gate.halts[HaltReason.GATEWAY].faults
        world.fullstory.gateway = None
        await world.settled()

    simulate(story, Plan(max_records=30))
