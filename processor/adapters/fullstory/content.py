"""The body of an answer: read up to a bound, unzipped up to the same bound, parsed."""

import zlib
from typing import Any

import orjson
from aiohttp import ClientResponse

TOO_LARGE = object()
"""Stands for a body that exceeds its bound."""

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_ZIPPED = frozenset({"gzip", "x-gzip", "deflate"})


async def read(response: ClientResponse, bound: int) -> Any:
    """Return the body as it came over the wire, in bytes; `TOO_LARGE` when it exceeds the bound.

    aiohttp closes a connection that is given back with a body half read.
    """
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > bound:
            return TOO_LARGE
    return bytes(body)


def parsed(body: Any, encoding: str, bound: int) -> Any:
    """Return what the JSON of what was read says; None when there is none, `TOO_LARGE` when it exceeds the bound."""
    try:
        plain = _unzipped(body, bound) if body is not TOO_LARGE and encoding.lower() in _ZIPPED else body
        return TOO_LARGE if plain is TOO_LARGE else orjson.loads(plain)
    except (zlib.error, orjson.JSONDecodeError):
        return None


def _unzipped(body: bytes, bound: int) -> Any:
    plain = zlib.decompressobj(_GZIP_OR_ZLIB).decompress(body, bound + 1)
    return TOO_LARGE if len(plain) > bound else plain
