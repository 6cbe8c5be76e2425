"""Order among the requests of one partition, as a table of what may overlap."""

import pytest

from processor.engine.partition.order import UserOrder


def uids(text: str) -> frozenset[str]:
    """Return one user for each letter."""
    return frozenset(text)


@pytest.mark.parametrize(("earlier", "later", "expected"), [("ab", "cd", True), ("ab", "bc", False), ("a", "a", False)])
def test_users_wait_for_earlier_requests_with_one_of_theirs(earlier: str, later: str, *, expected: bool) -> None:
    """A common uid makes the later one wait, whether or not the earlier one is accepted."""
    order = UserOrder()
    first = order.enter(0, uids(earlier))
    second = order.enter(10, uids(later))
    assert order.may_post_users(first)
    assert order.may_post_users(second) is expected
    first.accepted = True
    assert order.may_post_users(second) is expected
    order.leave(first)
    assert order.may_post_users(second)


@pytest.mark.parametrize(
    ("start", "events", "is_accepted", "expected"),
    [
        (0, "a", False, False),  # of its own batch
        (0, "a", True, True),
        (0, "x", False, True),
        (10, "a", False, False),  # of an earlier batch
        (10, "a", True, True),
        (-10, "a", False, True),  # of a later batch
    ],
)
def test_events_wait_until_the_identifies_before_them_are_accepted(
    start: int, events: str, *, is_accepted: bool, expected: bool
) -> None:
    """Acceptance is enough, and a later identify concerns no earlier event."""
    order = UserOrder()
    turn = order.enter(0, uids("ab"))
    turn.accepted = is_accepted
    assert order.may_post_events(start, uids(events)) is expected


def test_a_request_that_has_left_holds_up_nobody() -> None:
    """Complete, or given up: both are the end of its turn."""
    order = UserOrder()
    order.leave(order.enter(0, uids("a")))
    assert order.may_post_events(0, uids("a"))
    assert order.may_post_users(order.enter(10, uids("a")))
