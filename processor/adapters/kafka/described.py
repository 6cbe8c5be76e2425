"""The topics and the group as the brokers describe them, who tell a consumer nothing of it by themselves."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar, final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (
    AclOperation,
    AdminClient,
    ClusterMetadata,
    ConfigResource,
    ResourceType,
    TopicMetadata,
)

from processor.adapters.kafka.config import LIBRDKAFKA_LOG, KafkaSettings, Login, admin_config
from processor.adapters.kafka.membership import Membership, members
from processor.adapters.kafka.patience import ASK_S, LOOK_S, Patience
from processor.engine.digest import digest
from processor.engine.partition.journal_format import JournalPlace
from processor.model.errors import SourceError
from processor.model.nearest import nearest
from processor.model.records import TopicPartition
from processor.runtime.ports import SourceFault

MAY_NOT_READ = "the worker may not read topic {}"

ANOTHER_CLUSTER = "the brokers are of another cluster: {}, and were of {}. The next start goes on there"

READ_ACTION = "Grant the worker Read on the topic. Other topics continue."
DENIED_ACTION = (
    "Grant the worker Read and Describe on the topic: until then Kafka does not say whether it exists. Other topics "
    "continue."
)

MOCK_CLUSTER = "mockCluster"
"""How the ids of librdkafka's mock clusters begin; they have no topic ids, and leave the question without an answer."""

_T = TypeVar("_T")


@final
class Described:
    """What the brokers say of the subscribed topics and of the group: asked when partitions are assigned, and at looks.

    For the consumer's thread alone; every method that asks blocks. A look asks for a moment. What an assignment needs
    is asked for until it is answered, or `SourceError` raised.
    """

    def __init__(
        self,
        consumer: Consumer,
        settings: KafkaSettings,
        is_stopping: Callable[[float], bool],
        unanswered: Callable[[str], None],
    ) -> None:
        self._consumer = consumer
        self._settings = settings
        self.patience = Patience(is_stopping, unanswered)
        """For questions that need an answer."""
        self._admin: AdminClient | None = None
        self._cluster: str | None = None
        self.refused: set[str] = set()
        """Topics of which a broker has refused records; a look takes out those that may be read by now."""
        self.partition_counts: dict[str, int] = {}
        """Of the topics that the last look found."""
        self._denied: frozenset[str] = frozenset()  # topics that the last look was not let know of
        self._missing: list[str] = []
        self._similar: dict[str, str | None] = {}

    # The topics

    def topics(self) -> dict[str, TopicMetadata]:
        """Return what the cluster has of each topic, and note which cluster that is.

        Raises `KafkaException` where no broker answers in a moment.

        One question for each topic, in a row: librdkafka (2.16) asks for one topic or for all of the cluster.
        """
        answers = {each: self._consumer.list_topics(each, timeout=LOOK_S) for each in self._settings.topics}
        self._note_cluster(answers[self._settings.topics[0]])
        return {name: answer.topics[name] for name, answer in answers.items()}

    def topic_faults(self) -> list[SourceFault]:
        """Look at the topics; return why some cannot be read, one fault each; raise as `topics`."""
        listed = self.topics()
        faults = {name: found.error for name, found in listed.items() if found.error}
        self.partition_counts = {name: len(found.partitions) for name, found in listed.items() if name not in faults}
        missing = [name for name, error in faults.items() if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART]
        self._denied = frozenset(
            name for name, error in faults.items() if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
        )
        if missing and missing != self._missing:  # all topics of a cluster are many: once for each that is missing
            known = list(self._consumer.list_topics(timeout=LOOK_S).topics)
            self._similar = {name: nearest(name, known) for name in missing}
        self._missing = missing
        if asked := self.refused - faults.keys():
            rights = self._ask(lambda each: _topics(each, asked, LOOK_S, include_authorized_operations=True))
            self.refused = {
                name
                for name, topic in rights.items()
                if allows(topic.authorized_operations, AclOperation.READ) is False
            }
        told = [_topic_fault(name, error, self._similar.get(name)) for name, error in faults.items()]
        unread = sorted(self.refused - faults.keys())
        return told + [SourceFault(MAY_NOT_READ.format(name), READ_ACTION, name) for name in unread]

    @property
    def to_subscribe(self) -> tuple[str, ...]:
        """The topics to subscribe to: all, as far as one does not keep the others from being read.

        A group by KIP-848 (Kafka 4.1) refuses every heartbeat that names a topic which the member may not describe.
        """
        allowed = tuple(each for each in self._settings.topics if each not in self._denied)
        return self._settings.topics if self._settings.is_classic or not allowed else allowed

    def partitions_in_topics(self) -> int:
        """Count all partitions of the subscribed topics; insists."""
        return sum(len(self._listed(each).topics[each].partitions) for each in self._settings.topics)

    def topic_ids(self, topics: Collection[str]) -> dict[str, str]:
        """Return the ids of topics; a topic that was deleted and created anew has another one. Insists."""
        if not topics:
            return {}
        self._note_cluster(self._listed(self._settings.topics[0]))
        return self.patience.insist(lambda: self._ids(topics, ASK_S))

    def ids_at_a_look(self) -> dict[str, str]:
        """Return the ids of the topics that the last look found, as far as they are told in a moment."""
        try:
            return self._ids(self.partition_counts, LOOK_S) if self.partition_counts else {}
        except KafkaException:  # one of them was deleted since
            return {}

    def _ids(self, topics: Collection[str], timeout_s: float) -> dict[str, str]:
        if (self._cluster or "").startswith(MOCK_CLUSTER):
            return dict.fromkeys(topics, "")
        described = self._ask(lambda admin: _topics(admin, topics, timeout_s))
        return {name: str(topic.topic_id) for name, topic in described.items()}

    def place(self, partition: TopicPartition, topic_id: str) -> JournalPlace:
        """Return where a partition of this topic and the group's commits of it are; to be asked after `topic_ids`."""
        return place_of(partition, topic_id, self._cluster or "", self._settings.group_id)

    def _note_cluster(self, answer: ClusterMetadata) -> None:
        """Note which cluster has answered; raise `SourceError` where it is another one by now.

        An address may lead to a mirror after a failover. Positions and topic ids of this process are of the other
        cluster: against those of this one, all its topics would seem to be created anew. Its next start begins where
        the group is here.
        """
        name = answer.cluster_id or self._cluster or ""
        if self._cluster and name != self._cluster:
            raise SourceError(ANOTHER_CLUSTER.format(name, self._cluster))
        self._cluster = name

    def _listed(self, topic: str) -> ClusterMetadata:
        return self.patience.insist(lambda: self._consumer.list_topics(topic, timeout=ASK_S))

    # The group

    def refusal(self) -> SourceFault | None:
        """Return why the group cannot take this member yet, as far as that is told.

        To be asked before a group of KIP-848 is joined: librdkafka (2.16) ends where the brokers refuse, and says no
        more than "group id does not exist". Raise `KafkaException` while the members rebalance: then nobody knows.
        """
        if self._settings.is_classic:
            return None
        try:
            group = self._membership(ASK_S)
        except KafkaException:  # whoever may not know, or joins meanwhile, is told by the broker
            return None
        if group.is_classic and group.members and not group.assignor:
            raise KafkaException(KafkaError(KafkaError.REBALANCE_IN_PROGRESS))
        return group.refusal(self._settings)

    def session_s(self) -> float | None:
        """Return after how long the brokers give away what a silent member has; None where they do not choose or tell.

        They tell whoever may describe the configs of the group.
        """
        try:
            return None if self._settings.is_classic else self._ask(self._session_s)
        except KafkaException:
            return None

    def _session_s(self, admin: AdminClient) -> float:
        group = ConfigResource(ResourceType.GROUP, self._settings.group_id)
        entries = admin.describe_configs([group], request_timeout=LOOK_S)[group].result()
        return float(entries["consumer.session.timeout.ms"].value) / 1_000

    def is_member(self) -> bool | None:
        """Say whether the group has this member; None where its coordinator does not tell in a moment."""
        try:
            return self._consumer.memberid() in self._membership(LOOK_S).members
        except KafkaException:
            return None

    def _membership(self, timeout_s: float) -> Membership:
        return self._ask(lambda admin: members(admin, self._settings.group_id, timeout_s))

    # The client for what a consumer cannot ask

    def log_in(self, login: Login) -> None:
        """Use another login from the next question on."""
        self._settings = self._settings.with_login(login)
        self.close()

    def close(self) -> None:
        """Let the client go, with its connections; the next question would make another one."""
        self._admin = None

    def _ask(self, question: Callable[[AdminClient], _T]) -> _T:
        """Ask through the one client, which is made for the first question.

        It is let go where there is no answer: one that waits for brokers in vain tries to connect ever more rarely, and
        a new one at once. What it has to tell waits to be polled, a token that is to be renewed as well.
        """
        admin = self._admin
        if admin is None:  # not `or`: an idle client is false, for it has the length of its queue
            admin = client(self._settings)
        self._admin = None
        admin.poll(0)
        answer = question(admin)
        self._admin = admin
        return answer


