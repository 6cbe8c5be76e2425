"""What the sandbox says of itself: everything that it does on purpose is in force in words, with its time."""

from dataclasses import fields, replace
from functools import partial
from typing import Any

import pytest

from processor.sandbox import Condition, Echo, Faults, Gateway, Role, Sandbox, SandboxOptions
from processor.sandbox.options import Nested
from tests.sandbox.stage import ARCHITECT, STANDARD, START, Api, ManualClock, on_sandbox

ACTS: dict[str, tuple[Any, str]] = {
    "latency_s": (2.0, "answers after 2 s"),
    "latency_jitter_s": (3.0, "answers after 0 to 3 s"),
    "throttle_ratio": (0.5, "answers 429 to 50 % of requests with Retry-After: 1"),
    "error_ratio": (0.3, "answers 503 to 30 % of requests"),
    "drop_before_ratio": (0.07, "closes 7 % of connections before the request takes effect"),
    "drop_after_ratio": (1, "closes every connection after the request took effect, without an answer"),
    "outage_status": (503, "answers 503 to every request"),
    "job_duration_s": ((1.0, 5.0), "takes 1 to 5 s for each new job"),
    "slow_job_ratio": (0.5, "takes 30 s longer for 50 % of jobs"),
    "job_failure_ratio": (0.2, "fails 20 % of jobs with every item"),
    "item_failure_ratio": (0.002, "refuses 0.2 % of items"),
    "jobs_not_found": (True, "answers 404 to every question about a job"),
    "echo": (Echo.TEXTS, "echoes failed items with the integers of properties as text"),
    "gateway": (Gateway.HTML_503, "is behind a gateway that answers 503 with a page in HTML and Retry-After: 3600"),
}
"""Each fault that acts on its own: a value, and what is said of it."""

SHAPES: dict[str, tuple[dict[str, Any], str]] = {
    "retry_after_s": ({"throttle_ratio": 1, "retry_after_s": 7}, "answers 429 to every request with Retry-After: 7"),
    "retry_after_on_5xx": (
        {"outage_status": 500, "retry_after_on_5xx": True},
        "answers 500 to every request with Retry-After: 1",
    ),
    "error_status": ({"error_ratio": 0.1, "error_status": 502}, "answers 502 to 10 % of requests"),
    "outage_until": ({"outage_status": 502, "outage_until": START + 60}, "answers 502 to every request"),
    "gateway_path": (
        {"gateway": Gateway.HTML_403, "gateway_path": "/errors"},
        "is behind a gateway that answers 403 with a page in HTML, for paths with /errors",
    ),
    "slow_job_s": ({"slow_job_ratio": 0.5, "slow_job_s": 9.0}, "takes 9 s longer for 50 % of jobs"),
}
"""Each field that gives other faults their shape."""

OPTIONS: dict[str, tuple[Any, str]] = {
    "job_duration_s": ((1.0, 3.0), "takes 1 to 3 s for each job"),
    "job_retention_s": (60.0, "forgets a job 60 s after its end"),
    "hard_job_ids": (True, "gives jobs ids that a path must escape"),
    "page_size": (2, "puts at most 2 users, imports or errors on a page"),
    "nested": (Nested.REPLACE, "replaces nested objects as a whole"),
    "max_items": (10, "takes at most 10 items in a request"),
    "running_jobs": (2, "carries out at most 2 jobs at once"),
    "max_jobs": (5, "answers 429 beyond 5 jobs in progress"),
    "max_operations": (1_000, "answers 429 beyond 1,000 items in progress"),
    "hard_stop_retry_after_s": (9, "announces Retry-After: 9 when too much is in progress"),
    "requests_per_s": (0.5, "answers 429 beyond 0.5 requests/s and a burst of 10"),
    "retry_after_as_date": (True, "announces Retry-After as a date"),
    "max_body_bytes": (150_000, "answers 413 to a body of more than 150,000 bytes"),
    "max_event_name": (20, "refuses event names of more than 20 characters"),
    "full_sessions": (frozenset({"b", "a"}), "refuses events of the full sessions a, b"),
    "item_error_message": ("no", 'says "no" of each item that it refuses'),
    "replay_500": (False, "does not store an answer of 500 under its Idempotency-Key"),
    "idempotency_ttl_s": (60.0, "forgets an Idempotency-Key after 60 s"),
}
"""Each option that shapes what a client meets."""

WITHOUT_EFFECT = {"host", "port", "keys", "org_id", "seed", "faults", "burst", "early_grace_s", "request_log"}
"""Options that say who and where it is and what it remembers; a burst is said with its rate, keys as they change."""


on_plain_sandbox = partial(on_sandbox, job_duration_s=SandboxOptions().job_duration_s)


def weather(**options: Any) -> list[Condition]:
    """Return what a sandbox with these options says at its start."""
    return Sandbox(SandboxOptions(**options), ManualClock()).weather()


def faults_of(values: dict[str, Any]) -> Faults:
    """Return the faults with these values."""
    return Faults(**values)


def texts(conditions: list[Condition]) -> list[str]:
    """Return what they say."""
    return [condition.text for condition in conditions]


def test_a_sandbox_without_faults_does_nothing_on_purpose() -> None:
    """With the defaults the weather has nothing to say."""
    assert weather() == []


@pytest.mark.parametrize("name", [each.name for each in fields(Faults)])
def test_every_fault_is_said(name: str) -> None:
    """A fault that acts has words of its own; what shapes a fault stands in the words of that."""
    faults, text = SHAPES[name] if name in SHAPES else ({name: ACTS[name][0]}, ACTS[name][1])

    assert texts(weather(faults=faults_of(faults))) == [text]


