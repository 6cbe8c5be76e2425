"""Where lines go: a stream that never makes its writer wait, because a thread of its own writes to the descriptor."""

import io
import os
import select
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO, final

CAPACITY_BYTES = 1024 * 1024
"""Of what waits to be written: some 5,000 lines, far more than a worker writes in an hour that is not pathological."""

DRAIN_S = 1.0
"""At the end, for what waits: a reader that is there needs milliseconds, and one that is not must not hold an exit."""

UNREAD = "nobody reads it"


@final
class Outlet(io.TextIOBase):
    """Text for a file descriptor, which may be a pipe that nobody reads or a disk that is full; for any thread.

    `write` and `flush` return at once and raise nothing. What does not fit is lost, counted, and told of in its place
    as soon as there is room. The descriptor is written to directly: CPython (3.11) aborts a process that ends while a
    thread holds the lock of the buffer around it.
    """

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, descriptor: int, capacity_bytes: int = CAPACITY_BYTES) -> None:
        self.note: Callable[[int], str] = "{} lines were lost here\n".format
        """Makes the text that tells of so many lost lines."""
        self.lost = 0
        """Lines that are lost and not told of yet."""
        self.ever_lost = 0
        self.fault = ""
        """Why the last of them was."""
        self._descriptor = descriptor
        self._capacity = capacity_bytes
        self._untold = 0  # of the lost lines, those of which no waiting text tells
        self._waiting: deque[tuple[bytes, int, int]] = deque()  # with its own lines, and of how many lost ones it tells
        self._bytes = 0
        self._is_closing = False
        self.lock = threading.RLock()
        """Held for moments only; a finalizer may write in the midst of a write."""
        self._changed = threading.Condition(self.lock)
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def write(self, text: str) -> int:
        """Take text that ends with a line, or lose it."""
        with self._changed:
            self._put(text.encode(self.encoding, self.errors))
        return len(text)

    def writable(self) -> bool:
        """Say so, as a stream does."""
        return True

    def isatty(self) -> bool:
        """Say whether a person reads it."""
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        """Return the descriptor, for programs that are started."""
        return self._descriptor

    def finish(self, within_s: float = DRAIN_S) -> bool:
        """Wait until all is written, but not longer; say whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, within_s)

    def stop(self) -> None:
        """Let the thread end when all is written; what comes later is lost."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()

    def _put(self, data: bytes) -> None:
        lines, told = data.count(b"\n"), self._untold
        if told:
            data = self.note(told).encode(self.encoding, self.errors) + data
        if self._is_closing or self._bytes + len(data) > self._capacity:
            self._lose(lines, UNREAD)
            return
        self._untold = 0
        self._waiting.append((data, lines, told))
        self._bytes += len(data)
        self._changed.notify_all()

    def _lose(self, lines: int, fault: str) -> None:
        self.ever_lost += lines
        self.lost += lines
        self._untold += lines
        self.fault = fault

    # On the thread

    def _run(self) -> None:
        while (first := self._next()) is not None:
            data, lines, told = first
            try:
                self._write(data)
                fault = ""
            except OSError as error:
                fault = error.strerror or type(error).__name__
            with self._changed:
                self._waiting.popleft()
                self._bytes -= len(data)
                if fault:
                    self._untold += told
                    self._lose(lines, fault)
                else:
                    self.lost -= told
                    if self._untold and not self._waiting:  # no line may come for hours
                        self._put(b"")
                self._changed.notify_all()

    def _next(self) -> tuple[bytes, int, int] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            return self._waiting[0] if self._waiting else None

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:  # another program that has the same pipe has made it so
                room = select.poll()
                room.register(self._descriptor, select.POLLOUT)
                room.poll()


@contextmanager
def outlet_to(stream: TextIO) -> Iterator["TextIO | Outlet"]:
    """Give a stream that never makes its writer wait, in place of this one; at the end, wait a moment for its reader.

    A stream without a descriptor, which is in memory, is given as it is.
    """
    try:
        descriptor = stream.fileno()
    except OSError:
        yield stream
        return
    stream.flush()
    outlet = Outlet(descriptor)
    try:
        yield outlet
    finally:
        outlet.finish()
        outlet.stop()
