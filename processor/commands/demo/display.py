"""What is seen while the demo plays: a table that renews itself in a terminal, a line now and then elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self, final

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from processor.commands.common.terminal import BAD, DOUBTFUL, GOOD, NAME, Style, styled
from processor.commands.demo.rows import Row, efforts_of, lay_out, outcomes_of
from processor.commands.demo.tally import WorkerTally
from processor.commands.demo.wording import CALM, rejections_explained, weather_in_words
from processor.model.reasons import HaltReason
from processor.sandbox import Condition


class Phase(StrEnum):
    """What is going on."""

    JOINING = "joining"
    PRODUCING = "producing"
    FINISHING = "finishing"
    COMMITTING = "committing"
    LEAVING = "leaving"
    READING = "reading letters"


HINTS = {
    Phase.PRODUCING: "(Ctrl-C: no more records)",
    Phase.FINISHING: "(delivering the rest; Ctrl-C: leave it in Kafka)",
}
"""What Ctrl-C does in a phase."""


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
    tally: WorkerTally
    rate: float
    """Records delivered per second, lately."""
    weather: Sequence[Condition]
    """What FullStory does on purpose now."""
    now: float
    """Seconds since the epoch."""


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
        phase, *others = rows_of(progress)
        rows = [
            phase._replace(detail=HINTS.get(progress.phase, "")),
            *others,
            Row("weather", "", weather_in_words(progress.weather, progress.now), _mood(progress)),
        ]
        lines = lay_out(rows, self._live.console.width)
        text = Text.from_ansi("\n".join(styled(*line) for line in lines), no_wrap=True, overflow="crop")
        self._live.update(text, refresh=True)


@final
class Lines:
    """A line every two seconds, and one whenever the weather changes, for files and pipes."""

    interval_s = 2.0

    def __init__(self) -> None:
        self._weather: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def show(self, progress: Progress) -> None:
        """Write a line, or two."""
        weather = [condition.text for condition in progress.weather]
        if weather != self._weather:
            self._weather = weather
            click.echo(f"weather  {weather_in_words(progress.weather, progress.now)}")
        click.echo("  ".join(" ".join(filter(None, row[:3])) for row in rows_of(progress)))


def rows_of(progress: Progress) -> list[Row]:
    """Return all that is shown, in the order of a record's way."""
    tally = progress.tally
    is_waiting = progress.is_held_back and progress.phase is Phase.PRODUCING
    rejected = rejections_explained(tally.dead_lettered, progress.weather)
    rows = [
        Row(progress.phase, f"{progress.elapsed_s:.0f} s", style=NAME),
        Row("produced", f"{progress.produced:,}", "(the generator waits for the worker)" if is_waiting else ""),
        Row("consumed", f"{tally.consumed:,}", f"(lag {progress.lag:,}, in flight {progress.in_flight:,})"),
        *outcomes_of(tally.delivered, tally.filtered, tally.dead_lettered),
        *(Row("", "", explained) for explained in rejected),
        Row("rate", f"{progress.rate:,.0f}/s", "(delivered, lately)"),
        *efforts_of(tally),
    ]
    return rows + [Row("halted", "", f"{reason}: {detail}", BAD) for reason, detail in progress.halts.items()]


def _mood(progress: Progress) -> Style:
    if any(condition.is_total for condition in progress.weather):
        return BAD
    return GOOD if weather_in_words(progress.weather, progress.now) == CALM else DOUBTFUL
