"""Topics that are compressed as well as is wanted: JSON events of which a part is the same text in all."""

import itertools
import time

import orjson
from confluent_kafka import Producer

from tests.kafka.cluster import Cluster

DISTINCT = 50_000
"""Events that are generated; the topic repeats them."""
GENERATED_BYTES = 200 * 1024 * 1024
TEXT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 "
OTHER_BYTES = 300
"""Of an event without the text, about."""
DEADLINE_S = 60.0


def fill(cluster: Cluster, topic: str, text_bytes: int, total: int, compression: str = "zstd") -> tuple[int, float]:
    """Fill a topic with so many bytes; return those of an event, and how many of them one byte of the topic holds."""
    sent = {"bytes": 0}

    def note(statistics: str) -> None:
        sent["bytes"] = sum(each["txbytes"] for each in orjson.loads(statistics)["brokers"].values())

    producer = Producer(
        {
            "bootstrap.servers": cluster.bootstrap_servers,
            "compression.type": compression,
            "linger.ms": 200,
            "batch.size": 1024 * 1024,
            "batch.num.messages": 10_000,
            "queue.buffering.max.kbytes": 256 * 1024,
            "statistics.interval.ms": 200,
            "stats_cb": note,
            "log_level": 0,
        }
    )
    distinct = min(DISTINCT, GENERATED_BYTES // (text_bytes + OTHER_BYTES))
    events = [event(number, text_bytes) for number in range(distinct)]
    count = given = 0
    for count, each in enumerate(itertools.cycle(events), 1):
        if given >= total:
            break
        given += len(each)
        while True:
            try:
                producer.produce(topic, each, key=str(count))
                break
            except BufferError:
                producer.poll(0.1)
        if count % 1_000 == 0:
            producer.poll(0)
    if producer.flush(DEADLINE_S):
        raise TimeoutError("the broker did not acknowledge all")
    known, deadline = -1, time.monotonic() + DEADLINE_S
    while known != sent["bytes"] and time.monotonic() < deadline:  # until statistics tell of nothing more
        known = sent["bytes"]
        producer.poll(0.5)
    return given // count, given / sent["bytes"]


def event(number: int, text_bytes: int) -> bytes:
    """Return a JSON event of about `text_bytes` and 240 more; each of a number is another."""
    return orjson.dumps(
        {
            "type": "track",
            "event": "Product Viewed",
            "userId": f"user-{number % 20_000}",
            "messageId": f"{number:032x}",
            "timestamp": f"2026-11-{1 + number % 28:02}T12:{number % 60:02}:00.{number % 1_000:03}Z",
            "properties": {
                "product": f"sku-{number * 7919 % 100_003}",
                "price": number % 997 / 10,
                "quantity": number % 7,
            },
            "context": {"userAgent": (TEXT * (text_bytes // len(TEXT) + 1))[:text_bytes]},
        }
    )
