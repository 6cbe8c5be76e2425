"""A producer without a client's manners: any bytes for a header's name, any number for a timestamp.

Clients of Python take names of headers as text alone. This is Kafka's Produce, version 3, with one batch of records of
version 2: https://kafka.apache.org/protocol#The_Messages_Produce and https://kafka.apache.org/documentation/#recordbatch
"""

import socket
import struct
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException

from processor.workload import GeneratedRecord
from tests.fakes.varint import varint
from tests.kafka.cluster import Cluster
from tests.kafka.topics import Told

DEADLINE_S = 30.0
NOW_MS = 1_767_225_600_123
NOT_UTF8 = b"\xc3\x28"
NOT_YET = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_LEADER_FOR_PARTITION)
"""What a broker (4.1) answers between the creation of a topic and its own leading of it; every client asks again."""


class RawRecord(NamedTuple):
    """A record as its bytes are."""

    value: bytes | None
    key: bytes | None = b"key"
    headers: Sequence[tuple[bytes, bytes | None]] = ()


def produce_raw(
    servers: str, topic: str, records: Sequence[RawRecord], partition: int = 0, now_ms: int = NOW_MS
) -> int:
    """Write records to a partition that the one broker leads; return the offset of the first."""
    batch = _batch(records, now_ms)
    request = b"".join(
        (
            struct.pack(">hhi", 0, 3, 0),
            _text(b"by-hand"),
            struct.pack(">hhi", -1, -1, int(DEADLINE_S * 1_000)),  # no transaction; acknowledged by all
            struct.pack(">i", 1),
            _text(topic.encode()),
            struct.pack(">iii", 1, partition, len(batch)),
            batch,
        )
    )
    host, port = servers.split(":")
    deadline = time.monotonic() + DEADLINE_S
    with socket.create_connection((host, int(port)), DEADLINE_S) as connection, connection.makefile("rb") as answers:
        while True:
            connection.sendall(struct.pack(">i", len(request)) + request)
            (size,) = struct.unpack(">i", answers.read(4))
            fault, offset = struct.unpack(">hqqi", answers.read(size)[-22:])[:2]
            if fault not in NOT_YET or time.monotonic() > deadline:
                break
    if fault:
        raise KafkaException(KafkaError(fault))
    return int(offset)


def produce_poisoned(
    cluster: Cluster, topic: str, partition: int, records: Iterable[GeneratedRecord], told: Told
) -> None:
    """Produce records as of now, each with a header in front whose name no client of Python can read.

    What must become of a record is what must without that header.
    """
    for record in records:
        headers = [(NOT_UTF8, b""), *((name.encode(), value) for name, value in record.headers or ())]
        raw, now_ms = RawRecord(record.value, record.key, headers), time.time_ns() // 1_000_000
        offset = produce_raw(cluster.bootstrap_servers, topic, [raw], partition, now_ms)
        told(replace(record, timestamp_ms=now_ms), partition, offset)


def _batch(records: Sequence[RawRecord], now_ms: int) -> bytes:
    count = len(records)
    covered = struct.pack(">hiqqqhii", 0, count - 1, now_ms, now_ms, -1, -1, -1, count)
    covered += b"".join(_sized(_record(number, each)) for number, each in enumerate(records))
    head = struct.pack(">ibI", -1, 2, _crc32c(covered))
    return struct.pack(">qi", 0, len(head) + len(covered)) + head + covered


def _record(number: int, record: RawRecord) -> bytes:
    headers = b"".join(_sized(name) + _sized(value) for name, value in record.headers)
    head = b"\0" + varint(0) + varint(number)
    return head + _sized(record.key) + _sized(record.value) + varint(len(record.headers)) + headers


def _sized(value: bytes | None) -> bytes:
    return varint(-1) if value is None else varint(len(value)) + value


def _text(value: bytes) -> bytes:
    return struct.pack(">h", len(value)) + value


def _crc32c(covered: bytes) -> int:
    """Return Castagnoli's CRC-32, which is not that of zlib."""
    crc = 0xFFFFFFFF
    for byte in covered:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
