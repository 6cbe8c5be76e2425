"""A dead letter: what its headers tell of the record that it was."""

from dataclasses import dataclass
from typing import final

from processor.model.records import Record

_REASON = "fullstory.dlq.reason"
_TIMESTAMP = "fullstory.dlq.original.timestamp"


@final
@dataclass(frozen=True, slots=True)
class LetterHeaders:
    """What was told when the letter was written."""

    reason: str
    detail: str
    origin: str
    written_by: str
    attempts: str
    last_attempt: str
    redrives: str
    original: Record
    """The record with the timestamp that it had."""


def letter_of(record: Record) -> LetterHeaders | None:
    """Return what a dead letter tells; None for any other record."""
    texts = {name: (value or b"").decode(errors="replace") for name, value in record.headers or ()}  # the last wins
    if _REASON not in texts:
        return None
    place = (texts.get(f"__dlq.errors.{each}", "?") for each in ("topic", "partition", "offset"))
    timestamp = texts.get(_TIMESTAMP, "")
    return LetterHeaders(
        reason=texts[_REASON],
        detail=texts.get("fullstory.dlq.detail", ""),
        origin="{}[{}] at {}".format(*place),
        written_by=texts.get("fullstory.dlq.app.version", ""),
        attempts=texts.get("fullstory.dlq.attempts", ""),
        last_attempt=texts.get("fullstory.dlq.last.attempt", ""),
        redrives=texts.get("fullstory.dlq.redrive.count", ""),
        original=record._replace(timestamp_ms=int(timestamp)) if _is_number(timestamp) else record,
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.removeprefix("-").isdecimal() and len(text) < 20
