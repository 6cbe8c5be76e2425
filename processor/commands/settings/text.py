"""Settings in force for people: a table that fits the terminal."""

import shutil
import textwrap
from collections.abc import Iterable, Sequence
from itertools import groupby

from processor.commands.common.terminal import BAD, DIM, NAME, PLAIN, TITLE, Style, Terminal
from processor.settings.effective import STATES, Effective
from processor.settings.sources import DEFAULT
from processor.settings.variables import Variable

NAMES = 24
"""Columns for names: what is longer has a line of its own."""
MIN_VALUES = 20


def show(settings: Iterable[Effective], terminal: Terminal) -> None:
    """Print a section for each section and, for each setting, its name, its value and where that comes from."""
    width = shutil.get_terminal_size().columns
    for number, (section, members) in enumerate(groupby(settings, lambda each: each.variable.section)):
        if number:
            terminal.print("")
        terminal.print((section, TITLE))
        for variable, parts in groupby(members, lambda each: each.variable):
            _show_all(variable, list(parts), terminal, width)


def _show_all(variable: Variable, parts: Sequence[Effective], terminal: Terminal, width: int) -> None:
    """Print a setting, or each property that it holds below its name."""
    if parts[0].entry is not None:
        terminal.print((f"  {variable.field}", NAME))
    for each in parts:
        _show(f"  {variable.field}" if each.entry is None else f"    {each.entry}", each, terminal, width)


def _show(name: str, setting: Effective, terminal: Terminal, width: int) -> None:
    if len(name) >= NAMES:
        terminal.print((name, NAME))
        name = ""
    text, style = _value(setting)
    room = max(width - NAMES, MIN_VALUES)
    values, origins = textwrap.wrap(text, room), textwrap.wrap(str(setting.origin), room)
    if len(values) == len(origins) == 1 and len(values[0]) + len(origins[0]) + 2 <= room:
        gap = " " * (room - len(values[0]) - len(origins[0]))
        terminal.print((f"{name:{NAMES}}", NAME), (values[0], style), gap, (origins[0], DIM))
        return
    for number, value in enumerate(values):
        terminal.print((f"{'' if number else name:{NAMES}}", NAME), (value, style))
    for origin in origins:
        terminal.print(" " * NAMES, (origin, DIM))


def _value(setting: Effective) -> tuple[str, Style]:
    if setting.state != "shown":
        return STATES[setting.state], PLAIN if setting.state == "masked" else BAD
    value = setting.value
    if setting.origin == DEFAULT and not value and setting.variable.about.default is not None:
        return setting.variable.about.default, PLAIN
    if isinstance(value, bool | dict):
        return ("{}" if isinstance(value, dict) else str(value).lower()), PLAIN
    return (", ".join(value) if isinstance(value, list) else str(value)) or "(none)", PLAIN
