"""When FullStory counts as failing as a whole."""

import pytest

from processor.engine.breaker import Breaker


def breaker_after(answers: str) -> Breaker:
    """Return a breaker that has met these at one moment: F for a failure, a dot for an answer."""
    breaker = Breaker(lambda: 0.5)
    for answer in answers:
        breaker.answered(100.0, failed=answer == "F")
    return breaker


@pytest.mark.parametrize("answers", ["F" * 9, "." * 20, ".F.." * 10, "F" * 9 + "." * 11, "." * 20 + "F" * 9])
def test_some_failures_are_no_outage(answers: str) -> None:
    """Nine failures in all, or fewer than half of the last twenty answers, are no outage."""
    assert breaker_after(answers).probe_at is None


@pytest.mark.parametrize("answers", ["F" * 10, ".F" * 5, "." * 20 + "F" * 10])
def test_half_of_the_last_answers_are(answers: str) -> None:
    """An outage begins when half of the last answers are failures, and its first probe comes soon."""
    assert breaker_after(answers).probe_at == pytest.approx(100.75)


def test_probes_become_rarer_up_to_ten_seconds() -> None:
    """After each failed probe the next one waits longer, up to ten seconds."""
    breaker = breaker_after("F" * 10)
    waits = []
    for _ in range(6):
        probe_at = breaker.probe_at
        assert probe_at is not None
        breaker.answered(probe_at, failed=True)
        assert breaker.probe_at is not None
        waits.append(breaker.probe_at - probe_at)
    assert waits == pytest.approx([1.5, 3.0, 6.0, 7.5, 7.5, 7.5])


def test_a_failure_of_a_request_sent_before_puts_off_no_probe() -> None:
    """A request that was sent before the outage and fails now does not put off the next probe."""
    breaker = breaker_after("F" * 30)
    assert breaker.probe_at == pytest.approx(100.75)


def test_any_answer_closes_it() -> None:
    """Any good answer ends the outage and clears the failures before it."""
    breaker = breaker_after("F" * 10 + ".")
    assert breaker.probe_at is None
    breaker = breaker_after("F" * 10 + "." + "F" * 9)
    assert breaker.probe_at is None
