"""Finding the items of a job that failed by what FullStory echoes of them."""

from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.engine.attribution import attribute, canonical
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
