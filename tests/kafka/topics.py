"""Fills topics and reads back what they and a group's commits hold, without joining any group."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from processor.adapters.kafka.producing import hand_over
from processor.model.records import Record
from processor.workload import GeneratedRecord
from tests.kafka.cluster import ANSWER_DEADLINE_S, Cluster

DEADLINE_S = 60.0
FETCH = 10_000
FETCH_WAIT_S = 0.05
"""`consume` returns earlier only with all the messages it was asked for."""

POLL_EVERY = 1_000
"""Delivery reports are served once for so many records: each call costs as much as a record."""

NO_LEADER = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
NO_COORDINATOR = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)

NO_GROUP = "nobody"
"""librdkafka wants a group's name even of a consumer that joins none."""


Told = Callable[[GeneratedRecord, int, int], None]
"""Told the partition and the offset of a record."""


def produce_all(cluster: Cluster, topic: str, records: Iterable[GeneratedRecord], told: Told = lambda *_: None) -> int:
    """Produce every record and return their number; raises unless the broker acknowledged all."""
    faults: list[KafkaError] = []
    producer = Producer(
        {
            "bootstrap.servers": cluster.bootstrap_servers,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 20,
            "log_level": 0,  # what fails in the end is raised
        }
    )
    count = 0
    for count, record in enumerate(records, 1):
        sent = Record(0, record.timestamp_ms, record.key, record.value, record.headers)
        hand_over(producer, topic, sent, partial(_report, faults, told, record))
        if count % POLL_EVERY == 0:
            producer.poll(0)
    if producer.flush(DEADLINE_S):
        raise TimeoutError(f"the broker did not acknowledge {len(producer)} of {count} records")
    if faults:
        raise KafkaException(faults[0])
    return count


