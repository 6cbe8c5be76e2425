"""Schemas in memory, and a schema registry on a loopback port."""

import asyncio
from collections.abc import Mapping
from ssl import SSLContext
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from processor.events.framing import SchemaId
from processor.model.errors import RegistryUnavailableError

NOT_FOUND = 40403


class FakeSchemas:
    """The `Schemas` port over a dictionary; `is_out` makes it unavailable.

    `asked` counts its questions, `awaiting` those that have no answer yet.
    """

    def __init__(self, texts: Mapping[SchemaId, str]) -> None:
        self.texts = dict(texts)
        self.is_out = False
        self.latency_s = 0.0
        self.asked = 0
        self.awaiting = 0

    async def fetch(self, schema_id: SchemaId) -> str | None:
        """Return the schema's text, None when there is none."""
        self.asked += 1
        self.awaiting += 1
        try:
            await asyncio.sleep(self.latency_s)
        finally:
            self.awaiting -= 1
        if self.is_out:
            raise RegistryUnavailableError("the fake registry is out")
        return self.texts.get(schema_id)


class FakeRegistry:
    """A schema registry as far as the worker asks: for a schema's id or guid, and for a subject's version.

    `schemas`, `guids` and `subjects` hold its answers; with `tls` it wants a client's certificate. `fault`, where set,
    is answered instead: a status and a body; while `hangs`, nothing is. `arrived` is set by the first request; the
    header of each is in `authorizations`.
    """

    def __init__(self, tls: SSLContext | None = None) -> None:
        self.schemas: dict[int, dict[str, Any]] = {}
        self.guids: dict[str, dict[str, Any]] = {}
        self.subjects: dict[tuple[str, int], dict[str, Any]] = {}
        self.fault: tuple[int, str] | None = None
        self.hangs = False
        self.authorizations: list[str | None] = []
        self.arrived = asyncio.Event()
        self._tls = tls
        application = web.Application()
        application.router.add_get("/schemas/ids/{id}", self._by_id)
        application.router.add_get("/schemas/guids/{guid}", self._by_guid)
        application.router.add_get("/subjects/{subject}/versions/{version}", self._by_version)
        application.router.add_post("/subjects/{subject}", self._by_schema)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)

    @property
    def url(self) -> str:
        """The address, while it is entered."""
        host, port = self._runner.addresses[0][:2]
        return f"{'https' if self._tls else 'http'}://{host}:{port}"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _by_id(self, request: web.Request) -> web.Response:
        return await self._answer(request, self.schemas.get(int(request.match_info["id"])), NOT_FOUND)

    async def _by_guid(self, request: web.Request) -> web.Response:
        return await self._answer(request, self.guids.get(request.match_info["guid"]), NOT_FOUND)

    async def _by_version(self, request: web.Request) -> web.Response:
        name = (request.match_info["subject"], int(request.match_info["version"]))
        return await self._answer(request, self.subjects.get(name), 40402)

    async def _by_schema(self, request: web.Request) -> web.Response:
        """Answer whether a subject has a schema: there is no such subject."""
        return await self._answer(request, None, 40401)

    async def _answer(self, request: web.Request, found: dict[str, Any] | None, code: int) -> web.Response:
        self.authorizations.append(request.headers.get("Authorization"))
        self.arrived.set()
        if self.hangs:
            await asyncio.Event().wait()
        if self.fault is not None:
            status, text = self.fault
            return web.Response(status=status, text=text)
        if found is None:
            return web.json_response({"error_code": code, "message": "not found"}, status=404)
        return web.json_response(found)
