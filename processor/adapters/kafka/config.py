"""The properties of librdkafka: what the worker's correctness rests on, what memory asks for, and the user's own."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from confluent_kafka import KafkaException

from processor.adapters.kafka.faults import said
from processor.engine.beginnings import GroupStart
from processor.model.errors import ConfigurationError

LIBRDKAFKA_LOG = logging.getLogger("librdkafka")
"""Given to every client, or librdkafka writes to standard error by itself."""


SESSION_TIMEOUT_MS = 45_000
"""librdkafka's default, and a broker's for groups that it assigns itself (KIP-848)."""


REJOIN_MS = 60_000
"""`max.poll.interval.ms`: how long a group waits for a member that does not join anew, and a member for the answer.

librdkafka's default is five minutes, and all that time nobody reads. Such members need not exist: after `kill -9` of a
worker and of its coordinator together, Kafka 4.4.0 left four living members without an answer to their joins once in 23
tries (2026-11; not in 31 tries with 4.1). What keeps the consumer's thread from polling is shorter: a question of an
assignment that nobody answers, `patience.PATIENCE_S`.
"""

ASSIGNOR = "cooperative-sticky"
"""What stays with a member goes on during a rebalance: docs/adr/0022-a-group-changes-over-with-one-stop.md."""


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Where Kafka is and how it is used; `properties` are the user's, for SASL, TLS and the like."""

    bootstrap_servers: str
    topics: tuple[str, ...]
    group_id: str
    dead_letter_topic: str
    start: GroupStart = "earliest"
    """Where a group begins that never committed."""
    queue_bytes: int = 8 * 1024 * 1024
    """For records that librdkafka has fetched and nobody has consumed yet, and how far the consumer's thread may run
    ahead of a busy event loop."""
    fetch_bytes: int = 256 * 1024
    """The answer to one fetch, as compressed."""
    partition_fetch_bytes: int = 64 * 1024
    """A partition's part of it."""
    properties: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def with_login(self, login: "Login") -> "KafkaSettings":
        """Return these settings with another login."""
        return replace(self, properties={**self.properties, **dict(zip(LOGIN, login, strict=True))})

    @property
    def is_classic(self) -> bool:
        """Whether the members join and assign by themselves; else the broker assigns (KIP-848)."""
        return str(self.properties.get("group.protocol", "classic")).lower() != "consumer"

    @property
    def session_s(self) -> float:
        """After how long a silent member loses its partitions."""
        return float(self.properties.get("session.timeout.ms", SESSION_TIMEOUT_MS)) / 1_000

    @property
    def assignors(self) -> tuple[str, ...]:
        """By which of them this member of a classic group would assign; all are of one kind (librdkafka 2.16)."""
        named = str(self.properties.get("partition.assignment.strategy", ASSIGNOR))
        return tuple(each.strip() for each in named.split(","))

    @property
    def is_incremental(self) -> bool:
        """Whether rebalances tell only what changes; an assignor of the eager kind tells all, every time."""
        return not self.is_classic or any("cooperative" in each for each in self.assignors)


class Login(NamedTuple):
    """What the mechanisms of SASL with a password want: PLAIN and SCRAM."""

    user: str
    password: str

    @classmethod
    def of(cls, properties: Mapping[str, Any]) -> "Login":
        """Return what the properties say of it."""
        return cls(*(str(properties.get(name, "")) for name in LOGIN))


NO_TOPIC: Mapping[str, Any] = {"allow.auto.create.topics": False}
"""Has no client make a topic by asking for it, whatever the brokers allow: it would have one partition and no setting.

librdkafka (2.16, 2026-11) calls that a consumer's property, which other clients ignore; they heed it. Without it, a
letter for a missing topic makes the topic, and so does an `AdminClient` that asks for one by name.
"""

LOGIN = ("sasl.username", "sasl.password")


STATISTICS_MS = 10_000
"""How often a client tells of itself; what has no broker in two reports is taken for stranded (`figures`)."""


