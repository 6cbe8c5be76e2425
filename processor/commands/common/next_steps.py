"""What to do about a record that is not delivered: the setting that changes it, or the page that says more."""

from collections.abc import Mapping

from processor.model.reasons import DeadLetterReason, FilterReason

REDRIVE = (
    "the record can be delivered now: `redrive --to topic` brings it back; see docs/dead-letters.md#bringing-them-back"
)
"""For a dead letter that mapping would no longer refuse."""

NOT_COPIED = (
    "Kafka wrote only where the record is: explain it there, or have the share group copy records "
    "(errors.deadletterqueue.copy.record.enable); see docs/dead-letters.md#share-groups"
)
"""For a share group's dead letter without key and value."""

BY_FULLSTORY: Mapping[str, str] = {
    DeadLetterReason.TOO_LARGE: (
        "send less per event, or set PROCESSOR_MAPPING__PROPERTIES_DENY or PROCESSOR_MAPPING__PROPERTIES_TRUNCATE; "
        "see docs/privacy.md#lists-of-traits-and-properties"
    ),
    DeadLetterReason.REJECTED: "the detail holds FullStory's own code; see docs/dead-letters.md#reasons",
    DeadLetterReason.DESTINATION_ERROR: (
        "bring the record back later; if it fails again, report it to FullStory's support; "
        "see docs/dead-letters.md#reasons"
    ),
    DeadLetterReason.BLOCKED_BY_GATEWAY: (
        "have what stands between the worker and FullStory pass the record, then bring it back; "
        "see docs/dead-letters.md#reasons"
    ),
    DeadLetterReason.UNATTRIBUTED: (
        "use an API key of level Architect, or set PROCESSOR_DELIVERY__UNATTRIBUTED; see docs/dead-letters.md#reasons"
    ),
}
"""Reasons that only FullStory's answer gives: explaining the record again does not find them."""

NEXT_STEPS: Mapping[str, str] = {
    FilterReason.TOMBSTONE: (
        "nothing to do: a record without a value holds no message, and no setting forwards it; "
        "see docs/mapping.md#which-messages"
    ),
    FilterReason.MESSAGE_TYPE: (
        "set PROCESSOR_MAPPING__MESSAGE_TYPES to forward page, screen and delete, too; other types are never "
        "forwarded; see docs/mapping.md#which-messages"
    ),
    FilterReason.INTEGRATIONS: (
        "the sender excludes FullStory: change the sender, set PROCESSOR_MAPPING__INTEGRATIONS=ignore, or correct "
        "PROCESSOR_MAPPING__INTEGRATION_NAMES; see docs/mapping.md#which-messages"
    ),
    FilterReason.CONSENT: (
        "the user did not consent: nothing to do, unless PROCESSOR_MAPPING__CONSENT names the wrong categories; "
        "see docs/privacy.md#consent"
    ),
    FilterReason.ANONYMOUS: (
        "set PROCESSOR_MAPPING__ANONYMOUS=uid or PROCESSOR_MAPPING__ANONYMOUS=property to forward messages without "
        "a userId; see docs/mapping.md#who"
    ),
    FilterReason.JUNK_ID: (
        "correct the producer, which writes an id where it has none, or change PROCESSOR_MAPPING__JUNK_IDS; "
        "see docs/mapping.md#who"
    ),
    FilterReason.EVENT_NAME: (
        "change PROCESSOR_MAPPING__EVENTS_ALLOW or PROCESSOR_MAPPING__EVENTS_DENY; see docs/mapping.md#which-messages"
    ),
    FilterReason.LIBRARY: (
        "change PROCESSOR_MAPPING__LIBRARIES_ALLOW or PROCESSOR_MAPPING__LIBRARIES_DENY; "
        "see docs/mapping.md#which-messages"
    ),
    FilterReason.STALE: (
        "newer values of these users could be overwritten; to deliver them all the same, backfill with --allow-stale, "
        "or a longer --max-age; see docs/backfill.md#what-is-left-out"
    ),
    DeadLetterReason.MALFORMED: "correct the producer; docs/input.md#framings lists the encodings that can be read",
    DeadLetterReason.UNKNOWN_SCHEMA: (
        "register the schema, or correct PROCESSOR_SCHEMA_REGISTRY__URL (PROCESSOR_SCHEMA_REGISTRY__FOLDER without a "
        "registry); see docs/input.md#registries"
    ),
    DeadLetterReason.UNSUITABLE_SCHEMA: (
        "remove the topic from PROCESSOR_KAFKA__TOPICS if it holds no Segment messages; docs/input.md#shapes lists the "
        "schemas that can be read"
    ),
    DeadLetterReason.UNKNOWN_TYPE: (
        "correct the producer: type must be one of Segment's; see docs/mapping.md#which-messages"
    ),
    DeadLetterReason.MISSING_USER: (
        "correct the producer: every message needs a userId or an anonymousId; see docs/mapping.md#who"
    ),
    DeadLetterReason.UID_TOO_LONG: "shorten the ids at their source, in the browser too; see docs/mapping.md#who",
    DeadLetterReason.MISSING_EVENT_NAME: "correct the producer: a track needs an event name; see docs/mapping.md#track",
    **BY_FULLSTORY,
}
"""One step for each reason to filter or to dead-letter."""
