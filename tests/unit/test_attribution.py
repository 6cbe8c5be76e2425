"""Finding the items of a job that failed by what FullStory echoes of them."""

import json
from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.engine.attribution import attribute, canonical, respellings
from processor.events.payload import Item
from processor.model.reasons import Kind

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def items_of(*bodies: Any) -> list[Item]:
    """Return items with these bodies."""
    return [Item(orjson.dumps(body), (offset,), "u") for offset, body in enumerate(bodies)]


def echoed(body: Any, code: Any = "invalid_argument") -> dict[str, Any]:
    """Return a failure as FullStory tells it."""
    return {"message": "no", "code": code, "event": body}


@pytest.mark.parametrize(
    ("sent", "echo"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": 5}, {"a": 5.0}),
        ({"a": [1, {"b": None}]}, {"a": [1.0, {"b": None}]}),
        ({}, {}),
    ],
)
def test_content_counts_and_its_form_does_not(sent: Any, echo: Any) -> None:
    """A failure matches an item whose key order and form of numbers differ from its echo."""
    assert attribute(Kind.EVENT, items_of({"other": 0}, sent), [echoed(echo)]) == ({1: "invalid_argument"}, 0)


@pytest.mark.parametrize(
    ("sent", "echo"),
    [
        ({"a": 1}, {"a": True}),
        ({"a": [1]}, {"a": True}),
        ({"a": [True]}, {"a": [[1]]}),
        ({"a": 0}, {"a": False}),
        ({"a": "1"}, {"a": 1}),
        ({"a": []}, {"a": {}}),
        ({"a": {"b": 1}}, {"a": [["b", 1]]}),
        ({}, None),
    ],
)
def test_what_looks_alike_is_not_equal(sent: Any, echo: Any) -> None:
    """Items match by type, too: a number is no boolean, a text is no number, an empty list is no empty object."""
    assert attribute(Kind.EVENT, items_of(sent), [echoed(echo)]) == ({}, 1)


def test_equal_items_are_interchangeable_and_each_fails_once() -> None:
    """Two failures of three equal items take the first two; a failure too many matches nothing."""
    items = items_of(*[{"a": 1}] * 3)
    assert attribute(Kind.EVENT, items, [echoed({"a": 1})] * 2) == (dict.fromkeys([0, 1], "invalid_argument"), 0)
    assert attribute(Kind.EVENT, items, [echoed({"a": 1})] * 4)[1] == 1


@pytest.mark.parametrize("failure", [{}, {"code": "x"}, {"user": {"a": 1}}, {"event": None}, {"event": [1]}])
def test_a_failure_that_echoes_nothing_of_ours_matches_nothing(failure: dict[str, Any]) -> None:
    """A failure that echoes an unknown item, or one of the other kind, matches nothing."""
    assert attribute(Kind.EVENT, items_of({"a": 1}), [failure]) == ({}, 1)


@pytest.mark.parametrize(("code", "expected"), [(None, "None"), (13, "13")])
def test_a_code_is_text_whatever_it_was(code: Any, expected: str) -> None:
    """A failure counts even if its code is no text."""
    assert attribute(Kind.EVENT, items_of({"a": 1}), [echoed({"a": 1}, code)]) == ({0: expected}, 0)


def event(**more: Any) -> dict[str, Any]:
    """Return an event as it is sent."""
    return {"name": "E", "timestamp": "2026-11-20T10:00:00.000Z", "user": {"uid": "u"}, "properties": {}, **more}


