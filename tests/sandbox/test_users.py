"""Users: docs/fullstory-api.md#users."""

from typing import Any

import orjson
import pytest

from processor.sandbox.options import Nested
from tests.sandbox.stage import EVENT, JOB_S, USER, Api, on_sandbox


@on_sandbox()
async def test_an_upsert_merges_into_the_user_of_its_uid(api: Api) -> None:
    """The second upsert of a uid answers the same id, overrides what it names and keeps the rest."""
    first = await api.post("/users", {**USER, "display_name": "U", "properties": {"plan": "free", "seats": 2}})
    second = await api.post("/users", {"uid": "u1", "email": "new@example.com", "properties": {"plan": "pro"}})
    assert first.body == second.body
    user = (await api.get(f"/users/{first.body['id']}")).body
    assert user == {
        "id": first.body["id"],
        "uid": "u1",
        "display_name": "U",
        "email": "new@example.com",
        "is_being_deleted": False,
        "properties": {"plan": "pro", "seats": 2},
    }


@on_sandbox()
async def test_nested_properties_merge_path_by_path_and_null_changes_nothing(api: Api) -> None:
    """An inner name keeps its value when its sibling changes; a null leaves the stored value."""
    await api.post("/users", {"uid": "u1", "properties": {"a": {"x": 1, "y": 2}, "b": 1, "c": {"x": 1}}})
    reply = await api.post("/users", {"uid": "u1", "properties": {"a": {"y": 3}, "b": None, "c": 5, "d": {"e": None}}})
    user = (await api.get(f"/users/{reply.body['id']}")).body
    assert user["properties"] == {"a": {"x": 1, "y": 3}, "b": 1, "c": 5, "d": {}}


@on_sandbox(nested=Nested.REPLACE)
async def test_nested_properties_are_replaced_where_that_is_asked_for(api: Api) -> None:
    """The other reading of what no source says: an inner name goes when the object comes without it."""
    await api.post("/users", {"uid": "u1", "properties": {"a": {"x": 1, "y": 2}, "b": 1}})
    reply = await api.post("/users", {"uid": "u1", "properties": {"a": {"y": 3}, "b": None}})
    assert (await api.get(f"/users/{reply.body['id']}")).body["properties"] == {"a": {"y": 3}, "b": 1}


@on_sandbox()
async def test_an_upsert_without_uid_creates_another_anonymous_user_each_time(api: Api) -> None:
    """Without a uid there is nothing to find a user by."""
    ids = [(await api.post("/users", {"properties": {"n": 1}})).body["id"] for _ in range(2)]
    assert ids[0] != ids[1]
    found = (await api.get("/users?is_identified=false")).body
    assert ([user["id"] for user in found["results"]], found["total_records"]) == (ids, "2")


@on_sandbox()
async def test_a_uid_once_set_cannot_be_changed(api: Api) -> None:
    """An update by FullStory's id may repeat the uid, but not change it."""
    user_id = (await api.post("/users", USER)).body["id"]
    reply = await api.post(f"/users/{user_id}", {"uid": "other", "email": "x@example.com"})
    assert (reply.status, reply.code) == (400, "invalid_argument")
    assert (await api.post(f"/users/{user_id}", {"uid": "u1", "email": "x@example.com"})).status == 200
    assert (await api.get(f"/users/{user_id}")).body["email"] == "x@example.com"


@on_sandbox()
async def test_an_anonymous_user_is_identified_by_an_update(api: Api) -> None:
    """An anonymous user takes a free uid and keeps its id."""
    user_id = (await api.post("/users", {"properties": {"n": 1}})).body["id"]
    assert (await api.post(f"/users/{user_id}", {"uid": "u1"})).body == {"id": user_id}
    assert (await api.post("/users", USER)).body == {"id": user_id}


@on_sandbox()
async def test_identifying_as_a_known_uid_joins_the_two_users(api: Api) -> None:
    """Where the uid has a user already the id changes to that user's, and the old id leads there."""
    known = (await api.post("/users", USER)).body["id"]
    anonymous = (await api.post("/users", {"display_name": "A"})).body["id"]
    assert (await api.post(f"/users/{anonymous}", {"uid": "u1", "display_name": "A"})).body == {"id": known}
    assert (await api.get(f"/users/{anonymous}")).body["id"] == known
    assert (await api.get("/users")).body["total_records"] == "1"


