"""Where partitions begin: what the group has committed, and what the topics hold. For the consumer's thread alone."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeVar, final

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import ClusterMetadata, TopicMetadata

from processor.adapters.kafka.config import KafkaSettings
from processor.adapters.kafka.described import members, session_s, topic_ids, unreadable
from processor.adapters.kafka.faults import said
from processor.engine.beginnings import Beginnings
from processor.engine.digest import digest
from processor.engine.partition.journal_format import JournalPlace
from processor.engine.partition.owner import End
from processor.model.errors import SourceError
from processor.model.nearest import nearest
from processor.model.records import TopicPartition
from processor.runtime.ports import SourceFault

ASK_S = 5.0
"""For one question to a broker."""

LOOK_S = 1.0
"""For what is only looked at: without an answer it stays unknown."""

ASK_AGAIN_S = 1.0

PATIENCE_S = 60.0
"""How long a rebalance waits for a broker that just handed out partitions; then the process starts anew."""

MAY_NOT_READ = "the worker may not read topic {}"
OFFSETS_LOST = "the group had an offset of {} and has none now: it expired, or was deleted"

READ_ACTION = "Grant the worker Read on the topic. Other topics continue."
DENIED_ACTION = (
    "Grant the worker Read and Describe on the topic: until then Kafka does not say whether it exists. Other topics "
    "continue."
)

MISSING = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)
"""Of a topic that does not exist."""

MOCK_CLUSTER = "mockCluster"
"""How the ids of librdkafka's mock clusters begin; they have no topic ids, and leave the question without an answer."""

_T = TypeVar("_T")


class Stored(NamedTuple):
    """What a group has committed of a partition; the offset is negative where there is nothing."""

    offset: int
    metadata: str


class Start(NamedTuple):
    """Where a partition begins; new is what the group never committed."""

    offset: int
    is_new: bool
    metadata: str


