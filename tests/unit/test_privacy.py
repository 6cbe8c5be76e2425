"""Lists that allow, deny, hash and cut traits and properties."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from processor.events.privacy import Privacy, PropertyLists
from processor.model.reasons import PropertyRule

Json = dict[str, Any]
Notes = list[tuple[PropertyRule, str]]
SALT = "correct-horse-battery-staple"
DENIED, HASHED, TRUNCATED = PropertyRule.DENIED, PropertyRule.HASHED, PropertyRule.TRUNCATED


def sha256(text: str) -> str:
    """Return what other systems compute too."""
    return hashlib.sha256(text.encode()).hexdigest()


def applied(lists: PropertyLists, properties: Json, salt: str = "") -> tuple[Json, Notes]:
    """Return what may be sent, and what was noted; what was given stays as it was."""
    before = repr(properties)
    notes: Notes = []
    sent = Privacy(lists, salt).apply(properties, lambda *note: notes.append(note))
    assert repr(properties) == before
    return sent, notes


@pytest.mark.parametrize(
    ("deny", "given", "sent", "denied"),
    [
        (("a",), {"a": 1, "b": 2}, {"b": 2}, ["a"]),
        (("A",), {"a": 1}, {"a": 1}, []),
        (("a",), {"a": {"b": 1}}, {}, ["a"]),
        (("a.b",), {"a": {"b": 1, "c": 2}, "b": 3}, {"a": {"c": 2}, "b": 3}, ["a.b"]),
        (("a.b",), {"a.b": 1, "a": 2}, {"a": 2}, ["a.b"]),
        (("a.b.c",), {"a.b": {"c": 1, "d": 2}}, {"a.b": {"d": 2}}, ["a.b.c"]),
        (("a.b",), {"a": [{"b": 1, "c": 2}, {"b": 3}, 4]}, {"a": [{"c": 2}, {}, 4]}, ["a.b", "a.b"]),
        (("a.b",), {"a": [[{"b": 1}]]}, {"a": [[{}]]}, ["a.b"]),
        (("a.b",), {"a": "text"}, {"a": "text"}, []),
    ],
)
def test_what_is_denied_is_not_sent(deny: tuple[str, ...], given: Json, sent: Json, denied: list[str]) -> None:
    """A denied path covers all below it, reaches into arrays, and matches names that hold a dot."""
    assert applied(PropertyLists(deny=deny), given) == (sent, [(DENIED, path) for path in denied])


@pytest.mark.parametrize(
    ("allow", "given", "sent", "denied"),
    [
        (("a",), {"a": {"b": [1]}, "c": 2}, {"a": {"b": [1]}}, ["c"]),
        (("a.b",), {"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, ["a.c"]),
        (("a.b",), {"a": {"c": 2}}, {}, ["a.c"]),
        (("a.b",), {"a": 5}, {}, ["a"]),
        (("a.b",), {"a": None}, {}, []),
        (("a.b",), {"a": [{"b": 1, "c": 2}, {"c": 3}, 4]}, {"a": [{"b": 1}]}, ["a.c", "a.c", "a"]),
        (("a.b",), {}, {}, []),
    ],
)
def test_only_what_is_allowed_is_sent(allow: tuple[str, ...], given: Json, sent: Json, denied: list[str]) -> None:
    """With allowed paths, only they and the objects that lead to them are sent."""
    assert applied(PropertyLists(allow=allow), given) == (sent, [(DENIED, path) for path in denied])


def test_what_is_allowed_may_be_narrowed() -> None:
    """Below an allowed path, a denied one is not sent and a hashed one only as its hash."""
    lists = PropertyLists(allow=("a", "d"), deny=("a.b",), hash=("a.c", "e"), truncate=(("d", 1),))

    assert applied(lists, {"a": {"b": 1, "c": "x", "f": 2}, "d": "xyz", "e": "y"}) == (
        {"a": {"c": sha256("x"), "f": 2}, "d": "x"},
        [(DENIED, "a.b"), (HASHED, "a.c"), (TRUNCATED, "d"), (DENIED, "e")],
    )


@pytest.mark.parametrize(
    ("value", "hashed"),
    [
        ("", sha256("")),
        ("Zürich", sha256("Zürich")),
        (42, sha256("42")),
        ("42", sha256("42")),
        (1.5, sha256("1.5")),
        (True, sha256("true")),
        (None, None),
        (float("nan"), None),
        (2**70, sha256("1180591620717411303424")),
        (["a", None, ["b"]], [sha256("a"), None, [sha256("b")]]),
        ({"x": "a", "y": {"z": 1}}, {"x": sha256("a"), "y": {"z": sha256("1")}}),
    ],
)
def test_a_hash_is_of_each_value_below_the_path(value: Any, hashed: Any) -> None:
    """Each value below a hashed path is hashed, its name stays; a number that JSON cannot hold is dropped."""
    assert applied(PropertyLists(hash=("a",)), {"a": value, "b": "b"}) == ({"a": hashed, "b": "b"}, [(HASHED, "a")])


def test_a_salt_keys_the_hash() -> None:
    """With a salt the hash is an HMAC."""
    sent, _ = applied(PropertyLists(hash=("a",)), {"a": "x"}, SALT)

    assert sent == {"a": hmac.new(SALT.encode(), b"x", "sha256").hexdigest()}


@pytest.mark.parametrize(
    ("value", "cut"),
    [
        ("abcdef", "abc"),
        ("äöüß", "äöü"),
        (12345, "123"),
        (-1.25, "-1."),
        (2**70, "118"),
        (["abcd", 1, None], ["abc", 1, None]),
        ({"x": "abcd"}, {"x": "abc"}),
        (False, "fal"),
    ],
)
def test_what_is_too_long_is_cut(value: Any, cut: Any) -> None:
    """A value is cut by characters; one that is no text is cut as its JSON text."""
    assert applied(PropertyLists(truncate=(("a", 3),)), {"a": value}) == ({"a": cut}, [(TRUNCATED, "a")])


@pytest.mark.parametrize("value", ["abc", "", 123, None, [], {}, ["a", {"b": "abc"}]])
def test_what_is_short_enough_is_no_change(value: Any) -> None:
    """A value within the length is sent as it is, type included, without a note."""
    assert applied(PropertyLists(truncate=(("a", 3),)), {"a": value}) == ({"a": value}, [])


@pytest.mark.parametrize("wrap", [lambda inner: {"a": inner}, lambda inner: [inner]])
@pytest.mark.parametrize("lists", [PropertyLists(hash=("a",)), PropertyLists(deny=("a" + 99 * ".a",))])
def test_no_nesting_is_too_deep_to_be_looked_at(wrap: Any, lists: PropertyLists) -> None:
    """A value nested too deeply to be checked is not sent."""
    deep: Any = "secret"
    for _ in range(500):
        deep = wrap(deep)

    sent, notes = applied(lists, {"a": deep})

    assert "secret" not in json.dumps(sent)
    assert notes
