"""The `Destination` port: one suite over the fake that simulations use and over the real client with the sandbox."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any, Protocol

import orjson
import pytest

from processor.adapters.fullstory import ApiKey, FullStory
from processor.engine.verdict import (
    Accepted,
    Answer,
    Completed,
    Delivered,
    ErrorPage,
    Failed,
    Halt,
    NoAnswer,
    Retry,
    RetryReason,
    Running,
    Unknown,
    Unreadable,
    of_errors,
    of_job,
    of_post,
)
from processor.model.outcomes import Rejected
from processor.model.reasons import HaltReason, Kind
from processor.runtime.ports import Destination
from processor.sandbox import Faults, Role, Sandbox, SandboxOptions
from tests.fakes.fullstory import FakeFullStory, Fault, Lost, Refused

Json = dict[str, Any]

KEY = "na1.architect"
JOB_S = 10.0
PAGE_SIZE = 2
MAX_BODY_BYTES = 10_000

USER = {"uid": "u1", "email": "u1@example.com", "properties": {"plan": "pro"}}
EVENT = {"name": "Order Completed", "timestamp": "2026-01-02T03:04:05Z", "user": {"uid": "u1"}}
NAMELESS = {"name": "", "timestamp": "2026-01-02T03:04:05Z", "user": {"uid": "u1"}}
ITEMS = {Kind.USER: USER, Kind.EVENT: EVENT}


class ManualClock:
    """Time that passes only when a test says so; the `Clock` of the worker and of the sandbox."""

    def __init__(self) -> None:
        self.time = 1_767_323_045.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.time

    wall = monotonic = now


class Stage(Protocol):
    """A FullStory to call, and what a test may do to it."""

    destination: Destination
    clock: ManualClock

    def effects(self, kind: Kind) -> list[Json]:
        """What took effect by now, in order."""

    def meeting(self, fault: Fault) -> AbstractContextManager[None]:
        """Let POSTs within the context meet this."""

    def slow(self, seconds: float) -> None:
        """Let every POST from now on take so long."""

    def grant(self, role: str | None) -> None:
        """Give the key a role; None revokes it."""

    def forget_jobs(self) -> None:
        """Let every job be unknown."""


class FakeStage:
    """The fake."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self._fake = FakeFullStory(now=self.clock.now)
        self.destination: Destination = self._fake
        self._fake.weather.job_duration_s = (JOB_S, JOB_S)
        self._fake.page_size = PAGE_SIZE
        self._fake.max_body_bytes = MAX_BODY_BYTES

    def effects(self, kind: Kind) -> list[Json]:
        """What took effect by now, in order."""
        return [effect.item for effect in self._fake.effects if effect.kind is kind]

    @contextmanager
    def meeting(self, fault: Fault) -> Iterator[None]:
        """Let POSTs within the context meet this."""
        self._fake.script.append(fault)
        yield
        assert not self._fake.script

    def slow(self, seconds: float) -> None:
        """Let every POST from now on take so long."""
        self._fake.weather.latency_s = (seconds, seconds)

    def grant(self, role: str | None) -> None:
        """Give the key a role; None revokes it."""
        self._fake.is_key_revoked = role is None
        self._fake.role = role or ""

    def forget_jobs(self) -> None:
        """Let every job be unknown."""
        self._fake.jobs_unknown = True


class SandboxStage:
    """The real client and the sandbox on a loopback port."""

    def __init__(self, sandbox: Sandbox, destination: FullStory, clock: ManualClock) -> None:
        self.clock = clock
        self.destination: Destination = destination
        self._sandbox = sandbox

    def effects(self, kind: Kind) -> list[Json]:
        """What took effect by now, in order."""
        return [effect.item for effect in self._sandbox.truth.effects if effect.kind == kind.value]

    @contextmanager
    def meeting(self, fault: Fault) -> Iterator[None]:
        """Let POSTs within the context meet this."""
        self._sandbox.faults.update(_as_faults(fault), self.clock.now())
        yield
        self._sandbox.faults.update(_as_faults(fault, ratio=0.0), self.clock.now())

    def slow(self, seconds: float) -> None:
        """Let every POST from now on take so long."""
        self._sandbox.faults.latency_s = seconds

    def grant(self, role: str | None) -> None:
        """Give the key a role; None revokes it."""
        self._sandbox.keys.change(KEY, None if role is None else Role(role))

    def forget_jobs(self) -> None:
        """Let every job be unknown."""
        self._sandbox.faults.jobs_not_found = True


