"""Times and durations on the command line, and names that are made of what a command was given."""

import re
import time
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import click
import orjson

from processor.events.timestamps import read_time, seconds_of

_AGO = re.compile(r"(\d{1,6})(s|min|h|d|w)")
_SECONDS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SAID = f"{__name__}.said"
"""Where a command's context keeps times as they were given."""


def lasting(_context: click.Context, _parameter: click.Parameter, value: str) -> int:
    """Return how long something lasts, in seconds."""
    if (found := _AGO.fullmatch(value)) is None:
        raise click.BadParameter(f"{value} is no duration; for example 12h (s, min, h, d, w)")
    return int(found[1]) * _SECONDS[found[2]]


def moment(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Return a time, or how long ago it was, as milliseconds since the epoch: Kafka takes none that is before."""
    if value is None:
        return None
    context.meta.setdefault(_SAID, {})[parameter.name] = value
    if (ago := _AGO.fullmatch(value)) is not None:
        return max(round((time.time() - int(ago[1]) * _SECONDS[ago[2]]) * 1_000), 0)
    if (said := read_time(value)) is None:
        raise click.BadParameter(
            f"{value} is no time; for example 2026-11-28T09:30:00Z, 2026-11-28 or 3d (s, min, h, d, w)"
        )
    return max(round(seconds_of(f"{said.second}.{said.fraction[:3]:0<3}Z") * 1_000), 0)


def times_said() -> list[tuple[str, str]]:
    """Return the times of the command that runs, by the names of their options, as they were given."""
    return sorted(click.get_current_context().meta.get(_SAID, {}).items())


def short_name(told: Sequence[Any]) -> str:
    """Return a short name that is another one for anything else that is told."""
    return sha256(orjson.dumps(told)).hexdigest()[:12]
