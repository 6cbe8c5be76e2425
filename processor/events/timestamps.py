"""Timestamps to ISO 8601 in UTC with milliseconds, the one form that we send. Never the current time."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from processor.model.outcomes import Event, Note
from processor.model.reasons import PropertyRule

MILLISECONDS = 1_000
"""In a second."""
_MILLISECOND = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_TEXT = "1970-01-01T00:00:00.000Z"
_SECONDS_LENGTH = len("2015-02-23T22:28:55")
_MILLISECONDS_LENGTH = len("2015-02-23T22:28:55.111")


_UNITS = (1, MILLISECONDS, 1_000_000, 1_000_000_000)
"""By how many of them make a second."""

_FIRST_PLAUSIBLE_S, _LAST_PLAUSIBLE_S = 10**8, 10**10 - 1
"""From 1973-03-03 to 2286-11-20. A number stands for a time between them in one unit at most."""

_LAST_S = 253_402_300_799
"""The end of the year 9999, which is also how many systems write that something never ends."""

_QUARTER_S = 15 * 60

_END_OF_REALS = 1e19
"""Of nanoseconds; a larger real is no time in any unit."""

_DIGITS = re.compile(r"[0-9]{9,19}")
"""A number as text. A date has eight digits; Python (3.11) takes the ninth for what divides date and time."""


def as_declared(per_second: int) -> tuple[int, int]:
    """Return the first and the last number of a unit of which nobody doubts the unit."""
    return _FIRST_PLAUSIBLE_S * per_second, (_LAST_S + 1) * per_second - 1


_FIRST_MS, _LAST_MS = as_declared(MILLISECONDS)


def unit_of(number: int, per_second: int) -> int:
    """Return how many units of a number make a second: `per_second`, as it was declared, or what is surely meant.

    A clock's milliseconds that were declared to be microseconds are January 1970, and microseconds that were declared
    to be milliseconds are no year at all. So where the declared unit gives a time before 1973-03-03 or after 9999, and
    another unit one between 1973 and 2286, the other is meant. Not so for a whole quarter of an hour before 1973: that
    is somebody's birthday in whatever time zone, and no clock's time.
    """
    first, last = as_declared(per_second)
    if first <= number <= last or (number < first and number % (_QUARTER_S * per_second) == 0):
        return per_second
    meant = (each for each in _UNITS if _FIRST_PLAUSIBLE_S * each <= number <= (_LAST_PLAUSIBLE_S + 1) * each - 1)
    return next(meant, per_second)


def in_milliseconds(record_timestamp_ms: int) -> int:
    """Return Kafka's timestamp of a record in milliseconds, also where its producer surely meant another unit."""
    return record_timestamp_ms * MILLISECONDS // unit_of(record_timestamp_ms, MILLISECONDS)


def event_time(event: Event, record_timestamp_ms: int, note: Note) -> str:
    """Return when an event happened.

    That is its `timestamp`; else its `originalTimestamp`, by the client's clock, corrected by `receivedAt` - `sentAt`
    where both are there, as Segment does it; else Kafka's. What cannot be read counts as absent.
    """
    given = event.get("timestamp")
    if given is not None:
        written = _written(given, "timestamp", note)
        if written is not None:
            return written
        note(PropertyRule.TIMESTAMP_INVALID, "timestamp")
    original = _given_ms(event, "originalTimestamp", note)
    if original is not None:
        sent, received = _given_ms(event, "sentAt", note), _given_ms(event, "receivedAt", note)
        lateness = received - sent if sent is not None and received is not None else 0
        written = iso_of_ms(original + lateness)
        if written is not None:
            note(PropertyRule.TIMESTAMP_CORRECTED, "originalTimestamp")
            return written
    # Kafka gives -1 for a record without a timestamp.
    written = _written(record_timestamp_ms, "timestamp", note) if record_timestamp_ms >= 0 else None
    note(PropertyRule.TIMESTAMP_OF_KAFKA if written else PropertyRule.TIMESTAMP_UNKNOWN, "timestamp")
    return written or _EPOCH_TEXT


