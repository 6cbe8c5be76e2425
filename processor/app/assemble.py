"""The worker put together from its ports and settings: Kafka and FullStory are behind the ports, or fakes of them."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import partial
from random import Random
from typing import NamedTuple, final

from processor import __version__
from processor.engine.body_size import BodySize
from processor.engine.dead_letter_ratio import DeadLetterRatio
from processor.engine.limits import Limits, LimitSettings
from processor.engine.partition import BatchLimits
from processor.events.dead_letters import Stamp
from processor.events.mapping import Mapping, MappingRules
from processor.runtime.calls import Calls
from processor.runtime.delivery import Delivery, DeliverySettings
from processor.runtime.gate import Gate
from processor.runtime.jobs import Jobs
from processor.runtime.letters import Letters
from processor.runtime.notices import Observer
from processor.runtime.ports import Clock, DeadLetters, Destination, Schemas, Source
from processor.runtime.requests import Requests
from processor.runtime.schemas import SchemaCache
from processor.runtime.worker import Worker, WorkerSettings
from processor.settings import Settings

NONCE_BYTES = 16

DRAIN_S = 5.0
"""How long a revoke waits for answers to POSTs in flight: longer, and the rest of the group waits with it."""

SESSION_TIMEOUT_MS = 45_000
"""librdkafka's default, and a broker's for groups that it assigns itself (KIP-848)."""


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
    limits: LimitSettings
    delivery: DeliverySettings
    """Its mode is known once FullStory has said whose the key is, and may be another one after each new key."""
    mapping: Mapping
    stamp: Stamp
    poison_after_s: float
    stuck_job_after_s: float
    dead_letter_ratio: float
    unknown_schema_after_s: float


class Assembled(NamedTuple):
    """The worker, and the gate that all its requests pass."""

    worker: Worker
    gate: Gate


def assemble(ports: Ports, settings: RuntimeSettings, observe: Observer) -> Assembled:
    """Put the worker together. It does nothing before it is run, and delivers nothing before it is opened."""
    clock, chance = ports.clock, ports.chance.random
    gate = Gate(Limits(settings.limits, chance), clock, observe)
    calls = Calls(gate, clock, chance, observe)
    body_size = BodySize(settings.worker.limits.max_bytes)
    requests = Requests(ports.destination, calls, gate, clock, observe, body_size, settings.poison_after_s)
    jobs = Jobs(ports.destination, calls, gate, clock, observe, settings.stuck_job_after_s)
    ratio = DeadLetterRatio(settings.dead_letter_ratio)
    letters = Letters(ports.dead_letters, gate, clock, chance, observe, settings.stamp, ratio)
    worker = Worker(
        ports.source,
        Delivery(requests, jobs, letters, gate, clock, observe, settings.delivery),
        SchemaCache(ports.schemas, gate, clock, chance, observe, settings.unknown_schema_after_s),
        gate,
        settings.mapping,
        clock,
        partial(ports.chance.randbytes, NONCE_BYTES),
        observe,
        settings.worker,
    )
    return Assembled(worker, gate)


def runtime_settings(settings: Settings) -> RuntimeSettings:
    """Return what the parts of the worker take of what the operator set."""
    batch, delivery = settings.batch, settings.delivery
    session_ms = settings.kafka.client_properties().get("session.timeout.ms", SESSION_TIMEOUT_MS)
    rules = settings.mapping.rules()
    return RuntimeSettings(
        worker=WorkerSettings(
            limits=BatchLimits(batch.max_records, batch.max_bytes, batch.linger_s),
            held_budget_bytes=settings.memory.split().pause_bytes,
            drain_s=DRAIN_S,
            lease_s=float(session_ms) / 1_000 / 2,
            grace_s=settings.shutdown.grace_s,
            on_gap=settings.kafka.on_gap,
        ),
        limits=LimitSettings(delivery.org_share),
        delivery=DeliverySettings(unattributed=delivery.unattributed),
        mapping=Mapping(rules),
        stamp=Stamp(settings.kafka.group_id, __version__, mapping_fingerprint(rules)),
        poison_after_s=delivery.poison_after_s,
        stuck_job_after_s=delivery.stuck_job_after_s,
        dead_letter_ratio=delivery.dead_letter_ratio,
        unknown_schema_after_s=settings.schema_registry.waits_s,
    )


def mapping_fingerprint(rules: MappingRules) -> str:
    """Return what changes whenever the same record may become another item: by its settings, or by a release."""
    text = json.dumps([__version__, asdict(rules)], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
