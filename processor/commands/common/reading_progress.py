"""How far reading is, in a line that renews itself on a terminal, and nothing anywhere else."""

import sys
import time
from typing import final

import click

SHOW_EVERY_S = 0.2
_CLEAR = "\r\x1b[K"


@final
class ReadingProgress:
    """A line on standard error. `rich` would hide the cursor, and Ctrl-C, which ends a command at once, keep it so."""

    def __init__(self, doing: str = "reading", what: str = "offsets") -> None:
        self._words = (doing, what)
        self._is_shown = sys.stderr.isatty()
        self._total = 0
        self._started = self._shown_at = time.monotonic()

    def show(self, left: int) -> None:
        """Tell how many are left; the first time says how many there are."""
        self._total = self._total or left
        now = time.monotonic()
        if self._is_shown and left and now >= self._shown_at + SHOW_EVERY_S:
            self._shown_at = now
            line = line_of(self._total - left, self._total, now - self._started, *self._words)
            click.echo(_CLEAR + line, err=True, nl=False)

    def clear(self) -> None:
        """Make room for other lines."""
        if self._is_shown:
            click.echo(_CLEAR, err=True, nl=False)


def line_of(done: int, total: int, elapsed_s: float, doing: str = "reading", what: str = "offsets") -> str:
    """Return the line."""
    left_s = f", {elapsed_s * (total - done) / done:,.0f} s left" if done else ""
    return f"{doing} {done / total:4.0%} of {total:,} {what}{left_s}"
