"""Why there was no answer: each fault is made on a real socket, and docs/runbook.md has its text."""

import asyncio
import os
import re
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple, cast

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from processor.adapters.clock import SystemClock
from processor.adapters.fullstory import ApiKey, FullStory, Transport
from processor.adapters.proxies import Proxies
from processor.engine.verdict import NoAnswer, RetryReason

RUNBOOK = Path(__file__).parents[2] / "docs" / "runbook.md"
LOGIN = "someone:hidden"
SECRET = b"secret-of-an-answer"
API, PROXY, NAME = "api.fullstory.com:443", "proxy.example:3128", "api.invalid"
SHORT_S = 0.1

Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Scene(NamedTuple):
    """Where FullStory is said to be, by way of which proxy, and how patient the client is."""

    base_url: str
    proxy: str = ""
    transport: Transport = Transport()


Stage = Callable[[Path], AbstractAsyncContextManager[Scene]]


def certificate(folder: Path, host: str, since_days: int, until_days: int) -> Path:
    """Write a certificate that is its own authority, and its key, into one file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now + timedelta(days=since_days))
        .not_valid_after(now + timedelta(days=until_days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    file = folder / "server.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(made.public_bytes(Encoding.PEM) + private)
    return file


def trusted(folder: Path) -> Path:
    """Return the file that names the authorities, as `SSL_CERT_FILE` does."""
    return folder / "authorities.pem"


def tls(
    host: str = "127.0.0.1", since_days: int = -2, until_days: int = 1, *, is_trusted: bool = True, wants: bool = False
) -> Stage:
    """Serve with such a certificate; `wants`: one of the client's, too."""

    @asynccontextmanager
    async def stage(folder: Path) -> AsyncIterator[Scene]:
        file = certificate(folder, host, since_days, until_days)
        if is_trusted:
            trusted(folder).write_bytes(file.read_bytes())
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=file)
        context.load_cert_chain(file)
        context.verify_mode = ssl.CERT_REQUIRED if wants else ssl.CERT_NONE

        def serve() -> None:  # without asyncio, whose servers (Python 3.11) end a handshake without telling why
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                end = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                with suppress(ssl.SSLError), end:
                    try:
                        end.do_handshake()
                    finally:
                        while os.read(end.fileno(), 1_000):  # what is not read would reset the connection
                            pass

        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=serve)
            thread.start()
            yield Scene(f"https://127.0.0.1:{listener.getsockname()[1]}")
            listener.shutdown(socket.SHUT_RDWR)
            await asyncio.to_thread(thread.join)

    return stage


def serving(play: Play, scheme: str = "http", **transport: float) -> Stage:
    """Let `play` answer each connection."""

    @asynccontextmanager
    async def stage(_folder: Path) -> AsyncIterator[Scene]:
        playing: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            playing.add(cast("asyncio.Task[None]", asyncio.current_task()))
            with suppress(OSError):
                await play(reader, writer)
                writer.close()
                await writer.wait_closed()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            yield Scene(f"{scheme}://127.0.0.1:{port}", transport=Transport(**transport))  # type: ignore[arg-type]
        await asyncio.gather(*playing)

    return stage


def behind(play: Play) -> Stage:
    """Let `play` be the proxy of an address that nobody has."""

    @asynccontextmanager
    async def stage(folder: Path) -> AsyncIterator[Scene]:
        async with serving(play)(folder) as scene:
            yield Scene("https://api.fullstory.com", scene.base_url.replace("//", f"//{LOGIN}@"))

    return stage


def answering(data: bytes) -> Play:
    """Read a request, write this, and close."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1_000)
        writer.write(data)
        await writer.drain()

    return play


async def aborting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read a request and reset the connection."""
    await reader.read(1_000)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Read until the client has enough of it."""
    await reader.read()


def free_port() -> int:
    """Return a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@asynccontextmanager
async def nobody_listens(_folder: Path) -> AsyncIterator[Scene]:
    """Name a port that is closed."""
    yield Scene(f"https://127.0.0.1:{free_port()}")


