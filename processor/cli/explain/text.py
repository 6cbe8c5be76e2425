"""Explanations and comparisons for people."""

from typing import Any

import orjson
from rich.console import Console
from rich.text import Text

from processor.cli.explain.difference import ABSENT, Comparison
from processor.cli.explain.explanation import Explanation, Note, Request, Verdict
from processor.cli.explain.letter import Letter

_STYLES: dict[Verdict, str] = {"deliver": "bold green", "filter": "bold yellow", "reject": "bold red"}
_WIDTH = 10


def show(explanation: Explanation, console: Console) -> None:
    """Print what becomes of a record."""
    _print(console, Text(explanation.place, style="bold underline"))
    if explanation.letter is not None:
        _show_letter(explanation.letter, console)
    _field(console, "framing", explanation.framing)
    if explanation.schema is not None:
        _field(console, "schema", explanation.schema)
    if explanation.event is not None:
        _field(console, "event", _pretty(explanation.event))
    verdict = explanation.outcome if explanation.reason is None else f"{explanation.outcome}: {explanation.reason}"
    _field(console, "outcome", Text(verdict, style=_STYLES[explanation.outcome]))
    for number, note in enumerate(explanation.notes):
        _field(console, "notes" if number == 0 else "", _said(note))
    for request in explanation.requests:
        _show_request(request, console)
    _print(console, Text())


def _show_letter(letter: Letter, console: Console) -> None:
    told = (
        f"{letter.origin}, version {letter.written_by or '?'}, attempts {letter.attempts or '?'}, "
        f"last {letter.last_attempt or '?'}, redriven {letter.redrives or '0'} times"
    )
    _field(console, "letter", Text(f"{letter.reason}: {letter.detail}", style="bold"))
    _field(console, "of", told)
    _field(console, "", "what follows is what would become of the record now")


def _said(note: Note) -> str:
    return ": ".join(part for part in (note.rule, note.path, note.text) if part)


def _show_request(request: Request, console: Console) -> None:
    _field(console, "request", Text(f"POST {request.path}", style="bold"))
    for name, value in request.headers.items():
        _field(console, "", f"{name}: {value}")
    _field(console, "", "")
    _field(console, "", request.body.decode())


def show_comparison(comparison: Comparison, other: str, console: Console) -> None:
    """Print how two configurations differ."""
    _print(console, Text(f"{comparison.different} of {comparison.records} records differ under {other}", style="bold"))
    for name, kind in comparison.by_frequency():
        _print(console, Text(f"\n{kind.records:>8}  {name}"))
        for example in kind.examples:
            path, before, after = example.difference[1:]
            where = f"{example.record}: {path}" if path else example.record
            _print(console, Text(f"{'':>10}{where}: {_short(before)} → {_short(after)}", style="dim"))


def _field(console: Console, name: str, value: str | Text) -> None:
    lines = [value] if isinstance(value, Text) else [Text(line) for line in value.split("\n")]
    for number, line in enumerate(lines):
        _print(console, Text.assemble((f"{'' if number else name:<{_WIDTH}}", "cyan"), line))


def _print(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True)


def _pretty(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode()


def _short(value: Any) -> str:
    return "nothing" if value is ABSENT else orjson.dumps(value).decode()[:120]
