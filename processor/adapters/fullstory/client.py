"""The HTTP client. It asks and reports; what an answer means is decided in processor/engine/verdict.py.

Rules:

1. Every call ends with a value. Whatever status line arrives complete with its body is an `Answer`; what the network
   or TLS did instead is a `NoAnswer`, because then nobody knows whether FullStory took the request.
2. `Answer.body` is None where the body is no JSON or exceeds its bound: the status still counts, and a success
   that lacks what it must hold is none of FullStory's. No answer may cost more memory than its bound.
3. No POST is repeated and no redirect is followed: the caller repeats, under its key and within its limits; a redirect
   could lead the API key elsewhere.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Self, final
from urllib.parse import quote

import aiohttp
from yarl import URL

from processor import __version__
from processor.adapters.fullstory import content
from processor.adapters.fullstory.address import base_url_of, is_loopback
from processor.adapters.fullstory.key import ApiKey
from processor.adapters.fullstory.no_answer import told
from processor.adapters.fullstory.resolver import PublicResolver
from processor.adapters.fullstory.retry_after import http_date_s, retry_after_s
from processor.adapters.fullstory.transport import Transport
from processor.engine.verdict import Answer, NoAnswer, RetryReason
from processor.model.reasons import Kind
from processor.runtime.ports import Clock

MAX_ANSWER_BYTES = 1024 * 1024
"""Ids, job states and error messages are a few hundred bytes; a user echoed whole stays below this."""

MAX_ERRORS_PAGE_BYTES = 64 * 1024 * 1024
"""A page of failed items echoes each whole. Its size is undocumented: 1,000 items of the 32 KB that Segment allows,
twice that after escaping."""

KEEP_ALIVE_S = 15.0
"""How long an idle connection is kept: shorter than the 30 to 600 s after which load balancers close theirs, because
a POST that meets a closing connection is lost without an answer."""

MAX_NAME_CHARACTERS = 60

HEADERS: Mapping[str, str] = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
    "User-Agent": f"segment-fullstory/{__version__}",
}
"""Of every request, beside the key's."""


def deletion_path(uid: str) -> str:
    """Return what is DELETEd to delete a user; the uid is escaped as a whole."""
    return f"/v2/users?uid={quote(uid, safe='')}"


def post_path(kind: Kind, *, batch: bool) -> str:
    """Return where one item is POSTed, or a batch of them."""
    return f"/v2/{kind}s/batch" if batch else f"/v2/{kind}s"


def post_headers(idempotency_key: str) -> dict[str, str]:
    """Return what a POST has beside the headers of every request."""
    return {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}


