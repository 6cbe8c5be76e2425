"""Seeded records into Kafka, at a rate, as far as the consumer keeps up; and the memory of what must become of them."""

import time
from functools import partial
from typing import final

from processor.adapters.kafka.mock import MockCluster
from processor.commands.demo.scene import MIX, TOPIC, Script
from processor.workload import Expectation, generate
from processor.workload.account import Account

MAX_UNCONSUMED = 3_000
"""An embedded partition deletes records beyond some 5 MB, consumed or not: these are 2 MB, should all be of one."""

MAX_AT_ONCE = 200
"""Making so many takes 15 ms, for which everything else waits."""


@final
class Traffic:
    """Produces to the topic and keeps the account; for one thread."""

    def __init__(self, cluster: MockCluster, script: Script) -> None:
        self._cluster = cluster
        self._rate = script.rate
        self._records = generate(script.seed, mix=MIX, start_ms=int(time.time() * 1_000))
        self._sent = 0
        self.account = Account()
        self.ends: dict[int, int] = {}
        """The end offset of each partition that has records."""
        self.is_held_back = False
        """Whether records that are due wait for the consumer."""

    @property
    def is_acknowledged(self) -> bool:
        """Whether every record is in the topic."""
        return len(self.account) == self._sent

    def advance(self, elapsed_s: float, consumed: int) -> None:
        """Produce what is due so long after the beginning, when so many records were consumed by now."""
        due = int(elapsed_s * self._rate) - self._sent
        room = MAX_UNCONSUMED - (self._sent - consumed)
        self.is_held_back = due > room
        for _ in range(min(due, room, MAX_AT_ONCE)):
            record = next(self._records)
            self._cluster.produce(
                TOPIC, record.key, record.value, record.headers, partial(self._acknowledged, record.expectation)
            )
            self._sent += 1

    def _acknowledged(self, expectation: Expectation, partition: int, offset: int) -> None:
        self.account.produced(partition, offset, expectation)
        self.ends[partition] = max(self.ends.get(partition, 0), offset + 1)