@asynccontextmanager
async def nobody_accepts(_folder: Path) -> AsyncIterator[Scene]:
    """Name a port whose queue of connections is full: Linux answers nothing more there."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, socket.socket() as first:
        first.connect(listener.getsockname())
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        yield Scene(url, transport=Transport(connect_s=SHORT_S))


@asynccontextmanager
async def no_such_name(_folder: Path) -> AsyncIterator[Scene]:
    """Name a host that no name server knows."""
    yield Scene(f"https://{NAME}")


@asynccontextmanager
async def proxy_closed(_folder: Path) -> AsyncIterator[Scene]:
    """Name a proxy at a port that is closed."""
    yield Scene("https://api.fullstory.com", f"http://{LOGIN}@127.0.0.1:{free_port()}")


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"

FAULTS: dict[str, Stage] = {
    "its certificate has expired": tls(since_days=-2, until_days=-1),
    "its certificate is not valid yet, by this computer's clock": tls(since_days=1, until_days=2),
    "its certificate is self-signed, or a proxy's own": tls(is_trusted=False),
    "its certificate is for another host": tls("127.0.0.2"),
    "it wants a certificate of the client": tls(wants=True),
    "something else than TLS is at its port": serving(answering(b"SSH-2.0 " + SECRET + b"\r\n"), "https"),
    "something else than HTTP answers": serving(answering(b"SSH-2.0 " + SECRET + b"\r\n")),
    "nothing listens at its port": nobody_listens,
    "no connection comes about": nobody_accepts,
    "its name is not known": no_such_name,
    "it closes the connection instead of a handshake": serving(aborting, "https"),
    "it closes the connection instead of an answer": serving(answering(b"")),
    "the connection is reset": serving(aborting),
    "its answer breaks off": serving(answering(HEAD + SECRET)),
    "it does not answer": serving(silent, read_s=SHORT_S),
    "its answer takes too long": serving(silent, total_s=SHORT_S),
    "the proxy wants a login": behind(answering(b"HTTP/1.1 407 No\r\nContent-Length: 19\r\n\r\n" + SECRET)),
    "the proxy refuses to connect": behind(answering(b"HTTP/1.1 502 No\r\nContent-Length: 19\r\n\r\n" + SECRET)),
    "something else than HTTP answers for the proxy": behind(answering(b"SSH-2.0 " + SECRET + b"\r\n")),
    "nothing listens at the proxy's port": proxy_closed,
}

AFTER_A_CONNECTION = {
    "it wants a certificate of the client",  # TLS 1.3 says so only after the request
    "something else than HTTP answers for the proxy",
    "something else than HTTP answers",
    "it closes the connection instead of an answer",
    "the connection is reset",
    "its answer breaks off",
    "it does not answer",
    "its answer takes too long",
}
"""Where a connection stood: if others pass meanwhile, the body of the request may be the cause."""


def documented() -> dict[str, str]:
    """Return the table of docs/runbook.md."""
    part = RUNBOOK.read_text(encoding="utf-8").partition("\n### Why FullStory cannot be reached\n")[2]
    return dict(re.findall(r"(?m)^\| ([^|]+?) \| ([^|]+?) \|$", part.partition("\n## ")[0])[1:])


def test_every_fault_is_documented() -> None:
    """The table has a row for each fault that is made here, in their order."""
    assert list(documented()) == list(FAULTS)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_text_is_the_documented_one(fault: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each fault gives the words of its row: no byte of an answer, no login of a proxy, and what to do."""

    async def run() -> tuple[object, Scene]:
        async with FAULTS[fault](tmp_path) as scene:
            proxies = Proxies.of({"https_proxy": scene.proxy} if scene.proxy else {})
            transport = replace(scene.transport, proxies=proxies)
            if trusted(tmp_path).exists():
                context = ssl.create_default_context(cafile=trusted(tmp_path))
                monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", context)
            async with FullStory(
                ApiKey("na1.key"), SystemClock(), base_url=scene.base_url, allow_private=True, transport=transport
            ) as api:
                return await api.me(), scene

    answer, scene = asyncio.run(run())
    assert isinstance(answer, NoAnswer)
    is_late = answer.reason is RetryReason.TIMEOUT
    address = scene.base_url.partition("//")[2]
    own = answer.detail if scene.proxy or address == NAME else answer.detail.replace(address, API)
    own = own.replace(scene.proxy.partition("@")[2] or "no proxy", PROXY).replace(name_fault(), "name not known")

    assert (own, is_late) == (documented()[fault], "in time" in own)
    assert answer.was_connected == (fault in AFTER_A_CONNECTION)
    assert SECRET.decode() not in own
    assert LOGIN not in own


def test_a_private_address_is_told_with_the_setting_that_allows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the worker's own resolver says of a name is told as it is."""

    class Names(aiohttp.abc.AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[aiohttp.abc.ResolveResult]:
            return [{"hostname": host, "host": "10.0.0.7", "port": port, "family": family, "proto": 0, "flags": 0}]

        async def close(self) -> None:
            pass

    async def ask() -> object:
        async with FullStory(ApiKey("na1.key"), SystemClock()) as api:
            return await api.me()

    monkeypatch.setattr("aiohttp.DefaultResolver", Names)
    answer = asyncio.run(ask())

    assert isinstance(answer, NoAnswer)
    assert answer.detail.startswith("api.fullstory.com leads to the private address 10.0.0.7; PROCESSOR_FULLSTORY__")


def name_fault() -> str:
    """Return what this computer says of a name that nobody has: the words differ, and it may have no name server."""
    try:
        socket.getaddrinfo(NAME, 443)
    except socket.gaierror as error:
        said = str(error.strerror)
        return said[:1].lower() + said[1:]
    return NAME
