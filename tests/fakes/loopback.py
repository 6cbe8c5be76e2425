"""An HTTP server of a test's own, on a loopback port."""

from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import MappingProxyType, TracebackType
from typing import Self


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # with 5, of many who connect at once some would try again a second later


class Loopback:
    """Answers by the handler that is told, inside of the `with`."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def send(
    handler: BaseHTTPRequestHandler,
    status: int,
    body: bytes,
    media_type: str = "application/json",
    headers: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Send the whole of an answer."""
    handler.send_response(status)
    given = {"Content-Type": media_type, "Content-Length": str(len(body)), **headers}
    for name, value in given.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)
