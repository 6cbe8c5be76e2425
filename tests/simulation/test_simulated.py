"""What `segment-fullstory simulate` finds: each thing that may be scarce is named, and one more worker judged by it."""

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from processor.engine.partition.range_queue import BatchLimits
from processor.model.reasons import Bottleneck
from processor.settings.memory import MIB
from processor.simulation.numbers import CPU_US, Numbers, Outage
from processor.simulation.picture import picture
from processor.simulation.play import play
from processor.simulation.verdict import compare

DOCS = Path(__file__).parents[2] / "docs"
QUICK = Numbers(partitions=4, workers=1, rate=400.0, minutes=1.0, job_s=(0.2, 0.5), scale=1)


def test_the_same_numbers_give_the_same_run() -> None:
    """Whatever is left to chance comes from the seed, and another seed gives another run."""
    numbers = replace(QUICK, limit=10.0, minutes=0.5)

    first = play(numbers).as_json()

    assert play(numbers).as_json() == first
    assert play(replace(numbers, seed=1)).as_json() != first


def test_the_load_that_is_wanted_is_delivered() -> None:
    """Where nothing is scarce, all is delivered within the linger, an answer, a job and the question for it."""
    run = play(QUICK)

    assert run.written == pytest.approx(400 * 60, rel=0.01)
    assert run.freshness is not None
    assert run.freshness.p50 < 1.0 + 0.2 + 0.5
    assert run.freshness.slowest < run.numbers.fresh_s
    assert list(run.bottlenecks()) == [Bottleneck.NONE]
    assert not run.is_behind


def test_a_core_that_is_too_slow_is_the_bottleneck_and_another_one_helps() -> None:
    """400 events a second of 4 ms each do not fit one core, but two."""
    found = compare(replace(QUICK, cpu_us=4_000.0), lambda _part: None)

    assert not found.keeps_up
    assert next(iter(found.run.bottlenecks())) is Bottleneck.CPU
    assert found.run.delivered / 60 == pytest.approx(250, rel=0.1)
    assert found.more is not None
    assert not found.more.is_behind
    assert found.words[1].startswith("One more worker would help: it delivers")


def test_a_limit_that_is_too_low_is_the_bottleneck_and_another_worker_does_not_help() -> None:
    """Each record is a request of its own here, so no more than the limit is delivered."""
    found = compare(replace(QUICK, rate=100.0, limit=30.0, is_batch=False, minutes=1.5), lambda _part: None)

    assert not found.keeps_up
    assert next(iter(found.run.bottlenecks())) is Bottleneck.DESTINATION
    assert found.run.delivered / 90 == pytest.approx(30, rel=0.25)
    assert (found.run.average(lambda step: step.limit_used) or 0) > 0.9
    assert found.words[1].startswith("One more worker would not help: FullStory")


def test_users_that_are_identified_again_and_again_are_the_bottleneck() -> None:
    """Two users in each partition: the next identify of each waits until the last one is complete."""
    run = play(replace(QUICK, users=8, identify_share=0.9, job_s=(5.0, 5.0), rate=2_000.0))

    assert next(iter(run.bottlenecks())) is Bottleneck.ORDER


def test_memory_that_is_too_small_is_named() -> None:
    """Jobs of ten seconds hold more than 16 MiB at 4,000 events a second, and the limits of FullStory are not met."""
    found = compare(
        replace(QUICK, rate=4_000.0, budget_bytes=16 * MIB, job_s=(10.0, 10.0), scale=10), lambda _part: None
    )

    assert found.keeps_up is False
    assert next(iter(found.run.bottlenecks())) is Bottleneck.MEMORY
    assert found.words[1].startswith("One more worker would help: it delivers")
    assert max(each.held_bytes for each in found.run.steps) < 16 * MIB
    assert found.run.jobs_at_most < 80


def test_a_backlog_that_grows_slowly_is_seen() -> None:
    """A few events too many are not behind by much after a minute, and yet never caught up with."""
    run = play(replace(QUICK, cpu_us=2_700.0, job_s=(0.2, 3.0)))

    assert run.behind < run.numbers.rate * run.numbers.fresh_s
    assert run.is_behind


