"""Answers remembered per key: docs/fullstory-api.md#idempotency."""

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.sandbox.stage import EVENT, JOB_S, STANDARD, USER, Api, on_sandbox

DAY_S = 24 * 3600
CREATIONS = [
    ("/users", {"properties": {"n": 1}}, "user", 1),
    ("/users/stream", USER, "user", 1),
    ("/users/batch", {"requests": [USER, {"uid": "u2"}]}, "user", 2),
    ("/events", EVENT, "event", 1),
    ("/events/batch", {"requests": [EVENT, EVENT]}, "event", 2),
]


@pytest.mark.parametrize(("path", "body", "kind", "effects"), CREATIONS)
@on_sandbox()
async def test_a_repeated_key_repeats_the_answer_without_effect(
    api: Api, path: str, body: Any, kind: str, effects: int
) -> None:
    """Every creating endpoint honours the key: same status, same body, one effect."""
    replies = [await api.post(path, body, Idempotency_Key="k") for _ in range(3)]
    assert [(reply.status, reply.body) for reply in replies] == [(200, replies[0].body)] * 3
    api.clock.time += JOB_S
    assert len(api.items(kind)) == effects
    assert (await api.stats())["replays"] == 2


@on_sandbox()
async def test_effects_carry_their_key(api: Api) -> None:
    """The truth says under which key an item took effect, so that duplicates can be told from intended repeats."""
    await api.post("/events", EVENT, Idempotency_Key="a")
    await api.job("events", [EVENT], Idempotency_Key="b")
    await api.post("/events", EVENT)
    api.clock.time += JOB_S
    assert [effect.idempotency_key for effect in api.sandbox.truth.effects] == ["a", None, "b"]


@on_sandbox()
async def test_without_a_key_or_with_an_empty_one_every_request_counts(api: Api) -> None:
    """Without a key, or with an empty one, each request takes effect."""
    for _ in range(2):
        await api.post("/events", EVENT)
        await api.post("/events", EVENT, Idempotency_Key="")
    assert len(api.items("event")) == 4


@on_sandbox()
async def test_an_update_by_id_honours_no_key(api: Api) -> None:
    """An update by id ignores the key, as no documentation mentions it there."""
    user_id = (await api.post("/users", USER)).body["id"]
    for _ in range(2):
        await api.post(f"/users/{user_id}", {"email": "e@example.com"}, Idempotency_Key="k")
    assert len(api.items("user")) == 3


@pytest.mark.parametrize(
    ("path", "body"),
    [("/events", {**EVENT, "name": "other"}), ("/events", b'{"name":"n" }'), ("/events/batch", {"requests": [EVENT]})],
)
@on_sandbox()
async def test_a_key_is_bound_to_its_request(api: Api, path: str, body: Any) -> None:
    """Another body, be it by one byte, or another endpoint under the same key is a conflict without effect."""
    await api.post("/events", EVENT, Idempotency_Key="k")
    reply = await api.post(path, body, Idempotency_Key="k")
    assert (reply.status, reply.code) == (409, "idempotency_conflict")
    assert (await api.post("/events", EVENT, Idempotency_Key="k")).status == 200
    assert api.items("event") == [EVENT]
    assert (await api.stats())["conflicts"] == 1


@on_sandbox()
async def test_a_key_belongs_to_its_api_key(api: Api) -> None:
    """The same idempotency key under two API keys is two keys."""
    await api.post("/events", EVENT, Idempotency_Key="k")
    await api.post("/events", EVENT, key=STANDARD, Idempotency_Key="k")
    assert len(api.items("event")) == 2


@on_sandbox()
async def test_both_prefixes_are_one_endpoint(api: Api) -> None:
    """A key used under /v2beta is known under /v2."""
    await api.call("POST", "/v2/events", EVENT, Idempotency_Key="k")
    await api.call("POST", "/v2beta/events", EVENT, Idempotency_Key="k")
    assert len(api.items("event")) == 1


