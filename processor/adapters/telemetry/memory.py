"""How near the process is to the memory limit of its container, beyond which the kernel kills it without a word."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import final

SHORT_FROM = 0.85
"""Of the limit: what is left is less than a burst of large records may take."""
SHORT_UNTIL = 0.8
"""Less than this is enough again; what goes up and down in between is told once."""

ACTION = (
    "Raise the container's memory limit, or lower PROCESSOR_MEMORY__BUDGET_BYTES; without that setting the worker "
    "takes a budget that fits the limit."
)


def resident_bytes(root: Path = Path("/")) -> int:
    """Return the resident memory of this process, 0 where the system does not tell; blocks for a read of `/proc`."""
    try:
        pages = (root / "proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@final
class MemoryLook:
    """What was seen at the last look; for the event loop's thread."""

    def __init__(self, limit: Callable[[], int | None], resident: Callable[[], int] = resident_bytes) -> None:
        """`limit` returns the container's limit in bytes, None where it has none."""
        self._limit = limit
        self._resident = resident
        self.limit_bytes: int | None = None
        self.resident_bytes = 0
        self.is_short = False
        """Whether so little is left that somebody should see to it."""

    def look(self) -> bool:
        """Look anew, every second; return whether memory has become short since the last look.

        The limit is read each time, for it may be changed while the process runs.
        """
        was_short = self.is_short
        self.limit_bytes, self.resident_bytes = self._limit(), self._resident()
        part = SHORT_UNTIL if was_short else SHORT_FROM
        self.is_short = self.limit_bytes is not None and self.resident_bytes >= part * self.limit_bytes
        return self.is_short and not was_short
