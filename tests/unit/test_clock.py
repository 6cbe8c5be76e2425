"""How long a thread has had work, as the kernel tells it."""

import time
from pathlib import Path

from processor.adapters.clock import thread_busy_s


def test_waiting_for_a_core_is_having_work(tmp_path: Path) -> None:
    """With a CPU limit of half a core, a thread that never pauses runs for half of the time and waits for the rest."""
    (tmp_path / "proc/thread-self").mkdir(parents=True)
    (tmp_path / "proc/thread-self/schedstat").write_text("1500000000 2500000000 77\n", encoding="ascii")

    assert thread_busy_s(tmp_path) == 4.0


def test_it_is_at_least_what_the_thread_ran(tmp_path: Path) -> None:
    """Also where the kernel does not tell how long it waited."""
    before_s, ran_s = thread_busy_s(), time.thread_time()
    sum(range(1_000_000))
    assert thread_busy_s() - before_s >= (time.thread_time() - ran_s) / 2
    assert thread_busy_s(tmp_path) >= ran_s
