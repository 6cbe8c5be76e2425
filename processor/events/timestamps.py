"""Times: which texts and numbers are one, and the forms in which it is sent. Never the current time.

One function, `read_time`, reads every text that may be a time, whether it is an event's own or a property's. Its forms
are a table in docs/mapping.md#timestamps. An event's own time may also be a number, which in a property is a number.
"""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from typing import Any, NamedTuple

from processor.model.outcomes import Event, Note, unnoted
from processor.model.reasons import PropertyRule
from processor.model.records import NO_TIME

MILLISECONDS = 1_000
"""In a second."""
_FRACTIONS = tuple(f".{milliseconds:03d}Z" for milliseconds in range(MILLISECONDS))
_MILLISECOND = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_TEXT = "1970-01-01T00:00:00.000Z"
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY_S, _HOUR_S, _MINUTE_S = 86_400, 3_600, 60
_SECONDS_LENGTH = len("2015-02-23T22:28:55")
_FRACTION_DIGITS = 3
_MAX_FRACTION_DIGITS = 9
"""Of a property: nobody has a finer clock than nanoseconds."""


_UNITS = (1, MILLISECONDS, 1_000_000, 1_000_000_000)
"""By how many of them make a second."""

_FIRST_PLAUSIBLE_S, _LAST_PLAUSIBLE_S = 10**8, 10**10 - 1
"""From 1973-03-03 to 2286-11-20. A number stands for a time between them in one unit at most."""

_LAST_S = 253_402_300_799
"""The end of the year 9999, which is also how many systems write that something never ends."""

_QUARTER_S = 15 * 60


class Time(NamedTuple):
    """What a text says of a time."""

    second: str
    """In UTC, ISO 8601 without a zone: `2015-02-23T22:28:55`."""
    fraction: str
    """The digits below the second, as many as were given."""
    is_complete: bool
    """Whether the text names date, time of day and zone. What it does not is taken for midnight and for UTC."""


_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d"
_RFC_3339 = re.compile(rf"(\d{{4}}-\d\d-\d\dT{_CLOCK}:[0-5]\d)(?:\.(\d{{1,9}}))?(Z|[+-]{_CLOCK})", re.ASCII)
"""What FullStory surely takes for a time; it is sent as it is."""

_SENT = re.compile(rf"\d{{4}}-\d\d-\d\dT{_CLOCK}:[0-5]\d\.\d{{3}}Z", re.ASCII)
"""What is sent of an event, and what most libraries write."""

_ISO_8601 = re.compile(
    r"""(?:\+00)? (?P<year>\d{4})
    (?: (?P<dash>-?) (?: (?P<month>\d\d) (?P=dash) (?P<day>\d\d) | W(?P<week>\d\d) (?P=dash) (?P<weekday>[1-7]) )
      | -(?P<ordinal>\d{3}) )
    (?: [Tt\ ] (?P<hour>\d\d) (?P<colon>:?) (?P<minute>\d\d) (?: (?P=colon) (?P<s>\d\d) (?: [.,](?P<fraction>\d+) )? )?
      (?: \ ? (?: (?P<zone>[Zz]|UTC|GMT) | (?P<offset>[+-]\d\d(?::?\d\d)?) (?: \ (?: [A-Z]{2,5} | [+-]\d{2,4} ) )? )
        (?: \ m=[+-]\d+\.\d+ )? )?
    )?""",
    re.ASCII | re.VERBOSE,
)
"""With all that ISO 8601 allows for the same time, RFC 3339 (lower case, a blank), JavaScript (`+002015-…`) and what
`String` of Go and `to_s` of Ruby print (`2015-02-23 22:28:55.1 +0100 CET m=+0.01`): a zone's letters say nothing that
the offset does not."""

_RFC_2822 = re.compile(
    r"""(?: [MTWFS][a-z][a-z],\ )? (?P<day>\d\d?) \ (?P<month>[A-Z][a-z][a-z]) \ (?P<year>\d{4}|\d\d)
    \ (?P<hour>\d\d) : (?P<minute>\d\d) (?: : (?P<s>\d\d) )?
    \ (?: (?P<zone>[A-Z]{1,3}) | (?P<offset>[+-]\d{4}) ) (?: \ \([^()]*\) )?""",
    re.ASCII | re.VERBOSE,
)
"""Also what HTTP and JavaScript's `toUTCString` write."""

_JAVASCRIPT = re.compile(
    r"""[MTWFS][a-z][a-z] \ (?P<month>[A-Z][a-z][a-z]) \ (?P<day>\d\d) \ (?P<year>\d{4})
    \ (?P<hour>\d\d) : (?P<minute>\d\d) : (?P<s>\d\d) \ GMT (?P<offset>[+-]\d{4}) (?: \ \([^()]*\) )?""",
    re.ASCII | re.VERBOSE,
)
"""`String(new Date())`."""

