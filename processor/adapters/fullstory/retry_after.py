"""The `Retry-After` header: seconds, or an HTTP date (RFC 9110, section 10.2.3)."""

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

MAX_RETRY_AFTER_S = 3600.0
"""FullStory's limits refill within seconds, and its jobs end within minutes. A longer wait comes from a wrong clock or
unit; asking once an hour costs nothing, while obeying such a header would stop delivery until somebody looks."""

_SECONDS = re.compile(r"[0-9]+\Z")


def retry_after_s(value: str | None, now: float) -> float | None:
    """Return the seconds to wait from `now` (seconds since the epoch), within 0 and `MAX_RETRY_AFTER_S`.

    None when the header is absent or says nothing that can be read.
    """
    if value is None:
        return None
    text = value.strip()
    if _SECONDS.match(text):
        return min(float(text), MAX_RETRY_AFTER_S)
    until = http_date_s(text)
    return None if until is None else min(max(until - now, 0.0), MAX_RETRY_AFTER_S)


def http_date_s(date: str) -> float | None:
    """Return seconds since the epoch for an HTTP date; None for what is none."""
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
