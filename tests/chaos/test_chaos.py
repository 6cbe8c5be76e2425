"""Everything goes wrong once, on a real Kafka, and no law is broken. `make chaos-long` is the long form."""

from pathlib import Path

import pytest

from tests.chaos.faults import BLOWS
from tests.chaos.play import play
from tests.chaos.scene import Script


@pytest.mark.kafka
@pytest.mark.timeout(600)
def test_no_law_is_broken_in_chaos(folder: Path) -> None:
    """Every kind of fault, kills with requests in flight among them: nothing is lost, nothing takes effect twice."""
    script = Script(seed=1, kills=6)

    result = play(script, folder, print)

    assert "\n".join(result.faults) == ""
    assert {each["blow"] for each in result.rounds} == BLOWS.keys()
    assert len(result.killed) == script.kills
    assert min(result.killed) > 0
    assert result.counts["answers_lost"] > 0
