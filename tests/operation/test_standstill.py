"""Those who read the log, and those who reach the port, cannot bring a worker to a standstill."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.kafka.cluster import Cluster
from tests.kafka.conftest import Names
from tests.kafka.programs import PROGRAM, ask, sandbox, wait_until
from tests.operation.faults import Stage


@pytest.fixture
def stage(kafka: Cluster, names: Names, tmp_path: Path) -> Iterator[Stage]:
    """Give a stage with all topics and no worker yet."""
    with sandbox("--job-seconds", "0.1", "0.2") as server:
        stage = Stage(kafka, server, tmp_path, names)
        stage.create_topics()
        try:
            yield stage
        finally:
            stage.close()


class UnreadPipe:
    """A named pipe that is full, until somebody reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        writing = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        with suppress(BlockingIOError):
            while True:
                os.write(writing, b"." * 4_095 + b"\n")
        os.close(writing)
        self._text = bytearray()

    def read(self) -> None:
        """Read to the end, on a thread."""
        os.set_blocking(self._reading, True)
        threading.Thread(target=self._read, daemon=True).start()

    def lines(self) -> list[str]:
        """Return what has been read by now."""
        return [line for line in self._text.decode().splitlines() if not line.startswith(".")]

    def _read(self) -> None:
        while part := os.read(self._reading, 65_536):
            self._text += part


@pytest.mark.kafka
def test_a_log_that_nobody_reads_stops_nothing(stage: Stage) -> None:
    """Records are delivered, the probes answer, and SIGTERM ends the process, though standard error takes no byte."""
    pipe = UnreadPipe(stage.folder / "log")
    program = stage.start(log=pipe.path, waits=False, LOG__LEVEL="debug")
    wait_until(lambda: program.ready().get("joined", False), "the worker joins")
    stage.produce()
    wait_until(lambda: stage.server.effects() > 0, "the record is delivered")

    assert b"alive" in ask(f"http://{program.address}/livez")
    assert program.terminate(30) == 0


@pytest.mark.kafka
def test_a_log_that_is_read_late_is_whole(stage: Stage) -> None:
    """What a worker said while nobody read comes in order when the pipe moves again, to its last line."""
    pipe = UnreadPipe(stage.folder / "log")
    program = stage.start(log=pipe.path, waits=False)
    wait_until(lambda: program.ready().get("joined", False), "the worker joins")

    pipe.read()
    assert program.terminate(30) == 0

    said = [f'"event": "{event}"' for event in ("started", "partitions assigned", "partitions revoked", "stopped")]
    wait_until(lambda: any(said[-1] in line for line in pipe.lines()), "the last line is read")
    places = [next(number for number, line in enumerate(pipe.lines()) if each in line) for each in said]
    assert places == sorted(places)
    assert places[-1] == len(pipe.lines()) - 1


HALF = b"GET /metrics HTTP/1.1\r\nHost: here\r\n"
FILES = 256
"""Fewer descriptors than half-open requests, and as many as librdkafka, FullStory's connections and the port need."""


LIMITED = ["sh", "-c", f'ulimit -Sn {FILES // 2}; ulimit -Hn {FILES}; exec "$0" "$@"', *PROGRAM]


@pytest.mark.kafka
def test_a_port_full_of_half_requests_stops_nothing(stage: Stage) -> None:
    """Half-open requests beyond all descriptors cost neither deliveries nor probes, and few lines of the log."""
    program = stage.start(program=LIMITED)
    host, port = program.address.split(":")
    stage.produce()
    wait_until(lambda: stage.server.effects() == 1, "all is well at first")

    with ExitStack() as stack:
        for number in range(2 * FILES):
            connection = stack.enter_context(socket.create_connection((host, int(port))))
            connection.sendall(HALF)
            if number % 50 == 0:
                stage.produce()
        wait_until(lambda: stage.server.effects() == 1 + 2 * FILES // 50 + 1, "delivery goes on")
        assert b"alive" in ask(f"http://{program.address}/livez")
        assert program.metrics()["process_open_fds"] < FILES

    assert program.terminate(30) == 0
    said = program.said()
    assert f'"open_files": {FILES}' in said
    assert "out of system resource" not in said
    assert len(said.splitlines()) < 30


@pytest.mark.kafka
def test_bytes_that_are_no_http_are_told_once(stage: Stage) -> None:
    """Thousands of TLS greetings to the port, and the like, are a few lines without a traceback."""
    program = stage.start()
    host, port = program.address.split(":")
    for _ in range(300):
        for sent in (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"GET / HTTP/9\r\n\r\n"):
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(sent)
                assert b"400" in connection.recv(100)

    assert program.terminate(30) == 0
    said = program.said()
    assert "Traceback" not in said
    assert len(said.splitlines()) < 30
    assert '"suppressed": ' in said
