"""Explanations for people."""

import json
from collections.abc import Mapping

import orjson

from processor.commands.common.explanation import Explanation, Remark, Verdict
from processor.commands.common.terminal import BAD, BOLD, DOUBTFUL, GOOD, NAME, PLAIN, TITLE, Style, Terminal
from processor.events.dead_letters import APP_VERSION, ATTEMPTS, LAST_ATTEMPT
from processor.events.letters import Letter
from processor.model.outcomes import Event

_STYLES: Mapping[Verdict, Style] = {"delivered": GOOD, "filtered": DOUBTFUL, "dead-lettered": BAD}
_NAME_WIDTH = 10


def show(explanation: Explanation, terminal: Terminal) -> None:
    """Print what becomes of a record, with all that it holds."""
    terminal.print((explanation.place, TITLE))
    if explanation.letter is not None:
        _show_letter(explanation.letter, terminal)
    show_result(explanation, terminal)
    terminal.print("")


def show_result(explanation: Explanation, terminal: Terminal, *, with_data: bool = True) -> None:
    """Print what becomes of a record and what to do; without the data, nothing that the record holds but names."""
    show_field(terminal, "framing", explanation.framing)
    if explanation.schema is not None:
        show_field(terminal, "schema", explanation.schema)
    if explanation.event is not None and with_data:
        show_field(terminal, "event", _shown(explanation.event))
    verdict = explanation.outcome if explanation.reason is None else f"{explanation.outcome}: {explanation.reason}"
    show_field(terminal, "outcome", verdict, _STYLES[explanation.outcome])
    if explanation.next_step is not None:
        show_field(terminal, "next step", explanation.next_step)
    if explanation.notes:
        show_field(terminal, "notes", "\n".join(map(_said, explanation.notes)))
    for request in explanation.requests if with_data else ():
        show_field(terminal, "request", f"{request.method} {request.path}", BOLD)
        headers = "".join(f"{name}: {value}\n" for name, value in request.headers.items())
        show_field(terminal, "", f"{headers}\n{request.body.decode()}")


def show_field(terminal: Terminal, name: str, value: str, style: Style = PLAIN) -> None:
    """Print a value of one or more lines beside its name."""
    for number, line in enumerate(value.split("\n")):
        terminal.print((f"{'' if number else name:<{_NAME_WIDTH}}", NAME), (line, style))


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


def _show_letter(letter: Letter, terminal: Terminal) -> None:
    show_field(terminal, "letter", f"{letter.reason}: {letter.detail}", BOLD)
    attempts = f"attempts {letter.text(ATTEMPTS)}, last {letter.text(LAST_ATTEMPT) or 'never'}"
    written = f"written by version {letter.text(APP_VERSION)}, {attempts}; redriven {letter.redrives} times"
    show_field(terminal, "from", f"{letter.origin}; {written}")
    show_field(terminal, "", "with today's settings, this would happen to the record:")


def _said(note: Remark) -> str:
    return ": ".join(part for part in note if part)
