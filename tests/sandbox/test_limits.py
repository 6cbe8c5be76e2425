"""How much may be asked, and when: docs/fullstory-api.md#limits."""

import gzip
from email.utils import parsedate_to_datetime

import pytest

from tests.sandbox.stage import EVENT, JOB_S, STANDARD, Api, Reply, on_sandbox


def assert_throttled(reply: Reply, wait_s: int) -> None:
    """A 429 always says for how many whole seconds."""
    assert (reply.status, reply.code, reply.headers["Retry-After"]) == (429, "too_many_requests", str(wait_s))


@on_sandbox(max_items=3)
async def test_a_batch_has_a_largest_number_of_items(api: Api) -> None:
    """One item too many refuses the whole request."""
    assert (await api.post("/events/batch", {"requests": [EVENT] * 3})).status == 200
    assert (await api.post("/events/batch", {"requests": [EVENT] * 4})).status == 400


@on_sandbox(running_jobs=2, max_jobs=3, hard_stop_retry_after_s=7)
async def test_the_hard_stop_counts_running_and_queued_jobs_of_both_kinds(api: Api) -> None:
    """At the limit of jobs in progress a batch is 429 however rarely one asks; single requests go on."""
    for kind in ("users", "events", "users"):
        await api.job(kind, [{"name": "n"}])
    assert_throttled(await api.post("/events/batch", {"requests": [EVENT]}), 7)
    assert (await api.post("/events", EVENT)).status == 200
    api.clock.time += JOB_S
    assert (await api.post("/events/batch", {"requests": [EVENT]})).status == 200
    assert (await api.stats())["jobs"]["max_in_progress"] == 3


@on_sandbox(max_operations=10)
async def test_the_hard_stop_counts_single_operations_of_jobs_in_progress(api: Api) -> None:
    """The hard stop counts items: what fits is accepted, and the rest is 429 until a job ends."""
    await api.job("events", [EVENT] * 6)
    assert_throttled(await api.post("/users/batch", {"requests": [{}] * 5}), 1)
    await api.job("users", [{}] * 4)
    assert_throttled(await api.post("/events/batch", {"requests": [EVENT]}), 1)
    operations = (await api.stats())["operations"]
    assert operations == {"in_progress": 10, "max_in_progress": 10}
    api.clock.time += JOB_S
    await api.job("events", [EVENT] * 10)


@on_sandbox(requests_per_s=2.0, burst=3)
async def test_a_burst_is_spent_and_refills_at_the_steady_rate(api: Api) -> None:
    """Three at once, then 429 with the whole seconds until the next token; refusals cost nothing."""
    for _ in range(3):
        assert (await api.post("/events", EVENT)).status == 200
    for _ in range(5):
        assert_throttled(await api.post("/events", EVENT), 1)
    api.clock.time += 0.5
    assert (await api.post("/events", EVENT)).status == 200
    assert_throttled(await api.post("/events", EVENT), 1)
    api.clock.time += 100
    statuses = [(await api.post("/events", EVENT)).status for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    assert (await api.stats())["throttled"] == 7


@on_sandbox(requests_per_s=0.1, burst=1)
async def test_the_rate_counts_every_request_of_a_known_key(api: Api) -> None:
    """Reads use the budget too, under any key of the organisation; strangers are refused before they do."""
    assert (await api.call("GET", "/me", key="nobody")).status == 401
    assert (await api.call("GET", "/me", key=STANDARD)).status == 200
    assert_throttled(await api.post("/events", EVENT), 10)


@on_sandbox(requests_per_s=0.4, burst=1, retry_after_as_date=True)
async def test_retry_after_may_be_a_date(api: Api) -> None:
    """The date is rounded up, so that obeying it is enough."""
    await api.post("/events", EVENT)
    reply = await api.post("/events", EVENT)
    until = parsedate_to_datetime(reply.headers["Retry-After"]).timestamp()
    assert until == api.clock.time + 3
    api.clock.time = until
    assert (await api.post("/events", EVENT)).status == 200


@on_sandbox(early_grace_s=0.25)
async def test_posts_before_the_end_of_a_retry_after_are_counted(api: Api) -> None:
    """A POST before the announced end is counted as early, unless it was on its way already."""
    await api.faults(throttle_ratio=1, retry_after_s=10)
    await api.post("/events", EVENT)
    await api.faults(throttle_ratio=0)
    api.clock.time += 0.2
    await api.post("/events", EVENT)
    assert (await api.stats())["early_requests"] == 0
    api.clock.time += 3.8
    await api.post("/events", EVENT)
    await api.call("GET", "/me")
    stats = await api.stats()
    assert (stats["early_requests"], stats["earliest_margin_s"]) == (1, pytest.approx(-6))
    api.clock.time += 6
    await api.post("/events", EVENT)
    assert (await api.stats())["early_requests"] == 1


@on_sandbox(max_body_bytes=1_000)
async def test_a_body_has_a_largest_size(api: Api) -> None:
    """One byte too many is 413, whatever is in it."""
    body = b'{"name": "n", "page_properties": {"a": "%s"}}'
    filler = 1_000 - len(body) + 2
    assert (await api.post("/events", body % (b"x" * filler))).status == 200
    reply = await api.post("/events", body % (b"x" * (filler + 1)))
    assert (reply.status, reply.code) == (413, "request_too_large")


@on_sandbox(max_body_bytes=1_000)
async def test_a_body_far_too_large_is_still_answered(api: Api) -> None:
    """The client gets its 413, not a broken connection, and the connection serves on."""
    assert (await api.post("/events", b"x" * 1_000_000)).status == 413
    assert (await api.post("/events", EVENT)).status == 200


@on_sandbox()
async def test_a_compressed_body_is_refused(api: Api) -> None:
    """No content encoding is documented; neither what is really compressed nor what only says so is read."""
    for body in (gzip.compress(b'{"name": "n"}'), EVENT):
        reply = await api.post("/events", body, Content_Encoding="gzip")
        assert (reply.status, reply.code) == (415, "unsupported_media_type")