@final
class Offsets:
    """Answers of the brokers; every method blocks, and most raise `SourceError` when none comes in time."""

    def __init__(self, consumer: Consumer, settings: KafkaSettings, is_stopping: Callable[[float], bool]) -> None:
        self._consumer = consumer
        self._settings = settings
        self._is_stopping = is_stopping
        self._beginnings = Beginnings(settings.start)
        self.denied: frozenset[str] = frozenset()
        """Topics that the brokers do not let this client know of, by the last look."""
        self.refused: set[str] = set()
        """Topics of which a broker has refused records; a look takes out those that may be read by now."""
        self._missing: list[str] = []
        self.partition_counts: dict[str, int] = {}
        """Of the topics that the last look found."""
        self._cluster: str | None = None
        self._similar: dict[str, str | None] = {}

    def begin(self) -> None:
        """Find out, before the group is joined, what it begins to read; commit where it begins if that is at the end.

        Kafka takes the commit of no member only while the group has none, so nobody's offsets are set back; who is
        refused comes to a group that is at work. Raise `KafkaException` where the questions are not answered.
        """
        if self._settings.start == "earliest":  # the first record is the first record, whoever asks, and whenever
            return
        listed = self._look()
        there = [TopicPartition(name, number) for name, topic in listed.items() for number in topic.partitions]
        found = committed(self._consumer, there, ASK_S) if there else {}
        unseen = (name for name, topic in listed.items() if topic.error and topic.error.code() not in MISSING)
        self._beginnings.came(there, offsets_in(found), unseen)
        told = self.ends(self._beginnings.to_commit, ASK_S)
        if ends := [KafkaPartition(*each, end.readable) for each, end in told.items() if end is not None]:
            with suppress(KafkaException):
                self._consumer.commit(offsets=ends, asynchronous=False)

    def starts(self, partitions: Sequence[KafkaPartition]) -> dict[TopicPartition, Start]:
        """Return where the group goes on in each partition, or where it begins."""
        if not partitions:
            return {}
        found = self._ask(lambda: committed(self._consumer, map(named, partitions), ASK_S))
        return {each: self._start(each, stored) for each, stored in found.items()}

    def _start(self, partition: TopicPartition, found: Stored) -> Start:
        if found.offset >= 0:
            return Start(found.offset, is_new=False, metadata=found.metadata)
        first, end = self.available(partition)
        return Start(end if self._beginnings.of(partition) == "end" else first, is_new=True, metadata="")

    def lost(self, starts: Mapping[TopicPartition, Start], topic_ids: Mapping[str, str]) -> list[TopicPartition]:
        """Return the partitions of which the group had an offset that is gone; remember which have one."""
        for each, start in starts.items():
            if not start.is_new:
                self.remember(each, topic_ids[each.topic])
        return [
            each
            for each, start in starts.items()
            if start.is_new
            and (self._beginnings.of(each) == "lost" or self._beginnings.remembers(each, topic_ids[each.topic]))
        ]

    def remember(self, partition: TopicPartition, topic_id: str) -> None:
        """Remember that the group has committed a partition of this topic."""
        self._beginnings.remember(partition, topic_id)

    def topic_ids(self, topics: Collection[str]) -> dict[str, str]:
        """Return the ids of topics; a topic that was deleted and created anew has another one."""
        if not topics:
            return {}
        if self._cluster is None:
            self._cluster = self._listed(self._settings.topics[0]).cluster_id or ""
        return self._ask(lambda: self._ids(topics, ASK_S))

    def ids_at_a_look(self) -> dict[str, str]:
        """Return the ids of the topics that the last look found, as far as they are told in a moment."""
        try:
            return self._ids(self.partition_counts, LOOK_S) if self.partition_counts else {}
        except KafkaException:  # one of them was deleted since
            return {}

    def _ids(self, topics: Collection[str], timeout_s: float) -> dict[str, str]:
        has_ids = not (self._cluster or "").startswith(MOCK_CLUSTER)
        return topic_ids(self._settings, topics, timeout_s) if has_ids else dict.fromkeys(topics, "")

    def place(self, partition: TopicPartition, topic_id: str) -> JournalPlace:
        """Return where a partition of this topic and the group's commits of it are: no other of any cluster is there.

        To be asked after `topic_ids`.
        """

        def named_by(topic: str) -> str:
            names = (self._cluster, topic, partition.partition, self._settings.group_id)
            return digest(*(str(each).encode() for each in names))

        return JournalPlace(exact=named_by(topic_id), lineage=named_by(f"topic {partition.topic}"))

    def available(self, partition: TopicPartition) -> tuple[int, int]:
        """Return the first offset that the partition holds, and its end."""
        asked = KafkaPartition(partition.topic, partition.partition)
        return self._ask(lambda: self._consumer.get_watermark_offsets(asked, timeout=ASK_S))

    def partitions_in_topics(self) -> int:
        """Count all partitions of the subscribed topics."""
        return sum(len(self._listed(each).topics[each].partitions) for each in self._settings.topics)

    def _listed(self, topic: str) -> ClusterMetadata:
        return self._ask(lambda: self._consumer.list_topics(topic, timeout=ASK_S))

    def ends(self, partitions: Iterable[TopicPartition], within_s: float = LOOK_S) -> dict[TopicPartition, End | None]:
        """Return the ends that are told in time; None where librdkafka knows of no leader.

        It (2.16) asks for the end of what may be read, and keeps the log end offset that came with the last fetch.
        """
        asked = [KafkaPartition(each.topic, each.partition, OFFSET_END) for each in partitions]
        try:
            told = self._consumer.offsets_for_times(asked, timeout=within_s) if asked else []
        except KafkaException:
            return {}
        ends: dict[TopicPartition, End | None] = {}
        for each in told:
            if each.error and each.error.code() == KafkaError.LEADER_NOT_AVAILABLE:
                ends[named(each)] = None
            elif not each.error:
                _, fetched_to = self._consumer.get_watermark_offsets(each, cached=True)
                ends[named(each)] = End(max(fetched_to, each.offset), each.offset)
        return ends

    def topic_faults(self) -> list[SourceFault]:
        """Return why topics cannot be read, one fault each; raise `KafkaException` where no broker answers."""
        listed = self._look()
        faults = {name: found.error for name, found in listed.items() if found.error}
        self.partition_counts = {name: len(found.partitions) for name, found in listed.items() if name not in faults}
        missing = [name for name, error in faults.items() if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART]
        self.denied = frozenset(
            name for name, error in faults.items() if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
        )
        if missing and missing != self._missing:  # all topics of a cluster are many: once for each that is missing
            known = list(self._consumer.list_topics(timeout=LOOK_S).topics)
            self._similar = {name: nearest(name, known) for name in missing}
        self._missing = missing
        if asked := self.refused - faults.keys():
            self.refused = set(unreadable(self._settings, asked, LOOK_S))
        told = [_topic_fault(name, error, self._similar.get(name)) for name, error in faults.items()]
        unread = sorted(self.refused - faults.keys())
        return told + [SourceFault(MAY_NOT_READ.format(name), READ_ACTION, name) for name in unread]

    def _look(self) -> dict[str, TopicMetadata]:
        """Return what the cluster has of each topic, and note which cluster that is.

        One question for each topic, in a row: librdkafka (2.16) asks for one topic or for all of the cluster.
        """
        answers = {each: self._consumer.list_topics(each, timeout=LOOK_S) for each in self._settings.topics}
        self._cluster = answers[self._settings.topics[0]].cluster_id or ""
        return {name: answer.topics[name] for name, answer in answers.items()}

    def does_group_answer(self) -> bool:
        """Say whether the group's coordinator answers in a moment."""
        try:
            self._consumer.committed([KafkaPartition(self._settings.topics[0], 0)], timeout=LOOK_S)
        except KafkaException:
            return False
        return True

    def session_s(self) -> float | None:
        """Return after how long the brokers give away what a silent member has; None where they do not choose or tell.

        They tell whoever may describe the configs of the group.
        """
        try:
            return None if self._settings.is_classic else session_s(self._settings, LOOK_S)
        except KafkaException:
            return None

    def is_member(self) -> bool | None:
        """Say whether the group has this member; None where its coordinator does not tell in a moment."""
        try:
            return self._consumer.memberid() in members(self._settings, LOOK_S)
        except KafkaException:
            return None

    def _ask(self, question: Callable[[], _T | None]) -> _T:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = question()
            except KafkaException as error:
                answer, fault = None, said(error)
            else:
                fault = "no answer"
            if answer is not None:
                return answer
            if self._is_stopping(ASK_AGAIN_S) or time.monotonic() > deadline:
                raise SourceError(f"Kafka did not tell where to begin: {fault}")


