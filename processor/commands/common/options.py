"""Options that several commands have."""

from pathlib import Path

import click

CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Read settings from this TOML file, too. Environment variables take precedence.",
)


def shortest_first(
    _context: click.Context, _parameter: click.Parameter, value: tuple[float, float]
) -> tuple[float, float]:
    """Refuse a shortest duration above the longest."""
    if value[0] > value[1]:
        raise click.BadParameter(f"the shortest, {value[0]:g}, exceeds the longest, {value[1]:g}")
    return value
