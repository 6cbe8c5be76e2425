"""The worker's small HTTP server: a page for people, metrics, and the two questions that Kubernetes asks."""

import asyncio
import errno
import socket
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self, final

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry

from processor.adapters.telemetry.connections import GuardedServer, Respond, connection_limit
from processor.adapters.telemetry.exposition import exposition
from processor.adapters.telemetry.headline import (
    RUNBOOK,
    diagnosis_in_words,
    errors_in_words,
    halts_in_words,
    held_up_in_words,
)
from processor.adapters.telemetry.history import Trouble
from processor.adapters.telemetry.page import HEADERS, RUNBOOK_PAGE
from processor.engine.worker_state import StateOf
from processor.model.errors import ConfigurationError
from processor.runtime.ports import Clock

POLL_LIMIT_S = 60.0
"""Longer than a rebalance with its drain and a slow broker, far shorter than the 300 s after which Kafka gives up."""

TURNS = 4
"""From accepting a connection to beginning its request: two for its callbacks, one to read, one to begin."""

SHUTDOWN_S = 0.5
"""For answers under way when the server stops."""


class ListenAddress(NamedTuple):
    """Where a server listens; port 0 means any free one."""

    host: str
    port: int


class Views(NamedTuple):
    """What is shown beside the worker's state, made on demand."""

    page: Callable[[], str]
    troubles: Callable[[], Sequence[Trouble]]


@final
class TelemetryServer:
    """Serves between `async with` and its end, on the event loop that enters it and that owns the worker's state."""

    def __init__(
        self,
        listen: ListenAddress,
        registry: CollectorRegistry,
        state_of: StateOf,
        views: Views,
        clock: Clock,
        *,
        fail_on_halt: bool,
    ) -> None:
        self._listen = listen
        self._registry = registry
        self._state_of = state_of
        self._views = views
        self._clock = clock
        self._fail_on_halt = fail_on_halt
        self._pages: Mapping[str, Respond] = {
            "/": self._index,
            RUNBOOK: self._show_runbook,
            "/metrics": self._metrics,
            "/livez": self._livez,
            "/readyz": self._readyz,
        }
        self._runner: web.ServerRunner
        self._watching: asyncio.Task[None]

    @property
    def port(self) -> int:
        """The port in use, also where 0 was asked for; only while it is entered."""
        port: int = self._runner.addresses[0][1]
        return port

    async def __aenter__(self) -> Self:
        """Listen; raise `ConfigurationError` where that is not possible."""
        limit = connection_limit()
        server = GuardedServer(self._answer, limit)
        self._runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_S)
        await self._runner.setup()
        try:
            # asyncio (CPython 3.11) accepts as many at once as may wait, and reads what the first of them asks some
            # turns of its loop later. What comes in those turns must not take the place of a probe.
            await web.TCPSite(self._runner, *self._listen, backlog=max(limit // TURNS, 1)).start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigurationError([self._problem(error)]) from None
        self._watching = asyncio.create_task(server.watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._watching.cancel()
        await self._runner.cleanup()

    def _problem(self, error: OSError) -> str:
        host, port = self._listen
        if error.errno == errno.EADDRINUSE:
            return f"PROCESSOR_HTTP__PORT: port {port} of {host} is in use: choose another"
        if error.errno == errno.EACCES:
            return f"PROCESSOR_HTTP__PORT: port {port} needs a privilege: choose one above 1023"
        detail = error.strerror if isinstance(error, socket.gaierror) else str(error)
        return f"PROCESSOR_HTTP__HOST: cannot listen on {host}: {detail}; for example: 0.0.0.0"

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if (page := self._pages.get(request.path)) is None:
            raise web.HTTPNotFound
        if request.method not in ("GET", "HEAD"):
            raise web.HTTPMethodNotAllowed(request.method, ("GET", "HEAD"))
        return await page(request)

    async def _index(self, _request: web.BaseRequest) -> web.Response:
        return web.Response(text=self._views.page(), content_type="text/html", headers=HEADERS)

    async def _show_runbook(self, _request: web.BaseRequest) -> web.Response:
        return web.Response(text=RUNBOOK_PAGE, content_type="text/html", headers=HEADERS)

    async def _metrics(self, request: web.BaseRequest) -> web.Response:
        body, content_type = exposition(self._registry, request.headers.get("Accept", ""))
        response = web.Response(body=body, headers={"Content-Type": content_type})
        response.enable_compression()
        return response

    async def _livez(self, _request: web.BaseRequest) -> web.Response:
        """A worker is alive while it polls Kafka: neither a broker nor FullStory that is away ends a pod."""
        age = max(self._clock.monotonic() - self._state_of().polled_at, 0.0)
        is_alive = age <= POLL_LIMIT_S
        body = {
            "status": "alive" if is_alive else "stalled",
            "seconds_since_poll": round(age, 3),
            "limit_seconds": POLL_LIMIT_S,
        }
        return _json(body, 200 if is_alive else 503)

    async def _readyz(self, _request: web.BaseRequest) -> web.Response:
        """A worker is ready once it has joined the group, which may have no partition for it."""
        state = self._state_of()
        if state.is_draining:
            status = "draining"
        elif not state.has_joined:
            status = "joining"
        elif state.halts and self._fail_on_halt:
            status = "halted"
        else:
            status = "ready"
        body = {
            "status": status,
            "joined": state.has_joined,
            "partitions": len(state.partitions),
            "held_up": held_up_in_words(state),
            "halts": halts_in_words(state.halts),
            "diagnosis": diagnosis_in_words(state, self._clock.monotonic(), self._clock.wall()),
            "errors": errors_in_words(self._views.troubles(), self._clock.wall()),
        }
        return _json(body, 200 if status == "ready" else 503)


def _json(body: Mapping[str, Any], status: int) -> web.Response:
    return web.Response(
        status=status, body=orjson.dumps(body), content_type="application/json", headers={"Cache-Control": "no-store"}
    )
