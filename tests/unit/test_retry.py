"""How long to wait before the next try, and when there is none."""

import random
from collections.abc import Iterable

import pytest

from processor.engine.retry import LONGEST_PROBE_S, Backoff, Blame, Retries, RetryBudget, Suspicion
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


PAGE = Retry(RetryReason.GATEWAY, 403, detail="page", speaks_of_body=True)
LOST = Retry(RetryReason.CONNECTION, detail="reset", speaks_of_body=True)


def blame(
    retries: Retries, suspicion: Suspicion, now: float, verdict: Retry = FAILED, *, is_large: bool = False
) -> Blame:
    """Let a lone item fail at this moment, or a batch that `is_large`."""
    return retries.blame(suspicion, verdict, now, is_alone=not is_large, is_large=is_large)


def fail(retries: Retries, suspicion: Suspicion, moments: Iterable[float], verdict: Retry = FAILED) -> list[bool]:
    """Let a lone item fail at these moments, each after another one was taken; say at which it is given up."""
    said = []
    for now in moments:
        retries.succeeded(now)
        said.append(blame(retries, suspicion, now, verdict) is Blame.RECORD)
    return said


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


def test_a_request_that_fails_for_long_while_others_succeed_is_at_fault() -> None:
    """After an hour, and no earlier."""
    said = fail(Retries(lambda: 0.5), Suspicion(), range(0, 3_601, 100))
    assert said == [False] * 36 + [True]


def test_a_request_that_failed_seldom_is_no_suspect() -> None:
    """A service that fails often and not always is no fault of a record."""
    said = fail(Retries(lambda: 0.5), Suspicion(), range(0, 20_000, 1_000))
    assert said == [False] * 19 + [True]


def test_a_request_is_not_at_fault_while_nothing_else_succeeds() -> None:
    """That is an outage; the first minute after another one was taken tells."""
    retries, suspicion = Retries(lambda: 0.5), Suspicion()
    for now in range(0, 10_000, 100):
        assert blame(retries, suspicion, now) is Blame.NOBODY
    retries.succeeded(10_000.0)
    assert blame(retries, suspicion, 10_060.1) is Blame.NOBODY
    assert blame(retries, suspicion, 10_060.0) is Blame.RECORD


@pytest.mark.parametrize("reason", [reason for reason in RetryReason if reason is not RetryReason.SERVER_ERROR])
def test_any_other_failure_clears_a_request_of_suspicion(reason: RetryReason) -> None:
    """Only what may be the fault of a record counts, and only one after the other."""
    retries, suspicion = Retries(lambda: 0.5), Suspicion()
    assert not any(fail(retries, suspicion, range(0, 3_600, 100)))
    assert blame(retries, suspicion, 3_600.0, Retry(reason)) is Blame.NOBODY
    assert fail(retries, suspicion, range(3_700, 7_301, 100)) == [False] * 36 + [True]


def test_a_part_of_what_failed_for_long_is_judged_within_a_minute() -> None:
    """The hour has passed already; it still has to fail by itself, often enough and for a minute."""
    retries, whole = Retries(lambda: 0.5), Suspicion()
    assert fail(retries, whole, range(0, 3_601, 100))[-1]
    said = fail(retries, whole.of_part(), range(3_600, 3_661, 3))
    assert said == [False] * 20 + [True]


def test_a_batch_that_fails_for_long_is_split_and_not_given_up() -> None:
    """The culprit is to be found first."""
    retries, suspicion = Retries(lambda: 0.5), Suspicion()
    said = []
    for now in range(0, 3_601, 100):
        retries.succeeded(now)
        said.append(retries.blame(suspicion, FAILED, now, is_alone=False, is_large=False))
    assert said == [Blame.NOBODY] * 36 + [Blame.BODY]


