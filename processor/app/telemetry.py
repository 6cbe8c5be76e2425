"""What shows the worker to the outside: metrics, log lines, the status page and the probes."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from structlog.typing import FilteringBoundLogger

from processor.adapters.clock import thread_busy_s
from processor.adapters.telemetry.history import History
from processor.adapters.telemetry.logs import LogObserver, line_writer
from processor.adapters.telemetry.memory import MemoryLook
from processor.adapters.telemetry.metrics import Facts, Metrics, new_registry
from processor.adapters.telemetry.outlet import Outlet
from processor.adapters.telemetry.page import render
from processor.adapters.telemetry.server import ListenAddress, TelemetryServer, Views
from processor.engine.notices import MemoryIsShort, Observer
from processor.engine.worker_state import WorkerState
from processor.runtime.ports import Clock
from processor.runtime.watch import Watch
from processor.runtime.worker import Worker
from processor.settings import Settings
from processor.settings.container import memory_limit


class Telemetry(NamedTuple):
    """What is shown, and where."""

    observers: Sequence[Observer]
    """These have to be told of everything that happens."""
    watch: Watch
    """This has to run beside the worker."""
    port: int
    """Where metrics and probes are served."""


@asynccontextmanager
async def serve_telemetry(
    settings: Settings,
    worker: Worker,
    facts: Facts,
    clock: Clock,
    observe: Observer,
    log: FilteringBoundLogger,
) -> AsyncIterator[Telemetry]:
    """Show a worker until the end of the `async with`."""
    history, memory = History(clock), MemoryLook(memory_limit)

    def remember(state: WorkerState) -> None:
        history.look(state)
        if memory.look() and memory.limit_bytes is not None:
            observe(MemoryIsShort(memory.resident_bytes, memory.limit_bytes))
        history.note_memory(memory)
        metrics.note_memory(memory.limit_bytes)
        if (writer := line_writer()) is not None:
            writer.catch_up()
            if isinstance(outlet := writer.stream, Outlet):
                history.note_log(outlet.lost, outlet.fault)
                metrics.note_log(outlet.ever_lost)

    watch = Watch(worker.state, worker.gate, clock, thread_busy_s, observe, remember)
    registry = new_registry()
    metrics = Metrics(registry, watch.state, clock, facts)
    observers = (metrics, LogObserver(log, clock), history)
    async with TelemetryServer(
        ListenAddress(settings.http.host, settings.http.port),
        registry,
        watch.state,
        Views(lambda: render(watch.state(), history, facts, clock.monotonic(), clock.wall()), history.troubles),
        clock,
        fail_on_halt=settings.ready.fail_on_halt,
    ) as server:
        yield Telemetry(observers, watch, server.port)
