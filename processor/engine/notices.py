"""What the worker tells of itself, as it happens: one value per change, handed to an observer.

Metrics and logs are made of these outside of the runtime. None is sent per record; counts are sums over a batch.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from processor.engine.partition.journal_format import JournalFault, ResumedPart
from processor.engine.verdict import RetryReason
from processor.model.errors import WriteFault
from processor.model.reasons import DeadLetterReason, FilterReason, HaltReason, Kind, PropertyRule, ReleaseReason
from processor.model.records import LetterPlace, TopicPartition

CallKind = Literal["request", "question", "key"]
"""What FullStory is asked: to take items, how a job is doing, and whose key this is."""


class WaitsFor(StrEnum):
    """What holds a partition up: what its oldest batch waits for, or why Kafka gives no more of its records."""

    TRANSACTION = "transaction"
    """A producer has left a transaction open: nothing behind its first record can be read."""
    LEADER = "leader"
    """The partition has no leader: the brokers with its replicas are down."""
    BROKER = "broker"
    """The broker that leads the partition does not answer this worker."""
    RECORDS = "records"
    """The broker answers, and does not give the records that it holds."""
    GATEWAY = "gateway"
    """Something in between lets other requests pass."""
    DEAD_LETTER_TOPIC = "dead_letter_topic"
    ANSWER = "answer"
    JOB = "job"
    USERS = "users"
    """Earlier records of one of its users are not complete."""
    COMMIT = "commit"
    TURN = "turn"


WAITS_FOR: Mapping[WaitsFor, str] = {
    WaitsFor.TRANSACTION: "the end of a transaction",
    WaitsFor.LEADER: "a leader of the partition",
    WaitsFor.BROKER: "an answer of the broker that leads it",
    WaitsFor.RECORDS: "records from the broker",
    WaitsFor.GATEWAY: "something in between that lets other requests pass",
    WaitsFor.DEAD_LETTER_TOPIC: "the dead-letter topic",
    WaitsFor.ANSWER: "an answer of FullStory",
    WaitsFor.JOB: "FullStory's job",
    WaitsFor.USERS: "earlier records of one of its users",
    WaitsFor.COMMIT: "a commit",
    WaitsFor.TURN: "its turn to be sent",
}
"""The same in words."""


@dataclass(frozen=True, slots=True)
class Consumed:
    """Records of a topic entered the worker."""

    topic: str
    records: int


@dataclass(frozen=True, slots=True)
class Built:
    """A batch was formed; `items` per part."""

    users: int
    events: int
    changes: Counter[PropertyRule]


@dataclass(frozen=True, slots=True)
class Answered:
    """A request of the named endpoint was answered, or ended without an answer."""

    endpoint: str
    outcome: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class Retried:
    """A request is going to be sent again; `detail` is why, in words, `status` what was answered, if anything was."""

    reason: RetryReason
    detail: str = ""
    status: int | None = None
    call: CallKind = "request"

    @property
    def cause(self) -> str:
        """Return why in words, whatever is known of it."""
        return self.detail or (self.reason.value if self.status is None else f"FullStory answers {self.status}")


@dataclass(frozen=True, slots=True)
class Throttled:
    """FullStory asked to wait; `seconds` is what this answer added to the wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class JobEnded:
    """A job reached its end."""

    kind: Kind
    duration_s: float


@dataclass(frozen=True, slots=True)
class JobIsLate:
    """A job has been running for very long; told once for each. `where` names its partition."""

    kind: Kind
    job_id: str
    where: str
    age_s: float


@dataclass(frozen=True, slots=True)
class HeldUp:
    """A batch has been on its way for long while later ones of its partition settled, or Kafka withholds records.

    Told once for each.
    """

    partition: TopicPartition
    offset: int
    age_s: float
    waits_for: str


@dataclass(frozen=True, slots=True)
class HeldInOrder:
    """These partitions lately send less than they could, because users' identifies are sent one after the other."""

    partitions: tuple[TopicPartition, ...]


@dataclass(frozen=True, slots=True)
class MemoryIsShort:
    """The process comes near the memory limit of its container; told once, until enough is free again."""

    resident_bytes: int
    limit_bytes: int


@dataclass(frozen=True, slots=True)
class Settled:
    """A batch settled: what became of each of its records, and the times of those delivered."""

    delivered: Counter[Kind]
    filtered: Counter[FilterReason]
    dead_lettered: Counter[DeadLetterReason]
    timestamps_ms: Sequence[int] = field(repr=False)
    """Kafka's."""
    event_times_s: Sequence[float] = field(default=(), repr=False)
    """When the events happened, by the clocks of those who sent them; identifies have no such time."""