@on_sandbox()
async def test_a_deletion_is_an_effect_like_others(api: Api) -> None:
    """The truth has it in order, with the user's ids and the time; a user who does not exist adds none."""
    user_id = (await api.post("/users", USER)).body["id"]
    api.clock.time += 5
    await api.call("DELETE", "/v2/users?uid=u1")
    assert (await api.call("DELETE", "/v2/users?uid=u1")).status == 404
    again = (await api.post("/users", {**USER, "displayName": None})).body["id"]
    anonymous = (await api.post("/users", {})).body["id"]
    for each in (again, anonymous):
        await api.call("DELETE", f"/v2/users/{each}")
    effects = [(effect.kind, effect.via, effect.at - api.clock.time) for effect in api.sandbox.truth.effects]
    user, deletion = ("user", "single", 0), ("deletion", "single", 0)
    assert effects == [("user", "single", -5), deletion, user, user, deletion, deletion]
    lines = (await api.call("GET", "/sandbox/truth?kind=deletion", key=None)).body.splitlines()
    assert [orjson.loads(line)["item"] for line in lines] == api.items("deletion")
    assert api.items("deletion") == [{"uid": "u1", "id": user_id}, {"uid": "u1", "id": again}, {"id": anonymous}]
    assert (await api.stats())["effects"] == {"user": 3, "event": 0, "deletion": 3}


@pytest.mark.parametrize("path", ["/users/{id}", "/users?uid=u1"])
@on_sandbox()
async def test_a_deleted_user_is_gone_under_every_id(api: Api, path: str) -> None:
    """Deletion by either id answers an empty object; then the user is not found, and its uid is free."""
    user_id = (await api.post("/users", USER)).body["id"]
    reply = await api.call("DELETE", "/v2" + path.format(id=user_id))
    assert (reply.status, reply.body) == (200, {})
    for again in (
        await api.get(f"/users/{user_id}"),
        await api.post(f"/users/{user_id}", {}),
        await api.call("DELETE", "/v2" + path.format(id=user_id)),
    ):
        assert (again.status, again.code) == (404, "user_not_found")
    assert (await api.post("/users", USER)).body["id"] != user_id


@on_sandbox()
async def test_an_anonymous_user_is_deleted_by_its_id(api: Api) -> None:
    """Without a uid FullStory's id is the only way to it."""
    user_id = (await api.post("/users", {})).body["id"]
    assert (await api.call("DELETE", f"/v2/users/{user_id}")).status == 200
    assert (await api.get("/users")).body["total_records"] == "0"


@on_sandbox()
async def test_deletion_needs_a_uid(api: Api) -> None:
    """A DELETE without a uid deletes nobody."""
    reply = await api.call("DELETE", "/v2/users")
    assert (reply.status, reply.code) == (400, "required_field")


@on_sandbox(page_size=2)
async def test_users_are_listed_by_filter_page_by_page(api: Api) -> None:
    """Filters combine, and pages follow their tokens to the end without repeating a user."""
    for n in range(5):
        await api.post("/users", {"uid": f"u{n}", "email": "same@example.com", "display_name": f"n{n % 2}"})
    uids: list[str] = []
    token = ""
    while True:
        page = (await api.get(f"/users?email=same%40example.com&display_name=n0&page_token={token}")).body
        assert page["total_records"] == "3"
        uids += [user["uid"] for user in page["results"]]
        token = page.get("next_page_token", "")
        if not token:
            break
    assert uids == ["u0", "u2", "u4"]
    assert (await api.get("/users?uid=u3")).body["results"][0]["uid"] == "u3"
    assert (await api.get("/users?is_identified=perhaps")).status == 400


@on_sandbox()
async def test_the_declared_schema_is_read_on_request(api: Api) -> None:
    """`include_schema=true` adds the types declared so far, and those inferred of the rest."""
    schema = {"properties": {"seats": "int", "address.zip": "int", "none": "date"}}
    properties = {
        "seats": 2,
        "address": {"zip": 10115, "floor": 3, "door": {}},
        "since": "2026-01-02T03:04:05Z",
        "pro": True,
        "scores": [1, 2.5],
        "tags": ["a"],
        "flags": [True],
        "mixed": ["a", 1],
        "empty": [],
    }
    user_id = (await api.post("/users", {"uid": "u1", "properties": properties, "schema": schema})).body["id"]
    assert "schema" not in (await api.get(f"/users/{user_id}")).body
    inferred = {"address.floor": "real", "since": "str", "pro": "bool"}
    of_arrays = {"scores": "reals", "tags": "strs", "flags": "bools"}
    types = {"properties": {**schema["properties"], **inferred, **of_arrays}}
    assert (await api.get(f"/users/{user_id}?include_schema=true")).body["schema"] == types
    assert (await api.get("/users?include_schema=true")).body["results"][0]["schema"] == types