def _as_faults(fault: Fault, ratio: float = 1.0) -> Json:
    if isinstance(fault, Lost):
        return {"drop_after_ratio" if fault.took_effect else "drop_before_ratio": ratio}
    if fault.status == 429:
        return {"throttle_ratio": ratio, "retry_after_s": int(fault.retry_after_s or 0)}
    return {"error_ratio": ratio, "error_status": fault.status}


@asynccontextmanager
async def fake() -> AsyncIterator[Stage]:
    """Run over the fake."""
    yield FakeStage()


@asynccontextmanager
async def sandbox() -> AsyncIterator[Stage]:
    """Run over the real client."""
    clock = ManualClock()
    options = SandboxOptions(
        keys={KEY: Role.ARCHITECT},
        org_id="FAKE-na1",
        faults=Faults(job_duration_s=(JOB_S, JOB_S)),
        page_size=PAGE_SIZE,
        max_body_bytes=MAX_BODY_BYTES,
        hard_job_ids=True,
    )
    async with Sandbox(options, clock) as server, FullStory(ApiKey(KEY), clock, base_url=server.url) as client:
        yield SandboxStage(server, client, clock)


def over_both(scenario: Callable[[Stage], Awaitable[None]]) -> Callable[..., None]:
    """Make a test of a coroutine function, once for the fake and once for the real client."""

    def test(open_stage: Callable[[], AbstractAsyncContextManager[Stage]]) -> None:
        async def run() -> None:
            async with open_stage() as stage:
                await scenario(stage)

        asyncio.run(run())

    test.__name__, test.__doc__ = getattr(scenario, "__name__", "test"), scenario.__doc__
    return pytest.mark.parametrize("open_stage", [fake, sandbox])(test)


def batch_of(*items: Json) -> bytes:
    """Return the body of a batch request."""
    return orjson.dumps({"requests": items})


async def post(stage: Stage, kind: Kind, item: Json, key: str = "k1") -> Answer | NoAnswer:
    """POST one item."""
    return await stage.destination.post(kind, orjson.dumps(item), key, batch=False)


async def accepted(stage: Stage, kind: Kind, *items: Json, key: str = "k1") -> str:
    """POST a batch and return its job id."""
    verdict = of_post(await stage.destination.post(kind, batch_of(*items), key, batch=True), kind, batch=True)
    assert isinstance(verdict, Accepted)
    return verdict.job_id


def status_of(answer: Answer | NoAnswer) -> int:
    """Return the status of what must be an answer."""
    assert isinstance(answer, Answer)
    return answer.status


@over_both
async def test_a_single_item_has_taken_effect_when_it_is_answered(stage: Stage) -> None:
    """A single user or event has taken effect when its delivered answer arrives."""
    for number, (kind, item) in enumerate(ITEMS.items()):
        answer = await post(stage, kind, item, f"k{number}")

        assert of_post(answer, kind, batch=False) == Delivered()
        assert stage.effects(kind) == [item]


@over_both
async def test_an_item_that_breaks_a_rule_is_rejected_with_a_code(stage: Stage) -> None:
    """A single request at fault is answered 400 and has no effect."""
    answer = await post(stage, Kind.EVENT, NAMELESS)

    verdict = of_post(answer, Kind.EVENT, batch=False)
    assert isinstance(verdict, Rejected)
    assert (verdict.http_status, "invalid_argument" in verdict.detail) == (400, True)
    assert stage.effects(Kind.EVENT) == []


