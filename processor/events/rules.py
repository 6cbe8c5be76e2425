"""The settings that shape mapping: docs/configuration.md#mapping says what each does, docs/mapping.md shows it."""

from dataclasses import dataclass, field
from typing import Literal

from processor.events.consent import ConsentRule
from processor.events.privacy import PropertyLists

MessageSource = Literal["segment", "rudderstack"]
MessageType = Literal["identify", "track", "page", "screen", "delete"]
Anonymous = Literal["uid", "property", "filter"]
Names = Literal["segment", "underscore"]
SchemaRule = Literal["declare", "infer"]
Nulls = Literal["omit", "send"]
Session = Literal["none", "most_recent"]
Integrations = Literal["honour", "ignore"]


JUNK_IDS = (
    *("undefined", "null", "(null)", "nil", "none", "NaN", "n/a", "[object Object]", "true", "false"),
    *("anonymous", "guest", "unknown", "00000000-0000-0000-0000-000000000000"),
)
"""What languages print of nothing, and what people write in its place: each would be one user made of thousands."""


@dataclass(frozen=True, slots=True)
class MappingRules:
    """What of a message becomes what; compared and hashed as a whole by the mapping fingerprint."""

    source: MessageSource = "segment"
    integration_names: tuple[str, ...] = (
        "FullStory",
        "Fullstory",
        "Fullstory (Actions)",
        "Fullstory Cloud Mode (Actions)",
    )
    """Names under which an event's `integrations` object may speak of FullStory; case matters, as in Segment."""
    integrations: Integrations = "honour"
    consent: tuple[str, ...] = ()
    """Categories of consent; none: what messages say of consent decides nothing."""
    consent_rule: ConsentRule = "all"
    message_types: tuple[MessageType, ...] = ("identify", "track")
    anonymous: Anonymous = "uid"
    junk_ids: tuple[str, ...] = JUNK_IDS
    """Ids that are nobody's: as they are listed, in lower case, in upper case and capitalised."""
    names: Names = "segment"
    schema: SchemaRule = "declare"
    nulls: Nulls = "omit"
    session: Session = "none"
    context: bool = True
    context_deny: tuple[str, ...] = ()
    """Paths in Segment's context that are not sent."""
    events_allow: tuple[str, ...] = ()
    """Globs of event names, as the libraries below."""
    events_deny: tuple[str, ...] = ()
    libraries_allow: tuple[str, ...] = ()
    libraries_deny: tuple[str, ...] = ()
    traits: PropertyLists = field(default_factory=PropertyLists)
    properties: PropertyLists = field(default_factory=PropertyLists)
    hash_salt: str = field(default="", repr=False)
    """A secret."""
    stale_before_ms: int | None = None
    """Identifies of records with an earlier timestamp are passed over; no setting, but said by who backfills."""

    @property
    def deletes_users(self) -> bool:
        """Whether there may be deletions of users among the outcomes."""
        return "delete" in self.message_types
