"""A process that gives way, beside workers that deliver live traffic: what they notice of it, and what it gets."""

from dataclasses import replace

from tests.simulation.beside import LIVE, seen

FEW = replace(LIVE, rate=8.0, limit=20.0)


def test_live_traffic_notices_nothing_and_the_limit_is_used() -> None:
    """Workers tell what they do in commits that they make anyway; a little is lost until the limit is found."""
    alone, first, then = seen(FEW, 40.0, 100.0, 120.0)

    assert alone.used < 0.6
    assert then.used > 0.95
    assert then.p99 < 1.2 * alone.p99
    assert then.p50 < 1.05 * alone.p50
    assert first.p50 < 1.05 * alone.p50


def test_live_traffic_that_wants_all_gets_nearly_all() -> None:
    """What gives way is not starved; what it gets does not depend on how much the others want."""
    _, _, then = seen(replace(FEW, rate=50.0), 10.0, 40.0, 60.0)

    assert then.used > 0.95
    assert 0.5 < then.by_lane < 0.1 * 20
