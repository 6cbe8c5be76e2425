"""Import jobs: docs/fullstory-api.md#jobs."""

import re
from typing import Any
from urllib.parse import quote

import pytest

from processor.sandbox import Echo, Faults
from tests.sandbox.stage import EVENT, JOB_S, USER, Api, Json, on_sandbox

NAMELESS = {"name": "", "user": {"uid": "u1"}}


def events(count: int, name: str = "e") -> list[Json]:
    """Events that can be told apart."""
    return [{"name": f"{name}{n}"} for n in range(count)]


async def pages(api: Api, path: str) -> list[Any]:
    """Every result, page by page; `total_records` is the same string on each."""
    found: list[Any] = []
    totals, token = set(), ""
    while True:
        page = (await api.get(f"{path}?page_token={token}")).body
        totals.add(page["total_records"])
        found += page["results"]
        token = page.get("next_page_token", "")
        if not token:
            assert totals == {str(len(found))}
            return found


@on_sandbox()
async def test_a_job_takes_effect_at_its_end_and_not_before(api: Api) -> None:
    """A job is PROCESSING without effect until its time has come, and then COMPLETED with all of it."""
    path = await api.job("events", events(3))
    api.clock.time += JOB_S - 0.001
    running = (await api.get(path)).body
    job_id = running["job"]["id"]
    created = {"id": job_id, "created": "2026-01-02T03:04:05.000Z"}
    assert running == {"imports": 0, "job": {**created, "status": "PROCESSING"}}
    assert api.items("event") == []
    api.clock.time += 0.001
    finished = {**created, "status": "COMPLETED", "finished": "2026-01-02T03:04:15.000Z"}
    assert (await api.get(path)).body == {"imports": 3, "job": finished}
    assert sorted(item["name"] for item in api.items("event")) == ["e0", "e1", "e2"]


@pytest.mark.parametrize(("kind", "good", "bad"), [("events", EVENT, NAMELESS), ("users", USER, {"uid": 5})])
@on_sandbox()
async def test_one_bad_item_fails_the_job_and_only_itself(api: Api, kind: str, good: Json, bad: Json) -> None:
    """FAILED means partly failed: the good items have taken effect, the bad one is echoed whole with its reason."""
    path = await api.finished_job(kind, [bad, good])
    status = (await api.get(path)).body
    assert (status["imports"], status["errors"], status["job"]["status"]) == (1, 1, "FAILED")
    (failure,) = (await api.get(f"{path}/errors")).body["results"]
    assert set(failure) == {"message", "code", kind[:-1]}
    assert (failure["code"], failure[kind[:-1]]) == ("invalid_argument", bad)
    (imported,) = (await api.get(f"{path}/imports")).body["results"]
    (user,) = (await api.get("/users?uid=u1")).body["results"]
    expected = {"id": user["id"]} if kind == "users" else {"user": {"uid": "u1", "id": user["id"]}}
    assert imported == {**good, **expected}


@on_sandbox()
async def test_a_job_without_failures_has_no_errors_to_show(api: Api) -> None:
    """Neither a count nor a page: FullStory's own SDK asks for errors after FAILED only."""
    path = await api.finished_job("events", [EVENT])
    assert "errors" not in (await api.get(path)).body
    reply = await api.get(f"{path}/errors")
    assert (reply.status, reply.code) == (404, "resource_not_found")