def test_too_early_is_no_verdict() -> None:
    """What an outage left behind cannot be gone the moment it ends."""
    found = compare(replace(QUICK, rate=200.0, outage=Outage(5.0, 12.0), minutes=0.3), lambda _part: None)

    assert found.keeps_up is None
    assert found.words[0].startswith("Too early to say")


def test_what_piled_up_is_delivered_after_an_outage() -> None:
    """Nothing takes effect while it lasts; then all of it does, and the time until then is told."""
    run = play(replace(QUICK, rate=200.0, outage=Outage(10.0, 20.0), minutes=1.5))

    silent = [each for each in run.steps if 12.0 < each.at_s <= 30.0]
    assert {each.delivered_per_s for each in silent} == {0.0}
    assert run.drained_after_s is not None
    assert 0 < run.drained_after_s < 60
    assert not run.is_behind


def test_a_backlog_is_drained_and_its_age_counts_from_the_start() -> None:
    """20,000 records at once, with more on their way."""
    run = play(replace(QUICK, backlog=20_000, limit=20.0))

    assert run.written == 20_000 + 400 * 60
    assert run.drained_after_s is not None
    assert run.freshness is not None
    assert run.freshness.slowest > run.freshness.p50


def test_one_record_may_stand_for_several() -> None:
    """Batches, jobs and their times remain what they are, and so does the part of the users that is busy."""
    each = replace(QUICK, rate=4_000.0, minutes=0.3, workers=2, job_s=(0.5, 2.0))

    fine, coarse = play(each), play(replace(each, scale=10))

    assert coarse.delivered == pytest.approx(fine.delivered, rel=0.02)
    assert coarse.jobs_at_most == pytest.approx(fine.jobs_at_most, rel=0.2)
    assert coarse.freshness is not None
    assert fine.freshness is not None
    assert coarse.freshness.p50 == pytest.approx(fine.freshness.p50, rel=0.2)
    assert coarse.freshness.p99 == pytest.approx(fine.freshness.p99, rel=0.2)


def test_only_many_records_are_simulated_to_scale() -> None:
    """A full batch keeps a hundred of them; single requests cannot stand for several."""
    assert replace(QUICK, scale=0).scaled().scale == 1
    assert replace(QUICK, scale=0, rate=50_000.0).scaled().scale == 10
    assert replace(QUICK, scale=0, rate=50_000.0, event_bytes=5_000).scaled().scale == 2
    assert replace(QUICK, scale=0, rate=50_000.0, is_batch=False).scaled().scale == 1
    assert replace(QUICK, scale=0, rate=50_000.0, batch=BatchLimits(max_records=5_000)).scaled().scale == 1


def test_a_worker_without_a_partition_is_not_asked_for() -> None:
    """It would have nothing to do."""
    found = compare(replace(QUICK, workers=4, minutes=0.2), lambda _part: None)

    assert found.more is None
    assert "no partition" in found.words[1]


def test_an_event_costs_what_the_pages_say() -> None:
    """The default is the figure of docs/performance.md."""
    page = (DOCS / "performance.md").read_text(encoding="utf-8")

    assert re.findall(r"\| CPU per event \| (\d+) µs \|", page) == [f"{CPU_US:g}"]


def test_a_picture_shows_the_run() -> None:
    """It is well-formed, with a diagram for each thing that there is, in colours for light and dark."""
    run = play(replace(QUICK, outage=Outage(10.0, 10.0), limit=20.0))

    text = picture(run)
    drawn = " ".join(ET.fromstring(text).itertext())  # noqa: S314 - our own

    for part in ("Age of events", "Events per second", "limit of requests", "Held back by", "destination", "1 min"):
        assert part in drawn
    assert "prefers-color-scheme: dark" in text
    assert "limit of requests" not in picture(play(replace(QUICK, minutes=0.1)))
