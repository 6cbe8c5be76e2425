"""The headers of a dead letter: what happened, where the record came from, for people and for `redrive`.

Names and values are described in docs/dead-letters.md. Headers that the record has already stay; ours are appended, and
of several with one name the last wins. So all are written each time, empty when there is nothing to say: a record that
was dead-lettered before must not tell of its earlier fault. No text of FullStory, no trait and no property stands in
them.
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeGuard

from processor.events.timestamps import iso_of_ms
from processor.model.outcomes import Rejected
from processor.model.records import Headers, Record, TopicPartition

ORIGIN_TOPIC = "__dlq.errors.topic"
ORIGIN_PARTITION = "__dlq.errors.partition"
ORIGIN_OFFSET = "__dlq.errors.offset"
GROUP = "__dlq.errors.group"
DELIVERY_COUNT = "__dlq.errors.delivery.count"
MESSAGE = "__dlq.errors.message"
REASON = "fullstory.dlq.reason"
DETAIL = "fullstory.dlq.detail"
HTTP_STATUS = "fullstory.dlq.http.status"
JOB_ID = "fullstory.dlq.job.id"
ATTEMPTS = "fullstory.dlq.attempts"
FIRST_ATTEMPT = "fullstory.dlq.first.attempt"
LAST_ATTEMPT = "fullstory.dlq.last.attempt"
APP_VERSION = "fullstory.dlq.app.version"
FINGERPRINT = "fullstory.dlq.mapping.fingerprint"
ORIGINAL_TIMESTAMP = "fullstory.dlq.original.timestamp"
REDRIVE_COUNT = "fullstory.dlq.redrive.count"

RETURN_BLOCK = (ORIGIN_TOPIC, ORIGIN_PARTITION, ORIGIN_OFFSET, REDRIVE_COUNT)
"""The last headers of a record that comes straight from its letter (`Letter.returned`). They are in no topic: if the
record fails again, its next letter has them in its own block, so that it names the same place."""

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


class RecordPlace(NamedTuple):
    """Where a record is."""

    partition: TopicPartition
    offset: int


def dead_letter_headers(
    stamp: Stamp, source: TopicPartition, record: Record, rejected: Rejected, attempts: Attempts
) -> Headers:
    """Return the record's own headers followed by ours; a record that comes back from a letter keeps its origin."""
    (topic, partition), offset = origin_of(source, record)
    texts = {
        ORIGIN_TOPIC: topic,
        ORIGIN_PARTITION: str(partition),
        ORIGIN_OFFSET: str(offset),
        GROUP: stamp.group,
        DELIVERY_COUNT: str(max(attempts.count, 1)),
        MESSAGE: f"{rejected.reason}: {rejected.detail}"[:_MAX_TEXT_CHARACTERS],
        REASON: rejected.reason.value,
        DETAIL: rejected.detail[:_MAX_TEXT_CHARACTERS],
        HTTP_STATUS: "" if rejected.http_status is None else str(rejected.http_status),
        JOB_ID: rejected.job_id or "",
        ATTEMPTS: str(attempts.count),
        FIRST_ATTEMPT: _iso(attempts.first),
        LAST_ATTEMPT: _iso(attempts.last),
        APP_VERSION: stamp.app_version,
        FINGERPRINT: stamp.mapping_fingerprint,
        ORIGINAL_TIMESTAMP: str(record.timestamp_ms),
        REDRIVE_COUNT: redrive_count(record),
    }
    ours = [(name, text.encode(errors="replace")) for name, text in texts.items()]
    headers = record.headers or []
    return [*headers[: len(headers) - len(_return_block(record))], *ours]


def origin_of(source: TopicPartition, record: Record) -> RecordPlace:
    """Return the place of a record that was read there; of one that comes straight from its letter, its own place."""
    block = _return_block(record)
    if not block:
        return RecordPlace(source, record.offset)
    topic, partition, offset = ((value or b"").decode(errors="replace") for _, value in block[:-1])
    return RecordPlace(TopicPartition(topic, int(partition)), int(offset))


def _return_block(record: Record) -> Headers:
    block = (record.headers or [])[-len(RETURN_BLOCK) :]
    return block if tuple(name for name, _ in block) == RETURN_BLOCK else []


def redrive_count(record: Record) -> str:
    """Return how often the record was redriven: what the last such header says, which `redrive` counts up."""
    for name, value in reversed(record.headers or ()):
        if name == REDRIVE_COUNT and _is_count(value):
            return value.decode()
    return "0"


def _is_count(value: bytes | None) -> TypeGuard[bytes]:
    return value is not None and value.isdigit() and len(value) <= _MAX_COUNT_DIGITS


def _iso(wall_s: float) -> str:
    return iso_of_ms(round(wall_s * 1_000)) or ""
