"""A sandbox, a client and a clock for one test."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from inspect import Signature, signature
from typing import Any, Concatenate, ParamSpec
from urllib.parse import quote

import aiohttp
import orjson
from yarl import URL

from processor.sandbox import Sandbox, SandboxOptions

P = ParamSpec("P")
Json = dict[str, Any]

ARCHITECT = "na1.architect"
STANDARD = "na1.standard"
JOB_S = 10.0
START = 1_767_323_045.0

USER = {"uid": "u1", "email": "u1@example.com", "properties": {"plan": "pro"}}
EVENT = {"name": "Order Completed", "timestamp": "2026-01-02T03:04:05Z", "user": {"uid": "u1"}}


class ManualClock:
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.time


@dataclass(frozen=True)
class Reply:
    """A response, read to its end."""

    status: int
    body: Any
    headers: Any

    @property
    def code(self) -> str:
        """FullStory's error code."""
        assert set(self.body) == {"message", "code"}
        return str(self.body["code"])


@dataclass(frozen=True)
class Api:
    """What a test calls; the key is an Architect's unless it says otherwise."""

    sandbox: Sandbox
    client: aiohttp.ClientSession
    clock: ManualClock

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = ARCHITECT, **headers: str
    ) -> Reply:
        """Send one request; `body` is JSON unless it is bytes, `Idempotency_Key=` becomes a header."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            sent["Authorization"] = f"Basic {key}"
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        url = URL(self.sandbox.url + path, encoded=True)
        async with self.client.request(method, url, data=data, headers=sent) as response:
            text = await response.read()
            kind = response.content_type
            return Reply(response.status, orjson.loads(text) if kind == "application/json" else text, response.headers)

    async def post(self, path: str, body: Any = None, **headers: str) -> Reply:
        """POST below /v2."""
        return await self.call("POST", f"/v2{path}", body, **headers)

    async def get(self, path: str, *, key: str = ARCHITECT) -> Reply:
        """GET below /v2."""
        return await self.call("GET", f"/v2{path}", key=key)

    async def job(self, kind: str, items: list[Any], **headers: str) -> str:
        """Create a job of `kind` (users, events) and return its path below /v2."""
        reply = await self.post(f"/{kind}/batch", {"requests": items}, **headers)
        assert reply.status == 200, reply.body
        return f"/{kind}/batch/{quote(reply.body['job']['id'], safe='')}"

    async def finished_job(self, kind: str, items: list[Any]) -> str:
        """Create a job, let it end and return its path below /v2."""
        path = await self.job(kind, items)
        self.clock.time += JOB_S
        return path

    async def faults(self, **changes: Any) -> Reply:
        """POST /sandbox/faults."""
        return await self.call("POST", "/sandbox/faults", changes, key=None)

    async def stats(self) -> Any:
        """GET /sandbox/stats."""
        return (await self.call("GET", "/sandbox/stats", key=None)).body

    def items(self, kind: str) -> list[Json]:
        """What took effect by now, in order."""
        return [effect.item for effect in self.sandbox.truth.effects if effect.kind == kind]


def on_sandbox(**options: Any) -> Callable[[Callable[Concatenate[Api, P], Awaitable[None]]], Callable[P, None]]:
    """Make a plain test of a coroutine that wants an `Api`; jobs take `JOB_S` by a clock that stands still."""

    def decorate(scenario: Callable[Concatenate[Api, P], Awaitable[None]]) -> Callable[P, None]:
        @wraps(scenario)
        def test(*args: P.args, **kwargs: P.kwargs) -> None:
            async def play() -> None:
                settings = SandboxOptions(**{"job_duration_s": (JOB_S, JOB_S), **options})
                clock = ManualClock()
                async with Sandbox(settings, clock) as sandbox, aiohttp.ClientSession() as client:
                    await scenario(Api(sandbox, client, clock), *args, **kwargs)

            with _silent_server():
                asyncio.run(play())

        # pytest asks for what the test itself needs: everything but the Api.
        test.__signature__ = Signature(list(signature(scenario).parameters.values())[1:])  # type: ignore[attr-defined]
        del test.__wrapped__
        return test

    return decorate


class _Complaints(logging.Handler):
    """What aiohttp's server had to say: it logs an exception of ours and answers 500."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.records.append(self.format(record))


@contextmanager
def _silent_server() -> Iterator[None]:
    complaints = _Complaints()
    logger = logging.getLogger("aiohttp.server")
    logger.addHandler(complaints)
    try:
        yield
    finally:
        logger.removeHandler(complaints)
    assert complaints.records == []
