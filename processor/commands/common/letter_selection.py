"""Which dead letters are meant, on the command line."""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from processor.commands.common.moments import moment, short_name, times_said
from processor.events.letters import REASONS, LetterFilter
from processor.model.records import OffsetRange

_OFFSETS = re.compile(r"(\d{1,19})(?:-(\d{1,19}))?")


def _offsets(_context: click.Context, _parameter: click.Parameter, value: str | None) -> OffsetRange | None:
    """Return an offset, or the first and the last of several."""
    if value is None:
        return None
    if (found := _OFFSETS.fullmatch(value)) is None:
        raise click.BadParameter(f"{value} is no offset; for example 184467 or 184000-184999")
    first = int(found[1])
    return OffsetRange(first, int(found[2] or first) + 1)


def _pattern(_context: click.Context, _parameter: click.Parameter, value: str | None) -> re.Pattern[str] | None:
    """Return a regular expression."""
    try:
        return None if value is None else re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise click.BadParameter(f"{value} is no regular expression: {error}") from None


_OPTIONS = (
    click.option(
        "--reason", "reasons", multiple=True, type=click.Choice(REASONS), help="With this reason; may be repeated."
    ),
    click.option(
        "--status", "statuses", multiple=True, type=int, help="With this HTTP status of FullStory's; may be repeated."
    ),
    click.option(
        "--since",
        "since_ms",
        callback=moment,
        metavar="TIME",
        help="Written then or later: a time (UTC), or 30min, 2h, 3d.",
    ),
    click.option("--until", "until_ms", callback=moment, metavar="TIME", help="Written before then."),
    click.option("--source-topic", "topic", metavar="NAME", help="Of records of this topic."),
    click.option("--source-partition", "partition", type=click.IntRange(min=0), help="Of this partition of it."),
    click.option(
        "--source-offset",
        "offsets",
        callback=_offsets,
        metavar="OFFSET",
        help="Of this offset, or of these: FIRST-LAST.",
    ),
    click.option("--key", metavar="TEXT", help="Of records with exactly this key."),
    click.option(
        "--detail", callback=_pattern, metavar="REGEX", help="With a detail in which this regular expression is found."
    ),
)


def selecting(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which letters are meant; it takes them as `wanted`, a `LetterFilter`."""

    @wraps(command)
    def selected(reasons: tuple[str, ...], statuses: tuple[int, ...], key: str | None, **others: Any) -> None:
        names = ("since_ms", "until_ms", "topic", "partition", "offsets", "detail")
        wanted = LetterFilter(
            reasons=frozenset(reasons),
            statuses=frozenset(statuses),
            key=None if key is None else key.encode(errors="surrogateescape"),
            **{name: others.pop(name) for name in names},
        )
        command(wanted=wanted, **others)

    for option in reversed(_OPTIONS):
        selected = option(selected)
    return selected


def selection_name(wanted: LetterFilter, *others: str) -> str:
    """Return a short name of a selection, made of what the command was given: `2h` is one, whenever it is said.

    `others` is what else makes one selection different from another.
    """
    told = [
        sorted(wanted.reasons),
        sorted(wanted.statuses),
        times_said(),
        [wanted.topic, wanted.partition, *(wanted.offsets or ())],
        None if wanted.key is None else wanted.key.hex(),
        None if wanted.detail is None else wanted.detail.pattern,
        others,
    ]
    return short_name(told)