@on_sandbox()
async def test_a_copy_of_a_request_in_progress_is_a_conflict(api: Api) -> None:
    """While the first is at work its copy is refused; afterwards a copy gets the first one's answer."""
    await api.faults(latency_s=0.2)
    replies = await asyncio.gather(*(api.post("/events", EVENT, Idempotency_Key="k") for _ in range(3)))
    assert sorted(reply.status for reply in replies) == [200, 409, 409]
    assert {reply.code for reply in replies if reply.status == 409} == {"idempotency_conflict"}
    assert (await api.post("/events", EVENT, Idempotency_Key="k")).status == 200
    assert len(api.items("event")) == 1


@on_sandbox()
async def test_a_key_lives_for_a_day(api: Api) -> None:
    """A key repeats its answer for 24 hours; then the request is a new one."""
    await api.post("/events", EVENT, Idempotency_Key="k")
    api.clock.time += DAY_S - 0.001
    await api.post("/events", EVENT, Idempotency_Key="k")
    assert len(api.items("event")) == 1
    api.clock.time += 0.001
    await api.post("/events", {**EVENT, "name": "new"}, Idempotency_Key="k")
    assert [item["name"] for item in api.items("event")] == [EVENT["name"], "new"]


@on_sandbox()
async def test_a_refusal_by_the_endpoint_is_remembered(api: Api) -> None:
    """A 400 is the result of the first request, and is repeated."""
    replies = [await api.post("/events", {"name": ""}, Idempotency_Key="k") for _ in range(2)]
    assert [reply.status for reply in replies] == [400, 400]
    assert (await api.stats())["replays"] == 1


@pytest.mark.parametrize(
    ("status", "replay_500", "remembered"),
    [(500, True, True), (500, False, False), (502, True, False), (503, True, False), (429, True, False)],
)
def test_of_server_errors_only_a_literal_500_may_be_remembered(
    status: int, *, replay_500: bool, remembered: bool
) -> None:
    """429 and everything above 500 leave the key free; 500 depends on which of the two readings is chosen."""

    @on_sandbox(replay_500=replay_500)
    async def scenario(api: Api) -> None:
        await api.faults(error_ratio=1, error_status=status)
        assert (await api.post("/events", EVENT, Idempotency_Key="k")).status == status
        await api.faults(error_ratio=0)
        again = await api.post("/events", EVENT, Idempotency_Key="k")
        assert again.status == (status if remembered else 200)
        assert len(api.items("event")) == (0 if remembered else 1)

    scenario()


@on_sandbox(max_jobs=1)
async def test_a_request_refused_for_lack_of_room_leaves_its_key_free(api: Api) -> None:
    """After the hard stop the same key and body create the job."""
    await api.job("events", [EVENT])
    assert (await api.post("/events/batch", {"requests": [EVENT]}, Idempotency_Key="k")).status == 429
    api.clock.time += JOB_S
    assert (await api.post("/events/batch", {"requests": [EVENT]}, Idempotency_Key="k")).status == 200


@on_sandbox()
async def test_a_request_that_never_reached_an_endpoint_leaves_its_key_free(api: Api) -> None:
    """An outage, a refused API key and throttling begin no work."""
    await api.faults(outage_status=500)
    assert (await api.post("/events", EVENT, Idempotency_Key="k")).status == 500
    await api.faults(outage_status=None, throttle_ratio=1)
    assert (await api.post("/events", EVENT, Idempotency_Key="k")).status == 429
    await api.faults(throttle_ratio=0)
    assert (await api.post("/events", EVENT, Idempotency_Key="k")).status == 200


@pytest.mark.parametrize(("path", "body", "kind", "effects"), CREATIONS)
@on_sandbox()
async def test_an_answer_lost_on_the_way_can_be_asked_for_again(
    api: Api, path: str, body: Any, kind: str, effects: int
) -> None:
    """A connection that drops after the effect is what the key is for: the retry gets the lost answer."""
    await api.faults(drop_after_ratio=1)
    with pytest.raises(aiohttp.ClientConnectionError):
        await api.post(path, body, Idempotency_Key="k")
    await api.faults(drop_after_ratio=0)
    assert (await api.post(path, body, Idempotency_Key="k")).status == 200
    api.clock.time += JOB_S
    assert len(api.items(kind)) == effects