def consumer_config(settings: KafkaSettings, **callbacks: Callable[..., None]) -> dict[str, Any]:
    """Return the consumer's configuration."""
    config: dict[str, Any] = {
        "client.id": "segment-fullstory",
        "log_level": 2,  # what matters of the rest comes as an error, too, and is told once
        "partition.assignment.strategy": ASSIGNOR,
        "fetch.queue.backoff.ms": 5,  # the default, a second, holds a small queue at 15,000 records/s
        "queued.max.messages.kbytes": max(settings.queue_bytes // 1024, 1),
        "fetch.max.bytes": settings.fetch_bytes,
        "message.max.bytes": 1_000,  # a producer's limit, below which librdkafka refuses the `fetch.max.bytes`
        "max.partition.fetch.bytes": settings.partition_fetch_bytes,
        "max.poll.interval.ms": max(REJOIN_MS, round(settings.session_s * 1_000)),  # never less than the session's
        "statistics.interval.ms": STATISTICS_MS,
        "topic.metadata.refresh.interval.ms": 10_000,  # what was created is read by then; the default is five minutes
        **settings.properties,
        "bootstrap.servers": settings.bootstrap_servers,
        "group.id": settings.group_id,
        "enable.auto.commit": False,  # only settled records are committed
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",  # a missing offset is told, never skipped
        **NO_TOPIC,
        "enable.partition.eof": True,  # else nobody knows whether more is coming
        **callbacks,
    }
    if not settings.is_classic:
        del config["partition.assignment.strategy"]
    return config


def admin_config(settings: KafkaSettings) -> dict[str, Any]:
    """Return the configuration of a client that only asks."""
    return {
        "client.id": "segment-fullstory",
        "log_level": 2,  # what matters of the rest comes as an error, too, and is told once
        **_not_of_consumers(settings),
        "bootstrap.servers": settings.bootstrap_servers,
        **NO_TOPIC,
    }


def producer_config(settings: KafkaSettings, **callbacks: Callable[..., None]) -> dict[str, Any]:
    """Return the configuration of the dead letters' producer."""
    return {
        "client.id": "segment-fullstory",
        "log_level": 2,  # what matters of the rest comes as an error, too, and is told once
        "linger.ms": 0,
        "batch.num.messages": 1,  # a broker refuses a batch as a whole, also for the size of one letter in it
        "compression.type": "zstd",  # whatever compressed the record, its letter is hardly larger
        "queue.buffering.max.kbytes": 128 * 1024,  # the largest record that can be consumed fits
        "message.max.bytes": 128 * 1024 * 1024,  # the topic's own limit decides, and its refusal is understood
        "message.timeout.ms": 30_000,  # then the write is tried again by us, and said to be failing
        "statistics.interval.ms": STATISTICS_MS,
        "topic.metadata.propagation.max.ms": 3_000,  # the default waits for a missing topic until the message times out
        **_not_of_consumers(settings),
        "bootstrap.servers": settings.bootstrap_servers,
        "enable.idempotence": True,
        "acks": "all",
        **NO_TOPIC,
        **callbacks,
    }


TRANSACTION_MS = 30_000
"""After how long the brokers abort a transaction of a process that was killed; until then its topic's readers wait."""


def transactional_config(settings: KafkaSettings, name: str, **callbacks: Callable[..., None]) -> dict[str, Any]:
    """Return the configuration of a producer whose transactions have this name, of which one at a time can write."""
    return {
        **producer_config(settings, **callbacks),
        "statistics.interval.ms": 0,
        "batch.num.messages": 10_000,  # what is refused takes its transaction with it, however they are batched
        "batch.size": 64 * 1024,  # below the least that topics take of a batch
        "linger.ms": 5,
        "transactional.id": name,
        "transaction.timeout.ms": TRANSACTION_MS,
        "message.timeout.ms": TRANSACTION_MS - 5_000,  # not more than a transaction's
    }


def _not_of_consumers(settings: KafkaSettings) -> dict[str, Any]:
    return {name: value for name, value in settings.properties.items() if name not in CONSUMER_ONLY}


CONSUMER_ONLY = frozenset(
    {
        "group.protocol",
        "group.instance.id",
        "group.remote.assignor",
        "partition.assignment.strategy",
        "session.timeout.ms",
        "heartbeat.interval.ms",
        "max.poll.interval.ms",
        "fetch.wait.max.ms",
        "fetch.min.bytes",
        "fetch.max.bytes",
        "fetch.message.max.bytes",
        "max.partition.fetch.bytes",
        "fetch.error.backoff.ms",
        "fetch.queue.backoff.ms",
        "queued.min.messages",
        "queued.max.messages.kbytes",
        "isolation.level",
        "check.crcs",
    }
)
"""Properties that other clients do not know, or have no use for."""


@contextmanager
def refusals() -> Iterator[None]:
    """Raise what librdkafka says of a client's properties, when it is made, as a `ConfigurationError`."""
    try:
        yield
    except KafkaException as error:
        raise ConfigurationError([f"PROCESSOR_KAFKA__PROPERTIES: {said(error)}"]) from None
