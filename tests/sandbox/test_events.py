"""Events and whom they belong to: docs/fullstory-api.md#events and #identification."""

from typing import Any

import pytest

from tests.sandbox.stage import EVENT, JOB_S, Api, on_sandbox

FULL = {
    **EVENT,
    "properties": {"total": 9.5, "items": ["a", "b"]},
    "schema": {"properties": {"total": "real"}},
    "context": {
        "browser": {"url": "https://example.com", "user_agent": "UA", "initial_referrer": ""},
        "mobile": {"app_id": "i", "app_version": "1", "app_name": "n", "build_variant": "debug"},
        "device": {"manufacturer": "m", "model": "x", "screen_width": 1, "viewport_height": -1},
        "location": {
            "country": "DE",
            "region": "DE-BE",
            "longitude": 180.0,
            "city": "Berlin",
            "ip_address": "::1",
            "latitude": 52,
        },
    },
    "page_properties": {"kind": "cart"},
    "page_properties_schema": {"properties": {"kind": "str"}},
}


@on_sandbox()
async def test_an_event_takes_effect_at_once_and_as_sent(api: Api) -> None:
    """The answer is an empty object, and every documented field is taken."""
    reply = await api.post("/events", FULL)
    assert (reply.status, reply.body) == (200, {})
    assert api.items("event") == [FULL]


@pytest.mark.parametrize(
    "who",
    [
        {},
        {"user": None, "session": None},
        {"user": {}},
        {"user": {"uid": None}},
        {"user": {"uid": "u1", "id": None}, "session": {"id": None, "useMostRecent": True}},
        {"user": {}, "session": {}},
        {"user": {"uid": "u1"}},
        {"user": {"id": "1"}},
        {"session": {"id": "1:2"}},
        {"session": {"uid": "s1"}},
        {"user": {"uid": "u1"}, "session": {"use_most_recent": True}},
        {"user": {"id": "1"}, "session": {"use_most_recent": True}},
        {"user": {"uid": "u1"}, "session": {"use_most_recent": False}},
    ],
)
@on_sandbox()
async def test_one_form_of_identification_or_none_is_accepted(api: Api, who: dict[str, Any]) -> None:
    """An event may name nobody, a user, a session, or a user's most recent session."""
    assert (await api.post("/events", {"name": "n", **who})).status == 200


@pytest.mark.parametrize(
    "who",
    [
        {"user": {"uid": "u1", "id": "1"}},
        {"user": {"uid": "u1"}, "session": {"id": "1:2"}},
        {"user": {"uid": "u1"}, "session": {"uid": "s1"}},
        {"session": {"id": "1:2", "uid": "s1"}},
        {"session": {"id": "1:2", "use_most_recent": True}},
        {"session": {"id": "1:2", "use_most_recent": False}},
        {"session": {"use_most_recent": True}},
        {"user": {}, "session": {"use_most_recent": True}},
        {"user": {"uid": "u1", "id": "1"}, "session": {"use_most_recent": True}},
        {"user": {"uid": "u1"}, "session": {"use_most_recent": "true"}},
        {"user": {"uid": "u" * 257}},
        {"user": {"uid": ""}},
        {"user": {"email": "e@example.com"}},
        {"user": []},
        {"user": {"use_most_recent": True}},
        {"session": {"id": "12"}},
        {"session": "1:2"},
    ],
)
@on_sandbox()
async def test_any_other_identification_is_refused(api: Api, who: dict[str, Any]) -> None:
    """More than one form, an incomplete one or one of the wrong shape is 400, and no user comes of it."""
    reply = await api.post("/events", {"name": "n", **who})
    assert (reply.status, reply.code) == (400, "invalid_argument")
    assert (await api.stats())["users"] == 0


