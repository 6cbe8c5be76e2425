"""FullStory through a real Squid: by tunnel, with a login, by TLS to the proxy, and past it."""

import asyncio
import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import pytest
from aiohttp import web

from processor.adapters.clock import SystemClock
from processor.adapters.fullstory import ApiKey, FullStory, Transport
from processor.adapters.proxies import Proxies
from processor.adapters.tls import Tls
from processor.engine.verdict import Answer, NoAnswer
from tests.fakes.tls import Certificates
from tests.kafka.cluster import free_port
from tests.kafka.programs import wait_until
from tests.needs import need

HOST = "api.example.com"
KEY = "na1.s3cret"
LOGIN = "w%C3%B6rker:p%40ss%2F%23%5B%E2%98%83%5D"
HELPER = """\
#!/bin/sh
while read -r login; do
  if [ "$login" = "w%C3%B6rker p@ss/%23%5B%E2%98%83%5D" ]; then echo OK; else echo ERR; fi
done
"""
"""It is told logins with most characters escaped, byte by byte."""

CONFIGURATION = """\
http_port 127.0.0.1:{port}
https_port 127.0.0.1:{tls_port} tls-cert={certificate} tls-key={key}
http_port 127.0.0.1:{open_port} name=open
acl is_open myportname open
auth_param basic program /bin/sh {folder}/helper.sh
auth_param basic children 1
acl known proxy_auth REQUIRED
http_access allow is_open
http_access allow known
http_access deny all
hosts_file {folder}/hosts
dns_nameservers 127.0.0.1
dns_timeout 1 second
access_log stdio:{folder}/access.log
cache_log {folder}/cache.log
pid_filename {folder}/squid.pid
coredump_dir {folder}
cache deny all
pinger_enable off
shutdown_lifetime 0 seconds
visible_hostname squid.test
"""


@final
@dataclass(frozen=True, slots=True)
class Squid:
    """A Squid that wants a login at two of its ports, one of them for TLS, and none at the third."""

    folder: Path
    certificates: Certificates
    port: int = field(default_factory=free_port)
    tls_port: int = field(default_factory=free_port)
    open_port: int = field(default_factory=free_port)

    def log(self) -> list[str]:
        """Return a method for each request or tunnel; connections without one have a hyphen in its place."""
        lines = (self.folder / "access.log").read_text(encoding="utf-8").splitlines()
        return [method for line in lines if (method := line.split()[5]) != "-"]


