"""The worker as a process: with its adapters open, its telemetry served and its secrets renewed, until it has to stop.

How secrets are renewed (processor/app/renew.py looks for new ones):

1. FullStory's key and the registry's properties are exchanged within the adapters, and so is a login to Kafka.
2. Kafka's client takes everything else only when it begins. Then the settings are loaded anew, the worker stops as it
   does at SIGTERM, and another one begins with those settings in its place, in the same process.
"""

import asyncio
import gc
import os
import random
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import final

from structlog.typing import FilteringBoundLogger

from processor import __version__, is_compiled
from processor.adapters.clock import SystemClock
from processor.adapters.fullstory import ApiKey, FullStory, Transport
from processor.adapters.kafka.dead_letters import KafkaDeadLetters
from processor.adapters.kafka.source import KafkaSource
from processor.adapters.loop_watch import AskingLoopWatch
from processor.adapters.telemetry.connections import raise_open_files
from processor.adapters.telemetry.metrics import Facts
from processor.app.assemble import CLOSING_S, DRAIN_S, Ports, assemble, runtime_settings, stop_s
from processor.app.ending import LoopReport, end_in_time
from processor.app.identity import Identity
from processor.app.lane import MAIN, Lane
from processor.app.parts import kafka_settings, registry_of, schemas_of, tls_of
from processor.app.renew import CertificateFiles, KeyFile, Renewal, kafka_properties, keep_renewed, registry_properties
from processor.app.stranded import StrandedConsumer
from processor.app.telemetry import serve_telemetry
from processor.engine.notices import Observer, fan_out
from processor.engine.verdict import Answer, NoAnswer
from processor.engine.worker_state import Halts
from processor.runtime.account import identify_account
from processor.runtime.ports import LoopWatch
from processor.runtime.worker import Worker
from processor.settings import Settings

YOUNG_OBJECTS = 50_000
"""Batches come and go without cycles, so the collector may look at new objects rarely."""


async def run_until(
    stop: asyncio.Event,
    settings: Settings,
    log: FilteringBoundLogger,
    reload: Callable[[], Settings],
    *observers: Observer,
    lane: Lane = MAIN,
) -> None:
    """Deliver until `stop` is set, with one worker after the other where the settings have to be loaded anew.

    Raises `SourceError` when Kafka's client cannot go on, `ConfigurationError` for what only shows when it is used.
    """
    open_files = raise_open_files()
    ending = asyncio.create_task(end_in_time(stop, stop_s(settings.shutdown.grace_s) + CLOSING_S, log))
    while True:
        watch = AskingLoopWatch(kafka_settings(settings).session_s, LoopReport(log))
        async with open_process(settings, log, reload, *observers, watch=watch, lane=lane) as process:
            log.info(
                "started",
                version=__version__,
                compiled=is_compiled(),
                topics=settings.kafka.consumed_topics,
                http_port=process.port,
                open_files=open_files,
            )
            gc.unfreeze()
            gc.collect()  # what a worker before this one left
            gc.freeze()
            gc.set_threshold(YOUNG_OBJECTS)
            halts = await process.run(stop)
        if process.successor is None or stop.is_set():
            break
        log.info("begins anew")
        settings = process.successor
    ending.cancel()
    if halts:
        log.warning("stopped while halted", halts={reason.value: each.cause for reason, each in halts.items()})
    else:
        log.info("stopped")


@final
@dataclass(slots=True)
class Process:
    """A worker with all that belongs to it, ready to run."""

    worker: Worker
    port: int
    """Where metrics and probes are served."""
    companions: list[Callable[[], Coroutine[None, None, None]]] = field(default_factory=list)
    """What goes on beside the worker, for as long as it runs."""
    successor: Settings | None = None
    """The settings of the worker that has to begin in this one's place."""
    _leave: asyncio.Event = field(default_factory=asyncio.Event)

    def give_way(self, successor: Settings) -> None:
        """Stop, so that another worker can begin in this one's place."""
        self.successor = successor
        self._leave.set()

    async def run(self, stop: asyncio.Event) -> Halts:
        """Work until `stop` is set, or until another worker has to begin.

        Return the halts that were in force then. Raises `SourceError` when Kafka's client cannot go on.
        """

        async def leave_when_told() -> None:
            await stop.wait()
            self._leave.set()

        tasks = [asyncio.ensure_future(begin()) for begin in (*self.companions, leave_when_told)]
        for each in tasks:
            each.add_done_callback(self._ended)
        try:
            return await self.worker.run(self._leave)
        finally:
            for each in tasks:
                each.cancel()

    def _ended(self, task: asyncio.Future[None]) -> None:
        """None of them ends by an exception unless the program is wrong."""
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self.worker.failed(error)


