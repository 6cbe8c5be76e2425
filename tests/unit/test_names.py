"""Property names that FullStory takes."""

import re
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.events import names
from processor.events.names import MAX_CACHED_CHARACTERS, NameCache, clean

ANY_NAME = st.text(max_size=12) | st.text("aB1_ .-é", max_size=4)


def checksum(original: str) -> str:
    """Return the eight hexadecimal digits that tell a changed name from its siblings."""
    return f"{crc32(original.encode()):08x}"


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        ("plan", "plan"),
        ("order_ID", "order_ID"),
        ("a1_", "a1_"),
        ("Product Name", "ProductName"),
        ("a.b-c", "abc"),
        ("größe", "gre"),
        ("2nd", "p2nd"),
        ("_id", "p_id"),
        ("1", "p1"),
        ("_", "p_"),
        (" 1 ", "p1"),
        ("plan\n", "plan"),
        ("", "p_00000000"),
        ("名前", f"p_{checksum('名前')}"),
        ("...", f"p_{checksum('...')}"),
    ],
)
def test_a_name_gets_its_legal_form(original: str, expected: str) -> None:
    """Illegal characters go, and a letter comes in front where there is none."""
    assert clean(original) == expected


@pytest.mark.parametrize(
    ("originals", "expected"),
    [
        (["a b", "a-b"], [f"ab_{checksum('a b')}", f"ab_{checksum('a-b')}"]),
        (["ab", "a b"], ["ab", f"ab_{checksum('a b')}"]),
        (["a b", "ab", "c d"], [f"ab_{checksum('a b')}", "ab", "cd"]),
        (["1", "p1"], [f"p1_{checksum('1')}", "p1"]),
        (
            ["a b", "ab", f"ab_{checksum('a b')}"],
            [f"ab_{checksum('a b')}_{checksum('a b')}", "ab", f"ab_{checksum('a b')}"],
        ),
    ],
)
def test_on_a_collision_the_legal_name_keeps_its_form(originals: list[str], expected: list[str]) -> None:
    """Every other name gets the checksum of its original, and again should that be taken."""
    assert NameCache().of_siblings(originals) == expected


@given(st.lists(ANY_NAME, unique=True, max_size=8), st.randoms(use_true_random=False))
def test_names_are_legal_distinct_and_independent_of_order(originals: list[str], chance: object) -> None:
    """Whatever the siblings, each name is legal and unlike the others, and their order decides nothing."""
    final = dict(zip(originals, NameCache().of_siblings(originals), strict=True))
    shuffled = list(originals)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]

    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) for name in final.values())
    assert len(set(final.values())) == len(originals)
    assert dict(zip(shuffled, NameCache().of_siblings(shuffled), strict=True)) == final


@given(st.lists(ANY_NAME, unique=True, max_size=6), ANY_NAME)
def test_a_name_depends_on_its_siblings_only_when_they_collide(others: list[str], name: str) -> None:
    """Without a sibling of the same clean form a name is what it is alone."""
    siblings = [other for other in others if clean(other) != clean(name)]

    assert NameCache().of_siblings([*siblings, name])[-1] == clean(name)


@given(ANY_NAME)
def test_a_legal_form_stays_as_it_is(name: str) -> None:
    """Cleaning twice is cleaning once."""
    assert clean(clean(name)) == clean(name)


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ever new names and long names cost no memory, and are cleaned all the same."""
    monkeypatch.setattr(names, "_CACHED_NAMES", 3)
    cache = NameCache()
    long = "x" * MAX_CACHED_CHARACTERS + "-"

    cleaned = [cache[f"n {number}"] for number in range(10)] + [cache[long]]

    assert cleaned == [f"n{number}" for number in range(10)] + [long[:-1]]
    assert len(cache) <= 3
    assert cache["plan"] == "plan"
    assert cache.unchanged == {"plan"}
    assert [cache[f"n {number}"] for number in range(3)] == ["n0", "n1", "n2"]
    assert cache.unchanged == set()