def place_of(partition: TopicPartition, topic_id: str, cluster: str, group: str) -> JournalPlace:
    """Return where a partition of this topic and the group's commits of it are: no other of any cluster is there."""

    def named_by(topic: str) -> str:
        return digest(*(str(each).encode() for each in (cluster, topic, partition.partition, group)))

    return JournalPlace(exact=named_by(topic_id), lineage=named_by(f"topic {partition.topic}"))


def _topic_fault(name: str, error: KafkaError, similar: str | None) -> SourceFault:
    if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        hint = f" (did you mean {similar}?)" if similar else ""
        return SourceFault(f"topic {name} does not exist{hint}", where=name)
    if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        return SourceFault(MAY_NOT_READ.format(name), DENIED_ACTION, name)
    return SourceFault(f"topic {name} cannot be read ({error.str()})", where=name)


def client(settings: KafkaSettings) -> AdminClient:
    """Make a client to ask with; whoever asks it keeps it until the answers are there, for they end with it."""
    return AdminClient(admin_config(settings), logger=LIBRDKAFKA_LOG)


def _topics(admin: AdminClient, topics: Collection[str], timeout_s: float, **what: bool) -> Mapping[str, Any]:
    """Ask for all of the topics at once."""
    answers = admin.describe_topics(TopicCollection([*topics]), request_timeout=timeout_s, **what)
    return {topic: answer.result() for topic, answer in answers.items()}


def allows(operations: Collection[AclOperation] | None, operation: AclOperation) -> bool | None:
    """Say whether an operation is allowed. Whoever is told of something may describe it, so nothing is no answer."""
    return operation in operations if operations else None
