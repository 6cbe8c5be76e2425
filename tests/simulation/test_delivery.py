"""What becomes of records when FullStory takes them, in part or not at all."""

import asyncio
from collections import Counter

import pytest

from processor.engine.notices import Built, JobEnded, Redelivered, Retried, Settled
from processor.engine.partition.common import Unattributed
from processor.engine.verdict import Answer, RetryReason
from processor.model.reasons import DeadLetterReason, HaltReason, Kind
from tests.fakes.dead_letters import header
from tests.fakes.fullstory import Item, Lost, Refused
from tests.simulation.records import Fate
from tests.simulation.world import Plan, World, simulate


def poison(_kind: Kind, item: Item) -> str | None:
    """Refuse items that say that they are to be refused."""
    return "invalid_argument" if "poison" in item["properties"] else None


@pytest.mark.parametrize("is_batch", [True, False])
def test_everything_arrives_once_and_is_committed(*, is_batch: bool) -> None:
    """In either mode every record takes effect once, filtered ones aside, and the whole topic is committed."""

    async def story(world: World) -> None:
        world.fullstory.weather.latency_s = (0.1, 0.5)
        world.fullstory.weather.job_duration_s = (1.0, 5.0)
        for number in range(90):
            world.identify(f"u{number % 7}", at=number % 3)
            world.track(f"u{number % 5}", at=number % 3)
        world.send(None, "filtered")
        await world.settled()
        assert world.committed == [61, 60, 60]
        assert [sorted(world.delivered(at)) for at in range(3)] == [list(range(60))] * 3
        assert {post.is_batch for post in world.posts} == {is_batch}
        totals = sum((notice.delivered for notice in world.member.observer.of(Settled)), Counter[Kind]())
        assert totals == {Kind.USER: 90, Kind.EVENT: 90}

    simulate(story, Plan(partitions=3, is_batch=is_batch))


def test_offsets_that_nobody_gets_are_passed_over() -> None:
    """Compaction and transaction markers leave holes; the commit reaches the end all the same."""

    async def story(world: World) -> None:
        for skip in (3, 0, 7):
            world.track("u", skip=skip)
        await world.settled()
        assert world.committed == [13]

    simulate(story)


def test_identifies_of_one_user_travel_merged() -> None:
    """One request never holds a user twice; the merged item is the sum of its records."""

    async def story(world: World) -> None:
        world.identify("u", plan="free", age=1)
        world.identify("v")
        world.identify("u", plan="pro")
        await world.settled()
        (post,) = world.posts
        assert [item["uid"] for item in post.items] == ["u", "v"]
        assert {"plan": "pro", "age": 1}.items() <= post.items[0]["properties"].items()

    simulate(story)


@pytest.mark.parametrize("is_batch", [True, False])
def test_a_merged_user_that_is_refused_is_sent_record_by_record(*, is_batch: bool) -> None:
    """Only the record at fault is dead-lettered; those merged with it are delivered, in order."""

    async def story(world: World) -> None:
        world.fullstory.refuse = poison
        world.identify("u")
        world.identify("u", fate="dead_lettered", poison=True)
        world.identify("u")
        world.identify("v")
        await world.settled()
        assert world.delivered() in ([0, 2, 3], [3, 0, 2])
        assert world.letters_of("rejected") == [1]

    simulate(story, Plan(is_batch=is_batch))


def test_a_job_that_fails_in_part_loses_only_the_items_at_fault() -> None:
    """The errors name the items; exactly their records are dead-lettered, with the job's id."""

    async def story(world: World) -> None:
        world.fullstory.refuse = poison
        world.fullstory.page_size = 2
        for number in range(10):
            bad = number % 3 == 0
            world.track(f"u{number}", fate="dead_lettered" if bad else "delivered", **({"poison": 1} if bad else {}))
        await world.settled()
        assert sorted(world.delivered()) == [1, 2, 4, 5, 7, 8]
        assert world.letters_of("rejected") == [0, 3, 6, 9]
        assert {header(letter, "fullstory.dlq.job.id") for letter in world.letters.letters} == {"+/1=="}
        assert {header(letter, "fullstory.dlq.attempts") for letter in world.letters.letters} == {"1"}
        assert len(world.posts) == 1

    simulate(story)


