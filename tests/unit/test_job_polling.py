"""When a job is asked for."""

import random

import pytest

from processor.engine.job_polling import PollSchedule
from processor.model.reasons import Kind


@pytest.mark.parametrize(
    ("age_s", "expected"), [(0.0, 0.25), (1.0, 0.25), (2.0, 0.5), (20.0, 5.0), (40.0, 10.0), (1e6, 10.0)]
)
def test_a_job_is_asked_for_after_a_share_of_its_age(age_s: float, expected: float) -> None:
    """A job is asked for ever less often as it ages, but at least every ten seconds."""
    assert PollSchedule().wait_s(Kind.USER, age_s) == pytest.approx(expected)


def questions(schedule: PollSchedule, duration_s: float, *, is_dear: bool = False) -> tuple[int, float]:
    """Return how many questions find out that a job has ended, and after which time; the schedule learns of it."""
    age_s, count = 0.0, 0
    while age_s < duration_s:
        age_s += schedule.wait_s(Kind.EVENT, age_s, is_dear=is_dear)
        count += 1
    schedule.ended(Kind.EVENT, age_s)
    return count, age_s


def test_questions_are_few() -> None:
    """A job of half an hour takes fewer than 200 questions, and its end is known within ten seconds."""
    count, known_at = questions(PollSchedule(), 1_800.0)
    assert count < 200
    assert known_at <= 1_810.0


@pytest.mark.parametrize("duration_s", [0.3, 1.0, 2.0, 5.0, 9.0])
def test_the_schedule_learns_how_long_jobs_take(duration_s: float) -> None:
    """For jobs of a usual length, three questions suffice to know the end within a quarter."""
    schedule = PollSchedule()
    for _ in range(20):
        count, known_at = questions(schedule, duration_s)
    assert count <= 3
    assert known_at <= max(1.25 * duration_s, duration_s + 0.25)


def test_the_schedule_finds_out_that_jobs_have_become_faster() -> None:
    """The first question comes a little before the usual end, so that faster jobs are noticed."""
    schedule = PollSchedule()
    for _ in range(10):
        questions(schedule, 8.0)
    for _ in range(40):
        _, known_at = questions(schedule, 1.0)
    assert known_at <= 1.25


def test_each_kind_has_durations_of_its_own() -> None:
    """The usual duration is learned apart for users and for events."""
    schedule = PollSchedule()
    schedule.ended(Kind.USER, 8.0)
    assert schedule.wait_s(Kind.EVENT, 0.0) == 0.25
    assert schedule.wait_s(Kind.USER, 0.0) == pytest.approx(6.4)


def test_fewer_are_asked_while_requests_wait_for_the_rate() -> None:
    """A question keeps a request from being sent, so most jobs cost one, and are known within twice their time."""
    chance = random.Random(1)
    jobs = [chance.uniform(0.5, 2.0) for _ in range(300)]
    schedules = {is_dear: PollSchedule() for is_dear in (False, True)}

    found = {is_dear: [questions(each, job, is_dear=is_dear) for job in jobs] for is_dear, each in schedules.items()}

    usual, dear = (sum(count for count, _ in found[is_dear]) for is_dear in (False, True))
    assert dear < 0.85 * usual
    assert dear < 1.35 * len(jobs)
    assert all(known_at <= max(2 * job, 3.0) for (_, known_at), job in zip(found[True], jobs, strict=True))
