"""What each server answers by itself, without a worker: docs/gateways.md says it, and this is where it comes from."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import pytest

from tests.gateways.servers import CONFIG, KINDS, Changes, Gateway
from tests.kafka.cluster import free_port
from tests.kafka.programs import SandboxProgram, sandbox

PAGE = Path(__file__).parents[2] / "docs" / "gateways.md"
ANSWER_S = 30.0
LARGE = 120_000
"""Bytes that a server is told to take at most; the core rule set takes a little more by itself."""
INJECTION = "' OR 1=1; DROP TABLE users; -- /etc/passwd"
"""What the core rule set takes for an attack."""

FRONTEND = "    default_backend fullstory\n"
HANDLER = "    reverse_proxy https://api.fullstory.com {\n"
FILTERS = "                http_filters:\n"
ROUTE = "route: {cluster: fullstory, host_rewrite_literal: api.fullstory.com, timeout: 90s}"


def envoy_filter(name: str, kind: str, *settings: str) -> Changes:
    """Return the change that puts a filter of Envoy's before its router."""
    lines = [
        f"- name: envoy.filters.http.{name}",
        "  typed_config:",
        f'    "@type": type.googleapis.com/envoy.extensions.filters.http.{name}.v3.{kind}',
        *(f"    {each}" for each in settings),
    ]
    return {FILTERS: FILTERS + "".join(f"                  {each}\n" for each in lines)}


AWAY: dict[str, Changes] = {kind: {} for kind in KINDS}
SILENT: dict[str, Changes] = {
    "nginx": {"proxy_read_timeout 90s": "proxy_read_timeout 1s"},
    "haproxy": {"timeout server 90s": "timeout server 1s"},
    "apache": {"timeout=90": "timeout=1"},
    "squid": {"read_timeout 90 seconds": "read_timeout 1 second"},
    "caddy": {HANDLER: f"{HANDLER}transport http {{\nresponse_header_timeout 1s\n}}\n"},
    "caddy-2.6": {HANDLER: f"{HANDLER}transport http {{\nresponse_header_timeout 1s\n}}\n"},
    "envoy": {"timeout: 90s": "timeout: 1s"},
}
TOO_LARGE: dict[str, Changes] = {
    "nginx": {"client_max_body_size 8m": f"client_max_body_size {LARGE}"},
    "haproxy": {FRONTEND: f"    http-request deny deny_status 413 if {{ req.body_size gt {LARGE} }}\n{FRONTEND}"},
    "apache": {"SecRuleEngine Off": f"SecRuleEngine Off\n    LimitRequestBody {LARGE}"},
    "squid": {"cache deny all": f"cache deny all\nrequest_body_max_size {LARGE} bytes"},
    "caddy": {HANDLER: f"    request_body {{\nmax_size {LARGE}\n}}\n{HANDLER}"},
    "caddy-2.6": {HANDLER: f"    request_body {{\nmax_size {LARGE}\n}}\n{HANDLER}"},
    "envoy": envoy_filter("buffer", "Buffer", f"max_request_bytes: {LARGE}"),
}
SLASHES: dict[str, Changes] = {
    "nginx": {"https://api.fullstory.com;": "https://api.fullstory.com/;"},
    "haproxy": {},
    "apache": {"    AllowEncodedSlashes NoDecode\n": "", " nocanon": ""},
    "squid": {},
    "caddy": {},
    "caddy-2.6": {},
    "envoy": {},
}
NO_ROUTE: dict[str, Changes] = {
    "nginx": {"location / {": "location /other {"},
    "haproxy": {FRONTEND: ""},
    "apache": {"ProxyPass / ": "ProxyPass /other "},
    "caddy": {HANDLER: HANDLER.replace("reverse_proxy", "reverse_proxy /other")},
    "caddy-2.6": {HANDLER: HANDLER.replace("reverse_proxy", "reverse_proxy /other")},
    "envoy": {"prefix: /}": "prefix: /other}"},
}
RATE: dict[str, Changes] = {
    "nginx": {
        "server {": "limit_req_zone $binary_remote_addr zone=all:1m rate=1r/m;\nserver {\n    limit_req zone=all;",
    },
    "haproxy": {
        FRONTEND: "    stick-table type ip size 1k expire 1m store http_req_rate(1m)\n    http-request track-sc0 src\n"
        f"    http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 1 }}\n{FRONTEND}"
    },
    "envoy": envoy_filter(
        "local_ratelimit",
        "LocalRateLimit",
        "stat_prefix: rate",
        "token_bucket: {max_tokens: 1, tokens_per_fill: 1, fill_interval: 60s}",
        "filter_enabled: {default_value: {numerator: 100, denominator: HUNDRED}}",
        "filter_enforced: {default_value: {numerator: 100, denominator: HUNDRED}}",
    ),
}
FIREWALL: dict[str, Changes] = {"apache": {"SecRuleEngine Off": "SecRuleEngine On"}}
DETECTION: dict[str, Changes] = {"apache": {"SecRuleEngine Off": "SecRuleEngine DetectionOnly"}}
NO_LOGIN: dict[str, Changes] = {"squid": {" login=PASSTHRU": ""}}

NO_LIMIT: dict[str, Changes] = {
    **AWAY,
    "nginx": {"    client_max_body_size 8m;\n": ""},
}

QUESTIONS = {
    "FullStory cannot be reached": AWAY,
    "FullStory does not answer in time": SILENT,
    "a body is above the limit that you set": TOO_LARGE,
    "a body has 2 MiB, and you set no limit": NO_LIMIT,
    "a path holds the `%2F` of a job's id": SLASHES,
    "no route takes the path": NO_ROUTE,
    "requests exceed a rate": RATE,
    "a record looks like an attack": FIREWALL,
    "a body has 300 events, and rules are in force": FIREWALL,
    "a body has 240 kB, and rules are in force": FIREWALL,
    "a body has 240 kB, and rules only detect": DETECTION,
    "nothing says to pass the login on": NO_LOGIN,
}
"""What a server is asked, each with how its configuration differs from the recommended one."""


