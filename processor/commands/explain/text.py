"""Explanations and comparisons for people."""

import json
from collections.abc import Mapping
from typing import Any

import orjson

from processor.commands.common.explanation import Explanation, Remark, Verdict
from processor.commands.common.letter import LetterHeaders
from processor.commands.common.terminal import BAD, BOLD, DIM, DOUBTFUL, GOOD, NAME, PLAIN, TITLE, Style, Terminal
from processor.commands.explain.difference import ABSENT, Comparison
from processor.model.outcomes import Event

_STYLES: Mapping[Verdict, Style] = {"delivered": GOOD, "filtered": DOUBTFUL, "dead-lettered": BAD}
_NAME_WIDTH = 10
_MAX_EXAMPLE_CHARACTERS = 120


def show(explanation: Explanation, terminal: Terminal) -> None:
    """Print what becomes of a record."""
    terminal.print((explanation.place, TITLE))
    if explanation.letter is not None:
        _show_letter(explanation.letter, terminal)
    _field(terminal, "framing", explanation.framing)
    if explanation.schema is not None:
        _field(terminal, "schema", explanation.schema)
    if explanation.event is not None:
        _field(terminal, "event", _shown(explanation.event))
    verdict = explanation.outcome if explanation.reason is None else f"{explanation.outcome}: {explanation.reason}"
    _field(terminal, "outcome", verdict, _STYLES[explanation.outcome])
    if explanation.next_step is not None:
        _field(terminal, "next step", explanation.next_step)
    if explanation.notes:
        _field(terminal, "notes", "\n".join(map(_said, explanation.notes)))
    for request in explanation.requests:
        _field(terminal, "request", f"{request.method} {request.path}", BOLD)
        headers = "".join(f"{name}: {value}\n" for name, value in request.headers.items())
        _field(terminal, "", f"{headers}\n{request.body.decode()}")
    terminal.print("")


def _shown(event: Event) -> str:
    """Return a decoded event as JSON, also what no request could hold: numbers beyond 64 bits, more than 254 levels."""
    try:
        return orjson.dumps(event, option=orjson.OPT_INDENT_2, default=str).decode()
    except TypeError:
        pass
    try:
        return json.dumps(event, indent=2, default=str)
    except RecursionError:
        return "nested too deeply to be shown"


def _show_letter(letter: LetterHeaders, terminal: Terminal) -> None:
    _field(terminal, "letter", f"{letter.reason}: {letter.detail}", BOLD)
    attempts = f"attempts {letter.attempts}, last {letter.last_attempt or 'never'}"
    written = f"written by version {letter.written_by}, {attempts}; redriven {letter.redrives} times"
    _field(terminal, "from", f"{letter.origin}; {written}")
    _field(terminal, "", "with today's settings, this would happen to the record:")


def _said(note: Remark) -> str:
    return ": ".join(part for part in note if part)


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


def _field(terminal: Terminal, name: str, value: str, style: Style = PLAIN) -> None:
    for number, line in enumerate(value.split("\n")):
        terminal.print((f"{'' if number else name:<{_NAME_WIDTH}}", NAME), (line, style))


def _short(value: Any) -> str:
    return "nothing" if value is ABSENT else orjson.dumps(value).decode()[:_MAX_EXAMPLE_CHARACTERS]
