"""How far reading is, in a line that renews itself on a terminal, and nothing anywhere else."""

import sys
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import Protocol, TypeVar, final

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


class _PartRead(Protocol):
    @property
    def left(self) -> int: ...


_Part = TypeVar("_Part", bound=_PartRead)


@contextmanager
def progressing(batches: Generator[_Part, None, None]) -> Iterator[Iterator[_Part]]:
    """Give the batches, and show how many offsets are left when each was dealt with; end the reading in any case."""
    progress = ReadingProgress()

    def shown() -> Iterator[_Part]:
        for batch in batches:
            yield batch
            progress.show(batch.left)

    with closing(batches):
        yield shown()
    progress.clear()


def line_of(done: int, total: int, elapsed_s: float, doing: str = "reading", what: str = "offsets") -> str:
    """Return the line."""
    left_s = f", {elapsed_s * (total - done) / done:,.0f} s left" if done else ""
    return f"{doing} {done / total:4.0%} of {total:,} {what}{left_s}"