_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
_ZONES = dict.fromkeys(("Z", "z", "UT", "UTC", "GMT"), 0) | {
    "EST": -5,
    "EDT": -4,
    "CST": -6,
    "CDT": -5,
    "MST": -7,
    "MDT": -6,
    "PST": -8,
    "PDT": -7,
}
"""Hours east of Greenwich: all zones that RFC 2822 knows."""

_NUMBER = re.compile(r"\d{9,19}(?:\.\d+)?|\d(?:\.\d+)?[eE]\+?(?:1\d|0?[89])", re.ASCII)
"""A number as text. One of eight digits is a date, and ISO 8601 has none of more."""

TIME_STARTS = frozenset("0123456789+MTWFS")
SHORTEST_TIME = len("20150223T2228Z")
"""A text that is shorter, or begins otherwise, is no complete time."""


def as_declared(per_second: int) -> tuple[int, int]:
    """Return the first and the last number of a unit of which nobody doubts the unit."""
    return _FIRST_PLAUSIBLE_S * per_second, (_LAST_S + 1) * per_second - 1


_FIRST_MS, _LAST_MS = as_declared(MILLISECONDS)


def unit_of(number: int, per_second: int, *, is_event_time: bool = False) -> int:
    """Return how many units of a number make a second: `per_second`, as it was declared, or what is surely meant.

    A clock's milliseconds that were declared to be microseconds are January 1970, and microseconds that were declared
    to be milliseconds are no year at all. So where the declared unit gives a time before 1973-03-03 or after 9999, and
    another unit one between 1973 and 2286, the other is meant. Not so for a whole quarter of an hour before 1973: that
    is somebody's birthday in whatever time zone, and no clock's time, unless the number says when an event happened.
    """
    first, last = as_declared(per_second)
    may_be_birthday = not is_event_time and number < first and number % (_QUARTER_S * per_second) == 0
    if first <= number <= last or may_be_birthday:
        return per_second
    meant = (each for each in _UNITS if _is_plausible(number, each))
    return next(meant, per_second)


def _is_plausible(number: int, per_second: int) -> bool:
    return _FIRST_PLAUSIBLE_S * per_second <= number <= (_LAST_PLAUSIBLE_S + 1) * per_second - 1


def in_milliseconds(record_timestamp_ms: int) -> int:
    """Return Kafka's timestamp of a record in milliseconds, also where its producer surely meant another unit."""
    unit = unit_of(record_timestamp_ms, MILLISECONDS, is_event_time=True)
    return record_timestamp_ms * MILLISECONDS // unit


def is_before(record_timestamp_ms: int, time_ms: int) -> bool:
    """Say whether Kafka's timestamp of a record is before a time; one that has none is not."""
    return record_timestamp_ms != NO_TIME and in_milliseconds(record_timestamp_ms) < time_ms


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
            rule = PropertyRule.TIMESTAMP_CORRECTED if lateness else PropertyRule.TIMESTAMP_ORIGINAL
            note(rule, "originalTimestamp")
            return written
    # Kafka gives -1 for a record without a timestamp.
    written = _written(record_timestamp_ms, "timestamp", note) if record_timestamp_ms >= 0 else None
    note(PropertyRule.TIMESTAMP_OF_KAFKA if written else PropertyRule.TIMESTAMP_UNKNOWN, "timestamp")
    return written or _EPOCH_TEXT


def is_event_time(given: Any) -> bool:
    """Say whether the value of one of an event's own times can be read."""
    return _written(given, "", unnoted) is not None


def _written(given: Any, field: str, note: Note) -> str | None:
    """Return what is sent for one of an event's own times, or None for what is none; note what of it was changed."""
    if type(given) is int and _FIRST_MS <= given <= _LAST_MS:
        return iso_of_ms(given)
    if type(given) is str:
        if _SENT.fullmatch(given) and _in_utc(given[:_SECONDS_LENGTH], "Z"):
            return given
        if (time := read_time(given)) is not None:
            if time.fraction[_FRACTION_DIGITS:].strip("0"):
                note(PropertyRule.TIMESTAMP_CUT, field)
            return f"{time.second}.{time.fraction[:_FRACTION_DIGITS]:0<{_FRACTION_DIGITS}}Z"
    number = _number(given)
    return None if number is None else _written_number(number, field, note)


def _number(given: Any) -> int | Decimal | None:
    """Return the number that one of an event's own times is, exactly, or None where it is none or no plausible one.

    Zero is none: that is what a field holds which nobody has set.
    """
    if type(given) is int:
        return given or None
    if type(given) is float and isfinite(given):
        if given.is_integer():
            return int(given) or None
        given = repr(given)
    elif type(given) is not str:
        return None
    if not _NUMBER.fullmatch(given):
        return None
    exact = Decimal(given)
    whole = int(exact)
    if not _is_plausible(whole, unit_of(whole, MILLISECONDS, is_event_time=True)):
        return None
    return whole if whole == exact else exact


