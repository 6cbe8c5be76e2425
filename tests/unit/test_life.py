"""The life of a batch: what is shown of it."""

from bench.phases import MEANING, Phase, drawn, table
from bench.watched import PHASES, Life
from processor.engine.partition.request import TRANSITIONS, Stage

TOLD = {
    "batches": 2,
    "events": 10,
    "phases": {
        "forming": {"mean_s": 0.5, "p50_s": 0.4, "p90_s": 0.6, "share": 0.25},
        "answer": {"mean_s": 1.5, "p50_s": 1.0, "p90_s": 2.0, "share": 0.75},
    },
}


def test_every_stage_of_a_request_is_a_phase_of_its_batch() -> None:
    """No stage in which something can still happen is left out."""
    assert PHASES.keys() == {stage for stage in Stage if TRANSITIONS[stage]}


def test_every_phase_has_its_words() -> None:
    """A phase that is added is explained, too."""
    assert MEANING.keys() == set(Phase)


def test_time_counts_for_the_phase_that_ends() -> None:
    """What a batch waits for next has its own time, and the times of one phase add up."""
    life = Life(end=10, at=1.0)
    for phase, now in ((Phase.ANSWER, 3.0), (Phase.PLAN, 4.0), (Phase.ANSWER, 4.5), (Phase.COMMIT, 6.0)):
        life.go_on(phase, now)

    assert life.spent == {Phase.PLAN: 2.5, Phase.ANSWER: 2.5}


def test_phases_are_drawn_one_after_the_other() -> None:
    """Each bar begins where the one before it ends."""
    assert (
        table(TOLD).splitlines()[-1]
        == "| answer | waits for FullStory's answers | 1,500 ms | 1,000 ms | 2,000 ms | 75.0% |"
    )
    assert 'x="210.0" y="72" width="160.0"' in drawn(TOLD)
    assert 'x="370.0" y="102" width="480.0"' in drawn(TOLD)