@on_sandbox()
async def test_imports_show_what_took_effect(api: Api) -> None:
    """Not what was sent: one spelling, no null and nothing too large; an event with its user, session and time."""
    path = await api.finished_job(
        "users", [{"uid": "u1", "displayName": "U", "properties": {"a": "x" * 8193, "b": None}}]
    )
    (user,) = (await api.get(f"{path}/imports")).body["results"]
    assert user == {"id": user["id"], "uid": "u1", "display_name": "U", "properties": {}}
    sent = [
        {"name": "a", "user": {"uid": "u1"}, "session": {"use_most_recent": True}},
        {"name": "b", "session": {"id": "1:2", "uid": None}},
        {"name": "c", "pageProperties": {"k": 1}, "pagePropertiesSchema": {"properties": {"k": "int"}}},
    ]
    path = await api.finished_job("events", sent)
    events = {event["name"]: event for event in (await api.get(f"{path}/imports")).body["results"]}
    (nobody,) = (await api.get("/users?is_identified=false")).body["results"]
    arrived = {"timestamp": "2026-01-02T03:04:25.000Z"}
    assert events == {
        "a": {"name": "a", "user": {"uid": "u1", "id": user["id"]}, **arrived},
        "b": {"name": "b", "session": {"id": "1:2"}, **arrived},
        "c": {"name": "c", "user": {"id": nobody["id"]}, "page_properties": {"k": 1}, **arrived},
    }


@on_sandbox()
async def test_results_are_202_while_the_job_runs(api: Api) -> None:
    """Neither imports nor errors can be read before the end."""
    path = await api.job("events", [NAMELESS])
    for results in ("imports", "errors"):
        assert (await api.get(f"{path}/{results}")).status == 202


@on_sandbox(page_size=4)
async def test_results_come_in_pages(api: Api) -> None:
    """Following the tokens yields every failed and every imported item exactly once."""
    items = [*events(9), *({**NAMELESS, "properties": {"n": n}} for n in range(8))]
    path = await api.finished_job("events", items)
    failed = await pages(api, f"{path}/errors")
    assert sorted(failure["event"]["properties"]["n"] for failure in failed) == list(range(8))
    imported = await pages(api, f"{path}/imports")
    assert sorted(item["name"] for item in imported) == [f"e{n}" for n in range(9)]


@pytest.mark.parametrize("token", ["x", "%2D%2D", "LTU=", "NQ", "%C3%BC"])
@on_sandbox()
async def test_a_page_token_of_ones_own_making_is_refused(api: Api, token: str) -> None:
    """Only tokens that were handed out lead anywhere; a negative offset is none of them."""
    path = await api.finished_job("events", events(1))
    reply = await api.get(f"{path}/imports?page_token={token}")
    assert (reply.status, reply.code) == (400, "invalid_argument")


@on_sandbox()
async def test_imports_show_the_schema_on_request(api: Api) -> None:
    """`include_schema=true` adds the types to imported items, declared or inferred."""
    for kind, item in (("users", USER), ("events", {**EVENT, "properties": {"plan": "pro"}})):
        path = await api.finished_job(kind, [{**item, "schema": {"properties": {"seats": "int"}}}])
        assert "schema" not in (await api.get(f"{path}/imports")).body["results"][0]
        imported = (await api.get(f"{path}/imports?include_schema=true")).body["results"][0]
        assert imported["schema"] == {"properties": {"seats": "int", "plan": "str"}}


@on_sandbox(faults=Faults(echo=Echo.REORDERED))
async def test_an_echo_may_be_written_differently(api: Api) -> None:
    """On request, echoes have their keys reversed and numbers in another form, to catch clients that compare bytes."""
    item = {"name": "", "properties": {"a": 1, "b": 2.0, "c": [3, True, None, 0.5], "d": 2**63 - 1}}
    path = await api.finished_job("events", [item])
    (failure,) = (await api.get(f"{path}/errors")).body["results"]
    echo = failure["event"]
    assert echo == item
    assert list(echo) == ["properties", "name"]
    assert [repr(value) for value in echo["properties"].values()] == [
        str(2**63 - 1),
        "[3.0, True, None, 0.5]",
        "2",
        "1.0",
    ]


@on_sandbox()
async def test_the_order_inside_a_job_is_not_that_of_its_items(api: Api) -> None:
    """Items of a job take effect in another order than they were sent."""
    await api.finished_job("events", events(50))
    names = [item["name"] for item in api.items("event")]
    assert sorted(names) == sorted(f"e{n}" for n in range(50))
    assert names != [f"e{n}" for n in range(50)]


