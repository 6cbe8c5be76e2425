"""Which dead letters are meant, on the command line."""

import re
import time
from collections.abc import Callable
from functools import wraps
from hashlib import sha256
from typing import Any

import click
import orjson

from processor.events.letters import REASONS, LetterFilter
from processor.events.timestamps import read_time, seconds_of
from processor.model.records import OffsetRange

_AGO = re.compile(r"(\d{1,6})(s|min|h|d|w)")
_SECONDS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SAID = f"{__name__}.said"
"""Where a command's context keeps times as they were given."""
_OFFSETS = re.compile(r"(\d{1,19})(?:-(\d{1,19}))?")


def lasting(_context: click.Context, _parameter: click.Parameter, value: str) -> int:
    """Return how long something lasts, in seconds."""
    if (found := _AGO.fullmatch(value)) is None:
        raise click.BadParameter(f"{value} is no duration; for example 12h (s, min, h, d, w)")
    return int(found[1]) * _SECONDS[found[2]]


def moment(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Return a time, or how long ago it was, as milliseconds since the epoch."""
    if value is None:
        return None
    context.meta.setdefault(_SAID, {})[parameter.name] = value
    if (ago := _AGO.fullmatch(value)) is not None:
        return round((time.time() - int(ago[1]) * _SECONDS[ago[2]]) * 1_000)
    if (said := read_time(value)) is None:
        raise click.BadParameter(
            f"{value} is no time; for example 2026-11-28T09:30:00Z, 2026-11-28 or 3d (s, min, h, d, w)"
        )
    return round(seconds_of(f"{said.second}.{said.fraction[:3]:0<3}Z") * 1_000)


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
        sorted(click.get_current_context().meta.get(_SAID, {}).items()),
        [wanted.topic, wanted.partition, *(wanted.offsets or ())],
        None if wanted.key is None else wanted.key.hex(),
        None if wanted.detail is None else wanted.detail.pattern,
        others,
    ]
    return sha256(orjson.dumps(told)).hexdigest()[:12]
