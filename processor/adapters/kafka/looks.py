"""What the source looks at every few seconds, because librdkafka tells nothing of it: ends, topics, membership."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, final

from confluent_kafka import KafkaError, KafkaException

from processor.adapters.kafka.config import KafkaSettings
from processor.adapters.kafka.connection import Connection
from processor.adapters.kafka.described import Described
from processor.adapters.kafka.offsets import Offsets
from processor.adapters.kafka.tenures import Tenures
from processor.engine.notices import WaitsFor
from processor.engine.partition.owner import End
from processor.model.reasons import HaltReason
from processor.model.records import TopicPartition
from processor.runtime.ports import SourceFault

LOOK_EVERY_S = 5.0
"""How often the ends of partitions are asked for: one question for all, on the thread that also polls."""

WATCH_TOPICS_S = 10.0
"""How often the topics are looked at while nothing seems to be wrong: one may be missing, or deleted, without a word.
A member of a group by KIP-848 is told of neither (librdkafka 2.16, November 2026)."""

DOUBTFUL_TOPICS = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)
"""Errors after which the topics are looked at."""

LOOK_SOON_S = 1.0
"""The same while something seems to be wrong, and before the group is joined."""

JOINED_WITHIN_S = 15.0
"""A group by KIP-848 has a member from its first heartbeat on: one that it does not have by then cannot join."""

SETTLED_WITHIN_S = 50.0
"""A classic group waits for each member to join anew: for a dead one until its session ends (45 s), for a living one
as long as its `max.poll.interval.ms`. librdkafka (2.16) says nothing of it. A deployment takes less for one member."""

UNSETTLED = SourceFault(
    "Kafka answers, and the worker's group does not settle: it waits for a member that does not join anew, or its "
    "coordinator gives no answer",
    "Look at the group with kafka-consumer-groups (--describe --state and --describe --members): end the member that "
    "holds it up, or restart the broker that coordinates it.",
)

OFFSETS_LOST = "the group had an offset of {} and has none now: it expired, or was deleted"

SourceFaults = dict[HaltReason, list[SourceFault]]
"""What keeps the source from reading, all of it."""


class Seen(NamedTuple):
    """What a look has found that the source has to do something about."""

    ends: Mapping[TopicPartition, End | WaitsFor]
    """As far as they were told, or why nobody tells them. librdkafka learns of no paused partition's by itself."""
    recreated: Sequence[TopicPartition] = ()
    """Owned partitions whose topic is not the one that was assigned."""
    is_subscription_old: bool = False
    """Whether it is time to subscribe to other topics."""
    is_member: bool = False
    """Whether the group has this member, although it was assigned nothing yet: the others own everything."""


