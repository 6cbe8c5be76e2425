"""What the generator takes and gives: a mix of traffic, and records with their expectations."""

from dataclasses import dataclass
from typing import final

from processor.model.reasons import DeadLetterReason, FilterReason, Kind
from processor.model.records import Headers


@final
@dataclass(frozen=True, slots=True)
class ExpectDelivered:
    """FullStory must have it, for this uid, exactly once.

    `unique` occurs in no other record: the value of an event's property `unique`, or the name of a user's property (a
    name, so that merging many identifies of one user hides none of them).
    """

    kind: Kind
    uid: str
    unique: str


@final
@dataclass(frozen=True, slots=True)
class ExpectDeadLettered:
    """It must be in the dead-letter topic, for this reason."""

    reason: DeadLetterReason


@final
@dataclass(frozen=True, slots=True)
class ExpectFiltered:
    """It must go nowhere, by this rule."""

    reason: FilterReason


Expectation = ExpectDelivered | ExpectDeadLettered | ExpectFiltered


@final
@dataclass(frozen=True, slots=True)
class GeneratedRecord:
    """A Kafka message to produce, and what must become of it."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int
    expectation: Expectation


@final
@dataclass(frozen=True, slots=True)
class Mix:
    """What the traffic is made of. Shares are of all records, except `identify` and `null_key`.

    Users come and go: at any moment `users` are active, and each has `events_per_user` records on average before a new
    one takes its place, so that no user collects ever more properties.
    """

    identify: float = 0.20
    """Of the records that are delivered."""
    anonymous: float = 0.10
    """Without `userId`."""
    poison: float = 0.005
    """In equal parts of every kind of poison."""
    tombstone: float = 0.005
    other_type: float = 0.02
    """Page, screen, group and alias."""
    excluded: float = 0.01
    """Identifies and tracks that `integrations` keeps from FullStory."""
    plain_json: float = 0.10
    """JSON instead of Avro, as Segment's own Kafka destination writes."""
    null_key: float = 0.25
    """Without a key, of the records that are not delivered. All others are keyed by the user's id, so that Kafka keeps
    the records of one user in order."""
    awkward: float = 0.25
    """With property names and values that mapping has to change."""
    users: int = 1_000
    events_per_user: int = 50
    skew: float = 1.0
    """1: all active users are equally busy. The larger, the busier are a few of them."""
    oversize_bytes: int = 600_000
    """An oversized record's properties: above the destination's limit in force, below Kafka's (1 MiB by default)."""
