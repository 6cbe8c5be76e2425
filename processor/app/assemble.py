"""The composition root: every part of the worker, put together from settings."""

import asyncio
import hashlib
import json
import os
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import final

from structlog.typing import FilteringBoundLogger

from processor import __version__
from processor.adapters.clock import SystemClock
from processor.adapters.fullstory import ApiKey, FullStory
from processor.adapters.kafka.config import KafkaSettings, Login
from processor.adapters.kafka.dead_letters import KafkaDeadLetters
from processor.adapters.kafka.source import KafkaSource
from processor.adapters.schemas.cache import CachedSchemas
from processor.adapters.schemas.local import LocalSchemas, shipped_folder
from processor.adapters.schemas.places import RegistryAndFolder
from processor.adapters.schemas.registry import RegistrySchemas
from processor.adapters.telemetry.history import History
from processor.adapters.telemetry.logs import LogObserver, outlet
from processor.adapters.telemetry.metrics import Facts, Metrics, new_registry
from processor.adapters.telemetry.page import render
from processor.adapters.telemetry.server import TelemetryServer
from processor.app.renew import KeyFile, Secrets, kafka_properties, registry_properties
from processor.app.renew import watch as look_again
from processor.engine.body_size import BodySize
from processor.engine.dead_letter_ratio import DeadLetterRatio
from processor.engine.digest import digest
from processor.engine.limits import Limits, LimitSettings
from processor.engine.partition import BatchLimits
from processor.engine.verdict import Answer, NoAnswer
from processor.events import mapping
from processor.events.dead_letters import Stamp
from processor.events.mapping import MappingRules
from processor.model.reasons import HaltReason
from processor.runtime.account import Account, identify_account
from processor.runtime.calls import Calls
from processor.runtime.delivery import Delivery, DeliverySettings
from processor.runtime.gate import Gate
from processor.runtime.jobs import Jobs
from processor.runtime.letters import Letters
from processor.runtime.notices import KeyKnown, Observer, SchemaCacheTrouble, fan_out
from processor.runtime.ports import Schemas
from processor.runtime.requests import Requests
from processor.runtime.schemas import SchemaCache
from processor.runtime.state import ActiveHalt, WorkerState
from processor.runtime.watch import Watch
from processor.runtime.worker import Worker, WorkerSettings
from processor.settings import Settings
from processor.settings.connections import SchemaRegistry

NONCE_BYTES = 16
DRAIN_S = 5.0
"""How long a revoke waits for answers to POSTs in flight: longer, and the rest of the group waits with it."""

SESSION_TIMEOUT_MS = 45_000
"""librdkafka's default, and a broker's for groups that it assigns itself (KIP-848)."""


def kafka_settings(settings: Settings) -> KafkaSettings:
    """Return what the Kafka adapters need."""
    split = settings.memory.split()
    return KafkaSettings(
        bootstrap_servers=settings.kafka.bootstrap_servers,
        topics=settings.kafka.topics,
        group_id=settings.kafka.group_id,
        dead_letter_topic=settings.kafka.dead_letter_topic,
        start=settings.kafka.start,
        queue_bytes=split.queue_bytes,
        fetch_bytes=split.fetch_bytes,
        partition_fetch_bytes=split.partition_fetch_bytes,
        properties=settings.kafka.client_properties(),
    )


def worker_settings(settings: Settings) -> WorkerSettings:
    """Return what the worker needs."""
    batch = settings.batch
    session_ms = settings.kafka.client_properties().get("session.timeout.ms", SESSION_TIMEOUT_MS)
    return WorkerSettings(
        limits=BatchLimits(batch.max_records, batch.max_bytes, batch.linger_s),
        held_budget_bytes=settings.memory.split().pause_bytes,
        drain_s=DRAIN_S,
        lease_s=float(session_ms) / 1_000 / 2,
        grace_s=settings.shutdown.grace_s,
        on_gap=settings.kafka.on_gap,
    )


def mapping_rules(settings: Settings) -> MappingRules:
    """Return what shapes mapping."""
    return settings.mapping.rules()


