"""The worker put together from its ports and settings: Kafka and FullStory are behind the ports, or fakes of them."""

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass, replace
from functools import partial
from random import Random
from typing import final

from processor import __version__
from processor.app.lane import MAIN, Lane
from processor.app.parts import kafka_settings
from processor.engine.dead_letter_ratio import DeadLetterRatio
from processor.engine.job_polling import STUCK_AFTER_S
from processor.engine.limits import Limits, LimitSettings
from processor.engine.notices import Observer
from processor.engine.partition.common import Common, PartitionSettings
from processor.engine.partition.forming import Forming
from processor.engine.partition.range_queue import BatchLimits
from processor.engine.retry import Retries
from processor.engine.suspicion import POISON_AFTER_S
from processor.events.dead_letters import Stamp
from processor.events.mapping import Mapping, MappingRules
from processor.runtime.calls import Calls
from processor.runtime.driver import Driver
from processor.runtime.gate import Gate
from processor.runtime.jobs import Jobs
from processor.runtime.letters import Letters
from processor.runtime.ports import Clock, DeadLetters, Destination, Schemas, Source
from processor.runtime.schemas import SchemaCache
from processor.runtime.worker import Worker, WorkerSettings
from processor.settings import Settings

NONCE_BYTES = 16

NAME_BYTES = 4
"""Of a process among those of its group."""

DRAIN_S = 5.0
"""How long a revoke waits for answers to POSTs in flight: longer, and the rest of the group waits with it."""

LEAVING_S = 5.0
"""Of the grace time, what is kept for the last commit and for leaving the group."""

CLOSING_S = 3.0
"""Of the grace time, what is kept for what comes after: the port, dead letters on their way, the log's last lines."""


def stop_s(grace_s: float) -> float:
    """Return how long the source may take to stop."""
    return max(grace_s - CLOSING_S, LEAVING_S)


@final
@dataclass(frozen=True, slots=True)
class Ports:
    """What the worker needs of the world."""

    source: Source
    destination: Destination
    dead_letters: DeadLetters
    schemas: Schemas
    clock: Clock
    chance: Random
    """Of the system, or seeded where a run has to be repeated."""


@final
@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    """What the parts of the worker take of the settings."""

    worker: WorkerSettings
    partition: PartitionSettings
    limits: LimitSettings
    mapping: Mapping
    stamp: Stamp
    poison_after_s: float = POISON_AFTER_S
    stuck_job_after_s: float = STUCK_AFTER_S
    dead_letter_ratio: float = 1.0
    unknown_schema_after_s: float = 0.0


def assemble(ports: Ports, settings: RuntimeSettings, observe: Observer) -> Worker:
    """Put the worker together. It does nothing before it is run, and delivers nothing before it is opened."""
    clock, chance = ports.clock, ports.chance.random
    limits = Limits(settings.limits, chance)
    gate = Gate(limits, clock, observe)
    retries = Retries(chance, settings.poison_after_s)
    calls = Calls(gate, clock, retries, observe)
    jobs = Jobs(ports.destination, calls, clock, observe, settings.stuck_job_after_s)
    letters = Letters(ports.dead_letters, gate, clock, chance, observe, settings.stamp)
    schemas = SchemaCache(ports.schemas, gate, clock, chance, observe, settings.unknown_schema_after_s)
    nonce = partial(ports.chance.randbytes, NONCE_BYTES)
    forming = Forming(settings.mapping, schemas.readers, schemas.has_all, schemas.ask_ahead, nonce)
    ratio = DeadLetterRatio(settings.dead_letter_ratio)
    common = Common(settings.partition, forming, limits, retries, ratio, observe)
    driver = Driver(ports.destination, calls, jobs, letters, schemas, clock)
    return Worker(ports.source, driver, common, clock, settings.worker)


def runtime_settings(settings: Settings, lane: Lane = MAIN) -> RuntimeSettings:
    """Return what the parts of the worker take of what the operator set."""
    batch, delivery, kafka = settings.batch, settings.delivery, settings.kafka
    rules, grace_s = replace(settings.mapping.rules(), stale_before_ms=lane.stale_before_ms), settings.shutdown.grace_s
    return RuntimeSettings(
        worker=WorkerSettings(
            held_budget_bytes=settings.memory.split().pause_bytes,
            drain_s=DRAIN_S,
            last_drain_s=min(DRAIN_S, max(grace_s - LEAVING_S, grace_s / 2)),
            process=secrets.token_hex(NAME_BYTES),
        ),
        partition=PartitionSettings(
            limits=BatchLimits(batch.max_records, batch.max_bytes, batch.linger_s),
            lease_s=kafka_settings(settings).session_s / 2,
            on_gap=kafka.on_gap,
            on_recreated=kafka.on_recreated,
            unattributed=delivery.unattributed,
        ),
        limits=LimitSettings(delivery.org_share, lane_share=lane.share, max_rate=lane.max_rate),
        mapping=Mapping(rules),
        stamp=Stamp(kafka.group_id, __version__, mapping_fingerprint(rules)),
        poison_after_s=delivery.poison_after_s,
        stuck_job_after_s=delivery.stuck_job_after_s,
        dead_letter_ratio=delivery.dead_letter_ratio,
        unknown_schema_after_s=settings.schema_registry.waits_s,
    )


def mapping_fingerprint(rules: MappingRules) -> str:
    """Return what changes whenever the same record may become another item: by its settings, or by a release."""
    text = json.dumps([__version__, asdict(rules)], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