@over_both
async def test_a_job_takes_effect_when_it_completes(stage: Stage) -> None:
    """An accepted batch runs for a while; then all of its items have taken effect."""
    for number, kind in enumerate(ITEMS):
        items = [{**ITEMS[kind], "properties": {"n": n}} for n in range(5)]
        job_id = await accepted(stage, kind, *items, key=f"k{number}")

        assert of_job(await stage.destination.job(kind, job_id)) == Running()
        assert stage.effects(kind) == []

        stage.clock.time += JOB_S

        assert of_job(await stage.destination.job(kind, job_id)) == Completed()
        assert sorted(stage.effects(kind), key=str) == sorted(items, key=str)


@over_both
async def test_a_job_with_bad_items_fails_in_part(stage: Stage) -> None:
    """In a failed job the good items take effect, and the bad ones are echoed with a code."""
    job_id = await accepted(stage, Kind.EVENT, EVENT, NAMELESS)
    stage.clock.time += JOB_S

    assert of_job(await stage.destination.job(Kind.EVENT, job_id)) == Failed(1)
    page = of_errors(await stage.destination.errors(Kind.EVENT, job_id, ""))
    assert isinstance(page, ErrorPage)
    assert [(each["event"], each["code"]) for each in page.failures] == [(NAMELESS, "invalid_argument")]
    assert page.next_token == ""
    assert stage.effects(Kind.EVENT) == [EVENT]


@over_both
async def test_pages_of_failed_items_end_and_hold_each_once(stage: Stage) -> None:
    """Following the tokens gives every failed item exactly once."""
    failing = [{**NAMELESS, "properties": {"n": n}} for n in range(2 * PAGE_SIZE + 1)]
    job_id = await accepted(stage, Kind.EVENT, *failing)
    stage.clock.time += JOB_S

    found: list[int] = []
    token, pages = "", 0
    while not pages or token:
        page = of_errors(await stage.destination.errors(Kind.EVENT, job_id, token))
        assert isinstance(page, ErrorPage)
        found += [each["event"]["properties"]["n"] for each in page.failures]
        token, pages = page.next_token, pages + 1

    assert (sorted(found), pages) == (list(range(len(failing))), 3)


@over_both
async def test_errors_of_a_running_job_are_not_there_yet(stage: Stage) -> None:
    """The errors of a running job are answered 202."""
    job_id = await accepted(stage, Kind.EVENT, NAMELESS)

    assert of_errors(await stage.destination.errors(Kind.EVENT, job_id, "")) == Running()


@over_both
async def test_a_job_without_failures_has_no_errors_to_read(stage: Stage) -> None:
    """The errors of a completed job are answered 404, which is no fault of the job."""
    job_id = await accepted(stage, Kind.EVENT, EVENT)
    stage.clock.time += JOB_S

    assert of_job(await stage.destination.job(Kind.EVENT, job_id)) == Completed()
    assert of_errors(await stage.destination.errors(Kind.EVENT, job_id, "")) == Unknown()


@over_both
async def test_a_standard_key_may_follow_a_job_but_not_read_its_errors(stage: Stage) -> None:
    """The state is answered, the errors are refused with 403."""
    stage.grant("USER")
    job_id = await accepted(stage, Kind.EVENT, NAMELESS)
    stage.clock.time += JOB_S

    assert of_job(await stage.destination.job(Kind.EVENT, job_id)) == Failed(1)
    assert of_errors(await stage.destination.errors(Kind.EVENT, job_id, "")) == Unreadable()


@over_both
async def test_a_job_of_the_other_kind_or_none_is_unknown(stage: Stage) -> None:
    """Job ids belong to one kind; whatever characters they hold, they arrive unchanged."""
    job_id = await accepted(stage, Kind.USER, USER)

    for kind, wanted in ((Kind.EVENT, job_id), (Kind.USER, "no such/+job=?#%")):
        assert of_job(await stage.destination.job(kind, wanted)) == Unknown()
        assert of_errors(await stage.destination.errors(kind, wanted, "")) == Unknown()


@over_both
async def test_a_forgotten_job_is_unknown(stage: Stage) -> None:
    """State and errors of a forgotten job are answered 404."""
    job_id = await accepted(stage, Kind.USER, USER)
    stage.forget_jobs()

    assert of_job(await stage.destination.job(Kind.USER, job_id)) == Unknown()
    assert of_errors(await stage.destination.errors(Kind.USER, job_id, "")) == Unknown()


