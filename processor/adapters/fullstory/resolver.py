"""Where a name leads: refused when it is into a private network (rule 2 of address.py), at every connection anew."""

import socket
from typing import final

from aiohttp.abc import AbstractResolver, ResolveResult

from processor.adapters.fullstory.address import ALLOW, is_private


@final
class PublicResolver(AbstractResolver):
    """Resolves names by `inner`; of `host` it gives public addresses only.

    Other names are those of proxies, which may well be private. Raises `OSError` where no address is left.
    """

    def __init__(self, inner: AbstractResolver, host: str) -> None:
        self._inner = inner
        self._host = host

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name."""
        found = await self._inner.resolve(host, port, family)
        if host != self._host:
            return found
        public = [each for each in found if not is_private(each["host"])]
        if found and not public:
            raise OSError(f"{host} leads to the private address {found[0]['host']}; {ALLOW} allows that")
        return public

    async def close(self) -> None:
        """Close what resolves."""
        await self._inner.close()
