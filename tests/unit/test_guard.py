"""The guard of the gate: what counts as slower than recorded."""

from bench.guard import TOLERANCE, verdict

RECORDED = {"JSON text": 1.0, "typed maps": 2.0}


def test_what_is_as_fast_as_recorded_or_faster_passes() -> None:
    """Noise below the tolerance says nothing, and whatever is faster is welcome."""
    assert verdict({"JSON text": 1.0 + TOLERANCE / 2, "typed maps": 1.0}, RECORDED) == []


def test_each_family_that_is_slower_is_named() -> None:
    """One family does not make up for another."""
    found = verdict({"JSON text": 0.5, "typed maps": 2.4}, RECORDED)

    assert found == ["build of typed maps is 20% slower than recorded"]
