"""Dead letters in quantity, with the headers and the client of the worker."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, Message, Producer

from processor.adapters.kafka.config import KafkaSettings, producer_config
from processor.adapters.kafka.producing import hand_over
from processor.events.dead_letters import Attempts, Stamp, dead_letter_headers
from processor.model.outcomes import Rejected
from processor.model.reasons import DeadLetterReason
from processor.model.records import NO_TIME, Headers, Record, TopicPartition
from processor.workload import GeneratedRecord, Mix, generate
from tests.kafka.cluster import Cluster

DISTINCT = 20_000
"""Records that are generated; the letters repeat them."""
FLUSH_S = 600.0
LOOK_S = 0.05
ROOT = Path(__file__).parents[2]
STAMP = Stamp("segment-fullstory", "1.0.0", "5f0c8a1d")


def settings_for(cluster: Cluster, topic: str) -> KafkaSettings:
    """Return settings with this dead-letter topic."""
    return KafkaSettings(cluster.bootstrap_servers, ("segment",), "segment-fullstory", topic)


def write_letters(cluster: Cluster, topic: str, count: int, *, batched: bool = False) -> None:
    """Write so many letters, of every reason alike; the worker writes each as a batch of its own.

    Raises unless the broker acknowledged all.
    """
    faults: list[KafkaError] = []
    own = {"message.timeout.ms": 0} | ({"batch.num.messages": 10_000, "linger.ms": 20} if batched else {})
    producer = Producer(producer_config(settings_for(cluster, topic)) | own)

    def report(fault: KafkaError | None, _message: Message) -> None:
        if fault is not None:
            faults.append(fault)

    letters = [(each, _headers(number, each, reason)) for number, (each, reason) in enumerate(distinct(count))]
    for number, (record, headers) in enumerate(islice(cycle(letters), count)):
        hand_over(producer, topic, Record(0, NO_TIME, record.key, record.value, headers), report)
        if number % 1_000 == 0:
            producer.poll(0)
    if producer.flush(FLUSH_S) or faults:
        raise TimeoutError("the broker did not acknowledge all")


def distinct(count: int) -> Iterator[tuple[GeneratedRecord, DeadLetterReason]]:
    """Give the records of so many letters, and the reason of each, as far as they differ."""
    return zip(generate(1, min(count, DISTINCT), Mix()), cycle(DeadLetterReason), strict=False)


class Counted(NamedTuple):
    """What `dead-letters stats` told, and what that took."""

    told: dict[str, Any]
    seconds: float
    cpu_s: float
    peak_mib: float


def count_letters(cluster: Cluster, topic: str) -> Counted:
    """Count the letters of a topic with the command."""
    environment = {
        **os.environ,
        "PROCESSOR_KAFKA__BOOTSTRAP_SERVERS": cluster.bootstrap_servers,
        "PROCESSOR_KAFKA__TOPICS": "segment",
        "PROCESSOR_KAFKA__GROUP_ID": STAMP.group,
        "PROCESSOR_KAFKA__DEAD_LETTER_TOPIC": topic,
    }
    arguments = [sys.executable, "-m", "processor", "dead-letters", "stats", "--format", "json"]
    started, peak_mib = time.monotonic(), 0.0
    with TemporaryFile() as out, subprocess.Popen(arguments, env=environment, cwd=ROOT, stdout=out) as process:
        status = Path(f"/proc/{process.pid}/status")  # what the kernel tells at the end counts what its parent held
        while not os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii"))
            peak_mib = max(peak_mib, int(found[1]) / 1024 if found else 0.0)
            time.sleep(LOOK_S)
        _, process.returncode, used = os.wait4(process.pid, 0)
        out.seek(0)
        told = json.loads(out.read())
    return Counted(told, time.monotonic() - started, used.ru_utime + used.ru_stime, peak_mib)


def _headers(number: int, given: GeneratedRecord, reason: DeadLetterReason) -> Headers:
    record = Record(number, NO_TIME, given.key, given.value, given.headers)
    rejected = Rejected(reason, f"what was wrong with it: {reason}", 400 if number % 2 else None)
    return dead_letter_headers(STAMP, TopicPartition("segment", number % 12), record, rejected, Attempts(1, 1e9, 1e9))
