"""Connections to the port: few, none for long, and bytes that are no HTTP are one line."""

import asyncio
import io
import json
import resource
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web

from processor.adapters.telemetry.connections import (
    MAX_CONNECTIONS,
    REQUEST_S,
    SHARE,
    GuardedServer,
    connection_limit,
    raise_open_files,
)
from processor.adapters.telemetry.logs import logging_to

HOST = "127.0.0.1"
LIMIT = 3
LARGE = 50_000_000
TLS = b"\x16\x03\x01\x02\x00\x01\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Connection]]


class Time:
    """The loop's clock, which a test moves on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead_s = 0.0
        real = loop.time
        monkeypatch.setattr(loop, "time", lambda: real() + self.ahead_s)


def run(
    use: Callable[[GuardedServer, Connect, Time], Awaitable[None]], monkeypatch: pytest.MonkeyPatch, body: bytes = b"ok"
) -> None:
    """Serve, and use it."""

    async def answer(_request: web.BaseRequest) -> web.Response:
        return web.Response(body=body)

    async def serve() -> None:
        time = Time(asyncio.get_running_loop(), monkeypatch)
        server = GuardedServer(answer, LIMIT)
        runner = web.ServerRunner(server, shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, HOST, 0, backlog=LIMIT).start()
        made: list[Connection] = []

        async def connect() -> Connection:
            made.append(await asyncio.open_connection(*runner.addresses[0]))
            return made[-1]

        try:
            await use(server, connect, time)
        finally:
            await runner.cleanup()
            for _, writer in made:
                writer.close()
                with suppress(ConnectionError):
                    await writer.wait_closed()

    asyncio.run(serve())


async def status(connection: Connection, request: bytes = GET) -> int:
    """Ask on a connection, and return the status of the answer."""
    reader, writer = connection
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
    return int(head.split()[1])


async def is_closed(connection: Connection) -> bool:
    """Say whether the other side has ended the connection; waits until it has."""
    try:
        return await connection[0].read(1) == b""
    except ConnectionError:
        return True


def test_a_connection_that_asks_nothing_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit, the connection that has begun no request for longest is closed, and the new one is answered."""

    async def use(server: GuardedServer, connect: Connect, _time: Time) -> None:
        asking, silent, half = await connect(), await connect(), await connect()
        half[1].write(GET[:-2])
        assert await status(asking) == 200
        fourth = await connect()
        assert await is_closed(silent)
        assert await status(fourth) == 200
        fifth = await connect()
        assert await is_closed(half)
        assert await status(asking) == await status(fourth) == await status(fifth) == 200
        assert len(server.connections) == LIMIT

    run(use, monkeypatch)


@pytest.mark.parametrize("sent", [b"", GET[:-2], GET, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"])
def test_a_connection_that_begins_no_request_is_closed(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it sends nothing, half a head, half a body, or one request and then nothing: its time is limited."""

    async def use(server: GuardedServer, connect: Connect, time: Time) -> None:
        late, prompt = await connect(), await connect()
        if sent.endswith(b"\r\n\r\n"):
            assert await status(late, sent) == 200
        else:
            late[1].write(sent)
        assert await status(prompt) == 200
        time.ahead_s = REQUEST_S / 2
        assert await status(prompt) == 200
        server.close_late()
        assert len(server.connections) == 2
        time.ahead_s = REQUEST_S + 1
        server.close_late()
        assert await is_closed(late)
        assert await status(prompt) == 200

    run(use, monkeypatch)


def test_a_client_that_does_not_read_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that nobody takes does not keep its connection, nor the memory that it waits in."""

    async def use(server: GuardedServer, connect: Connect, time: Time) -> None:
        slow, prompt = await connect(), await connect()
        slow[1].write(GET)
        await slow[0].readexactly(10)
        time.ahead_s = REQUEST_S + 1
        server.close_late()
        with suppress(ConnectionError):
            assert len(await slow[0].read()) < LARGE
        assert await is_closed(prompt)

    run(use, monkeypatch, b"x" * LARGE)


def test_bytes_that_are_no_http_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are answered with 400, and told of once, without a traceback."""
    stream = io.StringIO()

    async def use(_server: GuardedServer, connect: Connect, _time: Time) -> None:
        for sent in (
            b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
            b"GET / HTTP/9\r\n\r\n",
            b"GET / HTTP/1.1\r\n\xff: \0\r\n\r\n",
        ):
            for _ in range(10):
                assert await status(await connect(), sent) == 400

    with logging_to(stream, "info", "json"):
        run(use, monkeypatch)

    lines: list[dict[str, Any]] = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == [f"not an HTTP request from {HOST}"] * len(lines)
    assert not any("exception" in line for line in lines)


def test_the_port_leaves_descriptors_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit on connections follows from the number of descriptors, and has a bound of its own."""
    limits = {"now": (0, 0)}
    monkeypatch.setattr(resource, "getrlimit", lambda _which: limits["now"])
    found = []
    for soft in (1, 64, 1_024, 1_000_000, resource.RLIM_INFINITY):
        limits["now"] = (soft, soft)
        found.append(connection_limit())

    assert found == [1, 64 // SHARE, MAX_CONNECTIONS, MAX_CONNECTIONS, MAX_CONNECTIONS]


def test_descriptors_are_taken_as_far_as_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The soft limit is raised to the hard one; where the system refuses that, all stays as it is."""
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (64, 4_096))
    monkeypatch.setattr(resource, "setrlimit", lambda _which, limits: told.append(limits))
    assert raise_open_files() == 4_096
    assert told == [(4_096, 4_096)]

    def refuse(_which: int, _limits: tuple[int, int]) -> None:
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert raise_open_files() == 64
