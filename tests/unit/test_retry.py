"""How long to wait before the next try."""

import random

import pytest

from processor.engine.retry import Backoff, RetryBudget


@pytest.mark.parametrize(
    ("failures", "ceiling_s"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 30.0), (100, 30.0), (10**9, 30.0)]
)
def test_the_wait_doubles_up_to_its_cap(failures: int, ceiling_s: float) -> None:
    """The longest wait doubles with each failure up to the cap, for any number of failures."""
    assert Backoff().delay_s(failures, lambda: 1.0) == ceiling_s


def test_the_jitter_is_full_also_at_the_cap() -> None:
    """The wait is drawn from zero up to the longest, also at the cap."""
    chance = random.Random(1)
    delays = [Backoff().delay_s(50, chance.random) for _ in range(1_000)]
    assert min(delays) < 1.0
    assert max(delays) > 29.0
    assert sum(delays) / len(delays) == pytest.approx(15.0, abs=1.0)


def test_the_budget_grants_some_repeats_at_once() -> None:
    """The budget grants its reserve at once, and then one repeat every two seconds."""
    budget = RetryBudget()
    waits = [budget.wait_s(1_000.0) for _ in range(23)]
    assert waits == [0.0] * 20 + [2.0, 4.0, 6.0]


def test_successes_earn_repeats() -> None:
    """Each success earns a fifth of a repeat, up to the reserve."""
    budget = RetryBudget()
    for _ in range(20):
        budget.wait_s(1_000.0)
    for _ in range(5):
        budget.succeeded()
    assert [budget.wait_s(1_000.0) for _ in range(2)] == [0.0, 2.0]
    for _ in range(1_000):
        budget.succeeded()
    assert [budget.wait_s(1_000.0) for _ in range(21)] == [0.0] * 20 + [2.0]
