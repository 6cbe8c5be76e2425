"""The rules for properties: docs/fullstory-api.md#properties."""

from typing import Any

import pytest

from tests.sandbox.stage import Api, on_sandbox


def nested(depth: int, leaf: Any) -> Any:
    """Put `leaf` under so many objects, each with a name of one letter."""
    for _ in range(depth):
        leaf = {"a": leaf}
    return leaf


@pytest.mark.parametrize("field", ["properties", "page_properties"])
@pytest.mark.parametrize(
    "properties",
    [
        {"a": "text", "B_9": 1, "c": 1.5, "d": True, "e": "2026-01-01T00:00:00Z", "f": None},
        {"a": ["x", "y"], "b": [1, 2.5], "c": [], "d": [True, False]},
        {"a": {"b": {"c": [1]}}, "d": {}},
        {"a" * 512: 1},
        {"a" * 255: {"b" * 256: 1}},
        {f"n{n}": n for n in range(500)},
        {"email_str": "v1 suffixes are ordinary names"},
    ],
)
@on_sandbox()
async def test_legal_properties_pass(api: Api, field: str, properties: dict[str, Any]) -> None:
    """Every documented type passes, and names and counts up to their limits."""
    assert (await api.post("/events", {"name": "n", field: properties})).status == 200


@pytest.mark.parametrize(
    "properties",
    [
        {"": 1},
        {"a b": 1},
        {"a-b": 1},
        {"a.b": 1},
        {"9a": 1},
        {"_a": 1},
        {"ä": 1},
        {"a\n": 1},
        {"a": {"b": {"c d": 1}}},
        {"a" * 513: 1},
        {"a" * 256: {"b" * 256: 1}},
        nested(300, 1),
        {f"n{n}": n for n in range(501)},
        {"a": {f"n{n}": n for n in range(500)}},
        {"a": [{"b": 1}]},
        {"a": [1, [2]]},
        {"a": {"b": [{}]}},
        [],
        "text",
    ],
)
@on_sandbox()
async def test_illegal_properties_are_refused(api: Api, properties: Any) -> None:
    """Illegal names, paths, counts and arrays of containers are refused for users and events alike."""
    for path, item in (("/users", {"uid": "u1"}), ("/events", {"name": "n"})):
        reply = await api.post(path, {**item, "properties": properties})
        assert (reply.status, reply.code) == (400, "invalid_argument")
    assert api.sandbox.truth.effects == []


@pytest.mark.parametrize("depth", [100, 200, 240, 248, 250, 252, 254, 256])
@on_sandbox()
async def test_nesting_is_taken_and_read_back_or_refused_but_never_breaks(api: Api, depth: int) -> None:
    """Whatever depth is taken is also read back, by the user, by its job and in the truth."""
    item = {"uid": "u1", "properties": nested(depth, 1)}
    single, batch = await api.post("/users", item), await api.post("/users/batch", {"requests": [item]})
    assert {single.status, batch.status} <= {200, 400}
    api.clock.time += 100
    if single.status == 200:
        assert (await api.get("/users")).body["results"][0]["properties"] == item["properties"]
    if batch.status == 200:
        path = batch.body["job"]["id"].replace("/", "%2F").replace("+", "%2B")
        assert (await api.get(f"/users/batch/{path}/imports")).body["results"][0]["properties"] == item["properties"]
    assert (await api.call("GET", "/sandbox/truth", key=None)).status == 200
    assert (await api.call("GET", "/sandbox/users", key=None)).status == 200


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("x" * 8192, True),
        ("x" * 8193, False),
        ("ü" * 4096, True),
        ("ü" * 4097, False),
        (["x" * 8188], True),
        (["x" * 8189], False),
        ({"b": "x" * 8200}, False),
    ],
)
@on_sandbox()
async def test_a_value_beyond_8192_bytes_loses_its_property_only(api: Api, value: Any, *, kept: bool) -> None:
    """The request succeeds, the property is missing from the user, and the loss is counted."""
    reply = await api.post("/users", {"uid": "u1", "properties": {"large": value, "small": 1}})
    properties = (await api.get(f"/users/{reply.body['id']}")).body["properties"]
    assert properties == ({"large": value, "small": 1} if kept else {"small": 1})
    assert api.items("user") == [{"uid": "u1", "properties": properties}]
    assert (await api.stats())["properties_dropped"] == (0 if kept else 1)


@pytest.mark.parametrize(
    "schema",
    [
        {"types": {}},
        {"properties": []},
        {"properties": {"a": "text"}},
        {"properties": {"a": "object"}},
        {"properties": {"a": 1}},
        {"properties": {"a": {"b": "int"}}},
        {"properties": {"a..b": "int"}},
        {"properties": {"a b": "int"}},
        [],
    ],
)
@on_sandbox()
async def test_a_schema_declares_known_types_by_dotted_path(api: Api, schema: Any) -> None:
    """Anything else is refused; a path need not occur among the properties."""
    assert (await api.post("/users", {"uid": "u1", "schema": schema})).status == 400
    declared = ("str", "strs", "int", "ints", "real", "reals", "bool", "bools", "date", "dates")
    legal = {"properties": {f"a.n{index}": kind for index, kind in enumerate(declared)}}
    assert (await api.post("/users", {"uid": "u1", "schema": legal})).status == 200


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("str", ["", "1"], [1, True, ["a"], {"b": "x"}]),
        ("int", [1, -1.0, 2**53], [1.5, "1", True, [1]]),
        ("real", [1, 1.5], ["1.5", False, [1.5]]),
        ("bool", [True], [1, "true"]),
        ("date", ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123+05:30"], ["2026-01-02", "yesterday at noon", 1]),
        ("strs", [[], ["a"]], ["a", ["a", 1], ["a", None]]),
        ("ints", [[1, 2.0]], [1, [1.5]]),
        ("reals", [[1, 1.5]], [1.5, ["1"]]),
        ("bools", [[True, False]], [[1]]),
        ("dates", [["2026-01-02T03:04:05Z"]], [["2026-01-02"]]),
    ],
)
@on_sandbox()
async def test_a_value_has_the_type_that_is_declared(api: Api, kind: str, good: list[Any], bad: list[Any]) -> None:
    """A value of another type is refused wherever it stands; null and absence have every type."""
    for value, status in (*((each, 200) for each in (*good, None)), *((each, 400) for each in bad)):
        for properties, path in (({"a": value}, "a"), ({"a": {"b": value}}, "a.b")):
            types = {"properties": {path: kind, "x.y": kind}}
            user = {"uid": "u1", "properties": properties, "schema": types}
            assert (await api.post("/users", user)).status == status
            event = {"name": "n", "page_properties": properties, "page_properties_schema": types}
            reply = await api.post("/events", event)
            assert reply.status == status
    assert reply.body["message"] == f"a.b is declared as {kind} and has a value of another type"


@on_sandbox()
async def test_suffixes_of_version_1_say_nothing_of_the_type(api: Api) -> None:
    """FullStory's own tests send such names to version 2, where they are names like others."""
    assert (
        await api.post("/events", {"name": "n", "properties": {"a_int": "x", "b_date": 1, "c_str": 2}})
    ).status == 200
