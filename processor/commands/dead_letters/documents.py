"""Dead letters for machines. Without their data, as for people."""

from base64 import b64encode
from typing import Any

from processor.adapters.kafka.letters import PlacedLetter
from processor.commands.common.explanation import Explanation
from processor.events.dead_letters import (
    APP_VERSION,
    FIRST_ATTEMPT,
    GROUP,
    JOB_ID,
    LAST_ATTEMPT,
)
from processor.events.letters import Letter
from processor.events.timestamps import iso_of_ms
from processor.model.records import NO_TIME

_DATA = "requests"
"""Of an explanation."""


def letter_as_json(placed: PlacedLetter, *, with_data: bool) -> dict[str, Any]:
    """Return a letter; with its data, key, value and headers of the record are in base64, byte for byte."""
    letter = placed.letter
    told = {
        "partition": placed.partition,
        "offset": letter.record.offset,
        "written": time_of(letter.record.timestamp_ms),
        "reason": letter.reason,
        "detail": letter.detail,
        "http_status": letter.http_status,
        "source": {"topic": letter.topic, "partition": letter.partition, "offset": letter.offset},
        "group": letter.text(GROUP),
        "attempts": letter.attempts,
        "first_attempt": letter.text(FIRST_ATTEMPT),
        "last_attempt": letter.text(LAST_ATTEMPT),
        "job_id": letter.text(JOB_ID),
        "version": letter.text(APP_VERSION),
        "redrives": letter.redrives,
    }
    return told | {"record": _record_as_json(letter)} if with_data else told


def _record_as_json(letter: Letter) -> dict[str, Any]:
    original = letter.original
    return {
        "key": _base64(original.key),
        "value": _base64(original.value),
        "headers": [[name, _base64(value)] for name, value in original.headers or ()],
        "timestamp_ms": None if original.timestamp_ms == NO_TIME else original.timestamp_ms,
    }


def explanation_as_json(explanation: Explanation, *, with_data: bool) -> dict[str, Any]:
    """Return what would become of the record now."""
    document = explanation.as_json()
    return document if with_data else {name: value for name, value in document.items() if name != _DATA}


def time_of(milliseconds: int) -> str | None:
    """Return a time as it is shown; None where Kafka has none, which it gives as a negative number."""
    return iso_of_ms(milliseconds) if milliseconds >= 0 else None


def _base64(part: bytes | None) -> str | None:
    return None if part is None else b64encode(part).decode()
