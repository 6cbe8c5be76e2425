"""Property names that FullStory takes."""

from zlib import crc32

import pytest

from processor.events import names
from processor.events.names import MAX_CACHED_CHARACTERS, NameCache, clean


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
    """Illegal characters are removed, and a name without a letter in front gets one."""
    assert clean(original) == expected


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        ("plan", "plan"),
        ("Product Name", "Product_Name"),
        ("a.b - c", "a_b___c"),
        ("größe", "gr__e"),
        ("2nd seat", "p2nd_seat"),
        (" plan", "p_plan"),
        ("", "p_00000000"),
        ("名前", f"p_{checksum('名前')}"),
        ("名前1", "p__1"),
    ],
)
def test_underscores_may_keep_words_apart(original: str, expected: str) -> None:
    """With `underscore`, each illegal character becomes one; a name of nothing else is its checksum."""
    assert clean(original, "_") == expected
    assert NameCache("_")[original] == expected


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


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither many names nor long ones grow the cache, and all are cleaned."""
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
