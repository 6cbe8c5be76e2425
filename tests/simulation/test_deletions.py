"""Users who are deleted: after all that came before of them, before all that came after, whatever happens."""

import asyncio
from functools import partial

import pytest

from processor.adapters.fullstory import ApiKey
from processor.app.identity import Identity
from processor.engine.notices import Halted, Settled
from processor.engine.verdict import RetryReason
from processor.events.mapping import MappingRules
from processor.model.reasons import HaltReason, Kind
from processor.runtime.account import KeyAccount, identify_account
from tests.fakes.fullstory import Lost, Refused
from tests.mutations import kafka_is_not_told_of_a_deletion
from tests.simulation.world import Plan, World, simulate

PLAN = Plan(rules=MappingRules(message_types=("identify", "track", "delete")))


def effects_of(world: World, uid: str) -> list[tuple[Kind, int | None]]:
    """Return what took effect of a user, in order: the kind, and the number that the records were given."""
    return [
        (effect.kind, effect.item.get("properties", {}).get("number"))
        for effect in world.fullstory.effects
        if (effect.item.get("user") or effect.item)["uid"] == uid
    ]


def life(world: World, uid: str) -> None:
    """Let a user come, go and come again."""
    world.identify(uid, number=0)
    world.track(uid, number=1)
    world.delete(uid)
    world.track(uid, number=3)
    world.identify(uid, number=4)


def is_whole(effects: list[tuple[Kind, int | None]]) -> bool:
    """Say whether all of the first life came before the first deletion, and all of the second after the last one."""
    kinds = [kind for kind, _ in effects]
    first = kinds.index(Kind.DELETION)
    last = len(kinds) - 1 - kinds[::-1].index(Kind.DELETION)
    before, after = {number for _, number in effects[:first]}, {number for _, number in effects[last + 1 :]}
    between = {number for kind, number in effects[first:last] if kind is not Kind.DELETION}
    return before == {0, 1} and after == {3, 4} and not between


@pytest.mark.parametrize("is_batch", [True, False])
def test_a_deletion_waits_for_what_came_before_and_holds_up_what_comes_after(*, is_batch: bool) -> None:
    """A job of the user's events has to be complete; other users' records wait for nothing of it."""

    async def story(world: World) -> None:
        world.fullstory.weather.latency_s = (0.1, 0.3)
        world.fullstory.weather.job_duration_s = (5.0, 9.0)
        for number in range(5):
            life(world, f"u{number}")
            world.track("other")
        await world.settled()
        for number in range(5):
            assert is_whole(effects_of(world, f"u{number}"))
        totals = sum((notice.delivered.total() for notice in world.member.observer.of(Settled)), 0)
        assert totals == 30

    simulate(story, Plan(rules=PLAN.rules, is_batch=is_batch))


def test_a_user_who_is_deleted_twice_is_deleted_twice() -> None:
    """Each deletion stands between the lives that its record stands between."""

    async def story(world: World) -> None:
        for number in range(3):
            world.track("u", number=number)
            world.delete("u")
        await world.settled()
        wanted = [each for number in range(3) for each in ((Kind.EVENT, number), (Kind.DELETION, None))]
        assert effects_of(world, "u") == wanted

    simulate(story, PLAN)


@pytest.mark.parametrize("moment", ["post", "answer", "poll", "delete", "deleted", "commit", "committed"])
@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("has_jobs", [True, False])
def test_a_deletion_never_takes_what_came_after_when_a_worker_dies(moment: str, times: int, *, has_jobs: bool) -> None:
    """The next owner may delete again, but only while nothing that came after was sent: Kafka knew that it was over."""

    async def story(world: World) -> None:
        world.fullstory.weather.latency_s = (0.1, 0.3)
        world.fullstory.weather.job_duration_s = (2.0, 3.0) if has_jobs else (0.0, 0.0)
        world.crash_at = (moment, times)
        for number in range(3):
            life(world, f"u{number}")
        await asyncio.sleep(60.0)
        if not world.member.is_running:
            await world.start()
        await world.settled()
        for number in range(3):
            assert is_whole(effects_of(world, f"u{number}"))

    simulate(story, PLAN)


async def die_behind_a_deletion(world: World) -> None:
    """Let a worker end as soon as it has sent what comes after a deletion, while Kafka takes hardly any commit."""
    world.fullstory.weather.latency_s = (0.5, 0.5)
    world.delete("u")
    world.track("u", number=1)
    await world.until(lambda: world.member.wire.deletions)
    world.member.source.commit_script += ["failed"] * 3
    await world.until(lambda: (Kind.EVENT, 1) in effects_of(world, "u"))
    await world.member.kill()
    await world.start()
    await world.settled()


def test_nothing_that_comes_after_is_sent_before_kafka_knows_that_the_deletion_is_over() -> None:
    """Otherwise the next owner would delete once more, and take with it what came after."""

    async def story(world: World) -> None:
        await die_behind_a_deletion(world)
        assert effects_of(world, "u")[-1] == (Kind.EVENT, 1)

    simulate(story, PLAN)