@asynccontextmanager
async def open_process(
    settings: Settings,
    log: FilteringBoundLogger,
    reload: Callable[[], Settings],
    *observers: Observer,
    watch: LoopWatch | None = None,
    lane: Lane = MAIN,
) -> AsyncIterator[Process]:
    """Put a process together, with what it needs open until the end of the `async with`.

    With a `watch` the process ends where its loop is lost. A demo has none: whoever stops its terminal stops its loop.
    Raises `ConfigurationError` for what only shows when it is used. `reload` returns the settings as they are now; it
    raises that error for settings with which no other worker could begin.
    """
    clock, chance = SystemClock(), random.SystemRandom()
    all_observers: list[Observer] = []  # those of the telemetry look at the worker, which has to be there before them
    observe = fan_out(all_observers)
    async with AsyncExitStack() as stack:
        # The ports.
        fullstory = settings.fullstory
        tls = tls_of(settings)
        client = partial(
            FullStory,
            clock=clock,
            base_url=fullstory.base_url or None,
            allow_private=fullstory.allow_private,
            transport=Transport(proxies=settings.proxies, tls=tls),
        )
        destination = await stack.enter_async_context(client(ApiKey(fullstory.api_key.get_secret_value())))
        registry = await stack.enter_async_context(registry_of(settings.schema_registry, settings.proxies))
        schemas = schemas_of(settings.schema_registry, registry, observe)
        kafka = kafka_settings(settings)
        source = KafkaSource(kafka, DRAIN_S, stop_s(settings.shutdown.grace_s), watch)
        dead_letters = await stack.enter_async_context(KafkaDeadLetters(kafka))

        # The worker behind them.
        runtime = runtime_settings(settings, lane)
        worker = assemble(
            Ports(lane.through(source), destination, dead_letters, schemas, clock, chance), runtime, observe
        )
        facts = Facts(
            __version__,
            is_compiled(),
            runtime.stamp.mapping_fingerprint,
            settings.kafka.consumed_topics,
            settings.memory.budget_bytes,
            settings.kafka.group_id,
            destination.base_url,
            f"{socket.gethostname()}, process {os.getpid()}",
            clock.wall(),
        )
        telemetry = await stack.enter_async_context(serve_telemetry(settings, worker, facts, clock, observe, log))
        all_observers += [*telemetry.observers, *observers]
        process = Process(worker, telemetry.port)

        # What goes on beside it.
        deletes_users = settings.mapping.rules().deletes_users
        identify = partial(
            identify_account,
            destination,
            fullstory.org_id,
            worker.gate,
            clock,
            chance.random,
            observe,
            deletes_users=deletes_users,
        )
        identity = Identity(
            destination.rotate, worker, settings.delivery.mode, fullstory.org_id, deletes_users, observe
        )

        async def ask_whose(key: ApiKey) -> Answer | NoAnswer:
            async with client(key) as other:
                return await other.me()

        def begin_anew() -> None:
            process.give_way(reload())

        renewals: list[Renewal] = [
            kafka_properties(settings.kafka.properties_file, kafka, (source, dead_letters), begin_anew, log),
            StrandedConsumer(source, begin_anew, log),
        ]
        if fullstory.api_key_file is not None:
            key = fullstory.api_key.get_secret_value()
            renewals.append(KeyFile(fullstory.api_key_file, key, ask_whose, identity.renew, identity.org_id, log))
        of_registry = registry and registry_properties(settings.schema_registry, registry, log)
        renewals.append(CertificateFiles(tls, of_registry and of_registry.use_again, log))
        if of_registry is not None:
            renewals.append(of_registry)
        process.companions += [partial(identity.establish, identify), telemetry.watch.run]
        process.companions.append(partial(lane.watch_others, worker.gate, clock, log))
        process.companions += [partial(keep_renewed, each) for each in renewals]
        yield process
