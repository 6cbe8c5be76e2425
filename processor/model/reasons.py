"""Closed lists of reasons: they are metric labels, dead-letter headers and words in logs.

Only a fault of the record itself is a `DeadLetterReason`. Whatever a better configuration, a working key or
a reachable service would cure is a `HaltReason`: the data is kept and nothing is dead-lettered.
"""

from collections.abc import Mapping
from enum import StrEnum


class Kind(StrEnum):
    """What FullStory is asked to do: to take a user or an event, or to delete a user."""

    USER = "user"
    EVENT = "event"
    DELETION = "deletion"


class DeadLetterReason(StrEnum):
    """Why FullStory can never take a record."""

    MALFORMED = "malformed"
    """The value is in no known encoding, or its bytes contradict its schema."""
    UNKNOWN_SCHEMA = "unknown_schema"
    """No schema has the id that the record names, and the time to wait for it is over."""
    UNSUITABLE_SCHEMA = "unsuitable_schema"
    """The schema is known but does not describe a Segment event."""
    UNKNOWN_TYPE = "unknown_type"
    """`type` is absent or is no Segment message type."""
    MISSING_USER = "missing_user"
    """Neither `userId` nor `anonymousId` holds a usable id, or part of the id is lost."""
    UID_TOO_LONG = "uid_too_long"
    """The user id is longer than FullStory's 256 characters; a cut id would be another user's."""
    MISSING_EVENT_NAME = "missing_event_name"
    """A track without a usable event name."""
    TOO_LARGE = "too_large"
    """FullStory refuses the request that holds this record alone, because of its size."""
    REJECTED = "rejected"
    """FullStory refused this record's item as invalid."""
    DESTINATION_ERROR = "destination_error"
    """FullStory failed on this record alone for too long while it took others."""
    BLOCKED_BY_GATEWAY = "blocked_by_gateway"
    """Something between the worker and FullStory lets others pass, and this record never."""
    UNATTRIBUTED = "unattributed"
    """Part of a job that failed, where it is not known which items."""


class FilterReason(StrEnum):
    """Which rule decided that a record is not forwarded."""

    TOMBSTONE = "tombstone"
    """A record without a value."""
    MESSAGE_TYPE = "message_type"
    """A Segment message type that the settings do not forward."""
    INTEGRATIONS = "integrations"
    """The event's `integrations` object excludes FullStory."""
    CONSENT = "consent"
    """The message says what its user consents to, and that does not include FullStory."""
    ANONYMOUS = "anonymous"
    """The message has no `userId`, and the settings forward no visitors."""
    JUNK_ID = "junk_id"
    """The message has no id but one that the settings list as junk, such as `undefined`."""
    EVENT_NAME = "event_name"
    """The event's name is denied, or not among those allowed."""
    LIBRARY = "library"
    """The name of the library that made the message is denied, or not among those allowed."""
    STALE = "stale"
    """A backfill passes over an identify that is older than it may be: newer values could be overwritten."""


class HaltReason(StrEnum):
    """Why delivery stands still although the data is fine."""

    UNAUTHORIZED = "unauthorized"
    """FullStory answers 401: the key is wrong or revoked."""
    FORBIDDEN = "forbidden"
    """FullStory answers 403 to a POST: the key's level is too low."""
    WRONG_ORG = "wrong_org"
    """The key belongs to another organisation than the configured one."""
    UNEXPECTED_ANSWER = "unexpected_answer"
    """3xx, 404 or 415 of FullStory's to a POST: the base URL leads to another part of it."""
    GATEWAY = "gateway"
    """Something between the worker and FullStory answers in its place, or lets some records not pass."""
    DENIED_JOB = "denied_job"
    """FullStory names a job that it denies to know: most likely a gateway changes the paths of questions."""
    DEAD_LETTER_TOPIC = "dead_letter_topic"
    """The dead-letter topic is missing or unauthorised."""
    DEAD_LETTER_TOO_LARGE = "dead_letter_too_large"
    """The dead-letter topic refuses a record because of its size; only that record's partition stands still."""
    DEAD_LETTER_RATIO = "dead_letter_ratio"
    """So many records would be dead-lettered that the fault is probably ours."""
    UNATTRIBUTED = "unattributed"
    """A job failed in part, it is not known which items, and the policy is to halt."""
    SCHEMA_REGISTRY = "schema_registry"
    """The registry cannot be asked for a schema."""
    UNKNOWN_SCHEMA = "unknown_schema"
    """The registry does not have a schema that records name; they wait for it, for a limited time."""
    STUCK_JOB = "stuck_job"
    """A job has been running for longer than any job should."""
    OFFSET_METADATA = "offset_metadata"
    """The brokers keep too little metadata with a committed offset: nothing may be sent that it cannot tell of."""
    GAP = "gap"
    """The committed offset is no longer in the topic: records are missing."""
    OFFSETS_LOST = "offsets_lost"
    """The group had an offset of a partition and has none now: nobody knows where to go on."""
    RECREATED = "recreated"
    """The topic was deleted and created anew: the committed offset is one of the topic before."""
    SOURCE_TOPIC = "source_topic"
    """A topic to read is missing, or the worker may not read it."""
    KAFKA_UNAVAILABLE = "kafka_unavailable"
    """No broker answers, or the brokers do not accept this worker."""
    FULLSTORY_UNAVAILABLE = "fullstory_unavailable"
    """Every request to FullStory fails: 5xx, timeouts, lost connections."""


