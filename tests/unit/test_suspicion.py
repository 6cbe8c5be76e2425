"""Who is the cause of a request's failures, as far as can be known."""

from collections.abc import Iterable

import pytest

from processor.engine.suspicion import Blame, Suspects, Suspicion
from processor.engine.verdict import Retry, RetryReason

FAILED = Retry(RetryReason.SERVER_ERROR, 503)
PAGE = Retry(RetryReason.GATEWAY, 403, detail="page", speaks_of_body=True)
LOST = Retry(RetryReason.CONNECTION, detail="reset", speaks_of_body=True)


def blame(
    suspects: Suspects, suspicion: Suspicion, now: float, verdict: Retry = FAILED, *, is_large: bool = False
) -> Blame:
    """Let a lone item fail at this moment, or a batch that `is_large`."""
    return suspects.blame(suspicion, verdict, now, is_alone=not is_large, is_large=is_large)


def fail(suspects: Suspects, suspicion: Suspicion, moments: Iterable[float], verdict: Retry = FAILED) -> list[bool]:
    """Let a lone item fail at these moments, each after another one was taken; say at which it is given up."""
    said = []
    for now in moments:
        suspects.succeeded(now)
        said.append(blame(suspects, suspicion, now, verdict) is Blame.RECORD)
    return said


def test_a_request_that_fails_for_long_while_others_succeed_is_at_fault() -> None:
    """After an hour, and no earlier."""
    said = fail(Suspects(), Suspicion(), range(0, 3_601, 100))
    assert said == [False] * 36 + [True]


def test_a_request_that_failed_seldom_is_no_suspect() -> None:
    """A service that fails often and not always is no fault of a record."""
    said = fail(Suspects(), Suspicion(), range(0, 20_000, 1_000))
    assert said == [False] * 19 + [True]


def test_a_request_is_not_at_fault_while_nothing_else_succeeds() -> None:
    """That is an outage; the first minute after another one was taken tells."""
    suspects, suspicion = Suspects(), Suspicion()
    for now in range(0, 10_000, 100):
        assert blame(suspects, suspicion, now) is Blame.NOBODY
    suspects.succeeded(10_000.0)
    assert blame(suspects, suspicion, 10_060.1) is Blame.NOBODY
    assert blame(suspects, suspicion, 10_060.0) is Blame.RECORD


@pytest.mark.parametrize("reason", [reason for reason in RetryReason if reason is not RetryReason.SERVER_ERROR])
def test_any_other_failure_clears_a_request_of_suspicion(reason: RetryReason) -> None:
    """Only what may be the fault of a record counts, and only one after the other."""
    suspects, suspicion = Suspects(), Suspicion()
    assert not any(fail(suspects, suspicion, range(0, 3_600, 100)))
    assert blame(suspects, suspicion, 3_600.0, Retry(reason)) is Blame.NOBODY
    assert fail(suspects, suspicion, range(3_700, 7_301, 100)) == [False] * 36 + [True]


def test_a_part_of_what_failed_for_long_is_judged_within_a_minute() -> None:
    """The hour has passed already; it still has to fail by itself, often enough and for a minute."""
    suspects, whole = Suspects(), Suspicion()
    assert fail(suspects, whole, range(0, 3_601, 100))[-1]
    said = fail(suspects, whole.of_part(), range(3_600, 3_661, 3))
    assert said == [False] * 20 + [True]


def test_a_batch_that_fails_for_long_is_split_and_not_given_up() -> None:
    """The culprit is to be found first."""
    suspects, suspicion = Suspects(), Suspicion()
    said = []
    for now in range(0, 3_601, 100):
        suspects.succeeded(now)
        said.append(suspects.blame(suspicion, FAILED, now, is_alone=False))
    assert said == [Blame.NOBODY] * 36 + [Blame.BODY]


@pytest.mark.parametrize(("verdict", "tries"), [(PAGE, 3), (LOST, 7)])
def test_a_body_that_never_passes_while_others_do_is_the_cause_soon(verdict: Retry, tries: int) -> None:
    """What refuses it in so many words sooner than what may be chance; its parts sooner still."""
    suspects, suspicion = Suspects(), Suspicion()
    said = []
    for each in range(tries):
        suspects.succeeded(each * 6.0)
        said.append(suspects.blame(suspicion, verdict, each * 6.0 + 1, is_alone=False))
    assert said == [Blame.NOBODY] * (tries - 1) + [Blame.BODY]
    part = suspicion.of_part()
    parts = [suspects.blame(part, verdict, 50.0, is_alone=False) for _ in range(1 if tries == 3 else 3)]
    assert parts[-1] is Blame.BODY
    assert set(parts[:-1]) <= {Blame.NOBODY}


