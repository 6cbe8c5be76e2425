"""Connections to the port: few at a time, none for long, whoever makes them.

A connection that has not begun a request for `REQUEST_S` is closed: one whose head does not come, one that is idle, one
that does not read its answer. Where there are too many, the one that has done nothing for longest makes room, so that a
probe is answered although somebody holds all the others open.
"""

import asyncio
import logging
import resource
from collections.abc import Awaitable, Callable
from typing import final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

REQUEST_S = 15.0
"""Every request is a few hundred bytes and answered at once. Prometheus and browsers connect again when they need."""

MAX_CONNECTIONS = 100
"""Some pages in browsers, a few probes and scrapes; an answer is at most some hundred kilobytes."""

SHARE = 4
"""Of the process' descriptors the port gets one of so many: the rest is for Kafka and FullStory."""

LOOK_EVERY_S = 1.0

Respond = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def raise_open_files() -> int:
    """Raise the number of descriptors that this process may open as far as it may; return what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # macOS calls its limit infinite, and takes no such number
        return soft
    return hard


def connection_limit() -> int:
    """Return how many connections the port may have, by the number of descriptors that there may be."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if files == resource.RLIM_INFINITY else max(min(MAX_CONNECTIONS, files // SHARE), 1)


@final
class GuardedServer(web.Server):
    """An HTTP server on the running event loop that holds few connections, and those not for long.

    aiohttp (3.14) has a time limit for idle connections alone, and no limit on their number. It tells its server of
    every connection by `connection_made` and `connection_lost`, which are not documented.
    """

    def __init__(self, handler: Respond, limit: int) -> None:
        super().__init__(self._begin, access_log=None, logger=PORT_LOG)
        self._handler = handler
        self._limit = limit
        self._open: dict[web.RequestHandler, tuple[asyncio.Transport, float]] = {}
        """With the moment at which each began its last request, the longest ago first."""

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Take a connection, in the place of another one where there are too many."""
        super().connection_made(handler, transport)
        self._note(handler, transport)
        if len(self._open) > self._limit:
            self._end(next(iter(self._open)))

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Forget a connection."""
        super().connection_lost(handler, exc)
        self._open.pop(handler, None)

    async def watch(self) -> None:
        """Close what has begun no request for too long, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.close_late()

    def close_late(self) -> None:
        """Close what has begun no request for too long."""
        now = asyncio.get_running_loop().time()
        for handler in [each for each, (_, begun) in self._open.items() if begun + REQUEST_S <= now]:
            self._end(handler)

    async def _begin(self, request: web.BaseRequest) -> web.StreamResponse:
        if (found := self._open.pop(request.protocol, None)) is not None:
            self._note(request.protocol, found[0])
        return await self._handler(request)

    def _note(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        self._open[handler] = (transport, asyncio.get_running_loop().time())

    def _end(self, handler: web.RequestHandler) -> None:
        """Close it without sending what is left to send: whoever does not read would keep it open."""
        transport, _ = self._open.pop(handler)
        transport.abort()


def _without_traceback(record: logging.LogRecord) -> bool:
    """Say of bytes that are no HTTP only that they came, and from where."""
    if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
        record.msg, record.exc_info = "not an HTTP request from %s", None
    return True


PORT_LOG = logging.getLogger("segment_fullstory.port")
PORT_LOG.addFilter(_without_traceback)
