"""What becomes of a record: an item for FullStory, a rule that filters it, or a reason to dead-letter it."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from processor.model.reasons import DeadLetterReason, FilterReason, Kind, PropertyRule


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
    """The FullStory item made of one record: `body` is the request object, in its fixed key order.

    `uid` says whose items keep their order: the user's, or the anonymousId where the body names no user.
    """

    kind: Kind
    uid: str
    body: dict[str, Any]


new_mapped: Callable[[tuple[Kind, str, dict[str, Any]]], Mapped] = partial(tuple.__new__, Mapped)
"""As `records.new_record`."""

Note = Callable[[PropertyRule, str], None]
"""Told of each rule that decoding and mapping apply, in the order of application, and where: once for each place.

The place is a dotted path from where the rule works: a trait or property by its path within `traits` or `properties`
(as sent; as given for what the settings deny, hash or cut), else a field of the message, as `event`, `timestamp`,
`context.ip` or `integrations.FullStory.sessionId`; or a part of the record, as `headers`. A place may name a property,
but never shows a value.
"""


Change = tuple[PropertyRule, str]
"""A rule that was applied, and where."""


def unnoted(_rule: PropertyRule, _place: str) -> None:
    """Note nothing."""


Event = dict[str, Any]
"""A decoded Segment message, by Segment's own (camelCase) field names.

Whatever it was decoded from, its values are JSON's (with NaN and the infinities), names are text, and no text holds a
lone surrogate. Timestamps are ISO 8601 or milliseconds since the epoch.
"""

Outcome = Mapped | Filtered | Rejected
