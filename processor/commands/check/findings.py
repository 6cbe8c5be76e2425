"""Every finding of `check`: a closed list of ids that scripts may rely on. docs/check.md is made of it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, final

from processor.model.errors import GlueUnavailableError, RegistryUnavailableError


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"

    @property
    def exit_code(self) -> int:
        """What the process ends with when nothing is worse."""
        return list(Level).index(self)


@final
@dataclass(frozen=True, slots=True)
class Finding:
    """A kind of finding: what it means, and what to do."""

    id: str
    level: Level
    meaning: str
    advice: str = ""
    says_remedy: bool = False
    """Whether what is seen says what to do, too."""


class Found(NamedTuple):
    """A finding that was made, with what was seen: names and numbers, never a secret or a trait."""

    finding: Finding
    seen: str

    @property
    def in_a_line(self) -> str:
        """What was seen, and what to do. Of a list below a sentence only the names are left."""
        head, *listed = self.seen.splitlines() or [""]
        if listed:
            sentence, _, remedy = head.partition(". ")
            names = [each.split("=")[0].strip() for each in listed if each.startswith("  ")]
            return f"{sentence} ({', '.join(names)}): {remedy[:1].lower()}{remedy[1:].partition(',')[0]}"
        advice = self.finding.advice
        return head if self.finding.says_remedy else f"{head}: {advice[:1].lower()}{advice[1:].rstrip('.')}"

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        finding = self.finding
        return {
            "id": finding.id,
            "level": finding.level.value,
            "seen": self.seen,
            "meaning": finding.meaning,
            "advice": finding.advice,
        }


def _ok(id_: str, meaning: str) -> Finding:
    return Finding(id_, Level.OK, meaning)


def _warning(id_: str, meaning: str, advice: str) -> Finding:
    return Finding(id_, Level.WARNING, meaning, advice)


def _error(id_: str, meaning: str, advice: str, *, says_remedy: bool = False) -> Finding:
    return Finding(id_, Level.ERROR, meaning, advice, says_remedy)


CONFIGURATION_VALID = _ok("configuration.valid", "Every setting is valid.")
CONFIGURATION_INVALID = _error(
    "configuration.invalid",
    "A setting is missing or not valid: the worker would end with exit code 2. What depends on it was not checked.",
    "Correct each setting that is named; docs/configuration.md describes all of them.",
    says_remedy=True,
)

KAFKA_REACHED = _ok("kafka.reached", "A broker answers.")
KAFKA_UNREACHABLE = _error(
    "kafka.unreachable",
    "No broker answers; the worker would wait for one.",
    "Correct the setting that is named; if it is right, check the brokers and the network in between.",
    says_remedy=True,
)
KAFKA_RETICENT = _warning(
    "kafka.reticent",
    "The cluster does not tell settings or permissions, so what depends on them was not checked.",
    "Allow Describe and DescribeConfigs on the topics and the cluster to whoever runs this command, or check yourself.",
)
KAFKA_OFFSET_METADATA = _warning(
    "kafka.offset_metadata",
    "The brokers take less metadata with an offset than the 4,096 bytes of Kafka's default. The journal is stored "
    "there, so fewer requests can be in flight, or none.",
    "Set offset.metadata.max.bytes of the brokers to 4096 or more.",
)

TOPIC_FOUND = _ok(
    "topic.found", "The topic exists. No more processes can share the work than the topics have partitions."
)
TOPIC_MISSING = _error(
    "topic.missing",
    "The topic does not exist, or this client may not see it. Nothing is read from it.",
    "Create it, correct PROCESSOR_KAFKA__TOPICS or PROCESSOR_KAFKA__REDRIVE_TOPIC, or allow Describe and Read on it.",
)
TOPIC_FORBIDDEN = _error(
    "topic.forbidden", "This client may not read the topic.", "Allow Read on the topic to the worker's principal."
)

LETTERS_FOUND = _ok("dead_letters.found", "The dead-letter topic exists.")
LETTERS_MISSING = _error(
    "dead_letters.missing",
    "The dead-letter topic does not exist, or this client may not see it. The first record that FullStory can never "
    "take halts all delivery.",
    "Create it, correct PROCESSOR_KAFKA__DEAD_LETTER_TOPIC, or allow Describe and Write on it.",
)
LETTERS_FORBIDDEN = _error(
    "dead_letters.forbidden",
    "This client may not write to the dead-letter topic. The first dead letter halts all delivery.",
    "Allow Write on the topic to the worker's principal.",
)
LETTERS_UNWRITABLE = _warning(
    "dead_letters.unwritable",
    "The topic has fewer replicas than its min.insync.replicas. Old brokers refuse every dead letter; newer ones (such "
    "as Kafka 4.1) require no more than there are, so a dead letter may be lost with a single broker.",
    "Give the topic more replicas (3 are usual), or lower its min.insync.replicas.",
)
LETTERS_MIN_ISR = _warning(
    "dead_letters.min_isr",
    "A dead letter counts as written when a single broker has it. If that broker is lost, so is the record.",
    "Set min.insync.replicas of the topic to 2, with 3 replicas.",
)
LETTERS_RETENTION = _warning(
    "dead_letters.retention",
    "Dead letters are deleted after less than 14 days: a fault found after a holiday could no longer be repaired.",
    "Set retention.ms of the topic to 1209600000 (14 days) or more.",
)
LETTERS_COMPACTED = _warning(
    "dead_letters.compacted",
    "The topic is compacted, and a dead letter has the key of its record, so Kafka keeps only the last one of each "
    "user.",
    "Set cleanup.policy of the topic to delete.",
)
LETTERS_SIZE = _warning(
    "dead_letters.size",
    "The topic accepts no records as large as those of a source topic plus 8,192 bytes of headers. A dead letter that "
    "does not fit halts its partition.",
    "Set max.message.bytes of the dead-letter topic to the largest of the source topics plus 8,192 for headers. If "
    "producers compress strongly (zstd above level 3, gzip 9), twice as much is safe: dead letters are compressed "
    "again.",
)
REDRIVE_RETENTION = _warning(
    "redrive.retention",
    "The redrive topic deletes records at a lower age than the dead-letter topic. Records that are brought back keep "
    "their old timestamps, so Kafka may delete them before the worker reads them.",
    "Set retention.ms of the redrive topic to -1, or to more than that of the dead-letter topic.",
)
REDRIVE_COMPACTED = _warning(
    "redrive.compacted",
    "The redrive topic is compacted, so Kafka may delete all records of a user but the last before the worker reads "
    "them.",
    "Set cleanup.policy of the topic to delete.",
)
PARKING_MISSING = _warning(
    "parking.missing",
    "The parking topic does not exist, or this client may not see it. `redrive` ends with an error as soon as a letter "
    "belongs there, and sends nothing behind it.",
    "Create it, correct PROCESSOR_KAFKA__PARKING_TOPIC, or allow Describe and Write on it to whoever redrives.",
)

GROUP_READY = _ok("group.ready", "The consumer group can be used.")
GROUP_FORBIDDEN = _error(
    "group.forbidden", "This client may not join the group.", "Allow Read on the group to the worker's principal."
)
GROUP_UNKNOWN = _error(
    "group.unknown",
    "The offsets that the group has committed cannot be read; the worker could not start.",
    "Allow Describe and Read on the group, and check whether the cluster has a coordinator for it.",
)
GROUP_LOST = _error(
    "group.lost",
    "The group has no offsets for these partitions, and PROCESSOR_KAFKA__START says that it has started before. They "
    "would halt.",
    "If the group is new, set PROCESSOR_KAFKA__START to earliest or latest for its first start. Otherwise set its "
    "offsets with kafka-consumer-groups.sh --reset-offsets.",
)
GROUP_STOPPED = _ok(
    "group.stopped",
    "The group has no members. After the brokers' offsets.retention.minutes without members, Kafka deletes its "
    "offsets. At least the time shown is left: the group was at work when the newest record came that it has passed.",
)
GROUP_EXPIRING = _warning(
    "group.expiring",
    "The group has no members, and no record that it has passed shows that half of the time is left after which Kafka "
    "deletes its offsets. Records would be sent twice then, or never. Where topics are quiet, more time may be left "
    "than is shown: Kafka does not tell since when a group has no members.",
    "Start the worker, or, if it is to stay stopped, export the offsets: docs/deploy.md.",
)
GROUP_COPIED = _warning(
    "group.copied",
    "The group's offsets were copied from another cluster. Records after them may have been delivered there since, and "
    "would be delivered again.",
    "Run no worker on the other cluster any more. To deliver fewer of them again, set the offsets: docs/failover.md.",
)
GROUP_GAP = _error(
    "group.gap",
    "Records after the committed offset were deleted before they were read. The partition would halt.",
    "Find out what was lost, then set PROCESSOR_KAFKA__ON_GAP=continue to continue after the gap. A longer retention "
    "of the topic avoids gaps.",
)
GROUP_GAP_PASSED = _warning(
    "group.gap_passed",
    "Records after the committed offset were deleted before they were read, and the settings say to continue.",
    "Give the topic a longer retention, or the worker more room to catch up.",
)

GROUP_FULL = _warning(
    "group.full",
    "The group has as many members as the brokers allow: one more would be refused, and halt.",
    "Run no more workers than that, or raise group.max.size of the brokers (group.consumer.max.size for "
    "group.protocol=consumer).",
)
GROUP_PROTOCOL = _error(
    "group.protocol",
    "The settings say group.protocol=consumer, which the brokers do not allow: the worker would end.",
    "Remove group.protocol from PROCESSOR_KAFKA__PROPERTIES, or add consumer to "
    "group.coordinator.rebalance.protocols of the brokers.",
)
GROUP_CHANGES_OVER = _ok(
    "group.changes_over",
    "The settings say group.protocol=consumer, and the brokers let such workers join the classic members: replace one "
    "after the other (docs/kip-848.md).",
)
GROUP_JOINED = _ok("group.joined", "The group accepted this client as a member, and the client has left again.")
GROUP_AT_WORK = _ok("group.at_work", "The group has members, so this client did not join: they would have had to wait.")
GROUP_REFUSED = _error(
    "group.refused",
    "The group does not accept this client as a member: the worker would halt, or end.",
    "Correct what is named.",
    says_remedy=True,
)
GROUP_UNPROBED = _warning(
    "group.unprobed",
    "The group did not answer the probe, or may not be probed.",
    "Allow Read, Describe and Delete on groups whose names begin with PROCESSOR_KAFKA__GROUP_ID, and try again.",
)
GROUP_METADATA_KEPT = _ok("group.metadata_kept", "Metadata that is committed with an offset can be read back.")
GROUP_METADATA_FORGOTTEN = _error(
    "group.metadata_forgotten",
    "The brokers accept metadata with an offset and do not return it. The journal is stored there: delivery would "
    "halt.",
    "Use brokers that keep it, as Apache Kafka does.",
)

REGISTRY_NONE = _ok(
    "registry.none", "No registry is set: schemas are those that ship with the worker, with the ids in ids.json."
)
REGISTRY_REACHED = _ok("registry.reached", "The schema registry answers, and schemas may be read.")
REGISTRY_READONLY = _warning(
    "registry.readonly",
    "The schema registry accepts no new schemas. Records with schemas that it lacks are dead-lettered after a while.",
    "Make sure that producers use registered schemas, or have the registry's operator set the mode READWRITE.",
)
REGISTRY_IMPORT = _warning(
    "registry.import",
    "The schema registry accepts only schemas that bring the id of another registry, as while it is filled from one. "
    "Records with schemas that it lacks are dead-lettered after a while.",
    "Have the registry's operator complete the import and set the mode READWRITE.",
)
REGISTRY_EMPTY = _warning(
    "registry.empty",
    "The schema registry shows no subject to this login: it is empty, or the login may not read. Partitions with "
    "records that name a schema would wait.",
    "Let the login in PROCESSOR_SCHEMA_REGISTRY__PROPERTIES read the subjects of the topics, and check that "
    "PROCESSOR_SCHEMA_REGISTRY__URL is the registry of their producers.",
)
REGISTRY_FORBIDDEN = _error(
    "registry.forbidden",
    "The schema registry does not let this login read a schema that records name. Their partitions would wait.",
    "Let the login in PROCESSOR_SCHEMA_REGISTRY__PROPERTIES read the subjects of the topics.",
)
REGISTRY_UNREACHABLE = _error(
    "registry.unreachable",
    "The schema registry does not answer. Partitions with records in unknown schemas would wait until it does.",
    "Check PROCESSOR_SCHEMA_REGISTRY__URL and the credentials in PROCESSOR_SCHEMA_REGISTRY__PROPERTIES.",
)
GLUE_REACHED = _ok("glue.reached", "AWS Glue answers, and versions of schemas may be read.")
GLUE_FORBIDDEN = _error(
    "glue.forbidden",
    "AWS Glue does not let the worker read versions of schemas, or there are no credentials for AWS. Partitions with "
    "records in Glue's framing would wait.",
    "Give the worker credentials of the account that has the schemas, in the environment, a profile or a role, with "
    "the permission glue:GetSchemaVersion.",
)
GLUE_UNREACHABLE = _error(
    "glue.unreachable",
    "AWS Glue does not answer. Partitions with records in unknown schemas would wait until it does.",
    "Check PROCESSOR_SCHEMA_REGISTRY__GLUE_REGION, and the way to Glue's endpoint in that region: a proxy, a VPC "
    "endpoint, AWS_ENDPOINT_URL_GLUE.",
)

FULLSTORY_PROXY = _ok(
    "fullstory.proxy",
    "FullStory is asked through a proxy. The proxy resolves the name of the API, so the worker cannot see whether it "
    "leads to a private address; FullStory's certificate is verified all the same.",
)
FULLSTORY_ACCOUNT = _ok("fullstory.account", "The key is valid and belongs to the expected organisation.")
FULLSTORY_UNREACHABLE = _error(
    "fullstory.unreachable",
    "FullStory does not answer, or answers with a temporary error. The worker would try again.",
    "Check the network and the proxy, PROCESSOR_FULLSTORY__BASE_URL if it is set, and FullStory's status page.",
)
FULLSTORY_REFUSED = _error(
    "fullstory.refused",
    "FullStory refuses the key, or what answers is not FullStory. Delivery would halt.",
    "Check PROCESSOR_FULLSTORY__API_KEY, and PROCESSOR_FULLSTORY__BASE_URL if it is set.",
)
FULLSTORY_WRONG_ORG = _error(
    "fullstory.wrong_org",
    "The key belongs to an organisation other than the configured one. Delivery would halt before anything is sent.",
    "Correct the key or PROCESSOR_FULLSTORY__ORG_ID.",
)
FULLSTORY_SINGLE = _warning(
    "fullstory.single",
    "The key may not read which items of a job failed, so `auto` sends one request per record: exact, but slow.",
    "Use a key of level Architect, or set PROCESSOR_DELIVERY__MODE=single to say that you want this.",
)
FULLSTORY_NO_DELETION = _error(
    "fullstory.no_deletion",
    "PROCESSOR_MAPPING__MESSAGE_TYPES names `delete`, and the key may not delete users: the worker would halt.",
    "Use a key of level Architect or Admin, or forward no `delete` messages.",
)
FULLSTORY_UNATTRIBUTED = _warning(
    "fullstory.unattributed",
    "Batches are sent although the key may not read which items of a job failed. When a job of events fails in part, "
    "PROCESSOR_DELIVERY__UNATTRIBUTED decides what happens to all of them.",
    "Use a key of level Architect, or set PROCESSOR_DELIVERY__MODE=auto.",
)

CLOCK_AGREES = _ok("clock.agrees", "This computer's clock and FullStory's agree.")
CLOCK_SKEW = _warning(
    "clock.skew",
    "This computer's clock and FullStory's differ by more than a minute. If FullStory asks to wait until a date, the "
    "wait would be too long or too short. If they differ by hours, the worker would take remembered keys for "
    "forgotten.",
    "Synchronise this computer's clock by NTP.",
)
CLOCK_UNKNOWN = _warning(
    "clock.unknown",
    "The answer has no time, as FullStory's answers have: the clocks were not compared.",
    "Find out what is between this computer and FullStory.",
)

RECORDS_NONE = _ok("records.none", "The topics contain no records: nothing was sampled.")
RECORDS_SAMPLED = _ok("records.sampled", "What would become of the latest records with these settings.")
RECORDS_UNREAD = _error(
    "records.unread",
    "Records could not be read; the worker could not read them either.",
    "Check the permissions on the topics, and the brokers that lead their partitions.",
)
RECORDS_MOSTLY_FILTERED = _warning(
    "records.mostly_filtered",
    "Rules would filter more than half of the records: perhaps a setting or a topic is wrong.",
    "Check the reasons; `segment-fullstory explain` shows them for a record. docs/mapping.md has the rules.",
)
RECORDS_WOULD_HALT = _error(
    "records.would_halt",
    "A larger share of the records would be dead-lettered than PROCESSOR_DELIVERY__DEAD_LETTER_RATIO allows. Delivery "
    "would halt as soon as that is the share of the last 1,000 records.",
    "Correct what the most frequent reason names: docs/dead-letters.md says what to do for each, and "
    "`segment-fullstory explain` shows one record.",
)
RECORDS_REJECTED = _warning(
    "records.rejected",
    "Some records would be dead-lettered.",
    "docs/dead-letters.md says what to do for each reason; `segment-fullstory explain` shows one record.",
)
RECORDS_USER_SPREAD = _warning(
    "records.user_spread",
    "Records of one user are in several partitions of a topic, so the order of the user's identifies is not kept.",
    "Let the producer use the user's id as the key, and `partitioner=murmur2_random` if there are producers in several "
    "languages.",
)
RECORDS_ANONYMOUS_BROWSER = _warning(
    "records.anonymous_browser",
    "Browser visitors who have only an anonymousId become users with that id. If FullStory also records their "
    "sessions, they exist twice: FullStory never merges its own visitor with this user.",
    "If browsers record sessions, set PROCESSOR_MAPPING__ANONYMOUS=property.",
)

RECORDS_TYPE_CONFLICT = _warning(
    "records.type_conflict",
    "Some properties are whole numbers in some records and reals in others: FullStory shows a conflict of their types.",
    "Let the producers write one type, or set PROCESSOR_MAPPING__SCHEMA=infer, so that every number is a real.",
)
RECORDS_BROWSER_INTEGERS = _ok(
    "records.browser_integers",
    "Browsers sent whole numbers, which are declared as such. If FullStory's snippet gets the same properties in the "
    "browser, it takes them for reals, and their types conflict: then set PROCESSOR_MAPPING__SCHEMA=infer.",
)
RECORDS_NO_LIBRARY = _warning(
    "records.no_library",
    "Some records name no library, so the lists of libraries cannot tell where they come from: PROCESSOR_MAPPING__"
    "LIBRARIES_ALLOW drops them, and PROCESSOR_MAPPING__LIBRARIES_DENY lets them pass.",
    "Segment's libraries for Go, Java and Rust write no context.library. Use the lists of events, or add it there.",
)
RECORDS_CONSENT_IGNORED = _warning(
    "records.consent_ignored",
    "Records state what their users consent to, and the settings do not ask for consent: all of them are delivered. "
    "Segment would withhold some.",
    "Set PROCESSOR_MAPPING__CONSENT to the categories that FullStory belongs to: docs/privacy.md.",
)

PROBE_HONOURED = _ok("idempotency.honoured", "FullStory answered a repeated batch as it answered the first time.")
PROBE_IGNORED = _warning(
    "idempotency.ignored",
    "FullStory took a repeated batch for a new one: what is sent again after a crash takes effect twice.",
    "Report it to FullStory's support. Until they solve it, a process that is killed may repeat what it had in flight.",
)
PROBE_UNCLEAR = _warning(
    "idempotency.unclear",
    "The two answers cannot be compared.",
    "Try again; `fullstory.refused` or a rate limit may be the cause.",
)

CHECKS_SKIPPED = _warning(
    "checks.skipped",
    "These checks depend on something that did not answer in time.",
    "Run the check again when the errors are gone. On a slow network, allow more time: --timeout 30.",
)


def of_schemas(error: RegistryUnavailableError) -> Finding:
    """Return which finding it is that a schema cannot be had."""
    if isinstance(error, GlueUnavailableError):
        return GLUE_FORBIDDEN if error.is_of_login else GLUE_UNREACHABLE
    return REGISTRY_FORBIDDEN if error.is_of_one_schema else REGISTRY_UNREACHABLE


FINDINGS = [each for each in globals().values() if isinstance(each, Finding)]
"""All of them, in the order of the checks."""
