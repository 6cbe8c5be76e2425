"""Where a name leads: not into a private network."""

import asyncio
import socket
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from processor.adapters.fullstory.resolver import PublicResolver

HOST = "api.fullstory.com"


class Names(AbstractResolver):
    """A name server that says what it is told to."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.is_closed = False

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        """Return the addresses, of any name."""
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self.addresses
        ]

    async def close(self) -> None:
        """Note it."""
        self.is_closed = True


def addresses(host: str, *known: str) -> list[str]:
    """Return where the name leads."""
    return [each["host"] for each in asyncio.run(PublicResolver(Names(*known), HOST).resolve(host, 443))]


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.7",
        "192.168.1.1",
        "172.16.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "::1",
        "fd00::1",
        "fe80::1",
        "fe80::1%eth0",
        "0.0.0.0",  # noqa: S104 - nothing is bound to it
        "::",
        "::ffff:10.0.0.7",
        "64:ff9b::10.0.0.7",
        "2002:a00:7::1",
    ],
)
def test_a_private_address_is_refused_and_the_setting_named(address: str) -> None:
    """A private address, such as a cloud's metadata service, is refused, and the message names the setting."""
    with pytest.raises(OSError, match=f"{HOST} leads to the private address .*PROCESSOR_FULLSTORY__ALLOW_PRIVATE"):
        addresses(HOST, address)


def test_of_several_addresses_the_public_ones_are_left() -> None:
    """Of several addresses only the public ones are used, in their order."""
    public = ["35.1.2.3", "2600:1901::1", "::ffff:35.1.2.3", "64:ff9b::35.1.2.3"]
    assert addresses(HOST, public[0], "10.0.0.7", *public[1:]) == public


def test_a_proxy_may_be_private() -> None:
    """A proxy may have a private address."""
    assert addresses("proxy.internal", "10.0.0.7") == ["10.0.0.7"]


def test_what_resolves_is_closed_with_it() -> None:
    """Closing the resolver closes what it wraps, so that no thread or socket is left."""
    names = Names()
    asyncio.run(PublicResolver(names, HOST).close())
    assert names.is_closed