@over_both
async def test_me_tells_organisation_and_role(stage: Stage) -> None:
    """`/me` tells a key's organisation and role."""
    for role in ("ARCHITECT", "USER"):
        stage.grant(role)

        answer = await stage.destination.me()

        assert isinstance(answer, Answer)
        assert (answer.body["orgId"], answer.body["role"]) == ("FAKE-na1", role)


@over_both
async def test_a_revoked_key_is_unauthorised_everywhere(stage: Stage) -> None:
    """Every call is answered 401, nothing takes effect, and the Idempotency-Key stays free."""
    job_id = await accepted(stage, Kind.USER, USER, key="k0")
    stage.grant(None)

    answers = [
        await post(stage, Kind.EVENT, EVENT),
        await stage.destination.job(Kind.USER, job_id),
        await stage.destination.errors(Kind.USER, job_id, ""),
        await stage.destination.me(),
    ]
    assert [status_of(answer) for answer in answers] == [401] * 4

    stage.grant("ARCHITECT")
    assert of_post(await post(stage, Kind.EVENT, EVENT), Kind.EVENT, batch=False) == Delivered()
    assert stage.effects(Kind.EVENT) == [EVENT]


@over_both
async def test_a_repeat_under_the_same_key_is_replayed(stage: Stage) -> None:
    """Single or batch, the first answer comes again, and the items take effect once."""
    first, second = await post(stage, Kind.EVENT, EVENT, "k1"), await post(stage, Kind.EVENT, EVENT, "k1")
    assert first == second

    jobs = {await accepted(stage, Kind.USER, USER, key="k2") for _ in range(2)}
    stage.clock.time += JOB_S
    assert len(jobs) == 1
    assert (stage.effects(Kind.EVENT), stage.effects(Kind.USER)) == ([EVENT], [USER])


@over_both
async def test_a_rejection_is_replayed_too(stage: Stage) -> None:
    """A 400 is replayed under its key like any other answer."""
    assert await post(stage, Kind.EVENT, NAMELESS) == await post(stage, Kind.EVENT, NAMELESS)


@over_both
async def test_a_key_used_with_another_body_conflicts(stage: Stage) -> None:
    """A key used with another body is answered 409 and has no effect."""
    await post(stage, Kind.EVENT, EVENT)

    assert status_of(await post(stage, Kind.EVENT, {**EVENT, "name": "Other"})) == 409
    assert stage.effects(Kind.EVENT) == [EVENT]


@over_both
async def test_a_key_at_work_conflicts(stage: Stage) -> None:
    """Of two requests at once under one key, one is carried out and the other answered 409."""
    stage.slow(0.5)

    answers = await asyncio.gather(post(stage, Kind.EVENT, EVENT), post(stage, Kind.EVENT, EVENT))

    assert sorted(map(status_of, answers)) == [200, 409]
    assert stage.effects(Kind.EVENT) == [EVENT]


@over_both
async def test_a_request_lost_on_its_way_has_no_effect_until_it_is_repeated(stage: Stage) -> None:
    """A request that is lost on its way is returned as a value, and its repeat is carried out."""
    with stage.meeting(Lost(took_effect=False)):
        assert await post(stage, Kind.EVENT, EVENT) == NoAnswer(RetryReason.CONNECTION)
    assert stage.effects(Kind.EVENT) == []

    assert of_post(await post(stage, Kind.EVENT, EVENT), Kind.EVENT, batch=False) == Delivered()
    assert stage.effects(Kind.EVENT) == [EVENT]


@over_both
async def test_a_lost_answer_comes_back_with_the_repeat(stage: Stage) -> None:
    """If only the answer was lost, the repeat returns it and has no second effect."""
    with stage.meeting(Lost(took_effect=True)):
        assert await post(stage, Kind.EVENT, EVENT) == NoAnswer(RetryReason.CONNECTION)
    assert stage.effects(Kind.EVENT) == [EVENT]

    assert of_post(await post(stage, Kind.EVENT, EVENT), Kind.EVENT, batch=False) == Delivered()
    assert stage.effects(Kind.EVENT) == [EVENT]


