"""Law 5: what the process of a worker holds is bounded by its budget, however well its topic is compressed.

A fetch is limited as compressed and unpacked as a whole, so `bytes_held` says nothing of it: the kernel is asked for
the most that was ever resident. `python -m bench.memory` measures the same for as long as you like.
"""

from pathlib import Path

import pytest

from processor.settings.memory import MIB
from tests.kafka.cluster import Cluster
from tests.kafka.compressed import fill
from tests.kafka.conftest import Names
from tests.kafka.programs import environment_of, memory_bytes, sandbox, wait_until, worker

PROCESS_BYTES = 96 * MIB
FETCH_BYTES = 256 * 1024
"""As the law says, and not as the settings do: they may not change without it."""
PARTITIONS = 48
BUDGET_BYTES = 64 * MIB
TOPIC_BYTES = 4 * BUDGET_BYTES


@pytest.mark.parametrize(
    ("ratio", "text_bytes", "compression"), [(1, 300, "none"), (16, 260, "zstd"), (48, 1_300, "zstd")]
)
def test_the_process_is_bounded_by_its_budget(
    ratio: int, text_bytes: int, compression: str, kafka: Cluster, names: Names, tmp_path: Path
) -> None:
    """Its libraries, the budget, and what one fetch unpacks to: no more, while jobs keep all that it may hold."""
    kafka.create_topic(names.topic, PARTITIONS)
    kafka.create_topic(names.dead_letters, 1)
    _, found = fill(kafka, names.topic, text_bytes, TOPIC_BYTES, compression)
    assert found == pytest.approx(ratio, rel=0.25)
    with (
        sandbox("--job-seconds", "600", "600") as server,
        worker(
            environment_of(kafka, names, server.url, MEMORY__BUDGET_BYTES=BUDGET_BYTES), tmp_path / "log"
        ) as program,
    ):
        program.wait_until_joined()
        wait_until(lambda: _is_full(program.metrics()), "all is held that may be", 120)
        peak = memory_bytes(program.process.pid, "VmHWM")

    assert peak < PROCESS_BYTES + BUDGET_BYTES + FETCH_BYTES * found, f"{peak / MIB:.0f} MiB"


def _is_full(metrics: dict[str, float]) -> bool:
    """Say whether no partition is read any more; at first none is, either."""
    return metrics["partitions_paused"] == PARTITIONS and metrics["bytes_held"] > BUDGET_BYTES / 8
