"""Why a request ended without an answer, in words for people that end with what to do.

Rules:

1. Nothing of what was received is told: where an answer is no HTTP, aiohttp (3.14, 2026-11) quotes its bytes in the
   text of its error, so that text is never used. Nothing of a proxy's login is told either.
2. Each text is one clause, for it stands in the cause of a halt. The table of docs/runbook.md has them all.
"""

import socket
import ssl
from typing import NamedTuple

import aiohttp
from yarl import URL

from processor.adapters.network import reason_of
from processor.adapters.proxies import Proxy

_UNTRUSTED = frozenset({2, 18, 19, 20, 21})
"""Of OpenSSL's X509_V_ERR_…: no issuer that is trusted, or the certificate is its own issuer."""
_OTHER_NAME = frozenset({62, 64})
_NOT_YET, _EXPIRED = 9, 10

_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "UNKNOWN_PROTOCOL"})
"""What OpenSSL (1.1 to 3.5) makes of a server that speaks something else."""


class _Place(NamedTuple):
    """Who was spoken to, and the setting that says so."""

    name: str
    setting: str


def told(error: Exception, base_url: str, proxy: Proxy | None) -> str:
    """Return why; `error` is what aiohttp raised, `base_url` FullStory's address, which `proxy` leads to."""
    api = _Place(_address(URL(base_url)), "PROCESSOR_FULLSTORY__BASE_URL")
    of_proxy = api if proxy is None else _Place(f"the proxy {proxy.place}", proxy.variable)
    match error:
        case aiohttp.ClientConnectorError():
            return _not_connected(error, api if f"{error.host}:{error.port}" == api.name else of_proxy)
        case aiohttp.ClientResponseError():
            return _answered(error, api, of_proxy)
        case aiohttp.ConnectionTimeoutError():
            return f"no connection to {api.name} in time: check the network, and firewalls and proxies in between"
        case TimeoutError():
            return f"{api.name} does not answer in time: see FullStory's status page, and proxies in between"
        case aiohttp.ClientPayloadError():
            return f"the answer of {api.name} breaks off: check proxies in between"
        case aiohttp.ServerDisconnectedError() | ConnectionError() | aiohttp.ClientConnectionResetError():
            return f"the connection to {api.name} is closed before an answer: check firewalls and proxies in between"
    # aiohttp (3.14) gives a ClientOSError the number of its cause, and that of an SSLError is OpenSSL's own.
    reason = reason_of(error.__cause__ or error)
    if reason is not None and reason.endswith("certificate required"):
        return f"{api.name} asks for a certificate of the client's own: check who answers there"
    if isinstance(error, aiohttp.ClientOSError) and reason is not None:
        return f"the connection to {api.name} breaks ({reason}): check firewalls and proxies in between"
    return f"the request to {api.name} fails ({reason or type(error).__name__})"


def _not_connected(error: aiohttp.ClientConnectorError, place: _Place) -> str:
    match error.os_error:
        case ssl.SSLCertVerificationError() as fault:
            return _certificate(fault, place)
        case ssl.SSLError(reason=str() as reason) if reason in _NO_TLS:
            return f"{place.name} does not speak TLS: check {place.setting}, its port above all"
        case ssl.SSLError():
            return f"the TLS handshake with {place.name} fails ({reason_of(error.os_error)}): check {place.setting}"
        case socket.gaierror():
            name = place.name.rpartition(":")[0]
            return f"{name} is not found ({reason_of(error.os_error)}): check {place.setting} and DNS"
        case OSError() as fault if isinstance(error, aiohttp.ClientConnectorDNSError):
            return str(fault)  # of our own resolver
        case ConnectionRefusedError():
            return f"{place.name} refuses connections: check {place.setting}, and that it runs"
        case ConnectionResetError():  # asyncio's (Python 3.11) has no number where the other side ends the handshake
            return f"{place.name} closes the connection at once: check {place.setting}, and firewalls in between"
    reason = reason_of(error.os_error) or type(error.os_error).__name__
    return f"{place.name} cannot be reached ({reason}): check {place.setting}, and firewalls in between"


def _answered(error: aiohttp.ClientResponseError, api: _Place, of_proxy: _Place) -> str:
    """Return what a proxy said when it was asked to connect, or that it was no HTTP."""
    place = api if _address(error.request_info.real_url) == api.name else of_proxy
    if not isinstance(error, aiohttp.ClientHttpProxyError):
        return f"what {place.name} answers is not HTTP: check {place.setting}, and proxies in between"
    if error.status == 407:
        return f"{place.name} answers 407: check the user name and password in {place.setting}"
    return f"{place.name} answers {error.status}: check that it allows connections to {api.name}"


def _certificate(fault: ssl.SSLCertVerificationError, place: _Place) -> str:
    code = fault.verify_code
    if code == _EXPIRED:
        return f"the certificate of {place.name} has expired: have it renewed, or set this computer's clock"
    if code == _NOT_YET:
        return f"the certificate of {place.name} is not valid yet: set this computer's clock"
    if code in _OTHER_NAME:
        return f"the certificate of {place.name} is for another name: check {place.setting}, and who answers there"
    if code in _UNTRUSTED:
        return (
            f"the certificate of {place.name} is signed by nobody whom this computer trusts: "
            "if your proxy signs it, name its authority in SSL_CERT_FILE"
        )
    return f"the certificate of {place.name} is not valid ({fault.verify_message}): have it replaced"


def _address(url: URL) -> str:
    """Return host and port alone: a proxy's URL may hold a login."""
    return f"{url.raw_host}:{url.port}"