@on_sandbox(job_duration_s=(1.0, 20.0))
async def test_jobs_end_in_an_order_of_their_own(api: Api) -> None:
    """A later job may end first, and a users job does not wait for an events job."""
    for n in range(20):
        await api.job("events", [{"name": str(n)}])
    api.clock.time += 20
    names = [int(item["name"]) for item in api.items("event")]
    assert sorted(names) == list(range(20))
    assert names != list(range(20))
    ends = [effect.at for effect in api.sandbox.truth.effects]
    assert ends == sorted(ends)


@on_sandbox()
async def test_a_job_is_found_only_under_its_own_kind(api: Api) -> None:
    """An unknown id, and a users job asked for as an events job, do not exist."""
    path = await api.finished_job("users", [USER])
    for wrong in (path.replace("users", "events"), "/users/batch/unknown", f"{path}x"):
        for suffix in ("", "/imports", "/errors"):
            reply = await api.get(wrong + suffix)
            assert (reply.status, reply.code) == (404, "resource_not_found")


@on_sandbox()
async def test_job_ids_fit_a_path_as_they_are(api: Api) -> None:
    """Ids look like those of FullStory's samples, and may be escaped or not."""
    for _ in range(50):
        job_id = (await api.post("/events/batch", {"requests": [EVENT]})).body["job"]["id"]
        assert re.fullmatch(r"[A-Za-z0-9_-]+=", job_id)
        for path in (job_id, quote(job_id)):
            assert (await api.get(f"/events/batch/{path}")).body["job"]["id"] == job_id


@on_sandbox(hard_job_ids=True)
async def test_hard_job_ids_need_escaping(api: Api) -> None:
    """On request ids hold the characters that a careless client forgets to escape."""
    job_id = (await api.post("/events/batch", {"requests": [EVENT]})).body["job"]["id"]
    assert {"+", "/", "="} <= set(job_id)
    assert (await api.get(f"/events/batch/{job_id}")).status == 404
    assert (await api.get(f"/events/batch/{quote(job_id, safe='')}")).body["job"]["id"] == job_id


@on_sandbox(job_retention_s=60.0)
async def test_a_finished_job_is_forgotten_after_its_retention(api: Api) -> None:
    """The job can be read for a while after its end, then it is not found; its effects stay."""
    path = await api.finished_job("events", [EVENT])
    api.clock.time += 60
    assert (await api.get(path)).status == 200
    api.clock.time += 0.001
    assert (await api.get(path)).status == 404
    assert api.items("event") == [EVENT]


@on_sandbox(running_jobs=2)
async def test_jobs_beyond_those_that_run_are_queued(api: Api) -> None:
    """The third job starts when the first two end, so it ends one duration later."""
    paths = [await api.job("events", [{"name": str(n)}]) for n in range(3)]
    jobs = (await api.stats())["jobs"]
    assert (jobs["running"], jobs["queued"]) == (2, 1)
    api.clock.time += JOB_S
    statuses = [(await api.get(path)).body["job"]["status"] for path in paths]
    assert statuses == ["COMPLETED", "COMPLETED", "PROCESSING"]
    api.clock.time += JOB_S
    assert (await api.get(paths[2])).body["job"]["status"] == "COMPLETED"


@on_sandbox(running_jobs=1)
async def test_a_long_absence_of_questions_changes_no_times(api: Api) -> None:
    """Queued jobs end when they would have ended, though nobody looked in between."""
    for n in range(3):
        await api.job("events", [{"name": str(n)}])
    start = api.clock.time
    api.clock.time += 100 * JOB_S
    assert [effect.at - start for effect in api.sandbox.truth.effects] == [JOB_S, 2 * JOB_S, 3 * JOB_S]


@on_sandbox(max_body_bytes=64 * 1024 * 1024)
async def test_a_full_batch_is_carried(api: Api) -> None:
    """50,000 items are one job and 50,000 effects."""
    path = await api.finished_job("events", events(50_000))
    assert (await api.get(path)).body["imports"] == 50_000
    assert len({item["name"] for item in api.items("event")}) == 50_000
