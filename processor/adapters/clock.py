"""The computer's clocks."""

import time
from pathlib import Path
from typing import final


@final
class SystemClock:
    """The `Clock` port; `monotonic` is the event loop's own clock, so that both agree on a moment."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def wall(self) -> float:
        """Return seconds since the epoch."""
        return time.time()


def thread_busy_s(root: Path = Path("/")) -> float:
    """Return for how many seconds this thread has had work: it ran, or waited for a core; blocks for a read of `/proc`.

    With a CPU limit, or beside busy neighbours, a thread that always has work runs for a part of the time only. Where
    the kernel does not tell how long it waited, its CPU time is returned.
    """
    try:
        ran_ns, waited_ns, _ = (root / "proc/thread-self/schedstat").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return time.thread_time()
    return (int(ran_ns) + int(waited_ns)) / 1e9
