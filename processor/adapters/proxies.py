"""Which way an HTTP connection takes: through a proxy that the environment names, or directly (docs/proxies.md).

Rules:

1. The variables are read once, by `Proxies.of`, and a value that cannot be used is an error there and not later.
2. No message holds a part of a value: where a character is missing or too many, anything in it may be the password.
3. This computer is never asked through a proxy.
"""

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Self, final
from urllib.parse import quote, unquote_to_bytes, urlsplit

from processor.adapters.network import is_host, is_this_computer
from processor.model.errors import ConfigurationError

PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy")
NO_PROXY = "no_proxy"
EXAMPLES: Mapping[str, str] = {
    **dict.fromkeys(PROXY_VARIABLES, "http://proxy.example.com:3128"),
    NO_PROXY: "registry.example.com,.internal,10.0.0.0/8",
}

_PORTS = {"http": 80, "https": 443}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PLACE = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>.*))?")
_NO_ENTRY = "is neither a name, an address nor a network such as 10.0.0.0/8"
_ENDS_A_LOGIN = re.compile(r"[#/?\[\]\\\s]")
"""What cannot stand in a login as it is: a URL ends there, or something else of it begins."""


@final
@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy; what prints this object, or shows its `address`, shows no login."""

    variable: str
    """The variable that names it."""
    scheme: str
    place: str
    """Host and port."""
    _login: tuple[bytes, bytes] | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """Its URL without a login."""
        return f"{self.scheme}://{self.place}"

    @property
    def masked(self) -> str:
        """Its URL as people see it: whether there is a login can be seen, the login cannot."""
        return self.address if self._login is None else f"{self.scheme}://********@{self.place}"

    @property
    def url(self) -> str:
        """Its URL with the login, for the client that it is meant for and nobody else."""
        if self._login is None:
            return self.address
        return f"{self.scheme}://{':'.join(quote(each, safe='') for each in self._login)}@{self.place}"

    @property
    def authorization(self) -> str | None:
        """The value of the `Proxy-Authorization` header, if there is a login."""
        return None if self._login is None else f"Basic {b64encode(b':'.join(self._login)).decode()}"


@final
@dataclass(frozen=True, slots=True)
class Direct:
    """An entry of `no_proxy`: connections to these hosts take no proxy."""

    host: str | IPv4Network | IPv6Network
    """A name or a network; an empty name is any host."""
    port: int | None = None
    """None is any port."""
    below_only: bool = False
    """Whether the name stands only for the names below it, and not for itself."""

    def has(self, host: str, port: int) -> bool:
        """Say whether this is about a host, which is in lower case, and its port."""
        if self.port not in (None, port):
            return False
        if isinstance(self.host, str):
            return not self.host or host.endswith(f".{self.host}") or (host == self.host and not self.below_only)
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return (getattr(address, "ipv4_mapped", None) or address) in self.host


@final
@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies of an environment, by the schemes of the URLs that are asked through them."""

    by_scheme: Mapping[str, Proxy] = field(default_factory=dict)
    direct: tuple[Direct, ...] = ()

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """Read the variables; raises `ConfigurationError` with a problem for each that cannot be used."""
        problems: list[str] = []
        proxies: dict[str, Proxy] = {}
        direct: tuple[Direct, ...] = ()
        for name, (variable, text) in given(environ).items():
            try:
                if name == NO_PROXY:
                    direct = direct_of(text)
                else:
                    proxies[name] = proxy_of(variable, text)
            except ValueError as error:
                problems.append(f"{variable}: {error}; for example: {EXAMPLES[name]}")
        if problems:
            raise ConfigurationError(problems)
        by_scheme = {scheme: proxies.get(f"{scheme}_proxy", proxies.get("all_proxy")) for scheme in _PORTS}
        return cls({scheme: proxy for scheme, proxy in by_scheme.items() if proxy is not None}, direct)

    def of_url(self, url: str) -> Proxy | None:
        """Return the proxy to ask a valid http or https URL through, if there is one."""
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port or _PORTS[parts.scheme]
        if is_this_computer(host) or any(each.has(host, port) for each in self.direct):
            return None
        return self.by_scheme.get(parts.scheme)


def given(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return of each variable that is set how it is written, and its value.

    The lower case outranks the upper, and where it is empty the variable is not set, as in Python's urllib.
    """
    found: dict[str, tuple[str, str]] = {}
    for name in (*PROXY_VARIABLES, NO_PROXY):
        variable = name if name in environ else name.upper()
        if text := environ.get(variable):
            found[name] = (variable, text)
    return found


def proxy_of(variable: str, text: str) -> Proxy:
    """Return the proxy that a URL names; raise a `ValueError` for what is none."""
    if text != text.strip():
        raise ValueError("begins or ends with white space")
    scheme_found = _SCHEME.match(text)
    scheme = scheme_found[1].lower() if scheme_found else "http"
    if scheme not in _PORTS:
        what = "SOCKS proxies are not supported" if scheme.startswith("socks") else "it begins with another scheme"
        raise ValueError(f"{what}; the proxy must be one for HTTP, and its URL begin with http:// or https://")
    login_text, at, place = text[scheme_found.end() if scheme_found else 0 :].rpartition("@")
    if _ENDS_A_LOGIN.search(login_text):
        raise ValueError(
            "the user name or password holds a character that must be percent-encoded: "
            r"# as %23, / as %2F, ? as %3F, [ as %5B, \ as %5C, ] as %5D, a space as %20"
        )
    found = _PLACE.fullmatch(place.removesuffix("/"))
    host = found["host"].lower() if found else ""
    if found is None or not is_host(host):
        raise ValueError(
            "what follows the scheme and the login is not HOST:PORT" if host or not found else "the host is missing"
        )
    port = _PORTS[scheme] if found["port"] is None else _port(found["port"])
    user, _, password = login_text.partition(":")
    login = (_bytes(user), _bytes(password)) if at and login_text else None
    if login is not None and b":" in login[0]:
        raise ValueError("the user name holds a colon, which Basic authentication cannot tell from the one after it")
    return Proxy(variable, scheme, f"{host}:{port}", login)


def direct_of(text: str) -> tuple[Direct, ...]:
    """Return the entries of `no_proxy`; raise a `ValueError` for what is none, with its number and not its text."""
    entries = [each for each in re.split(r"[,\s]+", text) if each]
    found = []
    for number, entry in enumerate(entries, 1):
        try:
            found.append(_direct(entry.lower()))
        except ValueError as error:
            raise ValueError(f"entry {number} {error}") from None
    return tuple(found)


def _direct(entry: str) -> Direct:
    if entry == "*":
        return Direct("")
    if "://" in entry:
        raise ValueError("is a URL: give the host alone")
    if "/" in entry or (entry.count(":") > 1 and not entry.startswith("[")):
        return Direct(_network(entry))
    found = _PLACE.fullmatch(entry)
    if found is None:
        raise ValueError(_NO_ENTRY)
    host, port = found["host"], None if found["port"] is None else _port(found["port"])
    if host.startswith("["):
        return Direct(_network(host[1:-1]), port)
    name = host.removeprefix("*").removeprefix(".").rstrip(".")
    if not is_host(name):
        raise ValueError(_NO_ENTRY)
    if name == host and name.rpartition(".")[2].isdecimal():
        return Direct(_network(name), port)
    return Direct(name, port, below_only=host.startswith("*"))


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ValueError(_NO_ENTRY) from None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65_536):
        raise ValueError("has a port that is not a number from 1 to 65535")
    return int(text)


def _bytes(text: str) -> bytes:
    """Return the bytes that a part of a login stands for, in whatever encoding they are."""
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape"))