def paced(records: Iterable[GeneratedRecord], rate: float, stop: threading.Event) -> Iterator[GeneratedRecord]:
    """Yield so many records a second, each stamped with its time, until told to stop."""
    started = time.monotonic()
    for number, record in enumerate(records):
        if stop.wait(max(0.0, started + number / rate - time.monotonic())):
            return
        yield replace(record, timestamp_ms=time.time_ns() // 1_000_000)


@contextmanager
def producing(
    cluster: Cluster, topic: str, records: Iterable[GeneratedRecord], rate: float, told: Told = lambda *_: None
) -> Iterator[None]:
    """Produce so many records a second until the end of the `with`; raises then unless the broker acknowledged all."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as thread:
        feed = thread.submit(produce_all, cluster, topic, paced(records, rate, stop), told)
        try:
            yield
        finally:
            stop.set()
            feed.result()


def allow(cluster: Cluster, topic: str, size: int) -> None:
    """Set how many bytes a topic takes at once, as an operator does."""
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})
    entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    wanted = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([wanted])[wanted].result(ANSWER_DEADLINE_S)


def append(cluster: Cluster, topic: str, partition: int, records: Sequence[Record]) -> None:
    """Produce to one partition, in order, whatever the records' offsets; raises unless the broker acknowledged all."""
    _append(
        Producer({"bootstrap.servers": cluster.bootstrap_servers, "enable.idempotence": True}),
        topic,
        partition,
        records,
    )


def append_transaction(cluster: Cluster, topic: str, partition: int, *parts: Sequence[Record]) -> None:
    """Produce as `append` does, in a transaction for each part, whose end takes the next offset."""
    producer = begin_transaction(cluster, topic, partition, parts[0])
    producer.commit_transaction(DEADLINE_S)
    for part in parts[1:]:
        producer.begin_transaction()
        _append(producer, topic, partition, part)
        producer.commit_transaction(DEADLINE_S)


def abort_transaction(cluster: Cluster, topic: str, partition: int, records: Sequence[Record]) -> None:
    """Produce records that nobody gets, in a transaction that is aborted; its end takes the next offset."""
    begin_transaction(cluster, topic, partition, records).abort_transaction(DEADLINE_S)


def begin_transaction(cluster: Cluster, topic: str, partition: int, records: Sequence[Record]) -> Producer:
    """Produce in a transaction that stays open; return its producer, which ends it."""
    producer = Producer(
        {
            "bootstrap.servers": cluster.bootstrap_servers,
            "transactional.id": topic,
            "transaction.timeout.ms": 600_000,  # else the broker aborts it after a minute
            "log_level": 2,
        }
    )
    producer.init_transactions(DEADLINE_S)
    producer.begin_transaction()
    _append(producer, topic, partition, records)
    return producer


def read_all(cluster: Cluster, topic: str) -> list[Message]:
    """Return every message of a topic, up to the ends of its partitions, in order within each."""
    with _reader(cluster) as reader:
        partitions = _partitions(reader, topic)
        reader.assign(partitions)
        return list(_until_ends(reader, len(partitions)))


def end_offsets(cluster: Cluster, topic: str) -> dict[int, int]:
    """Return each partition's end offset: that of the next message."""
    with _reader(cluster) as reader:
        return {partition.partition: _end(reader, partition) for partition in _partitions(reader, topic)}


def _end(reader: Consumer, partition: KafkaPartition) -> int:
    """Ask for an end, and again while a broker that was just started knows of no leader yet."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            return int(reader.get_watermark_offsets(partition, DEADLINE_S)[1])
        except KafkaException as error:
            fault = error.args[0]
            if not isinstance(fault, KafkaError) or fault.code() not in NO_LEADER or time.monotonic() > deadline:
                raise
            reader.poll(FETCH_WAIT_S)


def committed(cluster: Cluster, group: str, topic: str) -> dict[int, int]:
    """Return the group's committed offset of each partition that has one."""
    return {partition: offset for partition, (offset, _) in journals(cluster, group, topic).items()}


def journals(cluster: Cluster, group: str, topic: str) -> dict[int, tuple[int, str]]:
    """Return the group's committed offset and metadata of each partition that has them."""
    with _reader(cluster, group) as reader:
        found = _committed(reader, _partitions(reader, topic))
    return {
        partition.partition: (partition.offset, partition.metadata or "")
        for partition in found
        if partition.offset >= 0
    }


def _committed(reader: Consumer, partitions: list[KafkaPartition]) -> list[KafkaPartition]:
    """Ask until the coordinator answers: a cluster that was just started has to find one first."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            return reader.committed(partitions, DEADLINE_S)
        except KafkaException as fault:
            error = fault.args[0]
            is_passing = isinstance(error, KafkaError) and error.code() in NO_COORDINATOR
            if not is_passing or time.monotonic() > deadline:
                raise


def commit_bytes(cluster: Cluster, group: str, topic: str, metadata: bytes) -> None:
    """Commit offset 1 of partition 0 with any metadata, for a group without members; raises when that is refused.

    Clients of Python send text alone: this is Kafka's OffsetCommit, version 2, by hand.
    """
    committed(cluster, group, topic)  # when that is answered, the group has its coordinator
    host, port = cluster.bootstrap_servers.split(":")
    request = b"".join(
        (
            struct.pack(">hhi", 8, 2, 0),
            _text(b"by-hand"),
            _text(group.encode()),
            struct.pack(">i", -1),  # no generation
            _text(b""),  # no member
            struct.pack(">qi", -1, 1),  # retention; one topic
            _text(topic.encode()),
            struct.pack(">iiq", 1, 0, 1),  # one partition: 0, offset 1
            _text(metadata),
        )
    )
    with socket.create_connection((host, int(port)), DEADLINE_S) as connection, connection.makefile("rb") as answers:
        connection.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", answers.read(4))
        (fault,) = struct.unpack(">h", answers.read(size)[-2:])
    if fault:
        raise KafkaException(KafkaError(fault))


def _text(value: bytes) -> bytes:
    return struct.pack(">h", len(value)) + value


@contextmanager
def _reader(cluster: Cluster, group: str = NO_GROUP) -> Iterator[Consumer]:
    """Give a consumer that may look at the group's commits and never joins the group."""
    consumer = Consumer(
        {
            "bootstrap.servers": cluster.bootstrap_servers,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    try:
        yield consumer
    finally:
        consumer.close()


def _append(producer: Producer, topic: str, partition: int, records: Sequence[Record]) -> None:
    faults: list[KafkaError] = []
    for record in records:
        producer.produce(
            topic,
            record.value,
            record.key,
            partition,
            headers=record.headers,  # type: ignore[arg-type]  # a header may be null, which the stubs forget
            timestamp=record.timestamp_ms,
            on_delivery=lambda fault, _message: faults.append(fault) if fault else None,
        )
    if producer.flush(DEADLINE_S) or faults:
        raise KafkaException(*faults)


def _report(
    faults: list[KafkaError], told: Told, record: GeneratedRecord, fault: KafkaError | None, message: Message
) -> None:
    if fault is not None:
        faults.append(fault)
        return
    partition, offset = message.partition(), message.offset()
    assert partition is not None
    assert offset is not None
    told(record, partition, offset)


def _until_ends(reader: Consumer, partitions: int) -> Iterator[Message]:
    """Yield messages until the end of each partition was seen."""
    deadline = time.monotonic() + DEADLINE_S
    while partitions:
        batch = reader.consume(FETCH, FETCH_WAIT_S)
        if batch:
            deadline = time.monotonic() + DEADLINE_S
        elif time.monotonic() > deadline:
            raise TimeoutError(f"{partitions} partitions did not reach their end")
        for message in batch:
            fault = message.error()
            if fault is None:
                yield message
            elif fault.code() == KafkaError._PARTITION_EOF:
                partitions -= 1
            else:
                raise KafkaException(fault)


def _partitions(reader: Consumer, topic: str) -> list[KafkaPartition]:
    """Return the topic's partitions, at their beginnings."""
    found = reader.list_topics(topic, timeout=DEADLINE_S).topics[topic]
    return [KafkaPartition(topic, partition, OFFSET_BEGINNING) for partition in sorted(found.partitions)]