@dataclass(frozen=True, slots=True)
class Redelivered:
    """Records are sent once more under a new key: FullStory may have taken them already, and no longer says so."""

    records: int


@dataclass(frozen=True, slots=True)
class JournalResumed:
    """The journal of a partition was read, and told of this."""

    parts: Counter[ResumedPart]


@dataclass(frozen=True, slots=True)
class JournalIgnored:
    """What was committed with a partition's offset is no journal of ours: what was in flight is sent anew."""

    partition: TopicPartition
    fault: JournalFault
    perhaps_sent: int = 0
    """How many records, at most, whoever wrote it sent before, where that is known."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Records were deleted from the topic before they were consumed; told once for each gap that is passed over."""

    partition: TopicPartition
    records: int


@dataclass(frozen=True, slots=True)
class Recreated:
    """A partition is of a topic that was deleted and created anew; `position` is the group's in the topic before."""

    partition: TopicPartition
    position: int


@dataclass(frozen=True, slots=True)
class Released:
    """Records were given up unsettled; their next owner reads them again."""

    reason: ReleaseReason
    records: int


@dataclass(frozen=True, slots=True)
class WrittenLetter:
    """Of which record a dead letter is, by the place that it names, why, and where it is, if the broker tells."""

    source: TopicPartition
    offset: int
    reason: DeadLetterReason
    place: LetterPlace | None


@dataclass(frozen=True, slots=True)
class DeadLetterWrite:
    """The broker answered for a dead letter: `ok`, or why it did not take it; `detail` says it in words."""

    outcome: Literal["ok"] | WriteFault
    detail: str = ""
    letter: WrittenLetter | None = None
    """What was written, if it was."""


@dataclass(frozen=True, slots=True)
class Committed:
    """A commit was answered: `ok`, `failed`; `detail` is why."""

    outcome: str
    partitions: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Rebalanced:
    """Partitions came or went: `assigned`, `revoked` or `lost`."""

    kind: str
    partitions: tuple[TopicPartition, ...]


@dataclass(frozen=True, slots=True)
class Begun:
    """Partitions were assigned of which the group has committed nothing: all of a new group, or what was added."""

    partitions: tuple[TopicPartition, ...]


@dataclass(frozen=True, slots=True)
class Halted:
    """Delivery stands still, or stands still in one more place; said once for each place when it begins."""

    reason: HaltReason
    cause: str
    action: str
    places: int = 1
    """In how many places it stands still for this reason by now."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """A halt is over in its last place: its cause is gone, or it concerned a partition that another worker has now."""

    reason: HaltReason
    lasted_s: float
    is_cured: bool


@dataclass(frozen=True, slots=True)
class KeyKnown:
    """FullStory has said whose key is in use; again after a renewal."""

    org_id: str
    role: str
    is_batch: bool
    """Whether requests of several items are sent."""


@dataclass(frozen=True, slots=True)
class RegistryAsked:
    """The schema registry was asked: `found`, `absent` or `unavailable`; `detail` is why."""

    outcome: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SchemaCacheTrouble:
    """A schema could not be read from the cache on disk, or not be written to it; the worker goes on without.

    An empty `detail`: one could be written.
    """

    detail: str


@dataclass(frozen=True, slots=True)
class SourceTrouble:
    """Kafka's client reports a passing fault: the broker is away, say. It recovers by itself."""

    detail: str


Notice = (
    Consumed
    | Built
    | Answered
    | Retried
    | Throttled
    | JobEnded
    | JobIsLate
    | HeldUp
    | HeldInOrder
    | MemoryIsShort
    | Settled
    | Redelivered
    | JournalResumed
    | JournalIgnored
    | Gap
    | Recreated
    | Released
    | DeadLetterWrite
    | Committed
    | Rebalanced
    | Begun
    | Halted
    | Resumed
    | KeyKnown
    | RegistryAsked
    | SchemaCacheTrouble
    | SourceTrouble
)

Observer = Callable[[Notice], None]
"""Called on the event loop's thread; must not block and must not raise."""


def fan_out(observers: Sequence[Observer]) -> Observer:
    """Return one observer that tells several; the sequence may grow after this."""

    def notify(notice: Notice) -> None:
        for observer in observers:
            observer(notice)

    return notify