OUTAGES = frozenset({HaltReason.KAFKA_UNAVAILABLE, HaltReason.FULLSTORY_UNAVAILABLE})
"""Halts that usually end without an operator: something outside is away, and the worker keeps trying."""

ACTIONS: Mapping[HaltReason, str] = {
    HaltReason.UNAUTHORIZED: (
        "Give the worker a valid key in PROCESSOR_FULLSTORY__API_KEY; "
        "one in PROCESSOR_FULLSTORY__API_KEY_FILE is used without a restart."
    ),
    HaltReason.FORBIDDEN: "Use a key of level Standard or higher; Architect is best.",
    HaltReason.WRONG_ORG: "Correct PROCESSOR_FULLSTORY__ORG_ID, or use a key of that organisation.",
    HaltReason.UNEXPECTED_ANSWER: "Check PROCESSOR_FULLSTORY__BASE_URL, and any proxy or gateway in between.",
    HaltReason.GATEWAY: (
        "Find what answers in FullStory's place by the server that the cause names, and configure it to pass requests "
        "on unchanged: docs/gateways.md. Nothing is lost; the worker keeps trying."
    ),
    HaltReason.DENIED_JOB: (
        "If a gateway is in between, configure it to pass %2F in paths on unchanged: docs/gateways.md. Otherwise ask "
        "FullStory's support about the job, and give its id. Other partitions continue."
    ),
    HaltReason.DEAD_LETTER_TOPIC: (
        "Create the topic that PROCESSOR_KAFKA__DEAD_LETTER_TOPIC names, or grant the worker Write and Describe on it."
    ),
    HaltReason.DEAD_LETTER_TOO_LARGE: (
        "Raise max.message.bytes of the dead-letter topic to that of the source topics plus 8,192 for headers, or to "
        "twice as much if producers compress strongly. Other partitions continue."
    ),
    HaltReason.DEAD_LETTER_RATIO: (
        "Find the cause with `segment-fullstory explain`. If so many records really are undeliverable, raise "
        "PROCESSOR_DELIVERY__DEAD_LETTER_RATIO. Then restart the worker."
    ),
    HaltReason.UNATTRIBUTED: (
        "If the worker's key is not of level Architect, use one that is. If it is, choose what happens to such events "
        "with PROCESSOR_DELIVERY__UNATTRIBUTED."
    ),
    HaltReason.SCHEMA_REGISTRY: (
        "Check the registry and PROCESSOR_SCHEMA_REGISTRY__URL. Partitions whose schemas are known continue."
    ),
    HaltReason.UNKNOWN_SCHEMA: "Register the schema. Partitions whose schemas are known continue.",
    HaltReason.STUCK_JOB: "Ask FullStory's support about the job, and give its id. Other partitions continue.",
    HaltReason.OFFSET_METADATA: (
        "Set offset.metadata.max.bytes of the brokers to 4096, its default, or higher. Brokers that keep no metadata "
        "at all cannot be used."
    ),
    HaltReason.GAP: (
        "To skip what was deleted, set PROCESSOR_KAFKA__ON_GAP=continue. To begin elsewhere, stop all workers and "
        "reset the group's offset of this partition. Other partitions continue."
    ),
    HaltReason.OFFSETS_LOST: (
        "Stop all workers of the group, set its offsets with kafka-consumer-groups.sh --reset-offsets, and start them. "
        "Other partitions continue."
    ),
    HaltReason.RECREATED: (
        "To read the new topic from its first record, set PROCESSOR_KAFKA__ON_RECREATED=restart and restart the "
        "workers. To begin elsewhere, stop all workers and reset the group's offset of this partition with "
        "`kafka-consumer-groups --reset-offsets`. Other partitions continue."
    ),
    HaltReason.SOURCE_TOPIC: (
        "Create the topic, correct PROCESSOR_KAFKA__TOPICS, or grant the worker Read and Describe. "
        "Other topics continue."
    ),
    HaltReason.KAFKA_UNAVAILABLE: "Check PROCESSOR_KAFKA__BOOTSTRAP_SERVERS, the brokers and the network in between.",
    HaltReason.FULLSTORY_UNAVAILABLE: (
        "The worker keeps trying; if it lasts, see FullStory's status page, and the network and proxies in between."
    ),
}
"""What an operator does about each halt: the last column of the table in docs/runbook.md."""

UNPASSED_ACTION = (
    "Configure what is in between to let the record pass: docs/gateways.md. After PROCESSOR_DELIVERY__POISON_AFTER_S "
    "it is dead-lettered as blocked_by_gateway. Other partitions continue."
)
"""The same where a gateway blocks a single record."""