def _written_number(number: int | Decimal, field: str, note: Note) -> str | None:
    unit = unit_of(int(number), MILLISECONDS, is_event_time=True)
    milliseconds = int(number * MILLISECONDS // unit)
    if unit != MILLISECONDS:
        note(PropertyRule.TIMESTAMP_UNIT, field)
    if milliseconds * unit != number * MILLISECONDS:
        note(PropertyRule.TIMESTAMP_CUT, field)
    written = iso_of_ms(milliseconds)
    if written is not None and milliseconds < _FIRST_MS:
        note(PropertyRule.TIMESTAMP_EARLY, field)
    return written


def _given_ms(event: Event, field: str, note: Note) -> int | None:
    given = event.get(field)
    if given is None:
        return None
    written = _written(given, field, note)
    if written is None:
        note(PropertyRule.TIMESTAMP_INVALID, field)
        return None
    return (datetime.fromisoformat(written) - _EPOCH) // _MILLISECOND


def property_time(text: str) -> str | None:
    """Return what is sent for a property's text that is a complete time, the text itself if it can be; else None."""
    if text[:1] not in TIME_STARTS:
        return None
    if (found := _RFC_3339.fullmatch(text)) and _in_utc(found[1], found[3]):
        return text
    time = read_time(text)
    if time is None or not time.is_complete:
        return None
    fraction = time.fraction[:_MAX_FRACTION_DIGITS]
    return f"{time.second}.{fraction}Z" if fraction else f"{time.second}Z"


def read_time(text: str) -> Time | None:
    """Return the time that a text is, by one of the forms above; None for anything else. Total."""
    if found := _RFC_3339.fullmatch(text):
        second, fraction, zone = found.groups()
        if (in_utc := _in_utc(second, zone)) is not None:
            return Time(in_utc, fraction or "", is_complete=True)
    found = _ISO_8601.fullmatch(text) or _RFC_2822.fullmatch(text) or _JAVASCRIPT.fullmatch(text)
    if found is None:
        return None
    said = found.groupdict()
    try:
        second = _second_of(said)
    except (KeyError, ValueError):  # a month or zone that there is not, a number out of range
        return None
    in_utc = _iso_of_second(second)
    is_complete = bool(said.get("zone") or said["offset"])
    return None if in_utc is None else Time(in_utc, said.get("fraction") or "", is_complete)


def _second_of(said: dict[str, str | None]) -> int:
    """Return the second since the epoch; raises what the groups of a form may hold beyond their ranges."""
    year, hour, minute, second = (int(said[name] or 0) for name in ("year", "hour", "minute", "s"))
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and (minute or second)):
        raise ValueError
    if len(said["year"] or "") == 2:
        year += 2_000 if year < 50 else 1_900
    if said.get("week"):
        day = date.fromisocalendar(year, int(said["week"] or 0), int(said["weekday"] or 0)).toordinal()
    elif said.get("ordinal"):
        day = date(year, 1, 1).toordinal() + int(said["ordinal"] or 0) - 1
        if date.fromordinal(day).year != year:
            raise ValueError
    else:
        month = said["month"] or ""
        day = date(
            year, _MONTHS.index(month) // 3 + 1 if month.isalpha() else int(month), int(said["day"] or 0)
        ).toordinal()
    return (day - _EPOCH_DAY) * _DAY_S + hour * _HOUR_S + minute * _MINUTE_S + second - _east_of_greenwich(said)


def _east_of_greenwich(said: dict[str, str | None]) -> int:
    """Return the seconds that a zone is before UTC."""
    if zone := said.get("zone"):
        return _ZONES[zone] * _HOUR_S
    if not (offset := said["offset"]):
        return 0
    digits = offset[1:].replace(":", "")
    hours, minutes = int(digits[:2]), int(digits[2:] or 0)
    if hours > 23 or minutes > 59:
        raise ValueError
    return (hours * _HOUR_S + minutes * _MINUTE_S) * (-1 if offset[0] == "-" else 1)


def iso_of(number: int, per_second: int, zone: str = "Z") -> str | None:
    """Return ISO 8601 for a number since the epoch, with all its digits; None outside of the years 1 to 9999."""
    milliseconds, below = divmod(number * MILLISECONDS, per_second)
    second = _iso_of_second(milliseconds // MILLISECONDS)
    if second is None:
        return None
    if below:
        return f"{second}.{number % per_second:0{len(str(per_second)) - 1}d}{zone}"
    return f"{second}.{milliseconds % MILLISECONDS:03d}{zone}"


def iso_of_ms(milliseconds: int) -> str | None:
    """Return ISO 8601 for milliseconds since the epoch, or None outside of the years 1 to 9999."""
    second = _iso_of_second(milliseconds // MILLISECONDS)
    return second + _FRACTIONS[milliseconds % MILLISECONDS] if second else None


def seconds_of(written: str) -> float:
    """Return the seconds since the epoch of what `event_time` has written."""
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


@lru_cache(maxsize=16_384)
def _in_utc(second: str, zone: str) -> str | None:
    """Return the second of RFC 3339 in UTC; None where there is no such day, or it is beyond the years 1 to 9999."""
    try:
        return datetime.fromisoformat(second + zone).astimezone(UTC).isoformat()[:_SECONDS_LENGTH]
    except (ValueError, OverflowError):
        return None
