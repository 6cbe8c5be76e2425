"""Schemas in memory, and a schema registry on a loopback port."""

import asyncio
from collections.abc import Mapping
from ssl import SSLContext
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from processor.events.framing import SchemaId
from processor.model.errors import RegistryUnavailableError
from processor.runtime.ports import Schemas, SchemaText

NOT_FOUND = 40403
APICURIOS_PATH = "/apis/ccompat/v7"

Fault = tuple[int, str] | tuple[int, str, dict[str, str]]


async def text_of(schemas: Schemas, schema_id: SchemaId) -> str | None:
    """Return the text of a schema, None when there is none."""
    found = await schemas.fetch(schema_id)
    return None if found is None else found.text


class FakeSchemas:
    """The `Schemas` port over a dictionary; `is_out` makes it unavailable, `faults` single schemas.

    `asked` counts its questions, `awaiting` those that have no answer yet, `most_awaiting` the most there ever were.
    """

    def __init__(self, texts: Mapping[SchemaId, str | SchemaText]) -> None:
        self.texts: dict[SchemaId, str | SchemaText] = dict(texts)
        self.is_out = False
        self.faults: dict[SchemaId, Exception] = {}
        self.most_awaiting = 0
        self.latency_s = 0.0
        self.asked = 0
        self.awaiting = 0

    async def fetch(self, schema_id: SchemaId) -> SchemaText | None:
        """Return the schema, in Avro unless its language is given, None when there is none."""
        self.asked += 1
        self.awaiting += 1
        self.most_awaiting = max(self.most_awaiting, self.awaiting)
        try:
            await asyncio.sleep(self.latency_s)
        finally:
            self.awaiting -= 1
        if self.is_out:
            raise RegistryUnavailableError("the fake registry is out")
        if schema_id in self.faults:
            raise self.faults[schema_id]
        found = self.texts.get(schema_id)
        return SchemaText(found) if isinstance(found, str) else found


class FakeRegistry:
    """A schema registry as far as the worker asks: for a schema's id or guid, a subject's version, subjects, its mode.

    `schemas`, `guids` and `subjects` hold its answers, `resolved` those for a schema with all it refers to, `globals`
    those for Apicurio's global ids, each with its language, at an address that ends in `APICURIOS_PATH`; `superseded`
    are those of them that are not of a latest version. With `tls` it wants a client's certificate. `fault`, where set,
    is answered instead: a status, a body and perhaps headers; `faults` are those of single paths. While `hangs`,
    nothing is answered. `arrived` is set by the first request; the header of each is in `authorizations`, and its path
    in `asked`.
    """

    def __init__(self, tls: SSLContext | None = None) -> None:
        self.schemas: dict[int, dict[str, Any]] = {}
        self.globals: dict[int, tuple[str, Any]] = {}
        self.superseded: set[int] = set()
        self.guids: dict[str, dict[str, Any]] = {}
        self.subjects: dict[tuple[str, int], dict[str, Any]] = {}
        self.resolved: dict[int, str] = {}
        self.mode: str | None = "READWRITE"
        self.fault: Fault | None = None
        self.faults: dict[str, Fault] = {}
        self.asked: list[str] = []
        self.hangs = False
        self.authorizations: list[str | None] = []
        self.arrived = asyncio.Event()
        self._tls = tls
        application = web.Application()
        for place in ("", APICURIOS_PATH):
            application.router.add_get(f"{place}/schemas/ids/{{id}}", self._by_id)
            application.router.add_get(f"{place}/subjects", self._names)
        application.router.add_get("/apis/registry/v2/search/artifacts", self._search)
        application.router.add_get("/apis/registry/v2/ids/globalIds/{id}", self._by_global_id)
        application.router.add_get("/schemas/guids/{guid}", self._by_guid)
        application.router.add_get("/subjects/{subject}/versions/{version}", self._by_version)
        application.router.add_get("/mode", self._mode)
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
        schema_id = int(request.match_info["id"])
        found = self.schemas.get(schema_id)
        if found is not None and request.query.get("format") == "resolved" and schema_id in self.resolved:
            found = {**found, "schema": self.resolved[schema_id]}
        return await self._answer(request, found, NOT_FOUND)

    async def _search(self, request: web.Request) -> web.Response:
        """Answer what has a global id as its latest version: no other is found (Apicurio 2.6.13)."""
        number = int(request.query["globalId"])
        found = None if number in self.superseded else self.globals.get(number)
        return await self._answer(request, {"artifacts": [] if found is None else [{"type": found[0]}]}, 0)

    async def _by_global_id(self, request: web.Request) -> web.Response:
        language, found = self.globals.get(int(request.match_info["id"]), ("", None))
        if language == "PROTOBUF":
            return web.Response(text=found, content_type="application/x-protobuf")
        return await self._answer(request, found, 404)

    async def _by_guid(self, request: web.Request) -> web.Response:
        return await self._answer(request, self.guids.get(request.match_info["guid"]), NOT_FOUND)

    async def _by_version(self, request: web.Request) -> web.Response:
        name = (request.match_info["subject"], int(request.match_info["version"]))
        return await self._answer(request, self.subjects.get(name), 40402)

    async def _by_schema(self, request: web.Request) -> web.Response:
        """Answer whether a subject has a schema: there is no such subject."""
        return await self._answer(request, None, 40401)

    async def _names(self, request: web.Request) -> web.Response:
        """Answer which subjects there are: one for each schema."""
        names = (*self.schemas, *self.globals, *self.guids, *self.subjects)
        return await self._answer(request, [f"of-{each}" for each in names], 0)

    async def _mode(self, request: web.Request) -> web.Response:
        return await self._answer(request, None if self.mode is None else {"mode": self.mode}, 0)

    async def _answer(self, request: web.Request, found: Any, code: int) -> web.Response:
        self.asked.append(request.path_qs)
        self.authorizations.append(request.headers.get("Authorization"))
        self.arrived.set()
        if self.hangs:
            await asyncio.Event().wait()
        if (fault := self.faults.get(request.path, self.fault)) is not None:
            status, text, *headers = fault
            return web.Response(status=status, text=text, headers=headers[0] if headers else None)
        if found is None:
            return web.json_response({"error_code": code, "message": "not found"}, status=404)
        return web.json_response(found)