class Bottleneck(StrEnum):
    """What holds throughput back."""

    DESTINATION = "destination"
    """FullStory: its limits, its answers, its jobs, or a halt of delivery."""
    CPU = "cpu"
    """This process has no time left: more workers help."""
    KAFKA = "kafka"
    """Records or acknowledged commits do not come fast enough."""
    REGISTRY = "registry"
    """A schema is missing and the registry does not give it."""
    DEAD_LETTERS = "dead_letters"
    """The dead-letter topic does not take what is written."""
    ORDER = "order"
    """A user's identifies take effect one after the other: the next one waits until the one before is complete."""
    MEMORY = "memory"
    """All that the budget allows is on its way, and Kafka has more: a larger budget helps, and so do more workers."""
    NONE = "none"
    """Nothing: all that there is is on its way."""


class ReleaseReason(StrEnum):
    """Why a process gave up records that it had consumed but not settled; their next owner reads them again."""

    REVOKED = "revoked"
    LOST = "lost"
    SHUTDOWN = "shutdown"


class PropertyRule(StrEnum):
    """Each way in which mapping may change, drop or replace something of a message."""

    DENIED = "denied"
    """The settings deny the property, or do not allow it: dropped."""
    HASHED = "hashed"
    """The settings have the property hashed."""
    TRUNCATED = "truncated"
    """The settings have the property cut, and it was longer."""
    RENAMED = "renamed"
    """The name held characters that FullStory does not take."""
    COLLIDED = "collided"
    """Two names became one by cleaning; the changed one got a checksum of its original name."""
    NULL_OMITTED = "null_omitted"
    NOT_A_NUMBER = "not_a_number"
    """NaN, an infinity or a number beyond all reals: JSON has no such number."""
    NUMBER_ROUNDED = "number_rounded"
    """A number beyond 64 bits: the nearest real is sent."""
    TOO_LONG_NAME = "too_long_name"
    """The dotted name is longer than 512 characters: dropped."""
    TOO_LONG_VALUE = "too_long_value"
    """The value is larger than 8,192 bytes: dropped here, as FullStory would."""
    TOO_MANY = "too_many"
    """More than 500 names: the last ones in the event's order are dropped."""
    TOO_DEEP = "too_deep"
    """Nested too deeply: cannot be written, so dropped."""
    ARRAY_AS_TEXT = "array_as_text"
    """An array that FullStory does not support (of objects, of arrays, or mixed) became JSON text."""
    NAME_CUT = "name_cut"
    """The event name was cut to 250 characters."""
    DISPLAY_NAME_CUT = "display_name_cut"
    """The display name was cut to 256 characters."""
    EMAIL_DROPPED = "email_dropped"
    """The email was longer than 128 characters: a cut address would be another's."""
    ID_DROPPED = "id_dropped"
    """One of the message's ids is listed as junk: it counts as absent."""
    TRAITS_FROM_CONTEXT = "traits_from_context"
    """The identify holds no traits: those of its context are used."""
    TIMESTAMP_INVALID = "timestamp_invalid"
    """One of the event's times could not be read: it counts as absent."""
    TIMESTAMP_CORRECTED = "timestamp_corrected"
    """There is no `timestamp`: `originalTimestamp` is used, corrected by `receivedAt` - `sentAt`."""
    TIMESTAMP_ORIGINAL = "timestamp_original"
    """There is no `timestamp`: `originalTimestamp` is used as it is, as nothing corrects it."""
    TIMESTAMP_CUT = "timestamp_cut"
    """One of the event's times has digits below the millisecond: cut off."""
    TIMESTAMP_EARLY = "timestamp_early"
    """A number gives a time before 1973-03-03 in every unit: sent as milliseconds, and probably none."""
    TIMESTAMP_UNIT = "timestamp_unit"
    """A number is no plausible time in the unit it should have, and is one in another unit: read in that."""
    TIMESTAMP_OF_KAFKA = "timestamp_of_kafka"
    """The event has no time of its own: Kafka's is used."""
    TIMESTAMP_UNKNOWN = "timestamp_unknown"
    """Neither the event nor its record has a time that can be read: 1970 is sent."""
    TIME_REWRITTEN = "time_rewritten"
    """A trait or property is a time in another form than RFC 3339: sent in that."""
    TIME_OUT_OF_RANGE = "time_out_of_range"
    """A date or timestamp of Avro is beyond the years 1 to 9999, or a time of day beyond a day: it counts as null."""
    SESSION_INVALID = "session_invalid"
    """The session that the event names is none of FullStory's: it counts as absent."""
    CONTEXT_DROPPED = "context_dropped"
    """A part of the context is not of the type or form that FullStory takes: dropped."""
    ADDRESS_CUT = "address_cut"
    """The IP address had a port, brackets or a zone: cut off."""
    TEXT_REPLACED = "text_replaced"
    """Bytes that are not UTF-8, or half of a surrogate pair: U+FFFD stands in their place."""
    NUL_REMOVED = "nul_removed"
    """A text held U+0000: removed."""
    UNREADABLE = "unreadable"
    """Kafka's client cannot read the record's headers, key or timestamp: they count as absent."""
    UNWRAPPED = "unwrapped"
    """The message was within an envelope: Kafka Connect's `payload`, or the `data` of CloudEvents."""
