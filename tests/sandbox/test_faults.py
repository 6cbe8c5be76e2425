"""What goes wrong on purpose: docs/fullstory-api.md#faults."""

from typing import Any

import aiohttp
import pytest

from processor.sandbox import Faults
from tests.sandbox.stage import EVENT, JOB_S, USER, Api, Json, on_sandbox


@on_sandbox()
async def test_throttling_is_injected_with_its_retry_after(api: Api) -> None:
    """The share of 429 answers and what they announce are set at run time."""
    await api.faults(throttle_ratio=1, retry_after_s=9)
    reply = await api.post("/events", EVENT)
    assert (reply.status, reply.code, reply.headers["Retry-After"]) == (429, "too_many_requests", "9")
    assert (await api.get("/events/batch/x")).status == 429


@pytest.mark.parametrize(("announce", "expected"), [(False, None), (True, "3")])
@on_sandbox()
async def test_server_errors_are_injected_without_effect(api: Api, announce: bool, expected: str | None) -> None:  # noqa: FBT001
    """An injected 5xx has no effect, and announces a wait only on request."""
    await api.faults(error_ratio=1, error_status=502, retry_after_on_5xx=announce, retry_after_s=3)
    reply = await api.post("/users", USER)
    assert (reply.status, reply.code, reply.headers.get("Retry-After")) == (502, "server_error", expected)
    assert api.items("user") == []


@pytest.mark.parametrize(("field", "effects"), [("drop_before_ratio", 0), ("drop_after_ratio", 1)])
@on_sandbox()
async def test_connections_drop_before_or_after_the_effect(api: Api, field: str, effects: int) -> None:
    """The client learns nothing either way; the truth knows."""
    await api.faults(**{field: 1})
    with pytest.raises(aiohttp.ClientConnectionError):
        await api.post("/events", EVENT)
    assert len(api.items("event")) == effects
    stats = await api.stats()
    assert stats["requests"]["POST /events"] == {"dropped": 1}
    assert stats["faults"] == {field.removesuffix("_ratio"): 1}


@on_sandbox()
async def test_an_outage_lasts_until_it_is_cleared(api: Api) -> None:
    """Every request gets the status, whatever its key; time alone changes nothing."""
    await api.faults(outage_status=503)
    api.clock.time += 1e6
    for reply in (await api.post("/events", EVENT), await api.call("GET", "/me", key="nobody")):
        assert (reply.status, reply.code) == (503, "server_error")
    await api.faults(outage_status=None)
    assert (await api.post("/events", EVENT)).status == 200


@on_sandbox()
async def test_an_outage_may_end_by_itself(api: Api) -> None:
    """`outage_s` counts from now; a later outage without it has no end."""
    await api.faults(outage_status=401, outage_s=30)
    api.clock.time += 29.9
    assert (await api.post("/events", EVENT)).status == 401
    api.clock.time += 0.1
    assert (await api.post("/events", EVENT)).status == 200
    await api.faults(outage_status=503)
    api.clock.time += 100
    assert (await api.post("/events", EVENT)).status == 503


@on_sandbox()
async def test_latency_comes_before_the_effect(api: Api) -> None:
    """A client that gives up waiting finds that nothing happened, or that it happens later: never an answer."""
    await api.faults(latency_s=30)
    with pytest.raises(TimeoutError):
        async with api.client.post(
            api.sandbox.url + "/v2/events",
            json=EVENT,
            headers={"Authorization": "Basic na1.architect"},
            timeout=aiohttp.ClientTimeout(total=0.05),
        ):
            pass
    assert api.items("event") == []


@on_sandbox()
async def test_slow_jobs_are_a_share_or_all(api: Api) -> None:
    """The duration of jobs accepted from now on is set at run time, and so is how much longer some of them take."""
    before = await api.job("events", [EVENT])
    await api.faults(job_duration_s=[100, 100])
    slow = await api.job("events", [EVENT])
    await api.faults(slow_job_ratio=1, slow_job_s=900)
    slowest = await api.job("events", [EVENT])
    finished = []
    for seconds in (10, 90, 899, 1):
        api.clock.time += seconds
        statuses = [(await api.get(path)).body["job"]["status"] for path in (before, slow, slowest)]
        finished.append(statuses.count("COMPLETED"))
    assert finished == [1, 2, 2, 3]


