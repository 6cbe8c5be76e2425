"""Globs that allow and deny names."""

import pytest

from processor.events.filters import forwards


@pytest.mark.parametrize(
    ("allow", "deny", "name", "is_forwarded"),
    [
        (["Order *"], [], "Order Completed", True),
        (["Order *"], [], "Order", False),
        (["Order *"], [], "order completed", False),
        (["A", "B"], [], "B", True),
        (["A", "B"], [], "AB", False),
        ([], ["Debug*"], "Debug Panel", False),
        ([], ["Debug*"], "Order", True),
        (["Order*"], ["Order D*"], "Order Deleted", False),
        (["Order*"], ["Order D*"], "Order Completed", True),
        (["Order?Done"], [], "Order,Done", True),
        (["v[12]"], [], "v2", True),
        (["a.b"], [], "axb", False),
        ([], ["*"], "", False),
        (["*"], [], "", True),
        (["a"], [], "", False),
        (["*"], [], "two\nlines", True),
    ],
)
def test_a_name_is_forwarded_when_it_is_allowed_and_not_denied(
    allow: list[str],
    deny: list[str],
    name: str,
    is_forwarded: bool,  # noqa: FBT001
) -> None:
    """Globs match whole names with their case, and a denied name is denied whatever allows it."""
    decide = forwards(allow, deny)

    assert decide is not None
    assert decide(name) == is_forwarded


def test_without_globs_there_is_nothing_to_decide() -> None:
    """Without globs there is no filter to ask."""
    assert forwards([], []) is None
