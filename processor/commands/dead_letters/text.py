"""Dead letters for people. Without their data: of key, value and own headers only sizes and names."""

from collections.abc import Mapping

from processor.adapters.kafka.letters import PlacedLetter
from processor.commands.common.explanation import Explanation
from processor.commands.common.explanation_text import show_field, show_result
from processor.commands.common.terminal import BAD, BOLD, DIM, NAME, TITLE, Terminal
from processor.commands.dead_letters.documents import time_of
from processor.commands.dead_letters.statistics import Buckets, LetterRow, LetterTable, Statistics
from processor.events.dead_letters import (
    APP_VERSION,
    FIRST_ATTEMPT,
    GROUP,
    JOB_ID,
    LAST_ATTEMPT,
)
from processor.events.letters import Letter
from processor.model.records import Record

MAX_ROWS = 20
"""Of a table of topics or events; `--format json` has all."""

_NAME_WIDTH = 40
_BAR = 30
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_SAID: Mapping[str, str] = {
    "group": GROUP,
    "job": JOB_ID,
    "version": APP_VERSION,
}


def show_statistics(statistics: Statistics, topic: str, terminal: Terminal) -> None:
    """Print the tables."""
    others = f"; {statistics.others:,} other records" if statistics.others else ""
    terminal.print((f"{topic}: {statistics.letters:,} dead letters{others}", TITLE))
    if not statistics.letters:
        return
    for name, table in (
        ("reason", statistics.reasons),
        ("source topic", statistics.topics),
        ("event", statistics.events),
    ):
        terminal.print("")
        _show_table(name, table, statistics.letters, terminal)
    terminal.print("")
    _show_buckets(statistics.times, terminal)


def _show_table(name: str, table: LetterTable, total: int, terminal: Terminal) -> None:
    terminal.print((f"{name:<{_NAME_WIDTH}} {'letters':>12} {'share':>7}  {'first':<24}  last", NAME))
    rows = table.by_frequency()
    for value, row in rows[:MAX_ROWS]:
        _show_row(value, row, total, terminal)
    if len(rows) > MAX_ROWS:
        terminal.print((f"… and {len(rows) - MAX_ROWS:,} more: --format json has all", DIM))
    if table.others.letters:
        _show_row("(others)", table.others, total, terminal)


def _show_row(value: str, row: LetterRow, total: int, terminal: Terminal) -> None:
    name = value if len(value) <= _NAME_WIDTH else f"{value[: _NAME_WIDTH - 1]}…"
    times = f"{_time(row.first_ms)}  {_time(row.last_ms)}"
    terminal.print(f"{name:<{_NAME_WIDTH}} {row.letters:>12,} {row.letters / total:>7.1%}  {times}")


def _show_buckets(buckets: Buckets, terminal: Terminal) -> None:
    rows = buckets.in_order()
    most = max((count for _, count in rows), default=1)
    width = next(f"{buckets.width_s // size} {unit}" for size, unit in _UNITS if buckets.width_s % size == 0)
    terminal.print((f"{f'written, in buckets of {width}':<{_NAME_WIDTH}} {'letters':>12}", NAME))
    for second, count in rows:
        bar = "█" * max(round(_BAR * count / most), 1)
        terminal.print(f"{_time(second * 1_000):<{_NAME_WIDTH}} {count:>12,}  ", (bar, BAD))


def show_line(placed: PlacedLetter, terminal: Terminal, *, with_data: bool) -> None:
    """Print one letter in a line; its key is data."""
    letter = placed.letter
    key = f"  key {_readable(letter.record.key)}" if with_data else ""
    terminal.print(
        f"{placed!s:<12}  {_time(letter.record.timestamp_ms)}  ",
        (f"{letter.reason:<18}", BOLD),
        f" {'' if letter.http_status is None else letter.http_status:<3}  {letter.origin}{key}  {letter.detail}",
    )


def show_letter(explanation: Explanation, letter: Letter, terminal: Terminal, *, with_data: bool) -> None:
    """Print a letter, and what would become of it now."""
    terminal.print((explanation.place, TITLE))
    show_field(terminal, "letter", f"{letter.reason}: {letter.detail}", BOLD)
    show_field(terminal, "from", letter.origin)
    show_field(terminal, "written", _written(letter))
    for name, header in _SAID.items():
        if text := letter.text(header):
            show_field(terminal, name, text)
    if with_data:
        _show_data(letter.original, terminal)
    else:
        show_field(terminal, "holds", f"{_holds(letter.original)}; --with-data shows them")
    show_field(terminal, "", "with today's settings, this would happen to the record:")
    show_result(explanation, terminal, with_data=with_data)


def _written(letter: Letter) -> str:
    """Tell when, and after how many tries."""
    status = "" if letter.http_status is None else f", last answered {letter.http_status}"
    tries = letter.attempts or "?"
    between = f" from {letter.text(FIRST_ATTEMPT)} to {letter.text(LAST_ATTEMPT)}" if letter.text(LAST_ATTEMPT) else ""
    return f"{_time(letter.record.timestamp_ms)}; tries {tries}{between}{status}; redriven {letter.redrives} times"


def _holds(record: Record) -> str:
    parts = [f"{name} {_size(part)}" for name, part in (("key", record.key), ("value", record.value))]
    names = ", ".join(name for name, _ in record.headers or ())
    return ", ".join([*parts, f"headers {names}" if names else "no headers"])


def _show_data(record: Record, terminal: Terminal) -> None:
    show_field(terminal, "key", _readable(record.key))
    show_field(terminal, "time", _time(record.timestamp_ms))
    for name, value in record.headers or ():
        show_field(terminal, "header", f"{name}: {_readable(value)}")


def _size(part: bytes | None) -> str:
    return "null" if part is None else f"{len(part):,} bytes"


def _readable(part: bytes | None) -> str:
    return "null" if part is None else part.decode(errors="backslashreplace")


def _time(milliseconds: int) -> str:
    return time_of(milliseconds) or "-"
