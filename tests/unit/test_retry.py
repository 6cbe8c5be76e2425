"""How long to wait before the next try."""

import random

import pytest

from processor.engine.retry import LONGEST_PROBE_S, Backoff, Retries, RetryBudget
from processor.engine.verdict import Retry, RetryReason


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


FAILED = Retry(RetryReason.SERVER_ERROR, 503)
THROTTLED = Retry(RetryReason.THROTTLED, 429)


def test_a_repeat_waits_for_its_backoff() -> None:
    """Longer after each failure in a row, with jitter, while the budget grants it."""
    retries = Retries(lambda: 0.5)
    waits = [retries.delay_s(FAILED, failures, 1_000.0, is_broken=False) for failures in (1, 2, 3, 100)]
    assert waits == [0.25, 0.5, 1.0, 15.0]


@pytest.mark.parametrize("verdict", [THROTTLED, Retry(RetryReason.SERVER_ERROR, 503, 30.0)])
def test_who_is_told_when_to_come_again_waits_at_the_gate(verdict: Retry) -> None:
    """With all others; and spends nothing of the budget."""
    retries = Retries(lambda: 0.0)
    for _ in range(100):
        assert retries.delay_s(verdict, 100, 1_000.0, is_broken=False) == 0.0
    assert retries.delay_s(FAILED, 1, 1_000.0, is_broken=False) == 0.0


def test_repeats_beyond_the_budget_wait_for_it() -> None:
    """The longer of both waits counts; what succeeds earns."""
    retries = Retries(lambda: 0.0)
    waits = [retries.delay_s(FAILED, 1, 1_000.0, is_broken=False) for _ in range(22)]
    assert waits == [0.0] * 20 + [2.0, 4.0]
    for _ in range(10):
        retries.succeeded(1_000.0)
    assert retries.delay_s(FAILED, 1, 1_000.0, is_broken=False) == pytest.approx(2.0)


def test_while_fullstory_fails_as_a_whole_a_repeat_waits_no_longer_than_a_probe() -> None:
    """Few are let through by the gate, and they must not stay away when it is back."""
    retries = Retries(lambda: 0.5)
    assert retries.delay_s(FAILED, 100, 1_000.0, is_broken=True) == LONGEST_PROBE_S * 0.5
    assert retries.delay_s(FAILED, 1, 1_000.0, is_broken=True) == 0.25


def test_the_budget_holds_while_fullstory_fails_as_a_whole() -> None:
    """Or what returns at once when it is back takes it down once more."""
    retries = Retries(lambda: 0.0)
    waits = [retries.delay_s(FAILED, 1, 1_000.0, is_broken=True) for _ in range(22)]
    assert waits == [0.0] * 20 + [2.0, 4.0]


@pytest.mark.parametrize(
    ("verdict", "expected_s"),
    [
        (Retry(RetryReason.THROTTLED, 429, 30.0), 30.0),
        (Retry(RetryReason.THROTTLED, 429, 1.0), 1.0),
        (Retry(RetryReason.SERVER_ERROR, 503, 0.2), 0.2),
        (Retry(RetryReason.SERVER_ERROR, 503, 30.0), 30.0),
        (FAILED, 0.0),
        (Retry(RetryReason.CONNECTION), 0.0),
        (Retry(RetryReason.GATEWAY, 503, 30.0), 30.0),
        (Retry(RetryReason.GATEWAY, 403, 30.0), 0.0),
    ],
)
def test_nobody_sends_anything_for_as_long_as_fullstory_names(verdict: Retry, expected_s: float) -> None:
    """A failure without a time blocks nobody."""
    assert Retries(lambda: 0.5).block_s(verdict, is_blocked=False) == expected_s


@pytest.mark.parametrize("after_s", [None, 0.0, 0.5])
def test_a_refusal_that_names_no_time_blocks_for_longer_each_time(after_s: float | None) -> None:
    """For a second at least: FullStory counts in whole seconds. What succeeds begins anew."""
    retries = Retries(lambda: 1.0)
    refused = Retry(RetryReason.THROTTLED, 429, after_s)
    blocks = [retries.block_s(refused, is_blocked=False) for _ in range(4)]
    assert blocks == [1.0, 1.0, 2.0, 4.0]
    retries.succeeded(1_000.0)
    assert retries.block_s(refused, is_blocked=False) == 1.0


def test_refusals_of_what_was_on_its_way_already_count_once() -> None:
    """Nobody was to send it, and sixty at once tell no more than one."""
    retries = Retries(lambda: 1.0)
    assert retries.block_s(THROTTLED, is_blocked=False) == 1.0
    for _ in range(60):
        assert retries.block_s(THROTTLED, is_blocked=True) == 1.0
    retries.block_s(THROTTLED, is_blocked=False)
    assert retries.block_s(THROTTLED, is_blocked=False) == 2.0
