"""Property names: legal, distinct, and decided by nothing but themselves."""

import random
import re

from hypothesis import given
from hypothesis import strategies as st

from processor.events.names import NameCache, clean

ANY_NAME = st.text(max_size=12) | st.text("aB1_ .-é", max_size=4)


@given(st.lists(ANY_NAME, unique=True, max_size=8), st.integers(), st.sampled_from(["", "_"]))
def test_names_are_legal_distinct_and_independent_of_order(originals: list[str], seed: int, replacement: str) -> None:
    """Whatever the siblings, each name is legal and unlike the others, and their order decides nothing."""
    final = dict(zip(originals, NameCache(replacement).of_siblings(originals), strict=True))
    shuffled = list(originals)
    random.Random(seed).shuffle(shuffled)

    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) for name in final.values())
    assert len(set(final.values())) == len(originals)
    assert dict(zip(shuffled, NameCache(replacement).of_siblings(shuffled), strict=True)) == final


@given(st.lists(ANY_NAME, unique=True, max_size=6), ANY_NAME)
def test_a_name_depends_on_its_siblings_only_when_they_collide(others: list[str], name: str) -> None:
    """Without a sibling of the same clean form a name is what it is alone."""
    siblings = [other for other in others if clean(other) != clean(name)]

    assert NameCache().of_siblings([*siblings, name])[-1] == clean(name)


@given(ANY_NAME, st.sampled_from(["", "_"]))
def test_a_legal_form_stays_as_it_is(name: str, replacement: str) -> None:
    """Cleaning a name twice gives what cleaning it once gives."""
    assert clean(clean(name, replacement), replacement) == clean(name, replacement)
