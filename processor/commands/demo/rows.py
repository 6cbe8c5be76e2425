"""Numbers with their names, as progress and account show them."""

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from processor.commands.common.terminal import BOLD, DOUBTFUL, GOOD, PLAIN, Span, Style
from processor.commands.demo.tally import WorkerTally
from processor.engine.verdict import RetryReason
from processor.model.reasons import DeadLetterReason, FilterReason, Kind

GAP = "  "
MIN_DETAIL = 24
"""Where fewer columns are left for details, they stand below their names."""
BELOW = 4
"""How far they are then indented."""

RETRIES: Mapping[RetryReason, str] = MappingProxyType(
    {
        RetryReason.THROTTLED: "answered 429",
        RetryReason.SERVER_ERROR: "answered 5xx",
        RetryReason.CONFLICT: "answered 409",
        RetryReason.TIMEOUT: "timed out",
        RetryReason.CONNECTION: "without an answer",
    }
)
"""What came of requests that were sent again."""


_GLUE = re.compile(r"(?<=\d) (?=s\b|%)|(?<=\w) (?=[\d,]+[,)])")
"""The spaces between a number and its unit, and between a name and its count: a line does not end there."""
_NO_BREAK = "\N{NO-BREAK SPACE}"


class Row(NamedTuple):
    """A number with its name, and what there is to say of it; a detail without a number has the row to itself."""

    name: str
    number: str
    detail: str = ""
    style: Style = PLAIN


def lay_out(rows: Sequence[Row], width: int | None) -> list[list[Span]]:
    """Return the rows as lines, in columns; details are wrapped between words where there is a width."""
    names = max((len(row.name) for row in rows), default=0)
    numbers = max((len(row.number) for row in rows), default=0)
    return [line for row in rows for line in _lines_of(row, names, numbers, width)]


def _lines_of(row: Row, names: int, numbers: int, width: int | None) -> Iterable[list[Span]]:
    name = f"{row.name:<{names}}{GAP}" if names else ""
    number = f"{row.number:>{numbers}}{GAP}" if row.number else ""
    style = PLAIN if number else row.style
    indent = len(name) + len(number)
    if width is not None and width - indent < MIN_DETAIL:
        indent, beside = BELOW, ""
        below = _wrapped(row.detail, width - BELOW)
    else:
        beside, *below = [row.detail] if width is None else _wrapped(row.detail, width - indent) or [""]
    yield _without_end([(name, BOLD), (number, row.style), (beside, style)])
    for text in below:
        yield [" " * indent, (text, style)]


def _without_end(parts: list[tuple[str, Style]]) -> list[Span]:
    """Return the parts of a line without empty ones and without spaces at its end."""
    while parts and not parts[-1][0].strip():
        del parts[-1]
    *before, (last, style) = [part for part in parts if part[0]] or [("", PLAIN)]
    return [*before, (last.rstrip(), style)]


def _wrapped(text: str, width: int) -> list[str]:
    glued = _GLUE.sub(_NO_BREAK, text)
    lines = textwrap.wrap(glued, max(width, 1), break_long_words=False, break_on_hyphens=False)
    return [line.replace(_NO_BREAK, " ") for line in lines]


def outcomes_of(
    delivered: Counter[Kind], filtered: Counter[FilterReason], dead_lettered: Counter[DeadLetterReason]
) -> list[Row]:
    """Return what became of records."""
    users, events, deletions = delivered[Kind.USER], delivered[Kind.EVENT], delivered[Kind.DELETION]
    deleted = f", {deletions:,} deletions" if deletions else ""
    return [
        Row("delivered", f"{delivered.total():,}", f"({users:,} users, {events:,} events{deleted})", GOOD),
        Row("filtered", f"{filtered.total():,}", _by_reason(filtered)),
        Row(
            "dead-lettered",
            f"{dead_lettered.total():,}",
            _by_reason(dead_lettered),
            DOUBTFUL if dead_lettered.total() else PLAIN,
        ),
    ]


def efforts_of(tally: WorkerTally) -> list[Row]:
    """Return what delivery took."""
    again = {RETRIES[reason]: count for reason, count in tally.retries.items()}
    rows = [Row("requests", f"{tally.requests:,}", f"(sent again: {in_words(again)})")]
    freshness = tally.freshness()
    if freshness is not None:
        rows.append(
            Row("freshness", f"{freshness.median_s:.2f} s", f"(from Kafka to FullStory; 95 %: {freshness.p95_s:.2f} s)")
        )
    return rows


def in_words(counts: Mapping[Any, int]) -> str:
    """Return counts by name, the largest first."""
    ordered = sorted(counts.items(), key=lambda each: -each[1])
    return ", ".join(f"{name} {count:,}" for name, count in ordered if count) or "none"


def _by_reason(counts: Mapping[Any, int]) -> str:
    return f"({in_words(counts)})" if any(counts.values()) else ""
