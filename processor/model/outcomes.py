"""What becomes of a record: an item for FullStory, a rule that filters it, or a reason to dead-letter it."""

from typing import Any, NamedTuple

from processor.model.reasons import DeadLetterReason, FilterReason, Kind


class Filtered(NamedTuple):
    """The record is not forwarded, by a rule; its offset advances."""

    reason: FilterReason


class Rejected(NamedTuple):
    """FullStory can never take the record.

    `detail` is for people: it names fields and limits, never a trait's or a property's value.
    """

    reason: DeadLetterReason
    detail: str
    http_status: int | None = None
    job_id: str | None = None


class Mapped(NamedTuple):
    """The FullStory item made of one record: `body` is the request object, in its fixed key order."""

    kind: Kind
    uid: str
    body: dict[str, Any]


Event = dict[str, Any]
"""A decoded Segment message, by Segment's own (camelCase) field names.

Whatever it was decoded from, its values are JSON's (with NaN and the infinities), names are text, and no text holds a
lone surrogate. Timestamps are ISO 8601 or milliseconds since the epoch.
"""

Outcome = Mapped | Filtered | Rejected
