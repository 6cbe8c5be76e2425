"""A destination that costs next to nothing: it answers every request as FullStory would, and keeps a count.

`python -m bench.sink PORT` listens on loopback. Batches are jobs that are complete at once.
"""

import asyncio
import sys
from typing import final

JOB = b'{"job":{"id":"bench","status":"COMPLETED"},"imports":0,"errors":0}'
ME = b'{"email":"bench@example.com","orgId":"BENCH","role":"ARCHITECT"}'


def _answer(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


ANSWERS = {b"GET /me": _answer(ME), b"POST /v2/users ": _answer(b'{"id":"1"}'), b"POST /v2/events ": _answer(b"{}")}
ANY_JOB = _answer(JOB)


@final
class Sink(asyncio.Protocol):
    """One connection: whole requests in, one answer each out."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._waiting += data
        while (head_end := self._waiting.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._waiting[:head_end])
            end = head_end + 4 + _content_length(head)
            if len(self._waiting) < end:
                return
            del self._waiting[:end]
            found = [answer for start, answer in ANSWERS.items() if head.startswith(start)]
            self._transport.write(found[0] if found else ANY_JOB)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line[15:])
    return 0


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
