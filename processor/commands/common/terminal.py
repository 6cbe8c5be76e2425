"""Text for people, on whatever terminal they have."""

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from io import TextIOWrapper
from typing import Any, final

import click
import orjson

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
"""Characters that would move the cursor or change colours, as what they are."""

PLAIN = partial(str)
BOLD = partial(click.style, bold=True)
DIM = partial(click.style, dim=True)
TITLE = partial(click.style, bold=True, underline=True)
NAME = partial(click.style, fg="cyan")
GOOD = partial(click.style, fg="green", bold=True)
DOUBTFUL = partial(click.style, fg="yellow", bold=True)
BAD = partial(click.style, fg="red", bold=True)

Style = partial[str]
"""Styles a text."""

Span = str | tuple[str, Style]
"""A text, plain or with its style."""


@final
class Terminal:
    """Prints lines on standard output: plain where that is no terminal, TERM is dumb or NO_COLOR is set."""

    def __init__(self) -> None:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        self._color = False if is_plain else None  # None: as the output is

    @property
    def width(self) -> int | None:
        """How many columns there are now; None where the output is no terminal."""
        return shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    def print(self, *parts: Span) -> None:
        """Print a line of texts, each plain or with its style; what is in them cannot touch the terminal."""
        click.echo(styled(*parts), color=self._color)


def styled(*parts: Span) -> str:
    """Return a line of texts with the codes of their styles; what is in them cannot touch the terminal."""
    return "".join(
        style(text.translate(_CONTROLS))
        for text, style in ((part, PLAIN) if isinstance(part, str) else part for part in parts)
    )


def echo_json(document: Mapping[str, Any]) -> None:
    """Print an object in a line, for machines."""
    click.echo(orjson.dumps(document))


def complain(problems: Sequence[str]) -> None:
    """Print what is wrong, a line each, on standard error."""
    for problem in problems:
        click.echo(problem, err=True)


def have_agreed(question: Callable[[], str]) -> None:
    """Have a person agree, or end the command; the question is made only where there is a terminal to ask on."""
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask on: add --yes if this is what you want")
    click.confirm(question(), abort=True, err=True)