@on_sandbox()
async def test_a_failing_job_fails_whole(api: Api) -> None:
    """Every item is among the errors with a server error, and none takes effect."""
    await api.faults(job_failure_ratio=1)
    path = await api.finished_job("events", [EVENT] * 3)
    status = (await api.get(path)).body
    assert (status["imports"], status["errors"], status["job"]["status"]) == (0, 3, "FAILED")
    assert {failure["code"] for failure in (await api.get(f"{path}/errors")).body["results"]} == {"server_error"}
    assert api.items("event") == []


@pytest.mark.parametrize(
    ("kind", "field", "code"), [("users", "uid", "invalid_argument"), ("events", "name", "event_validation_failed")]
)
@on_sandbox(faults=Faults(item_failure_ratio=0.3))
async def test_the_same_items_fail_whenever_they_are_sent(api: Api, kind: str, field: str, code: str) -> None:
    """A failing item is chosen by its content: in another batch, after a retry and alone it fails again."""
    items: list[Json] = [{field: f"n{n}"} for n in range(100)]
    failed = []
    for batch in (items, items[::-1]):
        path = await api.finished_job(kind, batch)
        failures = (await api.get(f"{path}/errors")).body["results"]
        assert {failure["code"] for failure in failures} == {code}
        failed.append({failure[kind[:-1]][field] for failure in failures})
    assert failed[0] == failed[1]
    assert 10 < len(failed[0]) < 60
    refused = {item[field] for item in items if (await api.post(f"/{kind}", item)).status == 400}
    assert refused == failed[0]


@on_sandbox()
async def test_jobs_may_get_lost(api: Api) -> None:
    """A job that nobody can find still takes effect."""
    path = await api.job("events", [EVENT])
    await api.faults(jobs_not_found=True)
    assert (await api.get(path)).status == 404
    api.clock.time += JOB_S
    assert api.items("event") == [EVENT]
    await api.faults(jobs_not_found=False)
    assert (await api.get(path)).body["job"]["status"] == "COMPLETED"


@pytest.mark.parametrize(
    "changes",
    [
        {"throttle": 1},
        {"throttle_ratio": 1.1},
        {"throttle_ratio": -0.1},
        {"throttle_ratio": "1"},
        {"throttle_ratio": True},
        {"throttle_ratio": None},
        {"retry_after_s": 1.5},
        {"error_status": 200},
        {"error_status": 600},
        {"outage_status": "503"},
        {"outage_s": -1},
        {"latency_s": -1},
        {"slow_job_s": "long"},
        {"job_duration_s": [2, 1]},
        {"job_duration_s": [1]},
        {"job_duration_s": 1},
        {"jobs_not_found": 1},
        {"echo": "backwards"},
        {"echo": None},
        {"echo": ["exact"]},
        {"gateway": "html"},
        {"gateway": {}},
        {"gateway_path": None},
        [],
        b"{",
    ],
)
@on_sandbox()
async def test_faults_that_make_no_sense_change_nothing(api: Api, changes: Any) -> None:
    """The refusal is whole, even when another field of the same request makes sense."""
    before = (await api.call("GET", "/sandbox/faults", key=None)).body
    body = {"latency_s": 1, **changes} if isinstance(changes, dict) and "latency_s" not in changes else changes
    reply = await api.call("POST", "/sandbox/faults", body, key=None)
    assert (reply.status, reply.code) == (400, "invalid_argument")
    assert (await api.call("GET", "/sandbox/faults", key=None)).body == before


@on_sandbox()
async def test_a_change_keeps_the_faults_it_does_not_name(api: Api) -> None:
    """The answer shows all faults in force."""
    await api.faults(throttle_ratio=0.5)
    faults = (await api.faults(job_duration_s=[1, 2])).body
    assert (faults["throttle_ratio"], faults["job_duration_s"]) == (0.5, [1, 2])
    assert (await api.faults(job_duration_s=None)).body["job_duration_s"] is None


@pytest.mark.parametrize("ratio", [0.0, 0.25, 1.0])
def test_the_same_seed_brings_the_same_faults(ratio: float) -> None:
    """Chance is drawn from the seed alone, and faults occur about as often as their ratio says."""
    runs: list[list[int]] = []

    @on_sandbox(seed=7, faults=Faults(throttle_ratio=ratio))
    async def scenario(api: Api) -> None:
        runs.append([(await api.post("/events", EVENT)).status for _ in range(100)])

    scenario()
    scenario()
    assert runs[0] == runs[1]
    assert abs(runs[0].count(429) - 100 * ratio) <= (0 if ratio in (0, 1) else 15)
