"""Timestamps to ISO 8601 in UTC with milliseconds, the one form that we send. Never the current time."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from processor.model.outcomes import Event, Note
from processor.model.reasons import PropertyRule

_MILLISECONDS = 1_000
_MILLISECOND = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_TEXT = "1970-01-01T00:00:00.000Z"
_SECONDS_LENGTH = len("2015-02-23T22:28:55")
_MILLISECONDS_LENGTH = len("2015-02-23T22:28:55.111")


def event_time(event: Event, record_timestamp_ms: int, note: Note) -> str:
    """Return when an event happened.

    That is its `timestamp`; else its `originalTimestamp`, by the client's clock, corrected by `receivedAt` - `sentAt`
    where both are there, as Segment does it; else Kafka's. What cannot be read counts as absent.
    """
    given = event.get("timestamp")
    if given is not None:
        written = iso(given)
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
    note(PropertyRule.TIMESTAMP_OF_KAFKA, "timestamp")
    # Kafka gives -1 for a record without a timestamp.
    return (iso_of_ms(record_timestamp_ms) if record_timestamp_ms >= 0 else None) or _EPOCH_TEXT


def _given_ms(event: Event, field: str, note: Note) -> int | None:
    given = event.get(field)
    if given is None:
        return None
    written = iso(given)
    if written is None:
        note(PropertyRule.TIMESTAMP_INVALID, field)
        return None
    return (datetime.fromisoformat(written) - _EPOCH) // _MILLISECOND


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


def seconds_of(written: str) -> float:
    """Return the seconds since the epoch of what `iso` has written."""
    return _second_of_iso(written[:_SECONDS_LENGTH]) + int(written[_SECONDS_LENGTH + 1 : -1]) / _MILLISECONDS


@lru_cache(maxsize=16_384)
def _second_of_iso(second: str) -> float:
    return datetime.fromisoformat(second).replace(tzinfo=UTC).timestamp()


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