@on_sandbox(full_sessions=frozenset({"1:2"}))
async def test_a_full_session_is_refused_by_name_only(api: Api) -> None:
    """A session at its page limit refuses events that name it; the most recent session never does."""
    reply = await api.post("/events", {"name": "n", "session": {"id": "1:2"}})
    assert (reply.status, reply.code) == (400, "session_page_limit_exceeded")
    recent = {"name": "n", "user": {"uid": "u1"}, "session": {"use_most_recent": True}}
    assert (await api.post("/events", recent)).status == 200


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"name": ""}, "invalid_argument"),
        ({"name": None}, "invalid_argument"),
        ({"name": "n" * 251}, "invalid_argument"),
        ({"timestamp": "2026-01-02"}, "invalid_argument"),
        ({"timestamp": "2026-01-02T03:04:05"}, "invalid_argument"),
        ({"timestamp": "yesterday at some point"}, "invalid_argument"),
        ({"timestamp": "2026-13-02T03:04:05Z"}, "invalid_argument"),
        ({"timestamp": 1_767_323_045}, "invalid_argument"),
        ({"context": {"web": {}}}, "invalid_argument"),
        ({"context": {"browser": {"page_url": "u"}}}, "invalid_argument"),
        ({"context": {"browser": "u"}}, "invalid_argument"),
        ({"context": {"device": {"screen_width": 1.5}}}, "invalid_argument"),
        ({"context": {"device": {"screen_width": 2**31}}}, "invalid_argument"),
        ({"context": {"device": {"screen_width": True}}}, "invalid_argument"),
        ({"context": {"location": {"latitude": "52"}}}, "invalid_argument"),
        ({"context": {"location": {"latitude": 90.5}}}, "invalid_argument"),
        ({"context": {"location": {"longitude": -181}}}, "invalid_argument"),
        ({"context": {"location": {"longitude": True}}}, "invalid_argument"),
        ({"context": {"location": {"country": "Germany"}}}, "invalid_argument"),
        ({"context": {"location": {"country": "de"}}}, "invalid_argument"),
        ({"context": {"location": {"country": "UK"}}}, "invalid_argument"),
        ({"context": {"location": {"region": "Georgia"}}}, "invalid_argument"),
        ({"context": {"location": {"ip_address": "10.0.0.1:8080"}}}, "invalid_argument"),
        ({"context": {"location": {"ip_address": 1}}}, "invalid_argument"),
        ({"context": {"device": {"screenWidth": 1, "screen_width": 2}}}, "invalid_argument"),
        ({"context": {"device": None, "web": None}}, "invalid_argument"),
        ({"pageProperties": {}, "page_properties": {}}, "invalid_argument"),
        ({"properties": {"a b": 1}}, "invalid_argument"),
        ({"page_properties": {"a b": 1}}, "invalid_argument"),
        ({"page_properties_schema": {"properties": {"a": "text"}}}, "invalid_argument"),
        ({"messageId": "m"}, "invalid_argument"),
    ],
)
@on_sandbox()
async def test_an_event_that_breaks_a_rule_is_refused_without_effect(
    api: Api, change: dict[str, Any], code: str
) -> None:
    """Alone the event is 400 at once; in a batch the same fault fails the same item, with the same code."""
    reply = await api.post("/events", {**EVENT, **change})
    assert (reply.status, reply.code) == (400, code)
    job = await api.finished_job("events", [{**EVENT, **change}])
    (failure,) = (await api.get(f"{job}/errors")).body["results"]
    assert (failure["code"], failure["message"]) == (code, reply.body["message"])
    assert failure["event"] == {**EVENT, **change}
    assert api.items("event") == []


@on_sandbox()
async def test_an_event_needs_a_name(api: Api) -> None:
    """To FullStory no name, null and an empty one are the same, and it says so in these words."""
    for nameless in ({}, {"name": None}, {"name": ""}):
        reply = await api.post("/events", {"user": {"uid": "u1"}, **nameless})
        assert (reply.status, reply.code) == (400, "invalid_argument")
        assert reply.body["message"] == "events must have a non-empty name"


