"""Variables without a prefix of ours, which other programs follow, too: proxies, and whom TLS trusts.

No message about them holds a part of a value.
"""

import ssl
from collections.abc import Callable, Iterator, Mapping
from itertools import chain

from processor.adapters.proxies import NO_PROXY, PROXY_VARIABLES, Proxies, direct_of, given, proxy_of
from processor.adapters.tls import AUTHORITIES, trust
from processor.model.errors import ConfigurationError

_LOWER = (*PROXY_VARIABLES, NO_PROXY)
SURROUNDINGS = frozenset(chain(_LOWER, (name.upper() for name in _LOWER), AUTHORITIES))
"""The names of all of them."""


def read(environ: Mapping[str, str]) -> Proxies:
    """Return the proxies; raise `ConfigurationError` for each variable that cannot be used."""
    problems: list[str] = []
    proxies = Proxies()
    try:
        proxies = Proxies.of(environ)
    except ConfigurationError as error:
        problems += error.problems
    try:
        if any(environ.get(name) for name in AUTHORITIES):
            trust(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), environ)
    except ConfigurationError as error:
        problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    return proxies


def disclosed(environ: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Iterate over those that are set, each with its value, masked where there is a login; None if it is not valid."""
    for name, (variable, text) in given(environ).items():
        yield variable, _valid(_exceptions if name == NO_PROXY else _proxy, variable, text)
    for name in AUTHORITIES:
        if value := environ.get(name):
            yield name, _valid(_authorities, name, value)


def _valid(shown: Callable[[str, str], str], variable: str, text: str) -> str | None:
    try:
        return shown(variable, text)
    except (ValueError, ConfigurationError):
        return None


def _proxy(variable: str, text: str) -> str:
    return proxy_of(variable, text).masked


def _exceptions(_variable: str, text: str) -> str:
    direct_of(text)
    return text


def _authorities(variable: str, text: str) -> str:
    trust(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), {variable: text})
    return text
