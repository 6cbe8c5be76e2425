"""The body of an answer: read up to a bound, unzipped up to the same bound, parsed."""

import zlib
from typing import Any

import orjson
from aiohttp import ClientResponse

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_ZIPPED = frozenset({"gzip", "x-gzip", "deflate"})


async def read(response: ClientResponse, bound: int) -> bytes | None:
    """Return the body as it came over the wire; None when it exceeds the bound.

    aiohttp closes a connection that is given back with a body half read.
    """
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > bound:
            return None
    return bytes(body)


def parsed(body: bytes, encoding: str, bound: int) -> Any:
    """Return what the JSON says; None when there is none, or more than the bound of it."""
    try:
        plain = _unzipped(body, bound) if encoding.lower() in _ZIPPED else body
        return None if plain is None else orjson.loads(plain)
    except (zlib.error, orjson.JSONDecodeError):
        return None


def _unzipped(body: bytes, bound: int) -> bytes | None:
    plain = zlib.decompressobj(_GZIP_OR_ZLIB).decompress(body, bound + 1)
    return None if len(plain) > bound else plain