@over_both
async def test_a_lost_job_is_found_again_by_its_key(stage: Stage) -> None:
    """The repeat of a batch whose answer was lost gives the id of the job that is running already."""
    with stage.meeting(Lost(took_effect=True)):
        lost = await stage.destination.post(Kind.USER, batch_of(USER), "k1", batch=True)
    assert lost == NoAnswer(RetryReason.CONNECTION)

    job_id = await accepted(stage, Kind.USER, USER)
    stage.clock.time += JOB_S

    assert of_job(await stage.destination.job(Kind.USER, job_id)) == Completed()
    assert stage.effects(Kind.USER) == [USER]


@over_both
async def test_throttling_names_a_time_and_leaves_the_key_free(stage: Stage) -> None:
    """A 429 says when to come back, has no effect, and its repeat is carried out."""
    with stage.meeting(Refused(429, retry_after_s=7)):
        answer = await post(stage, Kind.EVENT, EVENT)
    assert of_post(answer, Kind.EVENT, batch=False) == Retry(RetryReason.THROTTLED, 429, 7.0)
    assert stage.effects(Kind.EVENT) == []

    assert of_post(await post(stage, Kind.EVENT, EVENT), Kind.EVENT, batch=False) == Delivered()


@over_both
async def test_an_unavailable_server_leaves_the_key_free(stage: Stage) -> None:
    """A 503 has no effect, and its repeat is carried out."""
    with stage.meeting(Refused(503)):
        answer = await post(stage, Kind.EVENT, EVENT)
    assert of_post(answer, Kind.EVENT, batch=False) == Retry(RetryReason.SERVER_ERROR, 503)
    assert stage.effects(Kind.EVENT) == []

    assert of_post(await post(stage, Kind.EVENT, EVENT), Kind.EVENT, batch=False) == Delivered()


@over_both
async def test_a_literal_500_is_replayed_under_its_key(stage: Stage) -> None:
    """A literal 500 is replayed under its key, so that only a new key leads on."""
    with stage.meeting(Refused(500)):
        assert status_of(await post(stage, Kind.EVENT, EVENT)) == 500

    assert status_of(await post(stage, Kind.EVENT, EVENT)) == 500
    assert status_of(await post(stage, Kind.EVENT, EVENT, "k2")) == 200


@over_both
async def test_a_body_beyond_the_limit_is_too_large(stage: Stage) -> None:
    """A body beyond the limit is answered 413 without effect."""
    large = {**EVENT, "properties": {"text": "x" * MAX_BODY_BYTES}}

    assert status_of(await post(stage, Kind.EVENT, large)) == 413
    assert stage.effects(Kind.EVENT) == []


@over_both
async def test_a_batch_without_items_is_refused(stage: Stage) -> None:
    """A batch without items is answered 400."""
    assert status_of(await stage.destination.post(Kind.USER, batch_of(), "k1", batch=True)) == 400


@over_both
async def test_a_cancelled_call_ends_as_cancelled(stage: Stage) -> None:
    """Cancellation is no failure of FullStory and becomes no value; the next call works."""
    stage.slow(0.5)
    call = asyncio.create_task(post(stage, Kind.EVENT, EVENT))
    await asyncio.sleep(0.05)
    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call
    stage.slow(0.0)
    assert status_of(await post(stage, Kind.USER, USER, "k2")) == 200


@over_both
async def test_a_user_is_deleted_and_one_who_is_gone_counts_as_deleted(stage: Stage) -> None:
    """What is in a uid does not lead elsewhere."""
    uid = "a b/?&uid=c%2F+ü"
    await post(stage, Kind.USER, {**USER, "uid": uid})
    for _ in range(2):
        answer = await stage.destination.delete(uid)
        assert of_post(answer, Kind.DELETION, batch=False) == Delivered()


@over_both
async def test_a_key_of_a_lower_level_deletes_nobody(stage: Stage) -> None:
    """It is a halt, not a rejection."""
    await post(stage, Kind.USER, USER)
    stage.grant("USER")
    verdict = of_post(await stage.destination.delete("u1"), Kind.DELETION, batch=False)
    assert isinstance(verdict, Halt)
    assert verdict.reason is HaltReason.FORBIDDEN
