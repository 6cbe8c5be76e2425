"""What is seen while the demo plays: a table that renews itself in a terminal, a line now and then elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self, final

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from processor.cli.demo.rows import Row, efforts_of, outcomes_of
from processor.cli.demo.tally import Tally
from processor.model.reasons import HaltReason


class Phase(StrEnum):
    """What is going on."""

    JOINING = "joining"
    PRODUCING = "producing"
    FINISHING = "finishing"
    LEAVING = "leaving"
    READING = "reading letters"


@final
@dataclass(frozen=True, slots=True)
class Progress:
    """One moment of the demo."""

    phase: Phase
    elapsed_s: float
    produced: int
    is_held_back: bool
    """Whether the generator waits for the worker."""
    lag: int
    in_flight: int
    halts: Mapping[HaltReason, str]
    tally: Tally


class Display(Protocol):
    """Shows progress between `with` and its end."""

    @property
    def interval_s(self) -> float:
        """How often there is to be something new."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def show(self, progress: Progress) -> None:
        """Show this moment."""
        ...


def display_for(console: Console) -> Display:
    """Return what suits the console; colours that were forced make a file no terminal."""
    return LiveTable(console) if console.is_interactive and console.file.isatty() else Lines()


@final
class LiveTable:
    """A table that is gone at the end, when the account says it all."""

    interval_s = 0.25

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.update("", refresh=True)  # on leaving, rich shows all of what was too tall, and cannot take it back
        self._live.stop()

    def show(self, progress: Progress) -> None:
        """Renew the table."""
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column()  # the one that gives way in a narrow terminal
        for row in rows_of(progress):
            table.add_row(*row)
        self._live.update(table, refresh=True)


@final
class Lines:
    """A line every two seconds, for files and pipes."""

    interval_s = 2.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def show(self, progress: Progress) -> None:
        """Write a line."""
        click.echo("  ".join(" ".join(filter(None, row)) for row in rows_of(progress)))


def rows_of(progress: Progress) -> list[Row]:
    """Return all that is shown, in the order of a record's way."""
    tally = progress.tally
    is_waiting = progress.is_held_back and progress.phase is Phase.PRODUCING
    rows = [
        Row(progress.phase, f"{progress.elapsed_s:.0f} s"),
        Row("produced", f"{progress.produced:,}", "(the generator waits for the worker)" if is_waiting else ""),
        Row("consumed", f"{tally.consumed:,}", f"(lag {progress.lag:,}, in flight {progress.in_flight:,})"),
        *outcomes_of(tally.delivered, tally.filtered, tally.dead_lettered),
        *efforts_of(tally),
    ]
    return rows + [Row("halted", reason, detail) for reason, detail in progress.halts.items()]
