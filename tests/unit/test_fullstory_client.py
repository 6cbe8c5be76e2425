"""What the client makes of servers that FullStory should not be: a raw server on a loopback port plays them."""

import asyncio
import gzip
import ssl
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from processor import __version__
from processor.adapters.fullstory import ApiKey, FullStory, Transport, content
from processor.adapters.fullstory.client import MAX_ANSWER_BYTES, MAX_ERRORS_PAGE_BYTES
from processor.adapters.proxies import Proxies
from processor.adapters.tls import Tls
from processor.engine.verdict import Answer, NoAnswer, RetryReason
from processor.model.errors import ConfigurationError
from processor.model.reasons import Kind
from tests.fakes.tls import Certificates

KEY = "na1.s3cret+/="
LOST = NoAnswer(RetryReason.CONNECTION)
TIMEOUT = NoAnswer(RetryReason.TIMEOUT)

Play = Callable[[asyncio.StreamWriter], Awaitable[None]]


class FixedClock:
    """Midnight of 2026."""

    def wall(self) -> float:
        """Seconds since the epoch."""
        return 1_767_225_600.0

    monotonic = wall


@dataclass
class Request:
    """A request as it arrived."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class RawServer:
    """Reads requests whole and lets `play` write whatever it likes; the connection stays open unless it closes it."""

    play: Play
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        """The address, while it is entered."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._writers: list[asyncio.StreamWriter] = []
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        try:
            while not writer.is_closing():
                self.requests.append(await _read_request(reader))
                await self.play(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    line, *lines = head.split("\r\n")[:-2]
    headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
    return Request(line, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


def answering(body: bytes = b"{}", status: str = "200 OK", **headers: str) -> Play:
    """Answer with this body and these headers (underscores for hyphens)."""
    fields = {"Content-Length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    head = "\r\n".join([f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields.items()), "", ""])

    async def play(writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode() + body)
        await writer.drain()

    return play


def writing(data: bytes, *, close: bool) -> Play:
    """Write this, and then nothing more."""

    async def play(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if close:
            writer.close()

    return play


def talk(play: Play, *calls: Callable[[FullStory], Awaitable[Any]], **options: Any) -> tuple[list[Any], RawServer]:
    """Make the calls one after the other; return what they gave, and the server."""

    async def run() -> tuple[list[Any], RawServer]:
        server = RawServer(play)
        async with server, FullStory(ApiKey(KEY), FixedClock(), base_url=server.url, **options) as client:
            return [await call(client) for call in calls], server

    return asyncio.run(run())


def me(client: FullStory) -> Awaitable[Any]:
    """Ask whose key this is."""
    return client.me()


def post(client: FullStory) -> Awaitable[Any]:
    """POST an event."""
    return client.post(Kind.EVENT, b'{"name":"x"}', "k1", batch=False)


def errors(client: FullStory) -> Awaitable[Any]:
    """Ask for the errors of a job."""
    return client.errors(Kind.EVENT, "j", "")


def test_a_post_is_what_the_contract_says() -> None:
    """A POST has the documented path, the key as it is, Idempotency-Key, content type and the exact body."""
    body = orjson.dumps({"name": "é", "n": 1})

    async def batch(client: FullStory) -> Any:
        return await client.post(Kind.USER, body, "k2", batch=True)

    _, server = talk(answering(), post, batch)

    single, many = server.requests
    assert (single.line, many.line) == ("POST /v2/events HTTP/1.1", "POST /v2/users/batch HTTP/1.1")
    assert many.body == body
    wanted = {
        "authorization": f"Basic {KEY}",
        "idempotency-key": "k2",
        "content-type": "application/json",
        "accept": "application/json",
        "user-agent": f"segment-fullstory/{__version__}",
        "content-length": str(len(body)),
    }
    assert wanted.items() <= many.headers.items()
    assert "content-encoding" not in many.headers


def test_job_ids_and_page_tokens_are_escaped_whole() -> None:
    """Characters with a meaning in URLs arrive as part of the job id or page token."""

    async def job(client: FullStory) -> Any:
        return await client.job(Kind.USER, "a/b+c==?#%20 é/..")

    async def page(client: FullStory) -> Any:
        return await client.errors(Kind.EVENT, "..", "t+/=&x")

    _, server = talk(answering(), job, page, errors, me)

    assert [request.line.split()[1] for request in server.requests] == [
        "/v2/users/batch/a%2Fb%2Bc%3D%3D%3F%23%2520%20%C3%A9%2F..",
        "/v2/events/batch/../errors?page_token=t%2B%2F%3D%26x",
        "/v2/events/batch/j/errors",
        "/me",
    ]


def test_a_base_url_may_have_a_path() -> None:
    """A base URL with a path is a prefix of every request's path."""

    async def run() -> str:
        async with RawServer(answering()) as server:
            async with FullStory(ApiKey(KEY), FixedClock(), base_url=f"{server.url}/gateway/") as client:
                await client.me()
            return server.requests[0].line

    assert asyncio.run(run()) == "GET /gateway/me HTTP/1.1"


def test_a_large_body_is_sent_whole() -> None:
    """A body of several megabytes arrives complete, without a warning of the library."""
    body = orjson.dumps(["x" * 1000] * 4000)

    async def send(client: FullStory) -> Any:
        return await client.post(Kind.EVENT, body, "k1", batch=True)

    answers, server = talk(answering(), send)

    assert answers == [Answer(200, {})]
    assert server.requests[0].body == body


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_not_followed(status: str) -> None:
    """A redirect is returned as an answer, and the key goes nowhere else."""
    answers, server = talk(answering(status=status, Location="/elsewhere"), me, post)

    assert [answer.status for answer in answers] == [int(status[:3])] * 2
    assert [request.line.split()[1] for request in server.requests] == ["/me", "/v2/events"]


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"\xff\xfe", b"[" * 100_000, b"NaN", b'{"a":1} x'])
def test_a_body_that_is_not_json_is_none(body: bytes) -> None:
    """An answer that is no JSON has a status and no body."""
    assert talk(answering(body, "503 Unavailable"), me)[0] == [Answer(503, None)]


def test_an_empty_success_is_none() -> None:
    """A 204 has no body."""
    assert talk(answering(b"", "204 No Content"), post)[0] == [Answer(204, None)]


def padded(size: int) -> bytes:
    """Return a JSON string of so many bytes."""
    return b'"' + b"x" * (size - 2) + b'"'


@pytest.mark.parametrize(("call", "bound"), [(post, MAX_ANSWER_BYTES), (errors, MAX_ERRORS_PAGE_BYTES)])
def test_a_body_is_read_up_to_its_bound(call: Callable[[FullStory], Awaitable[Any]], bound: int) -> None:
    """A body within its bound is read whole; a larger one is None, and the client goes on."""
    [fits] = talk(answering(padded(bound)), call)[0]
    assert (fits.status, len(fits.body)) == (200, bound - 2)

    answers = talk(answering(padded(bound + 1)), call, call)[0]
    assert answers == [Answer(200, None)] * 2
    assert all(answer.exceeds_bound for answer in answers)
    [zipped] = talk(answering(gzip.compress(padded(bound + 1)), Content_Encoding="gzip"), call)[0]
    assert (zipped, zipped.exceeds_bound) == (Answer(200, None), True)


def test_an_endless_body_is_not_read_for_ever() -> None:
    """A stream without a length is given up at the bound."""

    async def play(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            await writer.drain()

    assert talk(play, post)[0] == [Answer(200, None)]


@pytest.mark.parametrize(
    ("encoding", "zipped"),
    [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("GZIP", gzip.compress), ("deflate", zlib.compress)],
)
def test_a_zipped_body_is_unzipped(encoding: str, zipped: Callable[[bytes], bytes]) -> None:
    """An answer compressed with gzip or deflate is read."""
    assert talk(answering(zipped(b'{"a":1}'), Content_Encoding=encoding), me)[0] == [Answer(200, {"a": 1})]


@pytest.mark.parametrize(
    "body",
    [gzip.compress(padded(MAX_ANSWER_BYTES + 1)), gzip.compress(b"0" * 10**8), b"not gzip", gzip.compress(b"{}")[:9]],
    ids=["too large", "bomb", "not gzip", "cut"],
)
def test_a_zipped_body_costs_no_more_than_its_bound(body: bytes) -> None:
    """Unzipping stops at the bound, and a damaged archive counts as no JSON."""
    assert talk(answering(body, Content_Encoding="gzip"), me)[0] == [Answer(200, None)]

    tracemalloc.start()
    try:
        assert content.parsed(body, "gzip", MAX_ANSWER_BYTES) in (None, content.TOO_LARGE)
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_ANSWER_BYTES
    finally:
        tracemalloc.stop()


def test_an_encoding_nobody_asked_for_is_no_json() -> None:
    """A body in an encoding that was not asked for counts as no JSON."""
    assert talk(answering(b"\x1b\x00\xf8", Content_Encoding="br"), me)[0] == [Answer(200, None)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("7", 7.0), ("Thu, 01 Jan 2026 00:00:30 GMT", 30.0), ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0), ("soon", None)],
)
def test_retry_after_counts_from_the_arrival(value: str, expected: float | None) -> None:
    """Retry-After is read as seconds or as a date by the wall clock, and counts from the answer's arrival."""
    answers, _ = talk(answering(status="429 Too Many Requests", Retry_After=value), post)

    assert answers == [Answer(429, {}, expected)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 20x OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    ],
    ids=["closed", "in a header", "in the body", "in a chunk", "bad chunk", "not HTTP", "status", "length", "header"],
)
def test_an_answer_that_is_not_whole_is_no_answer(data: bytes) -> None:
    """An answer that breaks off counts as no answer, whatever its beginning said; a connection stood."""
    [answer] = talk(writing(data, close=True), post)[0]
    assert (answer, answer.was_connected) == (LOST, True)