@pytest.mark.parametrize(
    ("sent", "echo"),
    [
        (event(), event(schema=None, type_conflicts=None)),
        (event(properties={"a": None}), event()),
        (event(context={"location": {"country": "GH", "latitude": 0}}), event(context={"location": {"country": "GH"}})),
        (event(context={"location": {"latitude": 0.0}}), event(context={})),
        (event(context={"location": {"latitude": 0.0}}), event(context=None)),
        (event(), {name: value for name, value in event().items() if name != "properties"}),
        (event(), event(user={"uid": "u", "id": ""}, session={"use_most_recent": False})),
        (event(properties={"n": 9007199254740993}), event(properties={"n": 9007199254740992})),
        (event(properties={"n": [2**63 - 1, -(2**63)]}), event(properties={"n": [2.0**63, -(2.0**63)]})),
        (event(properties={"n": 9007199254740993}), event(properties={"n": "9007199254740993"})),
        (event(properties={"n": [0, -5]}), event(properties={"n": ["0", "-5"]})),
        (event(), event(timestamp="2026-11-20T10:00:00Z")),
        (event(), event(timestamp="2026-11-20T10:00:00.000000000Z")),
        (event(), event(timestamp="2026-11-20T10:00:00+00:00")),
    ],
)
def test_a_spelling_of_protobuf_is_recognised(sent: Any, echo: Any) -> None:
    """An echo that went through protobuf's JSON matches what was sent, and nothing that differs in more."""
    others = [event(name="F"), event(user={"uid": "v"}), event(timestamp="2026-11-20T10:00:00.001Z")]
    items = items_of(*others, sent, event(properties={"n": 1}))

    assert attribute(Kind.EVENT, items, [echoed(echo)]) == ({3: "invalid_argument"}, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "F"},
        {"name": None},
        {"user": {"uid": "123456789012345679"}},
        {"user": {}},
        {"session": {"id": "1:2"}},
        {"timestamp": "2026-11-20T10:00:00.001Z"},
        {"timestamp": "2026-11-20"},
        {"timestamp": None},
        {"properties": {"a": 1, "b": 1}},
        {"properties": {"a": 2}},
        {"properties": {"a": True}},
        {"properties": {"a": [1]}},
        {"properties": {}},
    ],
)
def test_what_no_spelling_explains_matches_nothing(changes: Any) -> None:
    """An echo of another user, name, time or value is not that of an item, however near it is."""
    sent = event(user={"uid": "123456789012345678"}, properties={"a": 1})

    assert attribute(Kind.EVENT, items_of(sent), [echoed({**sent, **changes})]) == ({}, 1)


@pytest.mark.parametrize(
    ("candidates", "echo"),
    [
        ([{"a": 0}, {}], {}),
        ([{"a": 0}, {"a": ""}, {"a": None}, {}], {"b": None}),
        ([{"a": 0, "b": 0}, {}, {"a": 0}], {"a": 0, "c": None}),
        ([{"n": 2**53 + 1}, {"n": 2**53}], {"n": 2**53}),
        ([{"n": 2**53}, {"n": str(2**53 + 1)}, {"n": 2**53 + 1}], {"n": 2**53 + 1, "a": None}),
        ([{"n": 2**53}, {"n": 2**53 + 1}], {"n": str(2**53 + 1)}),
        ([{"n": 5}, {"n": "5"}], {"n": "5", "a": None}),
        ([{"n": "5"}, {"n": 5}], {"n": 5, "a": None}),
    ],
)
def test_the_nearest_item_is_taken(candidates: list[Any], echo: Any) -> None:
    """Of several items that an echo may be of, the one that is spelled like it most is taken."""
    items = items_of(*[event(properties=each) for each in candidates])
    nearest = min(range(len(candidates)), key=lambda index: respellings(candidates[index], echo))

    assert attribute(Kind.EVENT, items, [echoed(event(properties=echo))])[0].keys() == {nearest}
    assert respellings(candidates[nearest], echo) < min(
        respellings(each, echo) for index, each in enumerate(candidates) if index != nearest
    )


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_an_echo_gives_up_its_item_to_one_that_has_no_other(order: tuple[int, int]) -> None:
    """If an echo takes the only item of another one and may itself be of a further item, both are found."""
    items = items_of({"n": 2**53 + 1}, {"n": 2**53})
    echoes = [echoed({"n": 2**53}, "double"), echoed({"n": str(2**53)}, "text")]

    codes, unmatched = attribute(Kind.EVENT, items, [echoes[index] for index in order])

    assert (codes, unmatched) == ({0: "double", 1: "text"}, 0)


def test_an_echo_that_is_nested_too_deeply_matches_nothing() -> None:
    """JSON may be nested more deeply than Python recurses, which ends nothing."""
    deep = orjson.loads(b'{"a":' * 1000 + b"null" + b"}" * 1000)
    lists = orjson.loads(b'{"a":' + b"[" * 1000 + b"]" * 1000 + b"}")

    assert attribute(Kind.EVENT, items_of({"a": 1}), [echoed(deep), echoed(lists)]) == ({}, 2)