@on_sandbox()
async def test_null_is_absence_and_camel_case_another_spelling(api: Api) -> None:
    """FullStory's own newer SDK sends `displayName`; null changes nothing, and neither is a reason to refuse."""
    given = {"uid": "u1", "displayName": "U", "email": None, "properties": None, "schema": {"properties": None}}
    assert (await api.post("/users", {**given, "email": "e@example.com"})).status == 200
    user_id = (await api.post("/users", given)).body["id"]
    user = (await api.get(f"/users/{user_id}")).body
    assert user == {
        "id": user_id,
        "uid": "u1",
        "display_name": "U",
        "email": "e@example.com",
        "is_being_deleted": False,
    }
    assert api.items("user")[1] == {"uid": "u1", "display_name": "U", "schema": {}}


@pytest.mark.parametrize(
    "item",
    [
        {"uid": 5},
        {"uid": ""},
        {"uid": "u" * 257},
        {"email": "e" * 129},
        {"display_name": "d" * 257},
        {"display_name": ["d"]},
        {"properties": []},
        {"displayName": "d" * 257},
        {"displayname": "d"},
        {"display_name": "d", "displayName": None},
        {"schema": {"properties": {"a": "int"}}, "properties": {"a": 1.5}},
        {"id": "1"},
        {"timestamp": "2026-01-01T00:00:00Z"},
    ],
)
@on_sandbox()
async def test_an_upsert_that_breaks_a_rule_is_refused_without_effect(api: Api, item: dict[str, Any]) -> None:
    """Wrong types, lengths and field names are 400 at every endpoint that takes one user."""
    user_id = (await api.post("/users", USER)).body["id"]
    for path in ("/users", "/users/stream", f"/users/{user_id}"):
        reply = await api.post(path, {"uid": "u2", **item} if path == "/users" else item)
        assert (reply.status, reply.code) == (400, "invalid_argument")
    assert api.items("user") == [USER]


@on_sandbox()
async def test_lengths_count_up_to_and_including_their_limits(api: Api) -> None:
    """The longest legal values pass."""
    longest = {"uid": "ü" * 256, "email": "e" * 128, "display_name": "d" * 256}
    assert (await api.post("/users", longest)).status == 200


@on_sandbox()
async def test_a_batch_upserts_by_uid_and_by_id(api: Api) -> None:
    """Items of a batch are upserts too, and only they may name FullStory's id."""
    user_id = (await api.post("/users", USER)).body["id"]
    job = await api.finished_job("users", [{"id": user_id, "email": "by-id@example.com"}, {"id": "404"}])
    assert (await api.get(f"/users/{user_id}")).body["email"] == "by-id@example.com"
    (failure,) = (await api.get(f"{job}/errors")).body["results"]
    assert (failure["code"], failure["user"]) == ("user_not_found", {"id": "404"})


@on_sandbox()
async def test_a_streamed_user_has_no_id_until_it_exists(api: Api) -> None:
    """The stream answers a request id; its result is an empty id at first, then the user's."""
    request_id = (await api.post("/users/stream", USER)).body["request_id"]
    path = f"/users/stream/{request_id.replace('/', '%2F').replace('+', '%2B')}"
    assert (await api.get(path)).body == {"id": ""}
    assert api.items("user") == []
    api.clock.time += JOB_S
    user_id = (await api.get(path)).body["id"]
    assert (await api.get(f"/users/{user_id}")).body["uid"] == "u1"


@on_sandbox()
async def test_an_event_creates_the_user_it_names(api: Api) -> None:
    """An unknown uid makes a user of that uid, nobody at all an anonymous one, a session none."""
    await api.post("/events", EVENT)
    await api.post("/events", {"name": "n"})
    await api.post("/events", {"name": "n", "session": {"id": "1:2"}})
    users = (await api.get("/users")).body["results"]
    assert [user.get("uid") for user in users] == ["u1", None]
