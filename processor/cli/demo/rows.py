"""Numbers with their names, as progress and account show them."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from processor.cli.demo.tally import Tally
from processor.engine.verdict import RetryReason
from processor.model.reasons import DeadLetterReason, FilterReason, Kind


class Row(NamedTuple):
    """A number with its name, and what there is to say of it."""

    name: str
    number: str
    detail: str = ""


def outcomes_of(
    delivered: Counter[Kind], filtered: Counter[FilterReason], dead_lettered: Counter[DeadLetterReason]
) -> list[Row]:
    """Return what became of records."""
    return [
        Row(
            "delivered", f"{delivered.total():,}", f"({delivered[Kind.USER]:,} users, {delivered[Kind.EVENT]:,} events)"
        ),
        Row("filtered", f"{filtered.total():,}", _by_reason(filtered)),
        Row("dead-lettered", f"{dead_lettered.total():,}", _by_reason(dead_lettered)),
    ]


def efforts_of(tally: Tally) -> list[Row]:
    """Return what delivery took."""
    throttled = tally.retries[RetryReason.THROTTLED]
    others = tally.retries.total() - throttled
    rows = [Row("requests", f"{tally.requests:,}", f"(answered 429: {throttled:,}, other retries: {others:,})")]
    freshness = tally.freshness()
    if freshness is not None:
        rows.append(Row("freshness", f"{freshness.median_s:.2f} s", f"(95 %: {freshness.p95_s:.2f} s)"))
    return rows


def in_words(counts: Mapping[Any, int]) -> str:
    """Return counts by name, the largest first."""
    ordered = sorted(counts.items(), key=lambda each: -each[1])
    return ", ".join(f"{name} {count:,}" for name, count in ordered if count) or "none"


def _by_reason(counts: Mapping[Any, int]) -> str:
    return f"({in_words(counts)})" if any(counts.values()) else ""