@pytest.mark.parametrize("name", [each.name for each in fields(SandboxOptions) if each.name not in WITHOUT_EFFECT])
def test_every_option_that_a_client_can_notice_is_said(name: str) -> None:
    """Limits other than FullStory's are said, so that they are no surprise."""
    value, text = OPTIONS[name]

    assert texts(weather(**{name: value})) == [text]


def test_all_faults_at_once_are_all_said_and_what_stops_everything_comes_first() -> None:
    """The list is complete, whatever comes together."""
    faults = faults_of({name: value for name, (value, _) in ACTS.items()})

    said = weather(faults=faults, requests_per_s=20.0)

    assert len(said) == len(ACTS)  # the two parts of the latency are one, and the limit is one more
    assert [condition.name for condition in said if condition.is_total] == ["gateway", "outage_status"]
    assert [condition.is_total for condition in said[:2]] == [True, True]


def test_a_fault_that_hits_every_request_is_total() -> None:
    """A fault that hits every request is said to stop everything."""
    for name in ("throttle_ratio", "error_ratio", "drop_before_ratio"):
        assert [condition.is_total for condition in weather(faults=faults_of({name: 1}))] == [True]


@on_plain_sandbox(faults=Faults(error_ratio=0.3))
async def test_a_change_says_since_when(api: Api) -> None:
    """Each fault keeps the time at which it began, and ended ones are remembered."""
    api.clock.time += 5
    await api.faults(throttle_ratio=0.1)
    api.clock.time += 5
    await api.faults(throttle_ratio=0.2, error_ratio=0.3)
    api.clock.time += 5
    reply = await api.call("GET", "/sandbox/weather", key=None)

    assert reply.body["now"] == START + 15
    assert [(each["name"], each["status"], each["since"], each["until"]) for each in reply.body["conditions"]] == [
        ("throttle_ratio", 429, START + 10, None),
        ("error_ratio", 503, START, None),
    ]
    assert [(each.text[:19], each.since, each.until) for each in api.sandbox.past_weather()] == [
        ("answers 503 to 30 %", START, None),
        ("answers 429 to 10 %", START + 5, START + 10),
        ("answers 429 to 20 %", START + 10, None),
    ]


@on_plain_sandbox()
async def test_an_outage_with_an_end_says_when_and_is_over_then(api: Api) -> None:
    """An outage with an end says when, and is over then, whenever somebody looks."""
    await api.faults(outage_status=503, outage_s=30)
    (outage,) = api.sandbox.weather()
    api.clock.time += 100

    assert (outage.since, outage.until) == (START, START + 30)
    assert api.sandbox.weather() == []
    assert api.sandbox.past_weather() == [replace(outage, until=START + 30)]


@on_plain_sandbox()
async def test_a_revoked_key_is_said_and_can_be_given_back(api: Api) -> None:
    """Its role stays known; with the last key nothing can be delivered."""
    for keys in ({STANDARD: None}, {ARCHITECT: None}):
        api.clock.time += 1
        await api.call("POST", "/sandbox/keys", keys, key=None)
    reply = await api.call("GET", "/sandbox/weather", key=None)

    assert [(each["text"], each["is_total"], each["since"]) for each in reply.body["conditions"]] == [
        (f"answers 401 to the key {ARCHITECT}, which is revoked", True, START + 2),
        (f"answers 401 to the key {STANDARD}, which is revoked", True, START + 2),
    ]
    assert reply.body["keys"] == {
        ARCHITECT: {"role": "ARCHITECT", "is_revoked": True},
        STANDARD: {"role": "USER", "is_revoked": True},
    }

    roles = {key: was["role"] for key, was in reply.body["keys"].items()}
    await api.call("POST", "/sandbox/keys", roles, key=None)
    assert api.sandbox.weather() == []
    assert (await api.get("/users/batch/x", key=STANDARD)).status == 404


@on_plain_sandbox(keys={"k": Role.ADMIN})
async def test_a_key_with_another_role_is_said(api: Api) -> None:
    """A key whose role changed is said, and so is a new key."""
    await api.call("POST", "/sandbox/keys", {"k": "USER", "new": "VIEW_ONLY"}, key=None)

    assert texts(api.sandbox.weather()) == [
        "accepts the key k with the role USER",
        "accepts the key new with the role VIEW_ONLY",
    ]


@on_plain_sandbox()
async def test_a_limit_that_is_set_and_lifted_is_said(api: Api) -> None:
    """A rate limit is said while it is in force, and no longer."""
    await api.call("POST", "/sandbox/limit", {"requests_per_s": 10, "burst": 20}, key=None)
    limited = texts(api.sandbox.weather())
    await api.call("POST", "/sandbox/limit", {"requests_per_s": None, "burst": 20}, key=None)

    assert limited == ["answers 429 beyond 10 requests/s and a burst of 20"]
    assert api.sandbox.weather() == []


@on_plain_sandbox(faults=Faults(error_ratio=0.3))
async def test_a_reset_begins_the_weather_anew(api: Api) -> None:
    """After a reset the weather has no past."""
    await api.faults(error_ratio=0)
    api.clock.time += 9
    await api.call("POST", "/sandbox/reset", key=None)

    assert [(each.text, each.since) for each in api.sandbox.past_weather()] == [
        ("answers 503 to 30 % of requests", START + 9)
    ]