def test_items_that_failed_by_fullstorys_own_fault_are_sent_again() -> None:
    """A server error of an item says nothing about its record: it is sent under a new key until it is taken."""

    async def story(world: World) -> None:
        left = Counter(dict.fromkeys((1, 3), 2))

        def refuse(_kind: Kind, item: Item) -> str | None:
            found = [offset for offset in left if f"r0x{offset}" in item["properties"]]
            if not found or not left[found[0]]:
                return None
            left[found[0]] -= 1
            return "server_error"

        world.fullstory.refuse = refuse
        for _ in range(5):
            world.track("u")
        await world.settled()
        assert sorted(world.delivered()) == [0, 1, 2, 3, 4]
        assert [post.offsets for post in world.posts] == [[0, 1, 2, 3, 4], [1, 3], [1, 3]]
        assert len({post.key for post in world.posts}) == 3
        assert not world.letters.letters

    simulate(story)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_batch_is_halved_until_the_culprit_stands_alone(status: int) -> None:
    """Whatever FullStory dislikes about a batch, one record answers for it, and the rest is delivered."""

    async def story(world: World) -> None:
        post = world.fullstory.post

        async def refusing(kind: Kind, body: bytes, key: str, *, batch: bool) -> object:
            if b"poison" in body:
                world.fullstory.script.appendleft(Refused(status))
            return await post(kind, body, key, batch=batch)

        world.fullstory.post = refusing  # type: ignore[method-assign, assignment]
        for number in range(7):
            bad = number == 4
            world.track("u", fate="dead_lettered" if bad else "delivered", **({"poison": 1} if bad else {}))
        await world.settled()
        whole = [0, 1, 2, 3, 4, 5, 6]
        assert [post.offsets for post in world.posts] == [whole, whole[:3], whole[3:], [3, 4], [3], [4], [5, 6]]
        assert world.letters_of("too_large" if status == 413 else "rejected") == [4]
        assert header(world.letters.letters[0], "fullstory.dlq.http.status") == str(status)

    simulate(story)


async def lose_job_and_key(world: World) -> None:
    """Have FullStory take two events, and forget their job and the key that led to it."""
    world.fullstory.jobs_unknown = True
    world.laws.repeats_allowed = 2  # the fake forgets a key, not what was done under it
    world.track("a"), world.track("b")
    await world.until(lambda: world.posts)
    world.fullstory._promises.clear()


def test_a_job_that_fullstory_denies_to_know_is_asked_for_and_then_sent_again() -> None:
    """For a minute its reads may lag; then the request goes out once more under its key.

    The key leads to the very same job, so FullStory knows it: whatever denies it, another key would have the items take
    effect once more. The partition waits, says for what, and goes on by itself.
    """

    async def story(world: World) -> None:
        world.fullstory.jobs_unknown = True
        world.track("a"), world.track("b")
        await world.until(lambda: len(world.posts) == 2)
        first, again = world.posts
        assert again.at - first.at >= 60.0
        assert again.key == first.key
        await world.until(lambda: HaltReason.DENIED_JOB in world.member.gate.halts, 70.0)
        halt = world.member.gate.halts[HaltReason.DENIED_JOB]
        assert "+/1==" in halt.cause
        assert "segment[0]" in halt.cause
        await asyncio.sleep(3_600.0)
        assert len(world.posts) == 2
        assert not world.member.observer.of(Redelivered)
        world.fullstory.jobs_unknown = False
        await world.settled()
        assert not world.member.gate.halts
        assert sorted(world.delivered()) == [0, 1]

    simulate(story)


def test_another_job_that_is_denied_like_the_first_is_no_lost_one_either() -> None:
    """Where FullStory forgets keys and jobs alike, each round would have the items take effect once more."""

    async def story(world: World) -> None:
        await lose_job_and_key(world)
        await world.until(lambda: HaltReason.DENIED_JOB in world.member.gate.halts, 200.0)
        assert len(world.posts) == 2
        assert "+/2==" in world.member.gate.halts[HaltReason.DENIED_JOB].cause
        world.fullstory.jobs_unknown = False
        await world.settled()

    simulate(story)