def test_the_law_sees_that_a_deletion_takes_what_came_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the random seeds one in some hundreds meets that moment."""
    kafka_is_not_told_of_a_deletion(monkeypatch)
    with pytest.raises(AssertionError, match="takes 1, too"):
        simulate(die_behind_a_deletion, PLAN)


def test_a_deletion_whose_answer_is_lost_is_sent_again_before_what_comes_after() -> None:
    """A fault of the connection, and a server that fails, are waited out."""

    async def story(world: World) -> None:
        world.delete("u")
        world.track("u", number=1)
        world.fullstory.script += [Lost(took_effect=True, reason=RetryReason.CONNECTION), Refused(503)]
        await world.settled()
        assert effects_of(world, "u") == [(Kind.DELETION, None), (Kind.DELETION, None), (Kind.EVENT, 1)]

    simulate(story, PLAN)


def test_a_deletion_that_fullstory_refuses_is_a_dead_letter() -> None:
    """What comes after of the user is sent once the letter is written."""

    async def story(world: World) -> None:
        world.delete("u", fate="dead_lettered")
        world.track("u", number=1)
        world.fullstory.script.append(Refused(400))
        await world.settled()
        assert effects_of(world, "u") == [(Kind.EVENT, 1)]
        assert world.letters_of("rejected") == [0]

    simulate(story, PLAN)


def test_a_deletion_waits_for_the_dead_letters_of_what_came_before() -> None:
    """Until they are written, another owner may send the records again, and FullStory may take them this time."""

    async def story(world: World) -> None:
        world.fullstory.refuse = lambda kind, _item: "invalid_argument" if kind is Kind.EVENT else None
        world.letters.delay_s = lambda: 20.0
        world.track("u", fate="dead_lettered")
        world.delete("u")
        world.delete("other")
        await asyncio.sleep(10.0)
        assert [post.items[0]["uid"] for post in world.member.wire.deletions] == ["other"]
        await world.settled()
        assert effects_of(world, "u") == [(Kind.DELETION, None)]

    simulate(story, Plan(rules=PLAN.rules, max_records=1))


def keep_known(world: World) -> tuple[Identity, asyncio.Task[None]]:
    """Have the worker learn whose its key is, and ask again where it has to."""
    observe, gate = world.member.observer, world.member.gate
    identify = partial(
        identify_account, world.fullstory, None, gate, world.clock, lambda: 0.5, observe, deletes_users=True
    )
    identity = Identity(lambda _key: None, world.member.worker, "auto", None, True, observe)  # noqa: FBT003
    return identity, asyncio.get_running_loop().create_task(identity.establish(identify))


def test_a_key_that_is_renewed_to_a_lower_role_is_a_halt_as_at_the_start() -> None:
    """Nothing is sent, of others neither, and what was sent with the key before ends no halt."""

    async def story(world: World) -> None:
        identity, asking = keep_known(world)
        world.fullstory.weather.latency_s = (5.0, 5.0)
        world.track("u", number=1)
        await world.until(lambda: world.posts)
        world.fullstory.role = "STANDARD"
        identity.renew(ApiKey("na1.lower"), KeyAccount("FAKE-na1", "STANDARD"))
        world.delete("u")
        world.track("other", number=2)
        await asyncio.sleep(100.0)
        assert world.member.gate.halts.keys() == {HaltReason.FORBIDDEN}
        assert len(world.posts) == 1
        assert not world.member.wire.deletions
        assert len(world.member.observer.of(Halted)) == 1
        world.fullstory.role = "ADMIN"
        identity.renew(ApiKey("na1.higher"), KeyAccount("FAKE-na1", "ADMIN"))
        await world.settled()
        assert not world.member.gate.halts
        assert effects_of(world, "u") == [(Kind.EVENT, 1), (Kind.DELETION, None)]
        asking.cancel()

    simulate(story, PLAN, is_open=False)


def test_a_key_that_is_renewed_while_the_one_before_is_asked_for_is_asked_for_itself() -> None:
    """What FullStory says of the old one says nothing of the new one."""

    async def story(world: World) -> None:
        world.fullstory.weather.latency_s = (5.0, 5.0)
        identity, asking = keep_known(world)
        await asyncio.sleep(2.0)  # the answer is on its way
        world.fullstory.role = "STANDARD"
        identity.renew(ApiKey("na1.lower"), KeyAccount("FAKE-na1", "STANDARD"))
        world.track("u")
        await asyncio.sleep(60.0)
        assert world.member.gate.halts.keys() == {HaltReason.FORBIDDEN}
        assert not world.posts
        world.fullstory.role = "ARCHITECT"
        await world.settled()
        asking.cancel()

    simulate(story, PLAN, is_open=False)


def test_a_key_that_may_not_delete_is_a_halt() -> None:
    """Nothing is dead-lettered; with a better key the deletion goes."""

    async def story(world: World) -> None:
        world.fullstory.role = "STANDARD"
        world.delete("u")
        await world.until(lambda: HaltReason.FORBIDDEN in world.member.gate.halts)
        world.fullstory.role = "ARCHITECT"
        await world.settled()
        assert effects_of(world, "u") == [(Kind.DELETION, None)]

    simulate(story, PLAN)