def mapping_fingerprint(rules: MappingRules) -> str:
    """Return what changes whenever the same record may become another item: by its settings, or by a release."""
    text = json.dumps([__version__, asdict(rules)], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@asynccontextmanager
async def registry_of(settings: SchemaRegistry) -> AsyncIterator[RegistrySchemas | None]:
    """Give the registry, where there is one; open until the end of the `async with`."""
    if settings.url is None:
        yield None
        return
    async with RegistrySchemas(settings.url, settings.client_properties()) as registry:
        yield registry


def schemas_of(settings: SchemaRegistry, registry: RegistrySchemas | None, observe: Observer | None = None) -> Schemas:
    """Return the registry with its cache where there is one, else the folder of schemas; in a running loop.

    Trouble with the cache is told to `observe`. It is none to a command: the registry is asked all the same.
    """
    folder = LocalSchemas(settings.folder or shipped_folder())
    if registry is None:
        return folder
    loop = asyncio.get_running_loop()

    def tell(detail: str) -> None:  # on another thread: files are slower than the loop may be
        if observe is not None:
            loop.call_soon_threadsafe(observe, SchemaCacheTrouble(detail))

    if settings.cache_dir is None:
        return RegistryAndFolder(registry, folder)
    return RegistryAndFolder(CachedSchemas(registry, settings.cache_dir, registry.address, tell), folder)


@asynccontextmanager
async def process(
    settings: Settings,
    log: FilteringBoundLogger,
    *observers: Observer,
    reload: Callable[[], object] = lambda: None,
) -> AsyncIterator["Process"]:
    """Put a worker together, with what it needs open until the end of the `async with`.

    Raises `ConfigurationError` for what only shows when it is used. So does `reload` for settings with which no other
    worker could begin in this one's place.
    """
    clock, chance = SystemClock(), random.SystemRandom()
    told: list[Observer] = []
    observe = fan_out(told)
    rules = mapping_rules(settings)
    fingerprint = mapping_fingerprint(rules)
    kafka = kafka_settings(settings)
    async with AsyncExitStack() as stack:
        fullstory = settings.fullstory

        def client(key: ApiKey) -> FullStory:
            return FullStory(key, clock, base_url=fullstory.base_url or None, allow_private=fullstory.allow_private)

        destination = await stack.enter_async_context(client(ApiKey(fullstory.api_key.get_secret_value())))
        registry = await stack.enter_async_context(registry_of(settings.schema_registry))
        schemas = schemas_of(settings.schema_registry, registry, observe)
        source = KafkaSource(kafka, DRAIN_S)
        dead_letters = await stack.enter_async_context(KafkaDeadLetters(kafka))
        delivery = settings.delivery
        gate = Gate(Limits(LimitSettings(delivery.org_share), chance.random), clock, observe)
        calls = Calls(gate, clock, chance.random, observe)
        body_size = BodySize(settings.batch.max_bytes)
        requests = Requests(destination, calls, gate, clock, observe, body_size, delivery.poison_after_s)
        jobs = Jobs(destination, calls, gate, clock, observe, delivery.stuck_job_after_s)
        delivery_settings = DeliverySettings(unattributed=delivery.unattributed)
        stamp = Stamp(settings.kafka.group_id, __version__, fingerprint)
        ratio = DeadLetterRatio(delivery.dead_letter_ratio)
        letters = Letters(dead_letters, gate, clock, chance.random, observe, stamp, ratio)
        worker = Worker(
            source,
            Delivery(requests, jobs, letters, gate, clock, observe, delivery_settings),
            SchemaCache(schemas, gate, clock, chance.random, observe, settings.schema_registry.waits_s),
            gate,
            mapping.Mapping(rules),
            clock,
            lambda: chance.randbytes(NONCE_BYTES),
            observe,
            worker_settings(settings),
        )
        history = History(clock)
        watch = Watch(worker.state, gate, clock, time.thread_time, observe, partial(_remember, history))
        metrics = new_registry()
        facts = Facts(
            __version__,
            fingerprint,
            settings.kafka.topics,
            settings.memory.budget_bytes,
            settings.kafka.group_id,
            destination.base_url,
            f"{socket.gethostname()}, process {os.getpid()}",
            clock.wall(),
        )
        told += [Metrics(metrics, watch.state, clock, facts), LogObserver(log, clock), history, *observers]
        http, fail_on_halt = settings.http, settings.ready.fail_on_halt
        server = await stack.enter_async_context(
            TelemetryServer(
                http.host,
                http.port,
                metrics,
                watch.state,
                lambda: render(watch.state(), history, facts, clock.monotonic(), clock.wall()),
                clock,
                fail_on_halt=fail_on_halt,
            )
        )

        ask = partial(identify_account, destination, fullstory.org_id, gate, clock, chance.random, observe)
        owner = _Owner(settings, client, destination, delivery_settings, gate, observe, log)
        renewed = asyncio.Event()

        def log_in(login: Login) -> None:
            source.log_in(login)
            dead_letters.log_in(login)

        def begin_anew() -> None:
            reload()
            renewed.set()

        own = kafka_properties(settings.kafka.properties_file, kafka, log_in, begin_anew, log)
        secrets: list[Secrets] = [*owner.key_file(), own]
        if registry is not None:
            secrets.append(registry_properties(settings.schema_registry, registry, log))
        companions: list[Callable[[], Coroutine[None, None, None]]] = [lambda: owner.identify(ask, worker), watch.run]
        companions += [partial(look_again, each) for each in secrets]
        yield Process(worker, server.port, companions, renewed)


def _remember(history: History, state: WorkerState) -> None:
    history.look(state)
    if (lines := outlet()) is not None:
        history.note_log(lines.lost, lines.fault)


@final
@dataclass(slots=True)
class _Owner:
    """Whose key this is, as far as FullStory has said so."""

    _settings: Settings
    _client: Callable[[ApiKey], FullStory]
    _destination: FullStory
    _delivery: DeliverySettings
    _gate: Gate
    _observe: Observer
    _log: FilteringBoundLogger
    _known: Account | None = None

    async def identify(self, ask: Callable[[], Awaitable[Account]], worker: Worker) -> None:
        """Let the worker begin when it is known."""
        account = await ask()
        self._know(account)
        worker.open(digest(account.org_id.encode()))

    def org_id(self) -> str | None:
        """Return the organisation that a new key has to be of; None while any may come."""
        return self._known.org_id if self._known else self._settings.fullstory.org_id

    def key_file(self) -> Iterator[KeyFile]:
        """Give the file of the key, where there is one."""
        fullstory = self._settings.fullstory
        if fullstory.api_key_file is not None:
            current = fullstory.api_key.get_secret_value()
            yield KeyFile(fullstory.api_key_file, current, self.tried, self.use, self.org_id, self._log)

    async def tried(self, key: ApiKey) -> Answer | NoAnswer:
        """Ask FullStory whose another key is."""
        async with self._client(key) as other:
            return await other.me()

    def use(self, key: ApiKey, account: Account) -> None:
        """Use another key from now on; while none was known it is asked for once more, and then all begins."""
        self._destination.rotate(key)
        if self._known:
            self._know(account)
            self._gate.resume(HaltReason.UNAUTHORIZED)

    def _know(self, account: Account) -> None:
        self._known = account
        self._delivery.is_batch = account.uses_batches(self._settings.delivery.mode)
        self._observe(KeyKnown(account.org_id, account.role, self._delivery.is_batch))


@final
@dataclass(frozen=True, slots=True)
class Process:
    """A worker with all that belongs to it, ready to run."""

    worker: Worker
    port: int
    """Where metrics and probes are served."""
    _companions: Sequence[Callable[[], Coroutine[None, None, None]]]
    """What goes on beside the worker."""
    _renewed: asyncio.Event
    """Set when Kafka's client has to begin anew, for its properties have changed."""

    async def run(self, stop: asyncio.Event) -> Mapping[HaltReason, ActiveHalt]:
        """Work until `stop` is set, or until another has to begin in this one's place.

        Return the halts that were in force then. Raises `SourceError` when Kafka's client cannot go on.
        """
        leave = asyncio.Event()
        companions = [asyncio.ensure_future(companion()) for companion in self._companions]
        companions += [asyncio.ensure_future(_pass_on(each, leave)) for each in (stop, self._renewed)]
        for each in companions:
            each.add_done_callback(self._ended)
        try:
            return await self.worker.run(leave)
        finally:
            for each in companions:
                each.cancel()

    def _ended(self, task: asyncio.Future[None]) -> None:
        """None of them ends by an exception unless the program is wrong."""
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self.worker.failed(error)


async def _pass_on(event: asyncio.Event, to: asyncio.Event) -> None:
    await event.wait()
    to.set()