def test_a_job_that_is_known_again_is_followed_on() -> None:
    """A short doubt leads to nothing: the minute counts from the last time it was known."""

    async def story(world: World) -> None:
        world.fullstory.weather.job_duration_s = (150.0, 150.0)
        world.track("a"), world.track("b")
        for _ in range(3):
            world.fullstory.jobs_unknown = True
            await asyncio.sleep(40.0)
            world.fullstory.jobs_unknown = False
            await asyncio.sleep(11.0)
        await world.settled()
        assert len(world.posts) == 1

    simulate(story)


def test_a_lost_job_whose_key_is_forgotten_becomes_another_job() -> None:
    """When the same key leads to a new job, that one is followed."""

    async def story(world: World) -> None:
        await lose_job_and_key(world)
        await world.until(lambda: len(world.posts) == 2)
        world.fullstory.jobs_unknown = False
        await world.settled()
        assert len(world.posts) == 2
        assert not world.member.observer.of(Redelivered)

    simulate(story)


def test_a_lost_job_may_be_refused_as_a_batch_and_is_then_halved() -> None:
    """What FullStory took once it may refuse the next time; that is treated as any refusal."""

    async def story(world: World) -> None:
        await lose_job_and_key(world)
        world.fullstory.script.append(Refused(413))
        await world.settled()
        assert [post.offsets for post in world.posts] == [[0, 1], [0, 1], [0], [1]]

    simulate(story)


def test_three_server_errors_under_one_key_end_the_key() -> None:
    """FullStory may replay a 500 for as long as it remembers the key; the new one is counted."""

    async def story(world: World) -> None:
        world.fullstory.script += [Refused(502), Refused(500)]
        world.track("a"), world.track("b")
        await world.settled()
        assert [post.status for post in world.posts] == [502, 500, 500, 500, 200]
        keys = [post.key for post in world.posts]
        assert (len(set(keys[:4])), keys[4] == keys[0]) == (1, False)
        assert world.member.observer.of(Redelivered) == [Redelivered(2)]

    simulate(story)


def test_a_lost_answer_is_asked_for_under_the_same_key() -> None:
    """Whether FullStory took a request without an answer is not known; the key makes the repeat harmless."""

    async def story(world: World) -> None:
        world.fullstory.script += [
            Lost(took_effect=True),
            Lost(took_effect=False, reason=RetryReason.TIMEOUT),
            Refused(409),
            Lost(took_effect=True, reason=RetryReason.TIMEOUT),
        ]
        world.track("a"), world.track("b")
        await world.settled()
        assert world.delivered() in ([0, 1], [1, 0])
        assert len({post.key for post in world.posts}) == 1
        assert world.fullstory.replays >= 1

    simulate(story)


def test_users_take_effect_before_a_later_batch_with_the_same_user_is_sent() -> None:
    """Jobs have no order among each other, so the second identify waits for the first job, and others do not."""

    async def story(world: World) -> None:
        world.fullstory.weather.job_duration_s = (30.0, 30.0)
        world.identify("a"), world.identify("b")
        await asyncio.sleep(2.0)
        world.identify("c"), world.identify("d")
        await asyncio.sleep(2.0)
        world.identify("a"), world.identify("e")
        await world.settled()
        first, other, beside, second = world.posts
        assert other.at < first.at + 5.0
        assert beside.at < first.at + 7.0
        assert (beside.offsets, second.offsets) == ([5], [4])
        assert second.at >= first.at + 30.0

    simulate(story)


def test_events_wait_for_the_identifies_before_them_to_be_accepted_and_no_longer() -> None:
    """An event is sent once its user's identify is accepted; whether that job has ended does not matter."""

    async def story(world: World) -> None:
        world.fullstory.weather.latency_s = (3.0, 3.0)
        world.fullstory.weather.job_duration_s = (30.0, 30.0)
        world.track("x"), world.track("a"), world.identify("a"), world.identify("b")
        await asyncio.sleep(1.5)
        world.track("b"), world.track("z")
        world.track("y"), world.track("z")
        await world.settled()
        users, events, later, others = sorted(world.posts, key=lambda post: (post.kind is Kind.EVENT, post.offsets))
        assert users.answered_at is not None
        assert events.at >= users.answered_at
        assert later.at >= users.answered_at
        assert events.at < users.at + 30.0
        assert others.at < users.answered_at, "others do not wait for them"

    simulate(story)