@pytest.mark.parametrize("verdict", [PAGE, LOST])
def test_while_nothing_passes_no_body_is_blamed(verdict: Retry) -> None:
    """One success in a long outage is no proof either: whoever failed before it and once after it may pass next."""
    suspects, suspicion = Suspects(), Suspicion()
    for each in range(50):
        assert suspects.blame(suspicion, verdict, each * 10.0, is_alone=False) is Blame.NOBODY
    suspects.succeeded(500.0)
    assert suspects.blame(suspicion, verdict, 501.0, is_alone=False) is Blame.NOBODY
    assert not suspicion.is_blocked


def test_one_record_tells_whether_what_is_large_may_pass_at_all() -> None:
    """Once until something passes: where nothing does, all wait for the same cause."""
    suspects = Suspects()
    first, second = Suspicion(), Suspicion()
    said = [blame(suspects, first, now, LOST, is_large=True) for now in (0.0, 4.0, 8.0, 12.0, 16.0, 20.0)]
    assert said == [Blame.NOBODY] * 4 + [Blame.UNCLEAR, Blame.NOBODY]
    assert {blame(suspects, second, now, LOST, is_large=True) for now in range(20, 60, 10)} == {Blame.NOBODY}


def test_a_missing_route_is_no_matter_of_size() -> None:
    """A 404 or a page of maintenance is the same for every body."""
    suspects = Suspects()
    for status in (200, 204, 302, 401, 404, 405):
        page = Retry(RetryReason.GATEWAY, status, speaks_of_body=True)
        suspicion = Suspicion()
        assert {blame(suspects, suspicion, now, page, is_large=True) for now in range(0, 100, 5)} == {Blame.NOBODY}


def test_on_a_quiet_topic_a_blocked_record_is_given_up_too() -> None:
    """Others pass every ten minutes: rarely, and yet they do."""
    suspects, suspicion, said = Suspects(), Suspicion(), []
    for now in range(0, 3_721, 30):
        if now % 600 == 0:
            suspects.succeeded(now)
        said.append(blame(suspects, suspicion, now + 1.0, PAGE))
    assert said.index(Blame.RECORD) == 120
    assert suspicion.is_blocked


def test_a_lone_record_that_is_blocked_is_given_up_after_the_whole_patience_only() -> None:
    """And is known to be blocked long before."""
    suspects, suspicion = Suspects(poison_after_s=1_000.0), Suspicion()
    said = fail(suspects, suspicion, range(0, 1_001, 40), PAGE)
    assert said == [False] * 25 + [True]
    assert suspicion.is_blocked


def test_a_503_of_something_in_between_is_a_limit_while_others_pass() -> None:
    """A few times for one request; for the rest of them it may be the body."""
    suspects = Suspects()
    page = Retry(RetryReason.GATEWAY, 503, speaks_of_body=True)
    assert suspects.as_limit(page, 0, 1_000.0) == page
    suspects.succeeded(1_000.0)
    assert suspects.as_limit(page, 0, 1_005.0) == Retry(RetryReason.THROTTLED, 503)
    assert suspects.as_limit(page, 3, 1_005.0) == page
    assert suspects.as_limit(page, 0, 1_011.0) == page
    assert suspects.as_limit(FAILED, 0, 1_005.0) == FAILED


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_body_as_large_as_one_that_was_blocked_is_not_tried_for_long(*, is_alone: bool) -> None:
    """Its halves are sent at once, for all that was planned before; one record has no halves."""
    suspects = Suspects()
    suspects.succeeded(0.0)
    found = suspects.blame(Suspicion(), LOST, 1.0, is_alone=is_alone, was_blocked=True)
    assert found is (Blame.NOBODY if is_alone else Blame.BODY)
    assert suspects.blame(Suspicion(), FAILED, 1.0, is_alone=False, was_blocked=True) is Blame.NOBODY
