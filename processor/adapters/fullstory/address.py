"""Where the API is: by the key's data centre, or where the operator says.

Rules:

1. A key is never sent to the FullStory of another data centre than its own, and never in clear text across a network.
2. It is never sent to a private address either, whatever a name server says, unless the operator allows that: one who
   can change a name could otherwise have the key sent to a service within the network. This computer is no network.
3. Whatever else the operator names is believed: a gateway, a sandbox, a data centre that opened after this release.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from processor.adapters.fullstory.key import ApiKey
from processor.adapters.network import is_host, is_this_computer
from processor.model.errors import ConfigurationError

HOSTS = {"na1": "api.fullstory.com", "eu1": "api.eu1.fullstory.com"}
"""FullStory's data centres and their hosts (docs/fullstory-api.md#data-centres)."""

ALLOW = "PROCESSOR_FULLSTORY__ALLOW_PRIVATE=true"

_NAT64 = IPv6Network("64:ff9b::/96")
"""Where a gateway translates (RFC 6052), also, against the standard, to private addresses."""

_DEFAULT_REALM = "na1"
_VARIABLE = "PROCESSOR_FULLSTORY__BASE_URL"
_EXAMPLE = "for example https://api.fullstory.com"


def base_url_of(key: ApiKey, configured: str | None, *, allow_private: bool = False) -> str:
    """Return the API's base URL without a slash at its end; raises `ConfigurationError` when the two do not agree."""
    if not configured:
        return f"https://{HOSTS.get(key.realm or _DEFAULT_REALM, HOSTS[_DEFAULT_REALM])}"
    url = _split(configured)
    problem = "it is not a URL" if url is None else _problem(url, key, allow_private=allow_private)
    if url is None or problem is not None:
        raise ConfigurationError([f"{_VARIABLE}: {problem}; {_EXAMPLE}"])
    return f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}"


def is_loopback(base_url: str) -> bool:
    """Say whether the host is this computer itself."""
    return is_this_computer(urlsplit(base_url).hostname or "")


def is_private(address: str) -> bool:
    """Say whether an IP address is none of the public internet's, in whatever form; a name is not one."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    return not (_within(ip) or ip).is_global


def _within(ip: IPv4Address | IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address stands for."""
    if isinstance(ip, IPv4Address):
        return None
    translated = IPv4Address(ip.packed[-4:]) if ip in _NAT64 else None
    return ip.ipv4_mapped or ip.sixtofour or translated


def _split(text: str) -> SplitResult | None:
    if not text.isascii() or not text.isprintable() or " " in text:  # urlsplit would drop some of these in silence
        return None
    try:
        url = urlsplit(text)
        host = url.hostname or ""
        has_host = is_host(f"[{host}]" if ":" in host else host) and url.port != 0  # reading the port checks it
    except ValueError:
        return None
    return url if has_host and url.scheme in ("http", "https") else None


def _problem(url: SplitResult, key: ApiKey, *, allow_private: bool) -> str | None:
    host = (url.hostname or "").rstrip(".")
    if "@" in url.netloc:
        return "it must not hold a user name or password: the key is the only credential"
    if url.query or url.fragment:
        return "it must not hold a query or a fragment"
    if not allow_private and not is_loopback(url.geturl()):
        if url.scheme == "http":
            return f"http would send the API key to {host} in clear text; use https, or {ALLOW} if all of it is yours"
        if is_private(host):
            return f"{host} is a private address; {ALLOW} allows that"
    if host not in HOSTS.values():
        return None
    if url.path.strip("/"):
        return f"{host} has no path {url.path}: the worker adds /v2 itself"
    own_host = HOSTS.get(key.realm or "", host)
    if own_host != host:
        return f"the API key belongs to the data centre {key.realm}, whose host is {own_host}, not {host}"
    return None
