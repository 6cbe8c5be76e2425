"""How a process ends that cannot end in good order: at once, with its reason, whatever its threads do."""

import json
import os
import subprocess
import sys

PROGRAM = """
import asyncio, sys, threading
from contextlib import redirect_stderr
from processor.adapters.telemetry.logs import logging_to
from processor.adapters.telemetry.outlet import outlet_to
from processor.app.ending import LoopReport, end_in_time

async def stand(log):
    threading.Timer(0.1, LoopReport(log).end, (45.0, ["somewhere:7 stands"])).start()
    threading.Event().wait()

async def leave(log):
    stop = asyncio.Event()
    ending = asyncio.create_task(end_in_time(stop, 0.1, log))
    stop.set()
    await ending
    await asyncio.to_thread(threading.Event().wait)

with outlet_to(sys.stderr) as stderr, redirect_stderr(stderr), logging_to(stderr, "info", "json") as log:
    asyncio.run({how}(log))
"""


def run(how: str, stderr: int = subprocess.PIPE) -> "subprocess.CompletedProcess[bytes]":
    """Run a process that ends so."""
    program = PROGRAM.replace("{how}", how)
    return subprocess.run([sys.executable, "-c", program], stderr=stderr, timeout=60, check=False)


def test_a_process_ends_although_its_loop_stands_still() -> None:
    """Another thread ends it with code 1, and the log says why and where the loop stood."""
    done = run("stand")

    assert done.returncode == 1
    line = json.loads(done.stderr)
    assert line["event"] == "the worker cannot go on"
    assert line["error"] == "the event loop has not answered for 45 s"
    assert line["where"] == ["somewhere:7 stands"]


def test_a_process_ends_in_time_although_a_thread_does_not() -> None:
    """A part that waits for ever holds a shutdown no longer than it was given."""
    done = run("leave")

    assert done.returncode == 1
    assert json.loads(done.stderr)["error"] == "it has not stopped within 0.1 s of being told to"


def test_a_process_ends_although_nobody_reads_why() -> None:
    """Its last words to a full pipe hold it for a moment only."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"." * 4_096)
    except BlockingIOError:
        os.set_blocking(writing, True)

    assert run("stand", writing).returncode == 1
    os.close(reading)
    os.close(writing)