def committed(
    consumer: Consumer, partitions: Iterable[TopicPartition], timeout_s: float
) -> dict[TopicPartition, Stored]:
    """Ask the group what it has of each partition; raise `KafkaException` where there is no answer."""
    return stored(_checked(consumer.committed([KafkaPartition(*each) for each in partitions], timeout=timeout_s)))


def offsets_in(found: Mapping[TopicPartition, Stored]) -> dict[TopicPartition, int]:
    """Return the offsets of the partitions that have one."""
    return {each: stored.offset for each, stored in found.items() if stored.offset >= 0}


def stored(partitions: Iterable[KafkaPartition]) -> dict[TopicPartition, Stored]:
    """Return what librdkafka gives of commits."""
    return {named(each): Stored(each.offset, _metadata(each)) for each in partitions}


def _topic_fault(name: str, error: KafkaError, similar: str | None) -> SourceFault:
    if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        hint = f" (did you mean {similar}?)" if similar else ""
        return SourceFault(f"topic {name} does not exist{hint}", where=name)
    if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        return SourceFault(MAY_NOT_READ.format(name), DENIED_ACTION, name)
    return SourceFault(f"topic {name} cannot be read ({error.str()})", where=name)


def _metadata(partition: KafkaPartition) -> str:
    """Return metadata, of which what is not text is nothing of ours.

    confluent-kafka (2.16) ends its own with a zero, and reads to the next one: of what another tool has committed it
    gives some more bytes, whatever stands there.
    """
    try:
        return partition.metadata or ""
    except UnicodeDecodeError:
        return ""


def _checked(partitions: list[KafkaPartition]) -> list[KafkaPartition]:
    for each in partitions:
        if each.error:
            raise KafkaException(each.error)
    return partitions


def named(partition: KafkaPartition) -> TopicPartition:
    """Return the name of what librdkafka gives with an offset or an error."""
    return TopicPartition(partition.topic, partition.partition)
