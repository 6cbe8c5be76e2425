"""Timestamps to ISO 8601 in UTC with milliseconds, the one form that we send. Never the current time."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

_MILLISECONDS = 1_000
_SECONDS_LENGTH = len("2015-02-23T22:28:55")
_MILLISECONDS_LENGTH = len("2015-02-23T22:28:55.111")


def iso(timestamp: Any) -> str | None:
    """Return ISO 8601 for milliseconds since the epoch or for ISO text; None for anything that is no time.

    Text without a zone is read as UTC, as Segment's specification demands of its clients.
    """
    if type(timestamp) is int:
        return iso_of_ms(timestamp)
    return _iso_of_text(timestamp) if type(timestamp) is str else None


def iso_of_ms(milliseconds: int) -> str | None:
    """Return ISO 8601 for milliseconds since the epoch, or None outside of the years 1 to 9999."""
    second = _iso_of_second(milliseconds // _MILLISECONDS)
    return f"{second}.{milliseconds % _MILLISECONDS:03d}Z" if second else None


@lru_cache(maxsize=16_384)
def _iso_of_second(second: int) -> str | None:
    try:
        return datetime.fromtimestamp(second, UTC).isoformat()[:_SECONDS_LENGTH]
    except (ValueError, OverflowError, OSError):
        return None


def _iso_of_text(text: str) -> str | None:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not UTC:
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        return f"{moment.isoformat(timespec='milliseconds')[:_MILLISECONDS_LENGTH]}Z"
    except (ValueError, OverflowError):
        return None
