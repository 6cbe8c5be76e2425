"""How long to wait before the next try."""

import random

import pytest

from processor.engine.retry import Backoff, RetryBudget


@pytest.mark.parametrize(
    ("failures", "ceiling_s"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 30.0), (100, 30.0), (10**9, 30.0)]
)
def test_the_wait_doubles_up_to_its_cap(failures: int, ceiling_s: float) -> None:
    """The highest possible wait is twice the one before, and however many failures there are, no overflow."""
    assert Backoff().delay_s(failures, lambda: 1.0) == ceiling_s


def test_the_jitter_is_full_also_at_the_cap() -> None:
    """Workers that failed together spread over the whole of the wait."""
    chance = random.Random(1)
    delays = [Backoff().delay_s(50, chance.random) for _ in range(1_000)]
    assert min(delays) < 1.0
    assert max(delays) > 29.0
    assert sum(delays) / len(delays) == pytest.approx(15.0, abs=1.0)


def test_the_budget_grants_some_repeats_at_once() -> None:
    """Then they come no faster than half a one a second."""
    budget = RetryBudget()
    waits = [budget.wait_s(1_000.0) for _ in range(23)]
    assert waits == [0.0] * 20 + [2.0, 4.0, 6.0]


def test_successes_earn_repeats() -> None:
    """A fifth each, and no more than the reserve."""
    budget = RetryBudget()
    for _ in range(20):
        budget.wait_s(1_000.0)
    for _ in range(5):
        budget.succeeded()
    assert [budget.wait_s(1_000.0) for _ in range(2)] == [0.0, 2.0]
    for _ in range(1_000):
        budget.succeeded()
    assert [budget.wait_s(1_000.0) for _ in range(21)] == [0.0] * 20 + [2.0]
