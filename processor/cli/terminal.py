"""Text on standard output, whatever the terminal can show."""

import sys
from io import TextIOWrapper
from typing import final

import click
from rich.console import Console
from rich.text import Text

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
"""Characters that would move the cursor or change colours, as what they are."""


@final
class Terminal:
    """Prints lines: styled in a terminal, plain elsewhere, never wrapped."""

    def __init__(self) -> None:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        self._console = Console(highlight=False)

    def print(self, *parts: str | tuple[str, str]) -> None:
        """Print a line of texts, each alone or with its style."""
        styled = [(part, "") if isinstance(part, str) else part for part in parts]
        self._console.print(
            Text.assemble(*((text.translate(_CONTROLS), style) for text, style in styled)), soft_wrap=True
        )


def complain(problems: list[str]) -> None:
    """Print what is wrong, a line each, on standard error."""
    for problem in problems:
        click.echo(problem, err=True)
