"""The headers of a dead letter: what happened, where the record came from, for people and for `redrive`.

Names and values are described in docs/dead-letters.md. Headers that the record has already stay; ours are appended, and
of several with one name the last wins. So all are written each time, empty when there is nothing to say: a record that
was dead-lettered before must not tell of its earlier fault. No text of FullStory, no trait and no property stands in
them.
"""

from dataclasses import dataclass
from typing import TypeGuard

from processor.events.timestamps import iso_of_ms
from processor.model.outcomes import Rejected
from processor.model.records import Headers, Record, TopicPartition

REDRIVE_COUNT = "fullstory.dlq.redrive.count"
_MAX_TEXT_CHARACTERS = 512
_MAX_COUNT_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Stamp:
    """What is the same for every dead letter of one worker."""

    group: str
    app_version: str
    mapping_fingerprint: str


@dataclass(frozen=True, slots=True)
class Attempts:
    """How often the record was POSTed, and when; wall-clock seconds."""

    count: int
    first: float
    last: float


def dead_letter_headers(
    stamp: Stamp, source: TopicPartition, record: Record, rejected: Rejected, attempts: Attempts
) -> Headers:
    """Return the record's own headers followed by ours."""
    texts = {
        "__dlq.errors.topic": source.topic,
        "__dlq.errors.partition": str(source.partition),
        "__dlq.errors.offset": str(record.offset),
        "__dlq.errors.group": stamp.group,
        "__dlq.errors.delivery.count": str(max(attempts.count, 1)),
        "__dlq.errors.message": f"{rejected.reason}: {rejected.detail}"[:_MAX_TEXT_CHARACTERS],
        "fullstory.dlq.reason": rejected.reason.value,
        "fullstory.dlq.detail": rejected.detail[:_MAX_TEXT_CHARACTERS],
        "fullstory.dlq.http.status": "" if rejected.http_status is None else str(rejected.http_status),
        "fullstory.dlq.job.id": rejected.job_id or "",
        "fullstory.dlq.attempts": str(attempts.count),
        "fullstory.dlq.first.attempt": _iso(attempts.first),
        "fullstory.dlq.last.attempt": _iso(attempts.last),
        "fullstory.dlq.app.version": stamp.app_version,
        "fullstory.dlq.mapping.fingerprint": stamp.mapping_fingerprint,
        "fullstory.dlq.original.timestamp": str(record.timestamp_ms),
        REDRIVE_COUNT: _redrive_count(record),
    }
    ours = [(name, text.encode(errors="replace")) for name, text in texts.items()]
    return [*(record.headers or []), *ours]


def _redrive_count(record: Record) -> str:
    """Return how often the record was redriven: what the last such header says, which `redrive` counts up."""
    found = [value for name, value in record.headers or [] if name == REDRIVE_COUNT and _is_count(value)]
    return found[-1].decode() if found else "0"


def _is_count(value: bytes | None) -> TypeGuard[bytes]:
    return value is not None and value.isdigit() and len(value) <= _MAX_COUNT_DIGITS


def _iso(wall_s: float) -> str:
    return iso_of_ms(round(wall_s * 1_000)) or ""