@final
class FullStory:
    """FullStory's API: the `Destination` port. Made on the event loop that uses it, and closed by `async with`.

    `base_url` None means the data centre of the key. `allow_private` lets it be in a private network, in clear text
    too. Raises `ConfigurationError` as `base_url_of` does.
    """

    def __init__(
        self,
        key: ApiKey,
        clock: Clock,
        *,
        base_url: str | None = None,
        allow_private: bool = False,
        transport: Transport | None = None,
    ) -> None:
        self.base_url = base_url_of(key, base_url, allow_private=allow_private)
        self._allow_private = allow_private
        self._key = key
        self._clock = clock
        self._told_time: tuple[str, float] | None = None
        transport = transport or Transport()
        is_open = allow_private or is_loopback(self.base_url)
        resolver = None if is_open else PublicResolver(aiohttp.DefaultResolver(), URL(self.base_url).raw_host or "")
        self.proxy = transport.proxies.of_url(self.base_url)
        """The proxy on the way, which then resolves the API's name, if there is one."""
        self._tls = transport.tls
        login = {"Proxy-Authorization": found} if self.proxy and (found := self.proxy.authorization) else {}
        # The question for a tunnel brings the login; without TLS there is no tunnel, and each request has to bring it.
        has_tunnel = self.base_url.startswith("https:")
        self._tunnel_headers = login if has_tunnel else {}
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=transport.connections, keepalive_timeout=KEEP_ALIVE_S, resolver=resolver
            ),
            timeout=aiohttp.ClientTimeout(
                total=transport.total_s, sock_connect=transport.connect_s, sock_read=transport.read_s
            ),
            headers=HEADERS if has_tunnel else {**HEADERS, **login},
            middlewares=(self._authorize,),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # its bound, where it has one, is not ours
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()

    @property
    def clock_skew_s(self) -> float | None:
        """Seconds that FullStory's clock was ahead of ours at its last answer; None where it told no time."""
        if self._told_time is None:
            return None
        date, arrived_at = self._told_time
        its_time = http_date_s(date)
        return None if its_time is None else its_time - arrived_at

    def rotate(self, key: ApiKey) -> None:
        """Use this key from the next request on; raises `ConfigurationError` when it is another data centre's."""
        base_url_of(key, self.base_url, allow_private=self._allow_private)
        self._key = key

    async def post(self, kind: Kind, body: bytes, key: str, *, batch: bool) -> Answer | NoAnswer:
        """POST one item, or a batch; `key` is the Idempotency-Key."""
        return await self._call("POST", post_path(kind, batch=batch), post_headers(key), body)

    async def delete(self, uid: str) -> Answer | NoAnswer:
        """Delete a user. No key goes with it: FullStory documents keys for POSTs, and twice is as good as once."""
        return await self._call("DELETE", deletion_path(uid))

    async def job(self, kind: Kind, job_id: str) -> Answer | NoAnswer:
        """Ask for a job's state."""
        return await self._call("GET", _job_path(kind, job_id))

    async def errors(self, kind: Kind, job_id: str, page_token: str) -> Answer | NoAnswer:
        """Ask for a page of a job's failed items; the first page has an empty token."""
        query = f"?page_token={quote(page_token, safe='')}" if page_token else ""
        return await self._call("GET", f"{_job_path(kind, job_id)}/errors{query}", bound=MAX_ERRORS_PAGE_BYTES)

    async def me(self) -> Answer | NoAnswer:
        """Ask whose key this is."""
        return await self._call("GET", "/me")

    async def _authorize(
        self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Set the key last: aiohttp takes no request with a key for a host of which a .netrc holds a login."""
        request.headers["Authorization"] = self._key.authorization
        return await send(request)

    async def _call(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        bound: int = MAX_ANSWER_BYTES,
    ) -> Answer | NoAnswer:
        try:
            async with self._session.request(
                method,
                URL(self.base_url + path, encoded=True),
                headers=headers,
                data=body,  # no file: aiohttp 3.14 mostly loses an answer that comes before its last piece is sent
                allow_redirects=False,
                proxy=self.proxy and self.proxy.address,
                proxy_headers=self._tunnel_headers,
                ssl=True if self._tls is None else self._tls.context,
            ) as response:
                arrived_at = self._clock.wall()
                raw = await content.read(response, bound)
        except (aiohttp.ClientError, OSError) as error:
            reason = RetryReason.TIMEOUT if isinstance(error, TimeoutError) else RetryReason.CONNECTION
            return NoAnswer(reason, told(error, self.base_url, self.proxy), was_connected=_was_connected(error))
        found = response.headers
        self._told_time = (found.get("Date", ""), arrived_at)
        parsed = content.parsed(raw, found.get("Content-Encoding", ""), bound)
        waits_s = retry_after_s(found.get("Retry-After"), arrived_at)
        return Answer(
            response.status,
            None if parsed is content.TOO_LARGE else parsed,
            waits_s,
            exceeds_bound=parsed is content.TOO_LARGE,
            server=_named(found.get("Server", "")),
            media_type=_named(found.get("Content-Type", "").partition(";")[0].lower()),
        )


def _was_connected(error: Exception) -> bool:
    """Say whether a connection stood, to FullStory or what stands in between, and was lost or fell silent."""
    never = (
        aiohttp.ClientConnectorError,
        aiohttp.ConnectionTimeoutError,
        aiohttp.ClientSSLError,
        aiohttp.ClientHttpProxyError,
        aiohttp.InvalidURL,
    )
    return isinstance(error, aiohttp.ClientError | TimeoutError) and not isinstance(error, never)


def _named(header: str) -> str:
    """Return what of a header may stand in a log: it is somebody else's text."""
    plain = "".join(each for each in header if each.isascii() and each.isprintable() and each != ";")
    return plain[:MAX_NAME_CHARACTERS].strip()


def _job_path(kind: Kind, job_id: str) -> str:
    """Escape the id as a whole: FullStory's hold `/`, `+` and `=`."""
    return f"/v2/{kind}s/batch/{quote(job_id, safe='')}"
