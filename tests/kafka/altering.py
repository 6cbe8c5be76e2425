"""A broker as others are: a proxy in front of a real one that changes a few fields of Kafka's protocol.

It changes what clients may know of: an interface that it hides, metadata of commits that it forgets, answers to commits
that are lost with their connection, and a list of brokers that is empty. Requests and answers are passed on whole, one
connection to the broker for each of a client.
"""

import socket
import struct
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from types import TracebackType
from typing import Self, final

METADATA, OFFSET_COMMIT, API_VERSIONS, CONSUMER_GROUP_HEARTBEAT = 3, 8, 18, 68
NO_API = 30_000
"""A key that no client knows."""
FIRST_COMPACT_METADATA = 9
"""The first version in which lengths are of as few bytes as they need; every client of today asks for a later one."""
LAST_PLAIN_OFFSET_COMMIT = 7
"""The last version in which lengths are plain integers."""

Frame = Callable[[bytes], bytes]


@final
class AlteringProxy:
    """Listens on `port` from `with` on, in front of the broker at `behind`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.hidden: Collection[int] = ()
        """Keys of interfaces that the broker is not to have."""
        self.forgets_metadata = False
        """Whether commits reach the broker without their metadata."""
        self.loses_answers = False
        """Whether answers to commits wait for `cut`, which ends their connections in the answers' place."""
        self.hides_brokers = False
        """Whether the list of brokers is empty, and the connection ends with it, as a lone broker's (Kafka 4.4.0)."""
        self._cut = threading.Event()
        self.behind = 0
        """The broker's port."""
        self._listener = socket.create_server(("127.0.0.1", port))
        self._sockets: list[socket.socket] = [self._listener]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def cut(self) -> None:
        """End the connections on which answers to commits wait, and pass on all that come from now on."""
        self.loses_answers = False
        self._cut.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    broker = socket.create_connection(("127.0.0.1", self.behind))
                except ConnectionRefusedError:  # it is stopping, or starting
                    client.close()
                    continue
                self._sockets += [client, broker]
                asked: dict[int, tuple[int, int]] = {}
                for ends in ((client, broker, self._request(asked)), (broker, client, self._answer(asked))):
                    threading.Thread(target=_pass_on, args=ends, daemon=True).start()

    def _request(self, asked: dict[int, tuple[int, int]]) -> Frame:
        def change(frame: bytes) -> bytes:
            key, version, correlation = struct.unpack_from(">hhi", frame)
            asked[correlation] = key, version
            return _without_metadata(frame) if key == OFFSET_COMMIT and self.forgets_metadata else frame

        return change

    def _answer(self, asked: dict[int, tuple[int, int]]) -> Frame:
        def change(frame: bytes) -> bytes:
            key, version = asked.pop(struct.unpack_from(">i", frame)[0])
            if key == OFFSET_COMMIT and self.loses_answers:
                self._cut.wait()
                raise ConnectionAbortedError
            if key == METADATA and version >= FIRST_COMPACT_METADATA and self.hides_brokers:
                raise _LastFrameError(_without_brokers(frame))
            return self._versions(bytearray(frame)) if key == API_VERSIONS and version >= 3 else frame

        return change

    def _versions(self, frame: bytearray) -> bytes:
        """Change the list of interfaces: key, first and last version of each, and an empty list of tags."""
        count, at = varint(frame, 6)
        for start in range(at, at + 7 * (count - 1), 7):
            key, _, last = struct.unpack_from(">hhh", frame, start)
            if key in self.hidden:
                struct.pack_into(">h", frame, start, NO_API)
            if key == OFFSET_COMMIT and self.forgets_metadata:
                struct.pack_into(">h", frame, start + 4, min(last, LAST_PLAIN_OFFSET_COMMIT))
        return bytes(frame)


def varint(frame: bytes | bytearray, at: int) -> tuple[int, int]:
    """Return the number, and where the next field begins."""
    value = shift = 0
    while True:
        value |= (frame[at] & 0x7F) << shift
        at, shift, goes_on = at + 1, shift + 7, frame[at] & 0x80
        if not goes_on:
            return value, at


class _LastFrameError(ConnectionAbortedError):
    """The connection ends with the frame that it holds."""

    def __init__(self, frame: bytes) -> None:
        super().__init__()
        self.frame = frame


def _without_brokers(frame: bytes) -> bytes:
    """Return an answer to `Metadata` of version 9 or later with an empty list of brokers."""
    start = 4 + 1 + 4  # correlation, no tags, throttle time
    count, at = varint(frame, start)
    for _broker in range(count - 1):
        length, at = varint(frame, at + 4)  # its id, its host
        length, at = varint(frame, at + length - 1 + 4)  # its port, its rack
        _, at = varint(frame, at + max(length - 1, 0))  # no tags
    return frame[:start] + b"\1" + frame[at:]


def _without_metadata(frame: bytes) -> bytes:
    """Return an `OffsetCommit` of version 7 with null in the place of each metadata."""
    out = bytearray()
    at = 0

    def copy(size: int) -> bytes:
        nonlocal at, out
        found = frame[at : at + size]
        out += found
        at += size
        return found

    def copy_text() -> None:
        copy(max(struct.unpack(">h", copy(2))[0], 0))

    assert struct.unpack(">hhi", copy(8))[1] == LAST_PLAIN_OFFSET_COMMIT
    copy_text()  # client
    copy_text()  # group
    copy(4)  # generation
    copy_text()  # member
    copy_text()  # its instance
    for _topic in range(struct.unpack(">i", copy(4))[0]):
        copy_text()
        for _partition in range(struct.unpack(">i", copy(4))[0]):
            copy(16)  # partition, offset, epoch of the leader
            at += 2 + max(struct.unpack_from(">h", frame, at)[0], 0)
            out += struct.pack(">h", -1)
    return bytes(out)


def _pass_on(source: socket.socket, target: socket.socket, change: Frame) -> None:
    with source, target, source.makefile("rb") as stream:
        with suppress(OSError):
            while header := stream.read(4):
                try:
                    frame, is_last = change(stream.read(struct.unpack(">i", header)[0])), False
                except _LastFrameError as last:
                    frame, is_last = last.frame, True
                target.sendall(struct.pack(">i", len(frame)) + frame)
                if is_last:
                    break
        for each in (source, target):  # which wakes the thread that reads the other way
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