def test_who_answers_is_named_in_what_may_stand_in_a_log() -> None:
    """Short and printable; the type without its parameters."""
    server = "nginx/1.22.1 " + "x" * 200
    head = {"Server": server, "Content_Type": "Text/HTML; charset=utf-8"}
    [answer] = talk(answering(b"<html>", "502 Bad Gateway", **head), post)[0]
    assert answer.server == server[:60].strip()
    assert answer.media_type == "text/html"
    assert not answer.exceeds_bound


def test_a_post_is_never_repeated_by_itself() -> None:
    """Each lost call arrived exactly once: only the caller repeats."""
    answers, server = talk(writing(b"", close=True), post, post)

    assert (answers, len(server.requests)) == ([LOST, LOST], 2)


@pytest.mark.parametrize(
    "data",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}"],
    ids=["no answer", "slow body"],
)
def test_silence_is_a_timeout(data: bytes) -> None:
    """Silence before the answer, or within its body, is a timeout, which the body that was sent may have caused."""
    [answer] = talk(writing(data, close=False), post, transport=Transport(read_s=0.05))[0]
    assert (answer, answer.was_connected) == (TIMEOUT, True)


def test_a_body_that_trickles_is_a_timeout() -> None:
    """Bytes that keep trickling in do not extend the deadline of the call."""

    async def play(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    assert talk(play, post, transport=Transport(read_s=10.0, total_s=0.1))[0] == [TIMEOUT]


def test_waiting_for_a_connection_counts() -> None:
    """Waiting for a free connection counts towards the deadline of the call."""

    async def run() -> list[Any]:
        async with RawServer(writing(b"", close=False)) as server:
            transport = Transport(total_s=0.1, connections=1)
            async with FullStory(ApiKey(KEY), FixedClock(), base_url=server.url, transport=transport) as client:
                return list(await asyncio.gather(client.me(), client.me()))

    assert asyncio.run(run()) == [TIMEOUT, TIMEOUT]


def test_nobody_listening_is_no_answer() -> None:
    """A refused connection is returned as a value, not raised."""

    async def run() -> Any:
        async with RawServer(answering()) as server:
            base_url = server.url
        async with FullStory(ApiKey(KEY), FixedClock(), base_url=base_url) as client:
            return await client.me()

    answer = asyncio.run(run())
    assert (answer, answer.was_connected) == (LOST, False)


def self_signed(folder: Path) -> ssl.SSLContext:
    """Return the context of a server for 127.0.0.1 whose certificate nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "server.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem")
    return context


def test_tls_is_verified(tmp_path: Path) -> None:
    """A server with an untrusted certificate receives no request, and so no key."""

    async def run() -> tuple[Any, int]:
        async with RawServer(answering(), self_signed(tmp_path)) as server:
            url = server.url.replace("http:", "https:")
            async with FullStory(ApiKey(KEY), FixedClock(), base_url=url) as client:
                return await client.me(), len(server.requests)

    answer, requests = asyncio.run(run())
    assert (answer, answer.was_connected, requests) == (LOST, False, 0)


def test_connections_are_kept_and_those_closed_meanwhile_are_survived() -> None:
    """A connection serves several calls, and one that the server closed while idle is at worst a lost answer."""
    answers, server = talk(answering(), post, post)
    assert (answers, server.connections) == ([Answer(200, {})] * 2, 1)

    async def answer_then_close(writer: asyncio.StreamWriter) -> None:
        await answering()(writer)
        writer.close()

    answers, server = talk(answer_then_close, post, post, post)
    assert answers[0] == Answer(200, {})
    assert all(answer in (Answer(200, {}), LOST) for answer in answers)
    assert len(server.requests) <= 3


def test_cookies_are_not_kept() -> None:
    """A cookie that a server sets is not sent with the next request."""

    async def run() -> list[str | None]:
        async with RawServer(answering(Set_Cookie="session=1")) as server:
            base_url = server.url.replace("127.0.0.1", "localhost")  # no cookie jar keeps those of a bare address
            async with FullStory(ApiKey(KEY), FixedClock(), base_url=base_url) as client:
                await client.me()
                await client.me()
            return [request.headers.get("cookie") for request in server.requests]

    assert asyncio.run(run()) == [None, None]


def test_a_netrc_neither_replaces_the_key_nor_ends_the_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The worker ignores .netrc, even if the environment names proxies."""
    (tmp_path / "netrc").write_text("default login someone password other\n", encoding="ascii")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    async def run() -> tuple[Answer | NoAnswer, list[Request]]:
        async with RawServer(answering()) as proxy:
            transport = Transport(proxies=Proxies.of({"http_proxy": proxy.url}))
            address = "http://api.example.com"
            async with FullStory(
                ApiKey(KEY), FixedClock(), base_url=address, allow_private=True, transport=transport
            ) as api:
                return await api.me(), proxy.requests

    answer, requests = asyncio.run(run())

    assert answer == Answer(200, {})
    assert requests[0].line.startswith("GET http://api.example.com/me ")
    assert requests[0].headers["authorization"] == f"Basic {KEY}"


def test_only_the_proxies_that_were_read_at_the_start_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client does not read the environment itself, and this computer is never asked through a proxy."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    transport = Transport(proxies=Proxies.of({"http_proxy": "http://127.0.0.1:1"}))

    assert talk(answering(), me)[0] == [Answer(200, {})]
    assert talk(answering(), me, transport=transport)[0] == [Answer(200, {})]


def test_other_certificates_open_another_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a renewal the next request takes a new connection, which shows the client certificate of now."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    first, second = Certificates.make(tmp_path / "first"), Certificates.make(tmp_path / "second")
    both = tmp_path / "both.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(first.authority))
    both.write_bytes(first.client_with_open_key())

    async def run() -> tuple[list[Answer | NoAnswer], int]:
        async with RawServer(answering(), first.server_context()) as server:
            tls = Tls(both)
            url = server.url.replace("http:", "https:")
            async with FullStory(ApiKey(KEY), FixedClock(), base_url=url, transport=Transport(tls=tls)) as api:
                answers = [await api.me(), await api.me()]
                count = server.connections
                both.write_bytes(second.client_with_open_key())
                assert tls.renew()
                return [*answers, await api.me()], count

    answers, count = asyncio.run(run())
    assert answers[:2] == 2 * [Answer(200, {})]
    assert count == 1
    assert isinstance(answers[2], NoAnswer)  # another authority has signed it


def test_a_new_key_is_used_from_the_next_request_on() -> None:
    """After a replacement, the next request carries the new key."""

    async def run() -> list[str]:
        async with RawServer(answering()) as server:
            async with FullStory(ApiKey(KEY), FixedClock(), base_url=server.url) as client:
                await client.me()
                client.rotate(ApiKey("eu1.other"))
                await client.me()
            return [request.headers["authorization"] for request in server.requests]

    assert asyncio.run(run()) == [f"Basic {KEY}", "Basic eu1.other"]


def test_a_new_key_of_another_data_centre_is_refused() -> None:
    """A new key of another data centre is refused, and the old one stays."""

    async def run() -> None:
        async with FullStory(ApiKey(KEY), FixedClock()) as client:
            assert client.base_url == "https://api.fullstory.com"
            client.rotate(ApiKey("eu1.other"))

    with pytest.raises(ConfigurationError, match="data centre eu1"):
        asyncio.run(run())


def test_the_key_is_in_nothing_that_prints() -> None:
    """Neither the client nor its answers show the key when they are printed."""
    answers, _ = talk(answering(), me)

    async def shown() -> str:
        async with FullStory(ApiKey(KEY), FixedClock()) as client:
            return f"{client!r} {vars(client)} {vars(client._session)}"

    assert "s3cret" not in f"{answers} {asyncio.run(shown())}"