@given(st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=3), min_size=1, max_size=5), st.data())
def test_every_failed_item_is_found(bodies: list[Any], data: st.DataObject) -> None:
    """However items look, as many are found as failed, each with the content of a failure."""
    failed = data.draw(st.lists(st.sampled_from(range(len(bodies))), unique=True))
    items = items_of(*bodies)
    codes, unmatched = attribute(Kind.EVENT, items, [echoed(orjson.loads(items[index].body)) for index in failed])
    assert (len(codes), unmatched) == (len(failed), 0)
    contents = [Counter(canonical(orjson.loads(items[index].body)) for index in found) for found in (codes, failed)]
    assert contents[0] == contents[1]


@given(JSON)
def test_a_canonical_value_is_hashable(value: Any) -> None:
    """The canonical form of any JSON value can be hashed."""
    assert hash(canonical(value)) == hash(canonical(orjson.loads(orjson.dumps(value))))


NUMBERS = st.sampled_from([0, 1, 5, 0.0, 0.5, 2**53, 2**53 + 1, 2**63 - 1, -(2**53) - 1])
VALUES = st.recursive(
    NUMBERS | st.none() | st.booleans() | st.sampled_from(["", "x", "0", "5", str(2**53 + 1)]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)
EVENTS = st.builds(
    lambda uid, name, second, properties: {
        "name": name,
        "timestamp": f"2026-11-20T10:00:0{second}.000Z",
        "user": {"uid": uid},
        "properties": properties,
    },
    uid=st.sampled_from(["123456789012345678", "123456789012345679"]),
    name=st.sampled_from("EF"),
    second=st.sampled_from([0, 1]),
    properties=st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3),
)


@st.composite
def spellings(draw: st.DrawFn, value: Any, *, is_member: bool = False) -> Any:
    """Return a value as it may come back from protobuf; Ellipsis for a member that is left out."""
    if is_member and not any(leaves(value)) and draw(st.booleans()):
        return draw(st.sampled_from([..., None]))
    if isinstance(value, dict):
        found = {name: draw(spellings(each, is_member=True)) for name, each in value.items()}
        shown = draw(st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from([None, "", 0, False]), max_size=1))
        return {name: each for name, each in {**found, **shown}.items() if each is not ...}
    if isinstance(value, list):
        return [draw(spellings(each)) for each in value]
    if type(value) is int:
        return draw(st.sampled_from([value, float(value), str(value)]))
    if isinstance(value, str) and value.startswith("2026"):
        return draw(st.sampled_from([value, value.replace(".000Z", "Z"), value.replace("Z", "000000Z")]))
    return value


def leaves(value: Any) -> list[Any]:
    """Return what is no object in a value, or in the objects of it."""
    return [leaf for each in value.values() for leaf in leaves(each)] if isinstance(value, dict) else [value]


def coarse(value: Any) -> str:
    """Return a text that is equal for all values that a spelling may confuse."""
    if isinstance(value, dict):
        members = {name: coarse(each) for name, each in value.items()}
        kept = {name: members[name] for name in sorted(members) if members[name] != "nothing"}
        return json.dumps(kept) if kept else "nothing"
    if isinstance(value, list):
        return json.dumps([coarse(each) for each in value]) if value else "nothing"
    if isinstance(value, str) and value.isdigit() and not value.startswith("12345"):
        return coarse(int(value))
    return repr(value if isinstance(value, str | bool) else float(value)) if value else "nothing"


@given(st.lists(EVENTS, min_size=1, max_size=6), st.data())
def test_every_failed_item_is_found_however_it_is_spelled(bodies: list[Any], data: st.DataObject) -> None:
    """Whatever the spelling of each echo, all are found; an item of its own content is found by its own echo."""
    items = items_of(*bodies)
    failed = data.draw(st.lists(st.sampled_from(range(len(bodies))), unique=True))
    echoes = [echoed(data.draw(spellings(bodies[index])), str(index)) for index in failed]

    codes, unmatched = attribute(Kind.EVENT, items, echoes)

    assert (len(codes), unmatched) == (len(failed), 0)
    keys = [coarse(each) for each in bodies]
    assert Counter(keys[index] for index in codes) == Counter(keys[index] for index in failed)
    for index, code in codes.items():
        assert keys[index] == keys[int(code)]
        assert respellings(bodies[index], echoes[failed.index(int(code))]["event"]) < float("inf")


@given(VALUES, st.data())
def test_a_spelling_is_as_far_as_it_is_spelled_otherwise(value: Any, data: st.DataObject) -> None:
    """What is spelled as sent has no distance, and every spelling has a finite one."""
    assert respellings(value, orjson.loads(orjson.dumps(value))) == 0
    assert respellings(value, data.draw(spellings(value))) < float("inf")
