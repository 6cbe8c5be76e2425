"""The outlet of the log: nobody waits for its reader, and what is lost is told of in its place."""

import contextlib
import errno
import io
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from processor.adapters.telemetry.logs import logging_to
from processor.adapters.telemetry.outlet import UNREAD, Outlet, outlet_to

SMALL = 990
DEADLINE_S = 30.0


@dataclass
class Pipe:
    """A pipe that is full, until somebody reads it."""

    reading: int
    writing: int
    junk: int = 0
    _is_left: bool = False
    _read: bytearray = field(default_factory=bytearray)

    def fill(self) -> None:
        """Let it take nothing more."""
        os.set_blocking(self.writing, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.junk += os.write(self.writing, b"." * 4_096)
        os.set_blocking(self.writing, True)

    def lines(self, count: int) -> list[str]:
        """Read so many lines, those from before included."""
        while self._read.count(b"\n") < count:
            self._read += os.read(self.reading, 65_536)
        return bytes(self._read[self.junk :]).decode().splitlines()

    def leave(self) -> None:
        """Read no longer. Once only: a number that is closed twice may be another thread's file by then."""
        if not self._is_left:
            self._is_left = True
            os.close(self.reading)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Give a pipe that is empty."""
    pipe = Pipe(*os.pipe())
    yield pipe
    pipe.leave()
    os.close(pipe.writing)


def test_lines_come_in_order(pipe: Pipe) -> None:
    """What is written arrives whole and in order, and the end waits for it."""
    with open(pipe.writing, "w", closefd=False) as stream, outlet_to(stream) as outlet:
        for number in range(1_000):
            outlet.write(f"line {number}\n")

    assert pipe.lines(1_000) == [f"line {number}" for number in range(1_000)]


def test_a_pipe_that_nobody_reads_keeps_nobody_waiting(pipe: Pipe) -> None:
    """Writers go on, what fits is kept, the rest is counted and told of in its place when the pipe moves again."""
    pipe.fill()
    outlet = Outlet(pipe.writing, SMALL)
    for number in range(200):
        outlet.write(f"line {number:05}\n")

    assert (outlet.lost, outlet.ever_lost, outlet.fault) == (110, 110, UNREAD)
    assert not outlet.finish(0)

    lines = pipe.lines(91)
    outlet.write("and on\n")

    assert lines == [*(f"line {number:05}" for number in range(90)), "110 lines were lost here"]
    assert pipe.lines(92)[-1] == "and on"
    assert outlet.finish(DEADLINE_S)
    assert (outlet.lost, outlet.ever_lost) == (0, 110)


def test_a_pipe_that_others_made_non_blocking_loses_nothing(pipe: Pipe) -> None:
    """A full pipe is waited for on the thread, although a write to it returns at once."""
    pipe.fill()
    os.set_blocking(pipe.writing, False)
    outlet = Outlet(pipe.writing)
    for number in range(10_000):
        outlet.write(f"line {number}\n")

    assert pipe.lines(10_000) == [f"line {number}" for number in range(10_000)]
    assert outlet.ever_lost == 0


def test_what_a_disk_does_not_take_is_told_of_later(monkeypatch: pytest.MonkeyPatch, pipe: Pipe) -> None:
    """Lines for a full disk are lost with its reason, and told of before the next line that it takes."""
    real, is_full = os.write, threading.Event()

    def write(descriptor: int, data: bytes) -> int:
        if descriptor == pipe.writing and is_full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    is_full.set()
    outlet = Outlet(pipe.writing)
    for number in range(3):
        outlet.write(f"line {number}\n")
        assert outlet.finish(DEADLINE_S)

    assert (outlet.lost, outlet.ever_lost, outlet.fault) == (3, 3, "No space left on device")

    is_full.clear()
    outlet.write("line 3\n")

    assert pipe.lines(2) == ["3 lines were lost here", "line 3"]
    assert outlet.finish(DEADLINE_S)
    assert (outlet.lost, outlet.ever_lost) == (0, 3)


def test_the_log_tells_of_its_losses_as_of_everything(pipe: Pipe) -> None:
    """Lost lines of the log are told of by a line of the log, in its form."""
    pipe.fill()
    outlet = Outlet(pipe.writing, SMALL)
    with logging_to(outlet, "info", "json") as log:
        for number in range(100):
            log.info("said", number=number)
        lost = outlet.ever_lost
        lines = [json.loads(line) for line in pipe.lines(100 - lost + 1)]

    assert [each.get("number") for each in lines] == [*range(100 - lost), None]
    assert lines[-1].pop("timestamp").endswith("Z")
    assert lines[-1] == {
        "event": "log lines lost",
        "level": "warning",
        "lines": lost,
        "logger": "segment_fullstory",
    }


def test_a_stream_in_memory_is_used_as_it_is() -> None:
    """A stream without a descriptor cannot make anybody wait."""
    stream = io.StringIO()
    with outlet_to(stream) as outlet:
        assert outlet is stream


WRITER = """
import logging, sys, threading, warnings
from contextlib import redirect_stderr
from processor.adapters.telemetry.logs import logging_to
from processor.adapters.telemetry.outlet import outlet_to

with outlet_to(sys.stderr) as stderr, redirect_stderr(stderr), logging_to(stderr, "info", "json") as log:
    log.info("x" * 100_000)
    logging.getLogger("library").error("y" * 100_000)
    warnings.warn("old ways")
    threading.Thread(target=lambda: 1 / 0).start()
    sys.excepthook(ValueError, ValueError("no good"), None)
    print("z" * 2_000_000, file=sys.stderr, flush=True)
sys.exit(3)
"""


def test_a_process_ends_although_nobody_reads_what_it_says(pipe: Pipe) -> None:
    """Logs, warnings, uncaught errors and prints to a full pipe hold back neither the process nor its end."""
    pipe.fill()

    assert subprocess.run([sys.executable, "-c", WRITER], stderr=pipe.writing, timeout=60, check=False).returncode == 3


def test_a_process_whose_pipe_is_closed_ends_as_it_wants(pipe: Pipe) -> None:
    """A reader that went away costs the lines, and nothing else."""
    pipe.leave()

    assert subprocess.run([sys.executable, "-c", WRITER], stderr=pipe.writing, timeout=60, check=False).returncode == 3


def test_a_line_by_a_finalizer_does_not_wait_for_its_own_thread(pipe: Pipe) -> None:
    """The log and its outlet share one lock, which a thread may take again."""
    outlet = Outlet(pipe.writing)
    with logging_to(outlet, "info", "json"):
        handler = logging.getLogger().handlers[-1]
        assert handler.lock is outlet.lock
        with outlet.lock:
            logging.getLogger("library").error("in the midst")
    assert outlet.finish(DEADLINE_S)
