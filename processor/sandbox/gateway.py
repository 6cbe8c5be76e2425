"""Something between a client and FullStory that answers in its place: a proxy, a load balancer, a firewall.

The answers are those of real programs at their defaults. None has FullStory's form, and no request that is answered so
reaches FullStory.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from aiohttp import web

LARGE_BYTES = 64 * 1024
"""A body above it is too large for a gateway that minds."""

SUSPICIOUS = b"<script"
"""What a firewall refuses in a body."""


class Gateway(StrEnum):
    """What the gateway answers (docs/fullstory-api.md#gateways)."""

    HTML_200 = "html-200"
    JSON_200 = "json-200"
    EMPTY_204 = "204"
    LOGIN_302 = "302"
    HTML_403 = "html-403"
    JSON_403 = "json-403"
    WAF_403 = "waf-403"
    HTML_404 = "html-404"
    JSON_404 = "json-404"
    SLASH_404 = "404-on-slash"
    LARGE_413 = "413-large"
    HTML_502 = "html-502"
    LARGE_502 = "502-large"
    HTML_503 = "html-503"
    LIMIT_503 = "limit-503"
    CLOSE_LARGE = "close-large"


class Interception(NamedTuple):
    """What it answers, and to which requests."""

    text: str
    """In words that go on after "a gateway"."""
    status: int | None
    """None: it closes the connection."""
    body: bytes = b""
    media_type: str = "text/html"
    headers: Mapping[str, str] = MappingProxyType({})
    applies: Callable[[web.BaseRequest, bytes], bool] | None = None
    """Of a request and its body, as far as it was read; None: to every request."""

    def response(self) -> web.Response:
        """Return its answer, which names another server than FullStory."""
        assert self.status is not None, "it closes the connection"
        headers = {"Server": "gateway", **self.headers}
        return web.Response(status=self.status, body=self.body, content_type=self.media_type, headers=headers)


def _page(title: str) -> bytes:
    return f"<html>\r\n<head><title>{title}</title></head>\r\n<body><h1>{title}</h1></body>\r\n</html>\r\n".encode()


def _is_large(request: web.BaseRequest, _body: bytes) -> bool:
    return (request.content_length or 0) > LARGE_BYTES


def _is_suspicious(_request: web.BaseRequest, body: bytes) -> bool:
    return SUSPICIOUS in body.lower()


def _has_escaped_slash(request: web.BaseRequest, _body: bytes) -> bool:
    return "%2f" in request.rel_url.raw_path.lower()


_LARGE = f"bodies of more than {LARGE_BYTES:,} bytes"
_JSON = "application/json"
_BUSY = _page("503 Service Temporarily Unavailable")

GATEWAYS: Mapping[Gateway, Interception] = MappingProxyType(
    {
        Gateway.HTML_200: Interception("answers 200 with a page in HTML", 200, _page("We will be back soon")),
        Gateway.JSON_200: Interception(
            "answers 200 with JSON of its own", 200, b'{"status":"maintenance"}', media_type=_JSON
        ),
        Gateway.EMPTY_204: Interception("answers 204 without a body", 204),
        Gateway.LOGIN_302: Interception(
            "redirects to a login page with 302", 302, _page("302 Found"), headers={"Location": "/login"}
        ),
        Gateway.HTML_403: Interception("answers 403 with a page in HTML", 403, _page("403 Forbidden")),
        Gateway.JSON_403: Interception(
            "answers 403 with JSON of its own", 403, b'{"message":"Forbidden"}', media_type=_JSON
        ),
        Gateway.WAF_403: Interception(
            f"answers 403 with a page in HTML to bodies that hold {SUSPICIOUS.decode()}",
            403,
            _page("403 Forbidden"),
            applies=_is_suspicious,
        ),
        Gateway.HTML_404: Interception("answers 404 with a page in HTML", 404, _page("404 Not Found")),
        Gateway.JSON_404: Interception(
            "answers 404 with JSON of its own",
            404,
            b'{"message":"no Route matched with those values"}',
            media_type=_JSON,
        ),
        Gateway.SLASH_404: Interception(
            "answers 404 with a page in HTML to paths with %2F, as hard job ids have",
            404,
            _page("404 Not Found"),
            applies=_has_escaped_slash,
        ),
        Gateway.LARGE_413: Interception(
            f"answers 413 with a page in HTML to {_LARGE}", 413, _page("413 Content Too Large"), applies=_is_large
        ),
        Gateway.HTML_502: Interception("answers 502 with a page in HTML", 502, _page("502 Bad Gateway")),
        Gateway.LARGE_502: Interception(f"answers 502 without a body to {_LARGE}", 502, applies=_is_large),
        Gateway.HTML_503: Interception(
            "answers 503 with a page in HTML and Retry-After: 3600", 503, _BUSY, headers={"Retry-After": "3600"}
        ),
        Gateway.LIMIT_503: Interception(
            "answers 503 with a page in HTML, without Retry-After, where FullStory's request rate answers 429",
            503,
            _BUSY,
            applies=lambda _request, _body: False,
        ),
        Gateway.CLOSE_LARGE: Interception(f"closes the connection on {_LARGE}", None, applies=_is_large),
    }
)
