"""The sandbox's own endpoints: docs/fullstory-api.md#its-own-endpoints."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from processor.sandbox import Faults, Sandbox, server
from tests.sandbox.stage import EVENT, JOB_S, STANDARD, USER, Api, Json, on_sandbox


async def truth(api: Api, query: str = "") -> list[Json]:
    """GET /sandbox/truth."""
    reply = await api.call("GET", f"/sandbox/truth{query}", key=None)
    assert reply.headers["Content-Type"] == "application/x-ndjson"
    return [orjson.loads(line) for line in reply.body.splitlines()]


@on_sandbox()
async def test_the_truth_tells_each_effect_with_its_origin(api: Api) -> None:
    """The truth has one line per effect, in order, with its time, request, job and key."""
    await api.post("/users", USER, Idempotency_Key="k")
    path = await api.job("events", [EVENT])
    api.clock.time += JOB_S
    job = (await api.get(path)).body["job"]["id"]
    first = {"sequence": 1, "kind": "user", "via": "single", "job_id": None, "idempotency_key": "k", "request": 1}
    second = {"sequence": 2, "kind": "event", "via": "batch", "job_id": job, "idempotency_key": None, "request": 2}
    assert await truth(api) == [
        {**first, "at": api.clock.time - JOB_S, "item": USER},
        {**second, "at": api.clock.time, "item": EVENT},
    ]


@on_sandbox()
async def test_the_truth_is_read_by_kind_and_from_a_point_on(api: Api) -> None:
    """Filters combine; a point beyond the end yields nothing."""
    for n in range(3):
        await api.post("/users", USER)
        await api.post("/events", {"name": str(n)})
    assert [line["sequence"] for line in await truth(api, "?kind=event&after=2")] == [4, 6]
    assert await truth(api, "?after=6") == []
    assert await truth(api, "?kind=user&after=5") == []
    for query in ("?kind=job", "?after=-1", "?after=x"):
        assert (await api.call("GET", f"/sandbox/truth{query}", key=None)).status == 400


@on_sandbox(max_body_bytes=64 * 1024 * 1024)
async def test_a_long_truth_is_read_whole(api: Api) -> None:
    """Streaming in chunks neither drops nor repeats a line."""
    await api.finished_job("events", [{"name": "n"}] * 12_345)
    assert [line["sequence"] for line in await truth(api)] == list(range(1, 12_346))


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("POST", "/", "GET"), ("DELETE", "/sandbox/truth", "GET"), ("PUT", "/sandbox/faults", "GET, POST")],
)
@on_sandbox()
async def test_its_own_endpoints_say_which_methods_they_take(api: Api, method: str, path: str, allowed: str) -> None:
    """Another method is answered 405 with `Allow`, without a key like everything there."""
    reply = await api.call(method, path, key=None)
    assert (reply.status, reply.code, reply.headers["Allow"]) == (405, "method_not_allowed", allowed)


@on_sandbox()
async def test_users_are_shown_as_they_are_now(api: Api) -> None:
    """Users are shown by uid, or the newest so many, with their schema."""
    for n in range(4):
        await api.post("/users", {"uid": f"u{n}"})
    for query, expected in (("", "u0 u1 u2 u3"), ("?limit=2", "u2 u3"), ("?uid=u1", "u1"), ("?uid=u9", "")):
        users = (await api.call("GET", f"/sandbox/users{query}", key=None)).body
        assert [user["uid"] for user in users] == expected.split()
    assert (await api.call("GET", "/sandbox/users?limit=-2", key=None)).status == 400


@on_sandbox()
async def test_jobs_show_whether_somebody_read_their_end(api: Api) -> None:
    """A job whose final status nobody asked for was not followed to its end."""
    path = await api.job("events", [EVENT, {"name": ""}])
    await api.get(path)
    api.clock.time += JOB_S
    (job,) = (await api.call("GET", "/sandbox/jobs", key=None)).body
    outcome = {name: job[name] for name in ("kind", "via", "status", "items", "imports", "errors", "status_read")}
    assert outcome == {
        "kind": "event",
        "via": "batch",
        "status": "FAILED",
        "items": 2,
        "imports": 1,
        "errors": 1,
        "status_read": False,
    }
    await api.get(path)
    assert (await api.call("GET", "/sandbox/jobs", key=None)).body[0]["status_read"]


@on_sandbox(request_log=2)
async def test_the_last_requests_are_remembered_and_all_are_counted(api: Api) -> None:
    """The log holds headers that matter and what became of each request, for so many requests."""
    await api.get("/users")
    await api.post("/events", EVENT, Integration_Source="segment", Idempotency_Key="k")
    await api.post("/events", EVENT, Idempotency_Key="k")
    log = (await api.call("GET", "/sandbox/requests", key=None)).body
    fields = ("number", "method", "path", "integration_source", "idempotency_key", "status", "items", "replayed")
    assert [tuple(entry[name] for name in fields) for entry in log] == [
        (2, "POST", "/v2/events", "segment", "k", 200, 1, False),
        (3, "POST", "/v2/events", None, "k", 200, 1, True),
    ]
    stats = await api.stats()
    assert stats["requests"] == {"GET /users": {"200": 1}, "POST /events": {"200": 2}}
    assert (stats["requests_total"], stats["requests_in_progress"]) == (3, 0)


@on_sandbox()
async def test_the_limit_of_requests_changes_at_run_time(api: Api) -> None:
    """A rate limit that is set at run time holds at once, and can be lifted again."""
    none = {"requests_per_s": None, "burst": 10}
    assert (await api.call("GET", "/sandbox/limit", key=None)).body == none
    one = {"requests_per_s": 0.001, "burst": 2}
    assert (await api.call("POST", "/sandbox/limit", one, key=None)).body == one
    assert [(await api.post("/users", USER)).status for _ in range(3)] == [200, 200, 429]
    await api.call("POST", "/sandbox/limit", none, key=None)
    assert (await api.post("/users", USER)).status == 200


@pytest.mark.parametrize("wanted", [{}, {"requests_per_s": 0, "burst": 1}, {"requests_per_s": 1, "burst": True}, b"{"])
@on_sandbox()
async def test_a_limit_that_is_none_is_refused(api: Api, wanted: Any) -> None:
    """A limit that makes no sense is refused and changes nothing."""
    before = (await api.call("GET", "/sandbox/limit", key=None)).body
    assert (await api.call("POST", "/sandbox/limit", wanted, key=None)).status == 400
    assert (await api.call("GET", "/sandbox/limit", key=None)).body == before


@pytest.mark.parametrize("changes", [{"k": "BOSS"}, {"k": 1}, ["k"], b"{"])
@on_sandbox()
async def test_keys_take_known_roles_only(api: Api, changes: Any) -> None:
    """A refused change of keys changes none of them."""
    before = (await api.call("GET", "/sandbox/keys", key=None)).body
    body = {STANDARD: None, **changes} if isinstance(changes, dict) else changes
    assert (await api.call("POST", "/sandbox/keys", body, key=None)).status == 400
    assert (await api.call("GET", "/sandbox/keys", key=None)).body == before


@on_sandbox(faults=Faults(slow_job_s=5))
async def test_a_reset_forgets_everything_and_returns_to_the_start(api: Api) -> None:
    """Users, effects, jobs, requests and keys are as at the start, and so are the faults."""
    await api.post("/users", USER, Idempotency_Key="k")
    await api.job("events", [EVENT])
    await api.faults(throttle_ratio=1, slow_job_s=50)
    await api.call("POST", "/sandbox/keys", {STANDARD: None}, key=None)
    await api.call("POST", "/sandbox/reset", key=None)
    stats = await api.stats()
    assert (stats["users"], stats["requests_total"], stats["jobs"]["total"]) == (0, 0, 0)
    faults = (await api.call("GET", "/sandbox/faults", key=None)).body
    assert (faults["throttle_ratio"], faults["slow_job_s"]) == (0, 5)
    assert (await api.post("/users", USER, key=STANDARD, Idempotency_Key="k")).status == 200
    assert len(api.sandbox.truth.effects) == 1


@on_sandbox()
async def test_the_page_for_human_eyes_needs_no_other_host(api: Api) -> None:
    """The page is HTML and loads nothing from elsewhere."""
    reply = await api.call("GET", "/", key=None)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"://" not in reply.body


@on_sandbox()
async def test_two_sandboxes_share_nothing(api: Api) -> None:
    """Each has its own port and its own world."""
    async with Sandbox() as other:
        await api.post("/events", EVENT)
        assert other.url != api.sandbox.url
        assert other.truth.effects == []


def test_a_request_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection with half a request is closed in time."""
    monkeypatch.setattr(server, "KEEP_ALIVE_S", 0.05)

    async def wait() -> bytes:
        async with Sandbox() as sandbox:
            url = urlsplit(sandbox.url)
            reader, writer = await asyncio.open_connection(url.hostname, url.port)
            writer.write(b"GET /me HTTP/1.1\r\nHost: here\r\n")
            try:
                return await reader.read()
            finally:
                writer.close()

    assert asyncio.run(wait()) == b""