@final
class Looks:
    """For the consumer's thread alone; a look blocks for some questions of a moment each."""

    def __init__(self, settings: KafkaSettings, described: Described, offsets: Offsets, tenures: Tenures) -> None:
        self._settings = settings
        self._described = described
        self._offsets = offsets
        self._tenures = tenures
        self._connection = Connection(settings.bootstrap_servers)
        self._has_joined = False
        self._joining: int | None = None  # which join waits for the group
        self._joining_since = time.monotonic()
        self._found: list[SourceFault] = []  # wrong with topics, at the last look
        self._is_certain = True  # whether the look before found the same
        self._topic_faults: list[SourceFault] = []
        self._topics_looked_at = float("-inf")
        self._looked_at = self._subscribed_at = time.monotonic()
        self._silent: Collection[TopicPartition] = ()

    def note(self, error: KafkaError) -> None:
        """Look soon for what an error may mean."""
        self._connection.report(error)
        if error.code() in DOUBTFUL_TOPICS:
            self._is_certain = False

    def answered(self) -> None:
        """A broker has told something."""
        self._connection.answered()

    def not_answered(self) -> None:
        """A question outside of the looks had no answer."""
        self._connection.did_not_answer()

    def hold(self, refusal: SourceFault | None) -> None:
        """Take why the group cannot be joined yet; None where it can."""
        self._connection.hold(refusal)

    def subscribed(self) -> None:
        """The client joins the group from here on."""
        self._subscribed_at = time.monotonic()

    def joined(self) -> None:
        """The group has accepted this member."""
        self._has_joined = True
        self._connection.joined()

    def note_joining(self, joining: int | None) -> None:
        """Take in which of its joins the client waits for the group, told every few seconds; None where it does not."""
        if joining != self._joining:
            self._joining, self._joining_since = joining, time.monotonic()

    def note_silent(self, partitions: Collection[TopicPartition]) -> None:
        """Take in whose leaders have long sent nothing, told every few seconds."""
        self._silent = partitions

    @property
    def _is_unsettled(self) -> bool:
        """Whether a classic group has kept its member waiting for too long."""
        waits = self._settings.is_classic and self._joining is not None
        return waits and time.monotonic() > self._joining_since + SETTLED_WITHIN_S

    def faults(self, lost: Iterable[TopicPartition]) -> SourceFaults:
        """Return what keeps the source from reading; of `lost` the group has lost its offsets."""
        connection = self._connection.fault or (UNSETTLED if self._is_unsettled else None)
        found = {
            HaltReason.KAFKA_UNAVAILABLE: [] if connection is None else [connection],
            HaltReason.SOURCE_TOPIC: self._topic_faults,
            HaltReason.OFFSETS_LOST: [SourceFault(OFFSETS_LOST.format(each), where=str(each)) for each in sorted(lost)],
        }
        return {reason: faults for reason, faults in found.items() if faults}

    @property
    def _is_in_doubt(self) -> bool:
        return not self._has_joined or self._connection.is_in_doubt or not self._is_certain

    @property
    def is_due(self) -> bool:
        """Whether it is time to look."""
        return time.monotonic() >= self._looked_at + (LOOK_SOON_S if self._is_in_doubt else LOOK_EVERY_S)

    def look(self, owned: Mapping[TopicPartition, int], subscribed: tuple[str, ...]) -> Seen:
        """Look at the ends, and further where it is time to, or where something seems to be wrong.

        `owned` are the positions of the partitions that have an epoch; nothing is `subscribed` before the group is
        joined.
        """
        is_in_doubt = self._is_in_doubt
        seen = Seen(self._ends(owned))
        is_answered = any(isinstance(each, End) for each in seen.ends.values())  # that there is no leader may be old
        if is_answered:
            self._connection.answered()
        if owned and not is_in_doubt and all(each is WaitsFor.BROKER for each in seen.ends.values()):
            self._connection.did_not_answer()  # the next look, soon, asks further
        elif is_in_doubt or not is_answered or time.monotonic() >= self._topics_looked_at + WATCH_TOPICS_S:
            seen = self._look_further(seen, owned, subscribed)
        self._looked_at = time.monotonic()
        return seen

    def _ends(self, owned: Mapping[TopicPartition, int]) -> dict[TopicPartition, End | WaitsFor]:
        """Ask the brokers that answer, and the others apart: one without an answer leaves a common question without."""
        silent = [each for each in owned if each in self._silent]
        ends = self._offsets.ends(each for each in owned if each not in self._silent)
        return {**ends, **dict.fromkeys(silent, WaitsFor.BROKER), **self._offsets.ends(silent)}

    def _look_further(self, seen: Seen, owned: Mapping[TopicPartition, int], subscribed: tuple[str, ...]) -> Seen:
        """Find out whether Kafka answers and has the topics. A group by KIP-848 does not say why it assigns nothing."""
        try:
            found = self._described.topic_faults()
        except KafkaException:
            self._connection.did_not_answer()
            return seen
        self._connection.answered()
        if self._connection.is_refused and owned and self._offsets.does_group_answer():
            self._connection.group_answered()
        seen = seen._replace(recreated=self._tenures.recreated(owned, self._described.ids_at_a_look(), owned))
        # A broker that has just started may not know every topic yet: only what two looks in a row find is told.
        self._topics_looked_at = time.monotonic()
        self._is_certain, self._found = found == self._found, found
        if not self._is_certain:
            return seen
        self._topic_faults = found
        if not subscribed:
            return seen
        if self._described.to_subscribe != subscribed:
            return seen._replace(is_subscription_old=True)
        if len(found) < len(self._settings.topics):
            return seen._replace(is_member=self._is_member_without_assignment())
        return seen

    def _is_member_without_assignment(self) -> bool:
        """Ask for what a group by KIP-848 never tells its member: that it is one, and the others own everything.

        That the coordinator answers other questions says nothing: it does so where it does not know the protocol.
        """
        if self._has_joined or self._settings.is_classic:
            return False
        is_member = self._described.is_member()
        if is_member is False and time.monotonic() > self._subscribed_at + JOINED_WITHIN_S:
            self._connection.left_out()
        return bool(is_member)