@on_sandbox()
async def test_null_is_absence_and_camel_case_another_spelling(api: Api) -> None:
    """Protobuf's JSON takes `appName` for `app_name`; what took effect has no null and one spelling, without a 400."""
    given = {
        "name": "n",
        "timestamp": None,
        "schema": None,
        "properties": {"camelCase": 1, "null_one": None, "inner": {"null_one": None, "x": [None]}},
        "pageProperties": {"a": 1},
        "pagePropertiesSchema": {"properties": {"a": "int"}},
        "context": {
            "browser": None,
            "mobile": {"appName": "a", "buildVariant": None},
            "location": {"ipAddress": "::1", "country": "US", "region": "GA"},
        },
    }
    taken = {
        "name": "n",
        "properties": {"camelCase": 1, "inner": {"x": [None]}},
        "page_properties": {"a": 1},
        "page_properties_schema": {"properties": {"a": "int"}},
        "context": {
            "mobile": {"app_name": "a"},
            "location": {"ip_address": "::1", "country": "US", "region": "GA"},
        },
    }
    assert (await api.post("/events", given)).status == 200
    await api.post("/events/batch", {"requests": [given], "shared": None})
    shared = {"context": given["context"], "pageProperties": given["pageProperties"], "user": None}
    rest = {name: value for name, value in given.items() if name not in ("context", "pageProperties")}
    await api.post("/events/batch", {"requests": [{**rest, "context": None}], "shared": shared})
    api.clock.time += JOB_S
    assert api.items("event") == [taken, taken, taken]


@pytest.mark.parametrize(
    "timestamp",
    ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123456Z", "2026-01-02t03:04:05+05:30", "1999-01-02T03:04:05-00:00"],
)
@on_sandbox()
async def test_timestamps_have_date_time_and_offset(api: Api, timestamp: str) -> None:
    """Any RFC 3339 time passes, whatever its age."""
    assert (await api.post("/events", {**EVENT, "timestamp": timestamp})).status == 200


@on_sandbox()
async def test_shared_data_is_filled_into_every_event_of_a_batch(api: Api) -> None:
    """What `shared` holds takes effect with each event; an event that repeats it fails alone, echoed with it."""
    shared = {"context": {"browser": {"url": "https://example.com"}}}
    items = [{"name": "a"}, {"name": "b", "context": {"mobile": {"app_id": "i"}}}]
    job_id = (await api.post("/events/batch", {"requests": items, "shared": shared})).body["job"]["id"]
    api.clock.time += JOB_S
    assert api.items("event") == [{"name": "a", **shared}]
    path = job_id.replace("/", "%2F").replace("+", "%2B")
    (failure,) = (await api.get(f"/events/batch/{path}/errors")).body["results"]
    assert (failure["code"], failure["event"], failure["shared"]) == ("invalid_argument", items[1], shared)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"requests": None},
        {"requests": []},
        {"requests": {}},
        {"requests": [EVENT], "more": 1},
        {"requests": [EVENT], "shared": []},
        {"requests": [EVENT], "shared": {"name": "n"}},
        {"requests": [EVENT], "shared": {"context": {"web": {}}}},
        [EVENT],
        b"",
        b"{",
        b'{"requests": [NaN]}',
        b'{"requests": [' + b"[" * 300 + b"]" * 300 + b"]}",
    ],
)
@on_sandbox()
async def test_a_batch_of_the_wrong_structure_is_refused_whole(api: Api, body: Any) -> None:
    """No job comes of a body that is not JSON, not a list of requests, or nested too deeply to be echoed."""
    reply = await api.post("/events/batch", body)
    assert (reply.status, reply.code) == (
        400,
        "required_field" if body in ({}, {"requests": None}) else "invalid_argument",
    )
    assert (await api.stats())["jobs"]["total"] == 0


@pytest.mark.parametrize("item", [None, 5, "event", [], [[EVENT]], {}])
@on_sandbox()
async def test_an_item_of_any_json_type_fails_alone(api: Api, item: Any) -> None:
    """A batch is not refused for an item that is no event at all; the item is echoed as it was."""
    job = await api.finished_job("events", [item, EVENT])
    (failure,) = (await api.get(f"{job}/errors")).body["results"]
    assert failure["event"] == item
    assert api.items("event") == [EVENT]


@on_sandbox()
async def test_users_share_nothing(api: Api) -> None:
    """A users batch with `shared` is refused, because only event batches have that field."""
    assert (await api.post("/users/batch", {"requests": [{"uid": "u1"}], "shared": {}})).status == 400
