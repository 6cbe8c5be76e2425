"""Text for people, on whatever terminal they have."""

import os
import sys
from collections.abc import Sequence
from functools import partial
from io import TextIOWrapper
from typing import final

import click

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


@final
class Terminal:
    """Prints lines on standard output: styled in a terminal, plain elsewhere and where NO_COLOR is set."""

    def __init__(self) -> None:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        self._color = False if os.environ.get("NO_COLOR") else None  # None: as the output is

    def print(self, *parts: str | tuple[str, Style]) -> None:
        """Print a line of texts, each plain or with its style; what is in them cannot touch the terminal."""
        click.echo("".join(_styled(part) for part in parts), color=self._color)


def _styled(part: str | tuple[str, Style]) -> str:
    text, style = (part, PLAIN) if isinstance(part, str) else part
    return style(text.translate(_CONTROLS))


def complain(problems: Sequence[str]) -> None:
    """Print what is wrong, a line each, on standard error."""
    for problem in problems:
        click.echo(problem, err=True)
