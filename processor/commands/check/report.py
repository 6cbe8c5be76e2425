"""Findings for people and for machines, and the one line that says what to do first."""

from collections.abc import Sequence
from itertools import groupby

from processor.commands.check.findings import Finding, Found, Level
from processor.commands.common.terminal import BAD, DOUBTFUL, GOOD, Terminal, echo_json

_STYLES = {Level.OK: GOOD, Level.WARNING: DOUBTFUL, Level.ERROR: BAD}


def worst_of(found: Sequence[Found]) -> Level:
    """Return the level of the worst finding."""
    return max((each.finding.level for each in found), key=lambda level: level.exit_code)


def summary(found: Sequence[Found]) -> str:
    """Return the closing line: the first error and what to do, or how much was found."""
    counts = {level: sum(each.finding.level is level for each in found) for level in Level}
    errors = counts[Level.ERROR]
    if errors:
        first = next(each for each in found if each.finding.level is Level.ERROR)
        return f"{'1 error' if errors == 1 else f'{errors} errors, the first'}: {first.in_a_line}"
    warnings = counts[Level.WARNING] or "no"
    return f"no errors, {warnings} warning{'' if warnings == 1 else 's'}, {counts[Level.OK]} ok"


def print_json(found: Sequence[Found]) -> None:
    """Print a JSON object."""
    report = {"level": worst_of(found), "findings": [each.as_json() for each in found], "summary": summary(found)}
    echo_json(report)


def print_text(found: Sequence[Found]) -> None:
    """Print what was found, and last the closing line."""
    terminal = Terminal()
    for finding, alike in groupby(found, key=lambda each: each.finding):
        _show(finding, [each.seen for each in alike], terminal)
    terminal.print("")
    terminal.print((summary(found), _STYLES[worst_of(found)]))


def _show(finding: Finding, seen: Sequence[str], terminal: Terminal) -> None:
    """Print findings of one kind: what was seen, a line each, and what it means but once."""
    level, name = f"{finding.level:<9}", f"{finding.id:<28} "
    for line in (line for each in seen for line in each.splitlines() or [""]):
        terminal.print((level, _STYLES[finding.level]), f"{name}{line}".rstrip())
        level, name = " " * len(level), " " * len(name)
    if finding.level is not Level.OK:
        terminal.print(f"{'':9}{finding.meaning}")
        terminal.print(f"{'':9}→ {finding.advice}")
