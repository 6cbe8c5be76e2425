"""When dead letters are too many."""

import pytest

from processor.engine.dead_letter_ratio import DeadLetterRatio


def test_a_few_records_say_nothing() -> None:
    """Below the least number of records, no ratio is too high."""
    ratio = DeadLetterRatio(0.5)
    assert [ratio.settling(1, 1) for _ in range(999)] == [None] * 999
    assert ratio.settling(1, 1) == 1.0


def test_the_ratio_is_that_of_the_last_records() -> None:
    """Only the last records count, so that a long good time does not hide a bad release."""
    ratio = DeadLetterRatio(0.5)
    for _ in range(100):
        assert ratio.settling(100, 0) is None
    told = [ratio.settling(100, 100) for _ in range(6)]
    assert told == [None] * 5 + [pytest.approx(0.6)]
    assert [ratio.settling(100, 0) for _ in range(5)][-1] is None


def test_one_large_batch_is_judged_alone() -> None:
    """A batch larger than the window is judged by its own records."""
    ratio = DeadLetterRatio(0.1)
    ratio.settling(5_000, 0)
    assert ratio.settling(5_000, 501) == pytest.approx(0.1002)
    assert ratio.settling(5_000, 500) is None


def test_a_limit_of_one_is_none() -> None:
    """With a limit of one nothing ever halts, even if every record is dead-lettered."""
    ratio = DeadLetterRatio(1.0)
    assert [ratio.settling(1_000, 1_000) for _ in range(5)] == [None] * 5
