"""When a job is asked for."""

import pytest

from processor.engine.polling import PollSchedule


@pytest.mark.parametrize(
    ("age_s", "expected"), [(0.0, 0.25), (1.0, 0.25), (2.0, 0.5), (20.0, 5.0), (40.0, 10.0), (1e6, 10.0)]
)
def test_a_job_is_asked_for_after_a_share_of_its_age(age_s: float, expected: float) -> None:
    """Often at first, then ever less, and never less than once in ten seconds."""
    assert PollSchedule().wait_s(age_s) == pytest.approx(expected)


def test_questions_are_few() -> None:
    """A job of half an hour is asked for less than two hundred times, and known to be complete ten seconds late."""
    age_s, questions = 0.0, 0
    while age_s < 1_800.0:
        age_s += PollSchedule().wait_s(age_s)
        questions += 1
    assert questions < 200
    assert age_s <= 1_810.0