def a_standard_key(world: World) -> None:
    """Let the key be one that may not read which items failed."""
    world.fullstory.role = "USER"
    world.fullstory.refuse = poison


def test_users_of_unknown_fate_are_sent_one_by_one() -> None:
    """Upserts are idempotent: a failed users job that cannot be read is told apart by single requests."""

    async def story(world: World) -> None:
        a_standard_key(world)
        for number in range(4):
            bad = number == 2
            world.identify(f"u{number}", fate="dead_lettered" if bad else "delivered", **({"poison": 1} if bad else {}))
        await world.settled()
        assert sorted(post.offsets for post in world.posts[1:]) == [[0], [1], [2], [3]]
        assert world.member.observer.of(Redelivered) == [Redelivered(4)]
        assert world.letters_of("rejected") == [2]

    simulate(story)


@pytest.mark.parametrize(
    ("policy", "fate", "unattributed"), [("dead_letter", "dead_lettered", [0, 1, 2]), ("accept", "filtered", [])]
)
def test_events_of_unknown_fate_follow_the_policy(policy: Unattributed, fate: Fate, unattributed: list[int]) -> None:
    """Without the right to read errors the operator decides about all events of a failed job."""

    async def story(world: World) -> None:
        a_standard_key(world)
        world.track("a", fate=fate), world.track("b", fate=fate, poison=1), world.track("c", fate=fate)
        await world.settled()
        assert world.letters_of("unattributed") == unattributed

    simulate(story, Plan(unattributed=policy))


def test_events_of_unknown_fate_halt_their_partition_alone() -> None:
    """By default nothing is decided: the partition stands, others go on, and the halt ends with the epoch."""

    async def story(world: World) -> None:
        a_standard_key(world)
        world.track("a"), world.track("b", poison=1)
        await world.until(lambda: HaltReason.UNATTRIBUTED in world.member.gate.halts)
        world.track("c", at=1)
        await world.until(lambda: world.committed == [0, 1])
        assert "segment[0]" in world.member.gate.halts[HaltReason.UNATTRIBUTED].cause
        await world.member.source.revoke(world.partitions[0])
        await asyncio.sleep(0.1)
        assert not world.member.gate.halts

    simulate(story, Plan(partitions=2))


@pytest.mark.parametrize(
    ("known_after_s", "fate", "reason", "offsets"),
    [(40.0, "delivered", "rejected", [1]), (80.0, "dead_lettered", "unattributed", [0, 1])],
)
def test_errors_that_fullstory_denies_to_know_are_asked_for_a_while(
    known_after_s: float, fate: Fate, reason: str, offsets: list[int]
) -> None:
    """Its reads may lag for a minute; only then the failures count as unreadable."""

    async def story(world: World) -> None:
        world.fullstory.refuse = poison
        begun = world.now
        errors = world.fullstory.errors

        async def lagging(kind: Kind, job_id: str, page_token: str) -> object:
            is_known = world.now - begun > known_after_s
            return await errors(kind, job_id if is_known else "another", page_token)

        world.fullstory.errors = lagging  # type: ignore[method-assign, assignment]
        world.track("a", fate=fate), world.track("b", fate="dead_lettered", poison=1)
        await world.settled()
        assert world.letters_of(reason) == offsets

    simulate(story, Plan(unattributed="dead_letter"))


def test_errors_that_are_not_ready_are_asked_for_again() -> None:
    """FullStory may say that the job still runs when it has told its failure already."""

    async def story(world: World) -> None:
        world.fullstory.refuse = poison
        errors = world.fullstory.errors
        early = [Answer(202, {}), Answer(202, {})]

        async def later(kind: Kind, job_id: str, page_token: str) -> object:
            return early.pop() if early else await errors(kind, job_id, page_token)

        world.fullstory.errors = later  # type: ignore[method-assign, assignment]
        world.track("a"), world.track("b", fate="dead_lettered", poison=1)
        await world.settled()
        assert (early, world.letters_of("rejected")) == ([], [1])

    simulate(story)