def _written(given: Any, field: str, note: Note) -> str | None:
    """Return ISO 8601 for one of the times, or None; note where a number is of another unit than milliseconds.

    A number may be a real, or text of digits alone, if it stands for a time after 1973: some libraries write it so.
    """
    if type(given) is str:
        if not _DIGITS.fullmatch(given):
            return iso(given)
        given = int(given)
    elif type(given) is float and _FIRST_PLAUSIBLE_S <= given < _END_OF_REALS:
        unit = unit_of(int(given), MILLISECONDS)
        if unit != MILLISECONDS:
            note(PropertyRule.TIMESTAMP_UNIT, field)
        return iso_of_ms(round(given * MILLISECONDS / unit))
    elif type(given) is not int:
        return None
    if not _FIRST_MS <= given <= _LAST_MS and (unit := unit_of(given, MILLISECONDS)) != MILLISECONDS:
        note(PropertyRule.TIMESTAMP_UNIT, field)
        given = given * MILLISECONDS // unit
    return iso_of_ms(given)


def _given_ms(event: Event, field: str, note: Note) -> int | None:
    given = event.get(field)
    if given is None:
        return None
    written = _written(given, field, note)
    if written is None:
        note(PropertyRule.TIMESTAMP_INVALID, field)
        return None
    return (datetime.fromisoformat(written) - _EPOCH) // _MILLISECOND


def iso(timestamp: Any) -> str | None:
    """Return ISO 8601 for milliseconds since the epoch or for ISO text; None for anything that is no time.

    Text without a zone is read as UTC, as Segment's specification demands of its clients. Also read is what Go and Ruby
    print of a time: `2026-11-27 10:00:00.5 +0100 CET m=+0.01`, `2026-11-27 10:00:00 UTC`.
    """
    if type(timestamp) is int:
        return iso_of_ms(timestamp)
    return _iso_of_text(timestamp) if type(timestamp) is str else None


def iso_of_ms(milliseconds: int) -> str | None:
    """Return ISO 8601 for milliseconds since the epoch, or None outside of the years 1 to 9999."""
    second = _iso_of_second(milliseconds // MILLISECONDS)
    return f"{second}.{milliseconds % MILLISECONDS:03d}Z" if second else None


def seconds_of(written: str) -> float:
    """Return the seconds since the epoch of what `iso` has written."""
    return _second_of_iso(written[:_SECONDS_LENGTH]) + int(written[_SECONDS_LENGTH + 1 : -1]) / MILLISECONDS


@lru_cache(maxsize=16_384)
def _second_of_iso(second: str) -> float:
    return datetime.fromisoformat(second).replace(tzinfo=UTC).timestamp()


@lru_cache(maxsize=16_384)
def _iso_of_second(second: int) -> str | None:
    try:
        return datetime.fromtimestamp(second, UTC).isoformat()[:_SECONDS_LENGTH]
    except (ValueError, OverflowError, OSError):
        return None


_PRINTED = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) "
    r"(?:UTC|GMT|([+-]\d\d)(\d\d)(?: (?:[A-Z]{2,5}|[+-]\d{2,4}))?)(?: m=[+-]\d+\.\d+)?",
    re.ASCII,
)
"""A time as `String` of Go and `to_s` of Ruby print it. A zone's letters say nothing that the offset does not."""


def _iso_of_text(text: str) -> str | None:
    if _DIGITS.fullmatch(text):
        return None
    try:
        return _iso_of_moment(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        pass
    if (printed := _PRINTED.fullmatch(text)) is None:
        return None
    time, hours, minutes = printed.groups()
    try:
        return _iso_of_moment(datetime.fromisoformat(f"{time}{hours}:{minutes}" if hours else time))
    except (ValueError, OverflowError):
        return None


def _iso_of_moment(moment: datetime) -> str:
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return f"{moment.isoformat(timespec='milliseconds')[:_MILLISECONDS_LENGTH]}Z"
