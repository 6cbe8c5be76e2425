"""Order among the requests of one partition: each user waits for nobody but itself."""

import pytest

from processor.engine.partition.order import Turn, UserOrder


def together(order: UserOrder, uids: str) -> Turn:
    """Take a place for one request with the identifies of several users, one for each letter."""
    return order.enter_users(uids, is_apart=False)


@pytest.mark.parametrize(
    ("earlier", "later", "waits"), [("ab", "cd", 0), ("ab", "bc", 1), ("a", "a", 1), ("ab", "ab", 2)]
)
def test_users_wait_for_earlier_requests_with_one_of_theirs(earlier: str, later: str, waits: int) -> None:
    """A common uid makes the later one wait until the earlier one is complete; accepted is not enough."""
    order = UserOrder()
    first, second = together(order, earlier), together(order, later)
    assert (first.waits, second.waits) == (0, waits)
    assert order.accept(first) == []
    assert second.waits == waits
    assert order.leave(first, earlier) == ([second] if waits else [])
    assert second.waits == 0


def test_users_wait_for_the_last_of_those_before_them() -> None:
    """Each of its users may wait for another request, and several may stand in a row."""
    order = UserOrder()
    first, second, third = together(order, "ab"), together(order, "bc"), together(order, "cb")
    assert (second.waits, third.waits) == (1, 2)
    assert order.leave(first, "a") == []
    assert order.leave(first, "b") == [second]
    assert order.leave(second, "b") == []
    assert order.leave(second, "c") == [third]


def test_a_user_that_is_complete_makes_way_before_the_others_of_its_request() -> None:
    """One item of a job may be sent again for long."""
    order = UserOrder()
    first, second = together(order, "abc"), together(order, "a")
    assert order.leave(first, "a") == [second]
    assert order.held(frozenset("abcd")) == frozenset("abc")
    assert order.leave(second, "a") == []
    assert order.held(frozenset("abcd")) == frozenset("bc")


def test_events_wait_until_the_identifies_before_them_are_accepted() -> None:
    """Acceptance is enough, or the end; a later identify concerns no earlier event."""
    order = UserOrder()
    first, second = together(order, "ab"), together(order, "bc")
    events = order.enter_events(frozenset("bx"))
    later = together(order, "bx")
    assert events.waits == 2
    assert order.accept(first) == []
    assert order.accept(second) == [events]
    assert order.accept(later) == []
    assert order.enter_events(frozenset("ax")).waits == 0
    assert order.unaccepted(frozenset("abcx")) == set()


def test_a_job_that_was_taken_up_leaves_from_behind() -> None:
    """What was planned before it, in another epoch, may yet have to be sent: that had its turn before."""
    order = UserOrder()
    first, second, third = together(order, "a"), together(order, "a"), together(order, "a")
    assert order.leave(second, "a") == []
    assert order.leave(first, "a") == [third]


def test_what_is_left_of_a_job_that_was_taken_up_has_its_turn() -> None:
    """One user of it is complete before its turn; another, whose item failed, is sent again when it has come."""
    order = UserOrder()
    first, second = together(order, "ab"), together(order, "ab")
    assert order.leave(second, "a") == []
    assert second.waits == 1
    assert order.leave(first, "b") == [second]


def test_only_a_request_of_several_users_that_waits_holds_the_partition_up() -> None:
    """One user's line waits for itself."""
    order = UserOrder()
    line, second = order.enter_users("a", is_apart=True), order.enter_users("a", is_apart=True)
    second.held.append(None)  # type: ignore[arg-type]
    found = [(order.is_held_up, order.is_slow("a"))]
    shared = together(order, "ab")
    shared.held.append(None)  # type: ignore[arg-type]
    found.append((order.is_held_up, order.is_slow("a")))
    order.leave(line, "a")
    order.leave(second, "a")
    found.append((order.is_held_up, order.is_slow("a")))
    assert found == [(False, True), (True, True), (False, False)]


def test_a_deletion_waits_for_the_batches_that_hold_something_of_its_user() -> None:
    """They have to settle; of others it waits for nothing."""
    order = UserOrder(deletes_users=True)
    first, second, other = order.enter_batch("ab"), order.enter_batch("a"), order.enter_batch("c")
    deletion = order.enter_deletion("a")
    assert deletion.waits == 2
    assert order.settle(other) == order.settle(second) == []
    assert order.settle(first) == [deletion]
    assert order.enter_deletion("b").waits == 0


def test_where_nobody_is_deleted_batches_hold_nobody() -> None:
    """Nothing is kept of them."""
    assert UserOrder().enter_batch("ab").uids == ()
