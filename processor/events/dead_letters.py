"""The headers of a dead letter: what happened, where the record came from, for people and for `redrive`.

Names and values are described in docs/dead-letters.md. Headers that the record has already stay; ours are appended, and
of several with one name the last wins. No text of FullStory, no trait and no property stands in them.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from processor.model.outcomes import Rejected
from processor.model.records import Headers, Record, TopicPartition

REDRIVE_COUNT = "fullstory.dlq.redrive.count"
_MAX_TEXT_CHARACTERS = 512


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
        "fullstory.dlq.attempts": str(attempts.count),
        "fullstory.dlq.first.attempt": _iso(attempts.first),
        "fullstory.dlq.last.attempt": _iso(attempts.last),
        "fullstory.dlq.app.version": stamp.app_version,
        "fullstory.dlq.mapping.fingerprint": stamp.mapping_fingerprint,
        "fullstory.dlq.original.timestamp": str(record.timestamp_ms),
        REDRIVE_COUNT: _redrive_count(record),
    }
    if rejected.http_status is not None:
        texts["fullstory.dlq.http.status"] = str(rejected.http_status)
    if rejected.job_id is not None:
        texts["fullstory.dlq.job.id"] = rejected.job_id
    return [*(record.headers or []), *((name, text.encode()) for name, text in texts.items())]


def _redrive_count(record: Record) -> str:
    """Return how often the record was redriven: what the last such header says, which `redrive` counts up."""
    found = [value for name, value in record.headers or [] if name == REDRIVE_COUNT and value and value.isdigit()]
    return found[-1].decode() if found else "0"


def _iso(wall_s: float) -> str:
    return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
