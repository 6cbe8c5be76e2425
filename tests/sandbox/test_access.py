"""Who may call what: docs/fullstory-api.md#authentication and #endpoints."""

import asyncio

import pytest
from yarl import URL

from processor.sandbox import Role
from tests.sandbox.stage import ARCHITECT, EVENT, STANDARD, USER, Api, on_sandbox

WRITES = [
    ("POST", "/users", USER),
    ("POST", "/users/stream", USER),
    ("POST", "/users/batch", {"requests": [USER]}),
    ("POST", "/events", EVENT),
    ("POST", "/events/batch", {"requests": [EVENT]}),
    ("GET", "/organization/quotas", None),
]
READS = [
    ("GET", "/users"),
    ("GET", "/users/1"),
    ("DELETE", "/users/1"),
    ("DELETE", "/users?uid=u1"),
    ("GET", "/users/batch/1/imports"),
    ("GET", "/users/batch/1/errors"),
    ("GET", "/events/batch/1/imports"),
    ("GET", "/events/batch/1/errors"),
    ("GET", "/users/stream/1"),
]


@pytest.mark.parametrize("prefix", ["/v2", "/v2beta"])
@pytest.mark.parametrize(("method", "path", "body"), WRITES)
@on_sandbox()
async def test_a_standard_key_may_write(api: Api, prefix: str, method: str, path: str, body: object) -> None:
    """Creating users, events and jobs asks for no more than a Standard key, under either prefix."""
    assert (await api.call(method, prefix + path, body, key=STANDARD)).status == 200


@pytest.mark.parametrize(("method", "path"), READS)
@on_sandbox()
async def test_a_standard_key_may_neither_read_nor_delete(api: Api, method: str, path: str) -> None:
    """Viewing and deleting data, failed items included, asks for an Architect's key."""
    reply = await api.call(method, "/v2" + path, key=STANDARD)
    assert (reply.status, reply.code) == (403, "forbidden")
    assert (await api.call(method, "/v2" + path)).status != 403


@on_sandbox()
async def test_a_standard_key_learns_how_many_items_failed_but_not_which(api: Api) -> None:
    """The counts of a job's status are open to every key that may write; the items are not."""
    job = await api.finished_job("events", [EVENT, {"name": ""}])
    status = await api.get(job, key=STANDARD)
    assert (status.body["imports"], status.body["errors"]) == (1, 1)
    assert (await api.get(f"{job}/errors", key=STANDARD)).status == 403


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Basic", "Basic ", f"Bearer {ARCHITECT}", f"basic {ARCHITECT}", ARCHITECT, "Basic nobody", "Basic =="],
)
@on_sandbox()
async def test_a_key_that_is_missing_wrong_or_wrapped_is_unauthorized(api: Api, authorization: str | None) -> None:
    """Only `Basic` and the key verbatim is let in; the refusal says so in FullStory's words."""
    headers = {} if authorization is None else {"Authorization": authorization}
    reply = await api.call("POST", "/v2/events", EVENT, key=None, **headers)
    assert (reply.status, reply.code) == (401, "unauthorized")
    assert api.items("event") == []


@pytest.mark.parametrize("role", list(Role))
@on_sandbox(keys={"k": Role.ADMIN})
async def test_every_key_may_ask_who_it_is(api: Api, role: Role) -> None:
    """GET /me answers the organisation and the role, even of a key that may do nothing else."""
    api.sandbox.keys.change("k", role)
    reply = await api.call("GET", "/me", key="k")
    assert (reply.status, reply.body["orgId"], reply.body["role"]) == (200, "SANDBOX-na1", role)
    may_write = role in (Role.ADMIN, Role.ARCHITECT, Role.USER)
    assert (await api.post("/events", EVENT, key="k")).status == (200 if may_write else 403)


@on_sandbox()
async def test_a_revoked_key_is_unauthorized_until_it_is_restored(api: Api) -> None:
    """Keys change at run time, and what a key may do is decided at each request."""
    await api.call("POST", "/sandbox/keys", {STANDARD: None}, key=None)
    assert (await api.post("/events", EVENT, key=STANDARD)).status == 401
    assert (await api.call("GET", "/me", key=STANDARD)).status == 401
    await api.call("POST", "/sandbox/keys", {STANDARD: "USER"}, key=None)
    assert (await api.post("/events", EVENT, key=STANDARD)).status == 200


@pytest.mark.parametrize(("method", "path"), [("GET", "/v2/nothing"), ("POST", "/v2"), ("GET", "/v3/users")])
@on_sandbox()
async def test_paths_that_do_not_exist_are_not_found(api: Api, method: str, path: str) -> None:
    """A path the API does not have is answered 404, and only to a key that is known."""
    reply = await api.call(method, path)
    assert (reply.status, reply.code) == (404, "resource_not_found")
    assert reply.body["message"] == "Requested resource does not exist"
    assert (await api.call(method, path, key="nobody")).status == 401


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v2/users", "POST, GET, DELETE"),
        ("PATCH", "/v2/users/1", "POST, GET, DELETE"),
        ("GET", "/v2/users/batch", "POST"),
        ("DELETE", "/v2/events/batch/1", "GET"),
        ("GET", "/v2beta/events", "POST"),
        ("POST", "/me", "GET"),
    ],
)
@on_sandbox()
async def test_a_method_that_a_path_does_not_take_is_answered_with_those_that_it_takes(
    api: Api, method: str, path: str, allowed: str
) -> None:
    """The status is 405 with `Allow`, and only to a key that is known; such requests are counted by path."""
    reply = await api.call(method, path)
    assert (reply.status, reply.code, reply.headers["Allow"]) == (405, "method_not_allowed", allowed)
    assert (await api.call(method, path, key="nobody")).status == 401
    ((endpoint, counts),) = (await api.stats())["requests"].items()
    assert (endpoint.split()[0], counts) == ("*", {"401": 1, "405": 1})


@on_sandbox()
async def test_quotas_count_events_of_the_month_as_strings(api: Api) -> None:
    """The quota answer counts events, writes counts as strings and covers the month of its clock."""
    await api.post("/events", EVENT)
    quota = (await api.get("/organization/quotas")).body["server_event_quota"]
    assert quota == {
        "usage": "1",
        "limit": "1000000",
        "period_start": "2026-01-01T00:00:00.000Z",
        "period_end": "2026-02-01T00:00:00.000Z",
    }


@on_sandbox()
async def test_a_body_that_breaks_off_is_no_fault_of_the_sandbox(api: Api) -> None:
    """A client that goes away in the middle of its body has no effect, and no traceback is logged."""
    host, port = URL(api.sandbox.url).host, URL(api.sandbox.url).port
    _, writer = await asyncio.open_connection(host, port)
    head = f"POST /v2/events HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {ARCHITECT}\r\nContent-Length: 1000\r\n\r\n"
    writer.write(head.encode() + b'{"name": "Begun')
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    assert (await api.post("/events", EVENT)).status == 200
    assert len(api.items("event")) == 1
