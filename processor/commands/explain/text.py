"""Comparisons for people."""

from typing import Any

import orjson

from processor.commands.common.terminal import BOLD, DIM, Terminal
from processor.commands.explain.difference import ABSENT, Comparison

_MAX_EXAMPLE_CHARACTERS = 120


def show_comparison(comparison: Comparison, other: str, terminal: Terminal) -> None:
    """Print how two configurations differ."""
    terminal.print((f"{comparison.different} of {comparison.records} records differ under {other}", BOLD))
    for name, kind in comparison.by_frequency():
        terminal.print("")
        terminal.print(f"{kind.records:>8}  {name}")
        for example in kind.examples:
            path, before, after = example.difference[1:]
            where = f"{example.record}: {path}" if path else example.record
            terminal.print((f"{'':>10}{where}: {_short(before)} → {_short(after)}", DIM))


def _short(value: Any) -> str:
    return "nothing" if value is ABSENT else orjson.dumps(value).decode()[:_MAX_EXAMPLE_CHARACTERS]
