"""A destination that costs next to nothing: it answers every request as FullStory would, and keeps an account.

`python -m bench.sink PORT` listens on loopback. Batches are jobs that are complete at once. With `--bodies FILE`,
bodies are kept in the file, one a line; with `--latency S`, each answer to a request waits for so many seconds. `GET
/account` tells what came, as JSON: how many requests, how many records of the generator's, by what no other record
holds, and when the first and the last request came.
"""

import argparse
import asyncio
import json
import time
from pathlib import Path
from typing import final

JOB = b'{"job":{"id":"bench","status":"COMPLETED"},"imports":0,"errors":0}'
ME = b'{"email":"bench@example.com","orgId":"BENCH","role":"ARCHITECT"}'


def _answer(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


ANSWERS = {b"GET /me": _answer(ME), b"POST /v2/users ": _answer(b'{"id":"1"}'), b"POST /v2/events ": _answer(b"{}")}
ANY_JOB = _answer(JOB)
MARKS = {b"POST /v2/events": b'"unique":', b"POST /v2/users": b'"u1_'}
"""What each record of the generator's first seed holds once, merged or not."""


class Account:
    """What came so far."""

    requests = 0
    records = 0
    first = 0.0
    last = 0.0
    bodies: Path | None = None

    @classmethod
    def take(cls, head: bytes, received: bytearray, begin: int, end: int) -> None:
        """Count a request, if it brings items, and keep its body `[begin, end)` where that is wished."""
        for start, mark in MARKS.items():
            if head.startswith(start):
                cls.last = time.time()
                cls.first = cls.first or cls.last
                cls.requests += 1
                cls.records += received.count(mark, begin, end)
                if cls.bodies is not None:
                    with cls.bodies.open("ab") as file:
                        file.write(received[begin:end] + b"\n")

    @classmethod
    def answer(cls) -> bytes:
        """Return the account as an answer."""
        told = {"requests": cls.requests, "records": cls.records, "first": cls.first, "last": cls.last}
        return _answer(json.dumps(told).encode())


@final
class Sink(asyncio.Protocol):
    """One connection: whole requests in, one answer each out."""

    latency_s = 0.0

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
            Account.take(head, self._waiting, head_end + 4, end)
            del self._waiting[:end]
            if head.startswith(b"GET /account"):
                self._transport.write(Account.answer())
                continue
            found = [answer for start, answer in ANSWERS.items() if head.startswith(start)]
            answer = found[0] if found else ANY_JOB
            if self.latency_s:
                asyncio.get_running_loop().call_later(self.latency_s, self._transport.write, answer)
            else:
                self._transport.write(answer)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line[15:])
    return 0


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--bodies", type=Path)
    parser.add_argument("--latency", type=float, default=0.0)
    given = parser.parse_args()
    Account.bodies, Sink.latency_s = given.bodies, given.latency
    asyncio.run(_serve(given.port))
