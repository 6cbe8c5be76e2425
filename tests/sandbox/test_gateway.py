"""What answers in FullStory's place: docs/fullstory-api.md#gateways."""

from pathlib import Path

import aiohttp
import pytest

from processor.sandbox import Faults, Gateway
from processor.sandbox.gateway import GATEWAYS, LARGE_BYTES
from tests.sandbox.stage import EVENT, Api, Reply, on_sandbox

DOCUMENT = Path(__file__).parents[2] / "docs" / "fullstory-api.md"

EVERY = [each for each in Gateway if GATEWAYS[each].applies is None]
LARGE = {"name": "E", "properties": {f"p{n}": "x" * 1000 for n in range(LARGE_BYTES // 1000 + 1)}}
SCRIPT = {"name": "E", "properties": {"html": "<SCRIPT>"}}


def is_foreign(reply: Reply) -> bool:
    """Say whether something else than FullStory answered."""
    return reply.headers["Server"] == "gateway" and not (isinstance(reply.body, dict) and "code" in reply.body)


@pytest.mark.parametrize("gateway", EVERY)
@on_sandbox()
async def test_a_gateway_answers_every_call_in_its_own_form(api: Api, gateway: Gateway) -> None:
    """Whoever asks and for whatever, the answer is the gateway's and nothing takes effect."""
    assert (await api.faults(gateway=gateway.value)).body["gateway"] == gateway
    known = GATEWAYS[gateway]
    for method, path in (("POST", "/v2/events"), ("GET", "/v2/events/batch/x/errors"), ("GET", "/me")):
        body = EVENT if method == "POST" else None
        async with api.client.request(method, api.sandbox.url + path, json=body, allow_redirects=False) as response:
            assert (response.status, await response.read()) == (known.status, known.body)
            assert response.headers.items() >= {"Server": "gateway", **known.headers}.items()
            assert not known.body or response.content_type == known.media_type
    stats = await api.stats()
    assert (stats["faults"], stats["effects"]["event"]) == ({"gateway": 3}, 0)
    await api.faults(gateway=None)
    assert (await api.post("/events", EVENT)).status == 200


@pytest.mark.parametrize(("gateway", "status"), [(Gateway.LARGE_413, 413), (Gateway.LARGE_502, 502)])
@on_sandbox()
async def test_a_gateway_may_mind_large_bodies_alone(api: Api, gateway: Gateway, status: int) -> None:
    """A body above the limit is answered without reaching FullStory, a smaller one takes effect."""
    await api.faults(gateway=gateway.value)
    reply = await api.post("/events", LARGE)
    assert (reply.status, is_foreign(reply)) == (status, True)
    assert (await api.post("/events", EVENT)).status == 200
    assert api.items("event") == [EVENT]


@on_sandbox(faults=Faults(gateway=Gateway.CLOSE_LARGE))
async def test_a_gateway_may_close_the_connection_on_large_bodies(api: Api) -> None:
    """There is no answer to such a body, and no effect."""
    with pytest.raises(aiohttp.ClientError):
        await api.post("/events", LARGE)
    assert (await api.post("/events", EVENT)).status == 200
    assert api.items("event") == [EVENT]
    assert (await api.stats())["requests"]["POST /events"] == {"dropped": 1, "200": 1}


@on_sandbox(faults=Faults(gateway=Gateway.WAF_403))
async def test_a_firewall_minds_what_a_body_holds(api: Api) -> None:
    """One item keeps its whole batch from passing."""
    reply = await api.post("/events/batch", {"requests": [EVENT, SCRIPT]})
    assert (reply.status, is_foreign(reply)) == (403, True)
    assert (await api.post("/events/batch", {"requests": [EVENT]})).status == 200


@on_sandbox(hard_job_ids=True, faults=Faults(gateway=Gateway.SLASH_404))
async def test_a_gateway_may_not_let_escaped_slashes_pass(api: Api) -> None:
    """A job is accepted and nobody can ask for it; it takes effect all the same."""
    path = await api.finished_job("events", [EVENT])
    reply = await api.get(path)
    assert (reply.status, is_foreign(reply)) == (404, True)
    assert api.items("event") == [EVENT]
    reply = await api.get("/events/batch/x")
    assert (reply.status, reply.code) == (404, "resource_not_found")


@on_sandbox(requests_per_s=1, burst=1, faults=Faults(gateway=Gateway.LIMIT_503))
async def test_a_gateway_may_limit_the_rate_in_its_own_way(api: Api) -> None:
    """Beyond the rate it answers 503 without saying for how long."""
    assert (await api.post("/events", EVENT)).status == 200
    reply = await api.post("/events", EVENT)
    assert (reply.status, is_foreign(reply), "Retry-After" in reply.headers) == (503, True, False)
    api.clock.time += 1
    assert (await api.post("/events", EVENT)).status == 200


@on_sandbox(faults=Faults(gateway=Gateway.HTML_403, gateway_path="/errors"))
async def test_a_gateway_may_mind_some_paths_alone(api: Api) -> None:
    """Only requests with the text in their paths are answered."""
    path = await api.finished_job("events", [EVENT])
    assert (await api.get(path)).status == 200
    assert is_foreign(await api.get(f"{path}/errors"))


@on_sandbox(faults=Faults(gateway=Gateway.HTML_503))
async def test_a_foreign_retry_after_announces_nothing(api: Api) -> None:
    """What a gateway asks for is not what FullStory asks for: coming earlier is not counted as too early."""
    assert (await api.post("/events", EVENT)).headers["Retry-After"] == "3600"
    api.clock.time += 60
    await api.post("/events", EVENT)
    assert (await api.stats())["early_requests"] == 0


def test_every_gateway_is_documented() -> None:
    """The page has a row for each, in the words of the help."""
    text = DOCUMENT.read_text(encoding="utf-8")
    assert [gateway for gateway in Gateway if f"| `{gateway}` | {GATEWAYS[gateway].text} |" not in text] == []
