"""What Avro's logical types mean: dates, times and durations as ISO 8601, decimals as numbers."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from math import inf, nan
from struct import Struct

from processor.events.avro_bytes import ContradictionError, read_long, sized
from processor.events.timestamps import MILLISECONDS

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_LAST_DAY = date.max.toordinal()
_MIDNIGHT = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MICROSECONDS = 86_400_000_000

_MAX_DECIMAL_BYTES, _MAX_SCALE = 512, 1_200
"""More than the digits of all reals, which are 309 before and 324 after the point; they bound what a decimal costs."""

_MAX_REAL_BITS = 1_024

_DURATION = Struct("<III")
DURATION_BYTES = _DURATION.size


def date_of(days: int) -> str | None:
    """Return the date so many days after the epoch; None outside of the years 1 to 9999."""
    ordinal = _EPOCH_DAY + days
    return date.fromordinal(ordinal).isoformat() if 0 < ordinal <= _LAST_DAY else None


def time_of(unit_microseconds: int) -> Callable[[int], str | None]:
    """Return what makes the time of day of a number of such units; None for what is beyond a day."""

    def convert(number: int) -> str | None:
        microseconds = number * unit_microseconds
        if not 0 <= microseconds < _DAY_MICROSECONDS:
            return None
        return (_MIDNIGHT + timedelta(microseconds=microseconds)).time().isoformat()

    return convert


def decimal_of(taken: bytes, scale: int) -> float:
    """Return the number of unscaled bytes: a whole one with all its digits where there is no fraction.

    What is beyond all reals is an infinity, and what is longer than any real is no number.
    """
    if len(taken) > _MAX_DECIMAL_BYTES or abs(scale) > _MAX_SCALE:
        return nan
    unscaled, unit = int.from_bytes(taken, "big", signed=True), int(10 ** abs(scale))
    try:
        number = unscaled / unit if scale > 0 else unscaled * unit
    except OverflowError:
        return -inf if unscaled < 0 else inf
    if isinstance(number, int) and number.bit_length() > _MAX_REAL_BITS:
        return -inf if unscaled < 0 else inf
    return number


def big_decimal_of(taken: bytes) -> float:
    """Read Java's decimal, which brings its scale along; Avro's specification names it without its form.

    Avro 1.12.2 for Java (`Conversions.BigDecimalConversion`): the unscaled bytes with their length, then the scale.
    """
    unscaled, at = sized(taken, 0)
    scale, end = read_long(taken, at)
    if end != len(taken):
        raise ContradictionError("bytes follow a decimal")
    return decimal_of(unscaled, scale)


def duration_of(taken: bytes) -> str:
    """Return ISO 8601 for months, days and milliseconds, which do not make up for each other."""
    months, days, milliseconds = _DURATION.unpack(taken)
    seconds, below = divmod(milliseconds, MILLISECONDS)
    fraction = f".{below:03d}" if below else ""
    return f"P{months}M{days}DT{seconds}{fraction}S"