def test_a_job_with_more_failures_than_it_tells_is_not_taken_for_complete() -> None:
    """Failures that match no item are as good as failures that cannot be read."""

    async def story(world: World) -> None:
        a_standard_key(world)
        world.fullstory.role = "ADMIN"
        world.fullstory.page_size = 0  # pages without an end: the list stays empty
        world.track("a", fate="dead_lettered"), world.track("b", fate="dead_lettered", poison=1)
        await world.settled()
        assert world.letters_of("unattributed") == [0, 1]

    simulate(story, Plan(unattributed="dead_letter"))


@pytest.mark.parametrize(
    ("role", "said"),
    [("USER", "cannot be read"), ("ADMIN", "is not told: 1 of its failures are of events that were sent")],
)
def test_a_halt_for_unknown_failures_says_why_they_are_unknown(role: str, said: str) -> None:
    """An owner of a key that may read errors is not told to get one: the halt says that an echo matches no event."""

    async def story(world: World) -> None:
        world.fullstory.role = role
        world.fullstory.refuse = poison
        errors = world.fullstory.errors

        async def foreign(kind: Kind, job_id: str, page_token: str) -> object:
            answer = await errors(kind, job_id, page_token)
            if isinstance(answer, Answer) and answer.status == 200:
                answer.body["results"][0]["event"] = {"name": "another"}
            return answer

        world.fullstory.errors = foreign  # type: ignore[method-assign, assignment]
        world.track("a", poison=1), world.track("b", poison=1)
        await world.until(lambda: HaltReason.UNATTRIBUTED in world.member.gate.halts)
        assert said in world.member.gate.halts[HaltReason.UNATTRIBUTED].cause

    simulate(story)


def test_records_that_say_nothing_sensible_need_no_fullstory() -> None:
    """A batch without items settles by its dead letters alone, and one of filtered records at once."""

    async def story(world: World) -> None:
        world.send(b"\xff", "dead_lettered"), world.send(b"{}", "dead_lettered")
        await asyncio.sleep(2.0)
        world.send(None, "filtered"), world.send(b'{"type":"page"}', "filtered")
        await world.settled()
        assert not world.posts
        assert world.letters_of(DeadLetterReason.MALFORMED) == [0]
        assert world.letters_of(DeadLetterReason.UNKNOWN_TYPE) == [1]
        assert {header(letter, "fullstory.dlq.attempts") for letter in world.letters.letters} == {"0"}

    simulate(story)


def test_the_worker_tells_what_it_does() -> None:
    """Batches, retries and jobs are told as they happen."""

    async def story(world: World) -> None:
        world.fullstory.script.append(Refused(503))
        world.identify("a"), world.identify("b"), world.track("a")
        await world.settled()
        observer = world.member.observer
        assert [(notice.users, notice.events) for notice in observer.of(Built)] == [(2, 1)]
        assert observer.of(Retried) == [Retried(RetryReason.SERVER_ERROR, status=503)]
        assert [notice.kind for notice in observer.of(JobEnded)] == [Kind.USER]

    simulate(story)


def test_one_bad_item_in_a_job_of_fifty_thousand_is_dead_lettered_alone() -> None:
    """With FullStory's own reason; nothing is sent twice."""
    size, bad = 50_000, 31_234

    async def story(world: World) -> None:
        world.fullstory.refuse = lambda _kind, item: "invalid_argument" if item["user"]["uid"] == f"u{bad}" else None
        world.fullstory.weather.job_duration_s = (2.0, 2.0)
        for number in range(size):
            world.track(f"u{number}", fate="dead_lettered" if number == bad else "delivered")
        await world.settled()
        assert [len(post.items) for post in world.posts] == [size]
        assert world.letters_of("rejected") == [bad]
        assert header(world.letters.letters[0], "fullstory.dlq.detail") == "FullStory's job answers invalid_argument"
        assert len(world.fullstory.effects) == size - 1

    simulate(story, Plan(max_records=size, max_bytes=50_000_000, budget_bytes=1_000_000_000))
