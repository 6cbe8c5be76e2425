"""The computer's clocks."""

import time
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
