"""The embedded defaults: what the demo's Kafka, FullStory, traffic and worker are like."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import final

from pydantic import SecretStr

from processor.sandbox import Faults, Role, SandboxOptions
from processor.settings import Settings
from processor.settings.connections import FullStorySection, KafkaSection, SchemaRegistrySection
from processor.settings.memory import MIB
from processor.settings.operation import BatchSection, HttpSection, MemorySection
from processor.workload import Mix

TOPIC = "segment.events"
DEAD_LETTER_TOPIC = "dlq.segment"
GROUP = "segment-fullstory"
HOST = "127.0.0.1"
KEY = "na1.demo"

BATCH_BYTES = 100_000
"""Requests of some 200 items: enough of them to see them work in a few seconds."""
BODY_BYTES = 150_000
"""What the sandbox takes: every batch, and no oversized record."""
MIX = Mix(oversize_bytes=200_000)
"""With oversized records that leave room in the few megabytes of an embedded partition."""
LINGER_S = 0.25
"""People are watching."""


OUTAGE_STATUS = 503
OUTAGE_BEGINS, OUTAGE_LASTS = 1 / 3, 1 / 5
"""When a storm's outage begins and how long it lasts, as shares of the traffic's duration."""


class Severity(StrEnum):
    """How much goes wrong at FullStory."""

    NONE = "none"
    SOME = "some"
    STORM = "storm"


FAULTS: Mapping[Severity, Faults] = MappingProxyType(
    {
        Severity.NONE: Faults(),
        Severity.SOME: Faults(
            latency_s=0.02,
            latency_jitter_s=0.08,
            error_ratio=0.02,
            drop_before_ratio=0.01,
            drop_after_ratio=0.01,
            item_failure_ratio=0.002,
        ),
        Severity.STORM: Faults(
            latency_s=0.05,
            latency_jitter_s=0.2,
            error_ratio=0.1,
            drop_before_ratio=0.05,
            drop_after_ratio=0.05,
            slow_job_ratio=0.05,
            slow_job_s=3.0,
            job_failure_ratio=0.05,
            item_failure_ratio=0.01,
        ),
    }
)

REQUESTS_PER_S: Mapping[Severity, float | None] = MappingProxyType(
    {Severity.NONE: None, Severity.SOME: 20.0, Severity.STORM: 10.0}
)
"""What FullStory takes before it answers 429, beyond a burst of BURST requests: the worker has to find it out."""
BURST = 20


@final
@dataclass(frozen=True, slots=True)
class Script:
    """What the user asked for."""

    duration_s: int
    rate: int
    """Records per second."""
    seed: int
    severity: Severity
    keep: bool = False
    """Whether everything stays up after the account."""

    def outage(self, elapsed_s: float) -> Mapping[str, float] | None:
        """Return the change of the faults that is due so long after the beginning; None where there is none yet."""
        is_due = self.severity is Severity.STORM and elapsed_s >= OUTAGE_BEGINS * self.duration_s
        return {"outage_status": OUTAGE_STATUS, "outage_s": OUTAGE_LASTS * self.duration_s} if is_due else None


def sandbox_options(script: Script) -> SandboxOptions:
    """Return what FullStory is like."""
    return SandboxOptions(
        host=HOST,
        keys={KEY: Role.ARCHITECT},
        org_id="DEMO-na1",
        seed=script.seed,
        faults=FAULTS[script.severity],
        requests_per_s=REQUESTS_PER_S[script.severity],
        burst=BURST,
        max_body_bytes=BODY_BYTES,
    )


def worker_settings(bootstrap_servers: str, fullstory_url: str) -> Settings:
    """Return the worker's settings; nobody's environment has a say in them."""
    return Settings(
        kafka=KafkaSection(
            bootstrap_servers=bootstrap_servers,
            topics=(TOPIC,),
            group_id=GROUP,
            dead_letter_topic=DEAD_LETTER_TOPIC,
        ),
        schema_registry=SchemaRegistrySection(),
        fullstory=FullStorySection(api_key=SecretStr(KEY), base_url=fullstory_url),
        batch=BatchSection(max_bytes=BATCH_BYTES, linger_s=LINGER_S),
        memory=MemorySection(budget_bytes=16 * MIB),
        http=HttpSection(host=HOST, port=0),
    )
