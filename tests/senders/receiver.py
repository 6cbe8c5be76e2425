"""Takes what libraries post, in place of the services that they post to."""

import gzip
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

from tests.fakes.loopback import Loopback, send


class Receiver(Loopback):
    """Keeps the bodies it is sent, in the order in which they came."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        super().__init__(type("Handler", (_Handler,), {"bodies": self.bodies}))


class _Handler(BaseHTTPRequestHandler):
    bodies: list[bytes]

    def do_POST(self) -> None:
        """Keep a body, and be content with it."""
        length = self.headers["Content-Length"]
        body = b"".join(self._chunks()) if length is None else self.rfile.read(int(length))
        self.bodies.append(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
        self._answer(b'{"success": true}')

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()

    def do_GET(self) -> None:
        """Have no settings for anybody."""
        self._answer(b"{}")

    def do_OPTIONS(self) -> None:
        """Let pages of any origin post."""
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        of_pages = {
            "Access-Control-Allow-Origin": self.headers.get("Origin", "*"),
            "Access-Control-Allow-Credentials": "true",
            "Access-Control-Allow-Headers": self.headers.get("Access-Control-Request-Headers", ""),
        }
        send(self, 200, body, headers=of_pages)

    def log_message(self, *_values: object) -> None:
        """Say nothing."""