@pytest.fixture(scope="module")
def squid() -> Iterator[Squid]:
    """Give a running Squid. It refuses to run as root, and what it reads has to be another user's then."""
    program = shutil.which("squid", path="/usr/sbin:/usr/bin:/sbin:/usr/local/bin")
    need(None if program else "squid is not installed")
    user = "proxy" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp())
    made = Squid(folder, Certificates.make(folder, HOST))
    (folder / "helper.sh").write_text(HELPER, encoding="utf-8")
    (folder / "hosts").write_text(f"127.0.0.1 {HOST}\n", encoding="utf-8")
    (folder / "squid.conf").write_text(
        CONFIGURATION.format(
            port=made.port,
            tls_port=made.tls_port,
            open_port=made.open_port,
            certificate=made.certificates.server,
            key=made.certificates.server.with_suffix(".key"),
            folder=folder,
        ),
        encoding="utf-8",
    )
    if user is not None:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, user)
    with (folder / "output").open("wb") as output:
        name = f"test{made.port}"  # of its shared memory, which one Squid of a machine would else take from another
        command = [str(program), "-N", "-n", name, "-f", str(folder / "squid.conf")]
        running = subprocess.Popen(command, stdout=output, stderr=output, user=user, group=user, cwd=folder)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", made.tls_port)):
                break
            assert running.poll() is None, (folder / "output").read_text() + (folder / "cache.log").read_text()
            time.sleep(0.1)
        yield made
    finally:
        running.terminate()
        running.wait(10)
        shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def _trusting(squid: Squid, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the authority that has signed the certificates of Squid and of the API."""
    monkeypatch.setenv("SSL_CERT_FILE", str(squid.certificates.authority))


def server_tls(certificates: Certificates) -> ssl.SSLContext:
    """Return a server's context that wants no certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.server, certificates.server.with_suffix(".key"))
    return context


async def closed() -> None:
    """Return when connections that are being closed are closed: one within another waits for its other side, too."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, asyncio.SelectorEventLoop)
    deadline = loop.time() + 10.0
    selector = loop._selector  # type: ignore[attr-defined]
    while len(selector.get_map()) > 1 and loop.time() < deadline:  # noqa: ASYNC110 - nothing tells; its own pipe stays
        await asyncio.sleep(0.01)
    await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def api(tls: ssl.SSLContext | None) -> AsyncIterator[tuple[int, list[Mapping[str, str]]]]:
    """Serve an API under `HOST`; give its port, and the headers of the requests that arrive."""
    arrived: list[Mapping[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        arrived.append(request.headers)
        return web.json_response({"orgId": "ORG"})

    application = web.Application()
    application.router.add_get("/me", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
    try:
        yield port, arrived
    finally:
        await runner.cleanup()
        await closed()


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """What came of a question."""

    answer: Answer | NoAnswer
    arrived: Sequence[Mapping[str, str]]
    passed: Sequence[str]
    """The methods that Squid has noted."""


def ask(
    squid: Squid, environ: Mapping[str, str], *, scheme: str = "https", host: str = HOST, is_up: bool = True
) -> Asked:
    """Ask an API whose key it is, in this environment."""
    noted = len(squid.log())

    async def run() -> tuple[Answer | NoAnswer, Sequence[Mapping[str, str]]]:
        async with api(server_tls(squid.certificates) if scheme == "https" else None) as (port, arrived):
            transport = Transport(10.0, 10.0, 10.0, proxies=Proxies.of(environ), tls=Tls())
            url = f"{scheme}://{host}:{port if is_up else free_port()}"
            async with FullStory(
                ApiKey(KEY), SystemClock(), base_url=url, allow_private=True, transport=transport
            ) as it:
                return await it.me(), arrived

    answer, arrived = asyncio.run(run())
    if isinstance(answer, Answer):  # Squid notes what it has passed on a little later
        wait_until(lambda: len(squid.log()) > noted, "Squid has noted it", 10.0, 0.02)
    return Asked(answer, arrived, squid.log()[noted:])


WELL = Answer(200, {"orgId": "ORG"})


def test_a_tunnel_is_opened_and_only_fullstory_sees_the_key(squid: Squid) -> None:
    """A proxy without a login opens a tunnel."""
    asked = ask(squid, {"https_proxy": f"http://127.0.0.1:{squid.open_port}"})
    assert asked.answer == WELL
    assert asked.passed == ["CONNECT"]
    assert asked.arrived[0]["Authorization"] == f"Basic {KEY}"


def test_a_login_of_any_characters_opens_a_tunnel_and_goes_no_further(squid: Squid) -> None:
    """A login with characters beyond latin-1 is taken, and FullStory does not receive it."""
    asked = ask(squid, {"https_proxy": f"http://{LOGIN}@127.0.0.1:{squid.port}"})
    assert asked.answer == WELL
    assert "Proxy-Authorization" not in asked.arrived[0]


@pytest.mark.parametrize("login", ["", "me:wr0ng@"])
def test_a_login_that_is_missing_or_wrong_is_told(squid: Squid, login: str) -> None:
    """A 407 of the proxy is no answer of FullStory, and its detail says whose login is meant, and not the login."""
    asked = ask(squid, {"HTTPS_PROXY": f"http://{login}127.0.0.1:{squid.port}"})
    assert isinstance(asked.answer, NoAnswer)
    said = f"the proxy 127.0.0.1:{squid.port} answers 407: check the user name and password in HTTPS_PROXY"
    assert asked.answer.detail == said
    assert asked.arrived == []


@pytest.mark.parametrize("login", ["", f"{LOGIN}@"], ids=["without", "with"])
def test_a_proxy_is_spoken_to_by_tls(squid: Squid, login: str) -> None:
    """An https proxy carries TLS within TLS, with its own certificate verified, too."""
    asked = ask(squid, {"https_proxy": f"https://{login}127.0.0.1:{squid.tls_port}"})
    if login:
        assert asked.answer == WELL
    else:
        assert isinstance(asked.answer, NoAnswer)
        assert "answers 407" in asked.answer.detail


def test_an_https_proxy_that_nobody_vouches_for_gets_no_login(squid: Squid) -> None:
    """The certificate of an https proxy has to be for its name: the login is not sent else."""
    asked = ask(squid, {"https_proxy": f"https://{LOGIN}@[::ffff:127.0.0.1]:{squid.tls_port}"})
    assert isinstance(asked.answer, NoAnswer)
    assert asked.answer.detail.startswith("the certificate of the proxy")
    assert asked.passed == []


def test_no_proxy_leads_past_the_proxy(squid: Squid) -> None:
    """What `no_proxy` names is asked directly: a name that only the proxy knows is then not found."""
    environ = {"https_proxy": f"http://127.0.0.1:{squid.open_port}", "no_proxy": "10.0.0.0/8,.example.com"}
    asked = ask(squid, environ)
    assert isinstance(asked.answer, NoAnswer)
    assert asked.answer.detail.startswith(HOST)
    assert asked.passed == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_without_tls_each_request_brings_the_login(squid: Squid, scheme: str) -> None:
    """A gateway of yours without TLS is asked without a tunnel, and the proxy takes the login from each request."""
    port = squid.port if scheme == "http" else squid.tls_port
    asked = ask(squid, {"http_proxy": f"{scheme}://{LOGIN}@127.0.0.1:{port}"}, scheme="http")
    assert asked.answer == WELL
    assert asked.passed == ["GET"]
    assert "Proxy-Authorization" not in asked.arrived[0]


def test_what_the_proxy_cannot_reach_is_told(squid: Squid) -> None:
    """A tunnel that the proxy cannot open is told with its status."""
    proxy = f"http://127.0.0.1:{squid.open_port}"
    found = [ask(squid, {"https_proxy": proxy}, host=host, is_up=False) for host in (HOST, "no-such-name.example")]
    details = [each.answer.detail for each in found if isinstance(each.answer, NoAnswer)]
    said = f"the proxy {proxy.removeprefix('http://')} answers"
    assert [each.partition(":443")[0].rpartition(": ")[0] for each in details] == [f"{said} 503", f"{said} 500"]


def test_a_proxy_that_is_away_is_told(squid: Squid) -> None:
    """A proxy that does not listen is named, with its variable."""
    asked = ask(squid, {"all_proxy": "http://me:s3cret@127.0.0.1:1"})
    assert isinstance(asked.answer, NoAnswer)
    assert asked.answer.detail == "the proxy 127.0.0.1:1 refuses connections: check all_proxy, and that it runs"


def test_a_renewed_bundle_is_trusted_without_a_restart(
    squid: Squid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The authorities of a bundle that is replaced while the worker runs are trusted, by the way to a proxy, too."""
    other = tmp_path / "other"
    other.mkdir()
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(Certificates.make(other).authority.read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))

    async def run() -> Sequence[Answer | NoAnswer]:
        async with api(server_tls(squid.certificates)) as (port, _arrived):
            tls = Tls()
            proxies = Proxies.of({"https_proxy": f"https://{LOGIN}@127.0.0.1:{squid.tls_port}"})
            transport = Transport(10.0, 10.0, 10.0, proxies=proxies, tls=tls)
            url = f"https://{HOST}:{port}"
            async with FullStory(ApiKey(KEY), SystemClock(), base_url=url, transport=transport) as it:
                before = await it.me()
                shutil.copy(squid.certificates.authority, bundle)
                assert tls.renew()
                return before, await it.me()

    before, after = asyncio.run(run())
    assert isinstance(before, NoAnswer)
    assert before.detail.startswith("the certificate of the proxy 127.0.0.1")
    assert after == WELL
