"""The `Clock` port on the running loop's time, which may be virtual."""

import asyncio

WALL_AT_ZERO_S = 1_700_000_000.0
"""The wall clock's reading at the loop's zero."""


class LoopClock:
    """Both readings follow the running loop."""

    def monotonic(self) -> float:
        """Return the loop's time."""
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        """Return the loop's time, moved to a plausible date."""
        return WALL_AT_ZERO_S + self.monotonic()
