"""The `Clock` port on the running loop's time, with a wall clock that may be wrong."""

from processor.simulation.clock import LoopClock


class FakeClock(LoopClock):
    """Both readings follow the running loop; the wall clock may be put forward or back."""

    def __init__(self) -> None:
        self.shift_s = 0.0

    def wall(self) -> float:
        """Return the loop's time, moved to a plausible date, and by the shift."""
        return super().wall() + self.shift_s