class Said(NamedTuple):
    """What identifies an answer; `speaker` is its `Server` header, as far as it stays the same with an update."""

    status: int
    media_type: str
    speaker: str

    def __str__(self) -> str:
        """Return it as the page says it."""
        return f"{self.status}, {self.media_type or 'no media type'}, {self.speaker or 'no `Server`'}"


def ask(gateway: Gateway, method: str, path: str, body: bytes | None = None) -> Said:
    """Ask as the worker does."""
    connection = HTTPConnection("127.0.0.1", gateway.port, timeout=ANSWER_S)
    headers = {"Authorization": "Basic na1.architect", "Content-Type": "application/json"}
    try:
        with suppress(ConnectionError):  # it may answer before it has read the body
            connection.request(method, path, body, headers)
        with connection.getresponse() as found:
            found.read()
            assert found.getheader("Retry-After") is None
            media_type = (found.getheader("Content-Type") or "").partition(";")[0]
            server = found.getheader("Server") or ""
            product = re.match(r"\w+(?:/\d+\.\d+)?", server)
            speaker = "FullStory" if "aiohttp" in server else product[0] if product else ""
            return Said(found.status, media_type, speaker)
    finally:
        connection.close()


@contextmanager
def silence() -> Iterator[str]:
    """Listen, and never answer; return where."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(scope="module")
def fullstory() -> Iterator[SandboxProgram]:
    """Give the sandbox that all servers lead to; none is asked for what another has left there."""
    with sandbox() as server:
        yield server


def answer(kind: str, question: str, fullstory: SandboxProgram, folder: Path) -> Said:
    """Return what a server says when it is asked for what the question is about."""
    changes = QUESTIONS[question][kind]
    with ExitStack() as stack:
        upstream = urlsplit(fullstory.url).netloc
        if question == "FullStory cannot be reached":
            upstream = f"127.0.0.1:{free_port()}"
        elif question == "FullStory does not answer in time":
            upstream = stack.enter_context(silence())
        gateway = Gateway(kind, folder / kind, upstream, changes)
        stack.enter_context(gateway.running())
        match question:
            case "a body has 2 MiB, and you set no limit":
                return ask(gateway, "POST", "/v2/events/batch", batch("x" * 2 * 1024 * 1024))
            case "a record looks like an attack":
                return ask(gateway, "POST", "/v2/events/batch", batch(INJECTION))
            case "a body has 300 events, and rules are in force":
                return ask(gateway, "POST", "/v2/events/batch", batch(*["fine"] * 300))
            case _ if question.startswith("a body"):
                return ask(gateway, "POST", "/v2/events/batch", batch("x" * 2 * LARGE))
            case "a path holds the `%2F` of a job's id":
                return ask(gateway, "GET", f"/v2/events/batch/{quote(job(gateway, fullstory), safe='')}")
            case "requests exceed a rate":
                ask(gateway, "GET", "/me")
        return ask(gateway, "GET", "/me")


def batch(*texts: str) -> bytes:
    """Return a request of an event for each text."""
    event = {"name": "Seen", "timestamp": "2026-01-01T00:00:00Z", "user": {"uid": "u"}}
    return json.dumps({"requests": [{**event, "properties": {"text": each}} for each in texts]}).encode()


def job(gateway: Gateway, fullstory: SandboxProgram) -> str:
    """Return the id of a job; it holds slashes."""
    ask(gateway, "POST", "/v2/events/batch", batch("fine"))
    found: str = fullstory.jobs()[-1]["id"]
    assert "/" in found
    return found


ROWS = re.findall(r"(?m)^\| (\S.*?) \| (\S.*?) \| (\d+, .*?) \| .* \|$", PAGE.read_text(encoding="utf-8"))
NAMES = {
    "nginx": "nginx 1.22",
    "haproxy": "HAProxy 2.6",
    "apache": "Apache 2.4",
    "squid": "Squid 5.7",
    "caddy": "Caddy 2.11",
    "caddy-2.6": "Caddy 2.6",
    "envoy": "Envoy 1.40",
}
"""What the page calls the servers."""
ASKED = [(kind, question) for question, kinds in QUESTIONS.items() for kind in kinds]


def test_the_page_has_a_row_for_each_question() -> None:
    """docs/gateways.md says of each server all that is asked here, and nothing that is not."""
    assert sorted((server, question) for question, server, _ in ROWS) == sorted(
        (NAMES[kind], question) for kind, question in ASKED
    )


@pytest.mark.parametrize(("kind", "question"), ASKED)
def test_a_server_answers_as_the_page_says(kind: str, question: str, fullstory: SandboxProgram, tmp_path: Path) -> None:
    """Status, media type and `Server` header are those of docs/gateways.md."""
    (said,) = {answer for asked, server, answer in ROWS if (server, asked) == (NAMES[kind], question)}

    assert str(answer(kind, question, fullstory, tmp_path)) == said


SNIPPETS = re.findall(r"(?ms)^<!-- (\S+) -->\n+```\w*\n(.*?)^```", PAGE.read_text(encoding="utf-8"))


def test_the_page_recommends_what_the_tests_run() -> None:
    """Each configuration of docs/gateways.md is, word for word, the file that the tests start the server with."""
    assert sorted(SNIPPETS) == sorted((file.name, file.read_text(encoding="utf-8")) for file in CONFIG.iterdir())