@pytest.mark.parametrize(("verdict", "tries"), [(PAGE, 3), (LOST, 7)])
def test_a_body_that_never_passes_while_others_do_is_the_cause_soon(verdict: Retry, tries: int) -> None:
    """What refuses it in so many words sooner than what may be chance; its parts sooner still."""
    retries, suspicion = Retries(lambda: 0.5), Suspicion()
    said = []
    for each in range(tries):
        retries.succeeded(each * 6.0)
        said.append(retries.blame(suspicion, verdict, each * 6.0 + 1, is_alone=False, is_large=False))
    assert said == [Blame.NOBODY] * (tries - 1) + [Blame.BODY]
    part = suspicion.of_part()
    parts = [retries.blame(part, verdict, 50.0, is_alone=False, is_large=False) for _ in range(1 if tries == 3 else 3)]
    assert parts[-1] is Blame.BODY
    assert set(parts[:-1]) <= {Blame.NOBODY}


@pytest.mark.parametrize("verdict", [PAGE, LOST])
def test_while_nothing_passes_no_body_is_blamed(verdict: Retry) -> None:
    """One success in a long outage is no proof either: whoever failed before it and once after it may pass next."""
    retries, suspicion = Retries(lambda: 0.5), Suspicion()
    for each in range(50):
        assert retries.blame(suspicion, verdict, each * 10.0, is_alone=False, is_large=False) is Blame.NOBODY
    retries.succeeded(500.0)
    assert retries.blame(suspicion, verdict, 501.0, is_alone=False, is_large=False) is Blame.NOBODY
    assert not suspicion.is_blocked


def test_one_record_tells_whether_what_is_large_may_pass_at_all() -> None:
    """Once until something passes: where nothing does, all wait for the same cause."""
    retries = Retries(lambda: 0.5)
    first, second = Suspicion(), Suspicion()
    said = [blame(retries, first, now, LOST, is_large=True) for now in (0.0, 4.0, 8.0, 12.0, 16.0, 20.0)]
    assert said == [Blame.NOBODY] * 4 + [Blame.UNCLEAR, Blame.NOBODY]
    assert {blame(retries, second, now, LOST, is_large=True) for now in range(20, 60, 10)} == {Blame.NOBODY}


def test_a_missing_route_is_no_matter_of_size() -> None:
    """A 404 or a page of maintenance is the same for every body."""
    retries = Retries(lambda: 0.5)
    for status in (200, 204, 302, 401, 404, 405):
        page = Retry(RetryReason.GATEWAY, status, speaks_of_body=True)
        suspicion = Suspicion()
        assert {blame(retries, suspicion, now, page, is_large=True) for now in range(0, 100, 5)} == {Blame.NOBODY}


def test_on_a_quiet_topic_a_blocked_record_is_given_up_too() -> None:
    """Others pass every ten minutes: rarely, and yet they do."""
    retries, suspicion, said = Retries(lambda: 0.5), Suspicion(), []
    for now in range(0, 3_721, 30):
        if now % 600 == 0:
            retries.succeeded(now)
        said.append(blame(retries, suspicion, now + 1.0, PAGE))
    assert said.index(Blame.RECORD) == 120
    assert suspicion.is_blocked


def test_a_lone_record_that_is_blocked_is_given_up_after_the_whole_patience_only() -> None:
    """And is known to be blocked long before."""
    retries, suspicion = Retries(lambda: 0.5, poison_after_s=1_000.0), Suspicion()
    said = fail(retries, suspicion, range(0, 1_001, 40), PAGE)
    assert said == [False] * 25 + [True]
    assert suspicion.is_blocked


def test_a_503_of_something_in_between_is_a_limit_while_others_pass() -> None:
    """A few times for one request; for the rest of them it may be the body."""
    retries = Retries(lambda: 0.5)
    page = Retry(RetryReason.GATEWAY, 503, speaks_of_body=True)
    assert retries.as_limit(page, 0, 1_000.0) == page
    retries.succeeded(1_000.0)
    assert retries.as_limit(page, 0, 1_005.0) == Retry(RetryReason.THROTTLED, 503)
    assert retries.as_limit(page, 3, 1_005.0) == page
    assert retries.as_limit(page, 0, 1_011.0) == page
    assert retries.as_limit(FAILED, 0, 1_005.0) == FAILED
