"""The user's numbers, and how much of them is simulated record by record."""

import math
from dataclasses import dataclass, field, replace
from typing import final

from processor.app.assemble import DRAIN_S, RuntimeSettings
from processor.engine.limits import LimitSettings
from processor.engine.partition.common import PartitionSettings
from processor.engine.partition.range_queue import BatchLimits
from processor.events.dead_letters import Stamp
from processor.events.mapping import Mapping, MappingRules
from processor.runtime.worker import WorkerSettings
from processor.settings.memory import DEFAULT_BUDGET, MemorySplit

CPU_US = 26.0
"""What an event costs in docs/performance.md, where a test finds it."""

MIN_EVENT_BYTES = 100
"""So long is one that tells no more than it must."""
USERS_SEND_EVERY_S = 10.0
"""How often each of the active users sends a record, where their number is not given."""

SIMULATED_RECORDS = 120_000
"""Beyond, one record stands for several."""
MOST_TO_SCALE = 2_500
"""Jobs of more records meet the limit of operations, which the worker has no setting for, before that of jobs."""
MOST_SCALE = 10
"""With more records in one, too few users would wait for each other."""
LEAST_IN_A_BATCH = 100

STAMP = Stamp("simulated", "0.0.0", "")


@final
@dataclass(frozen=True, slots=True)
class Outage:
    """When FullStory answers everything with 503, in seconds from the start."""

    start_s: float
    lasts_s: float

    @property
    def end_s(self) -> float:
        """When it works again."""
        return self.start_s + self.lasts_s


@final
@dataclass(frozen=True, slots=True)
class Numbers:
    """What is to be simulated."""

    partitions: int = 12
    workers: int = 2
    rate: float = 2_000.0
    """Records a second, spread evenly."""
    event_bytes: int = 500
    identify_share: float = 0.1
    users: int | None = None
    """How many are active at a time; each record is of any of them."""
    limit: float | None = None
    """Requests a second that FullStory takes; it tells nobody."""
    latency_s: float = 0.2
    job_s: tuple[float, float] = (0.5, 2.0)
    outage: Outage | None = None
    backlog: int = 0
    """Records that are there at the start, as old as the start."""
    minutes: float = 10.0
    budget_bytes: int = DEFAULT_BUDGET
    """Of memory, for each worker; not that of this machine's container, so that the same numbers give the same run."""
    batch: BatchLimits = field(default_factory=BatchLimits)
    is_batch: bool = True
    cpu_us: float = CPU_US
    seed: int = 0
    scale: int = 0
    """How many records one stands for; 0 is for as few as keep the simulation quick."""

    @property
    def seconds(self) -> float:
        """How long the simulation lasts."""
        return self.minutes * 60

    @property
    def fresh_s(self) -> float:
        """How old a record may be when it takes effect while nothing is behind.

        It lingers, waits for the job with its user's last identify, then for its own, and a few seconds for whatever.
        """
        return self.batch.linger_s + 2 * (self.latency_s + self.job_s[1]) + 3.0

    @property
    def simulated_users(self) -> int:
        """How many users there are among the simulated records of a partition."""
        users = self.users or self.rate * USERS_SEND_EVERY_S or self.backlog / USERS_SEND_EVERY_S
        return max(round(users / self.scale / self.partitions), 1)

    def scaled(self) -> "Numbers":
        """Let one record stand for several where there are many, unless a scale is given.

        Whatever counts records or bytes is divided by the same number, and CPU is multiplied: batches, requests and
        jobs, their times and their limits stay the same, and so does the part of the users that is busy.
        """
        if self.scale:
            return self
        records = self.rate * self.seconds + self.backlog
        most = min(self.batch.max_records, self.batch.max_bytes // self.event_bytes) // LEAST_IN_A_BATCH
        wanted = min(math.ceil(records / SIMULATED_RECORDS), MOST_SCALE)
        can_be = self.is_batch and self.batch.max_records <= MOST_TO_SCALE
        return replace(self, scale=max(min(wanted, most), 1) if can_be else 1)

    def settings(self) -> RuntimeSettings:
        """Return the worker's settings, to scale: the defaults where no number says otherwise."""
        batch = self.batch
        to_scale = BatchLimits(batch.max_records // self.scale, batch.max_bytes // self.scale, batch.linger_s)
        return RuntimeSettings(
            WorkerSettings(MemorySplit.of(self.budget_bytes).pause_bytes // self.scale, DRAIN_S, DRAIN_S),
            PartitionSettings(to_scale),
            LimitSettings(),
            Mapping(MappingRules()),
            STAMP,
        )
