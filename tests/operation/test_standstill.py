"""Who reads the log, who reaches the port, and a file that does not answer: none brings a worker to a standstill."""

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kafka.cluster import Cluster
from tests.kafka.conftest import Names
from tests.kafka.programs import UnreadPipe, ask, half_open, sandbox, wait_until, with_few_files
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


FILES = 256
"""Fewer descriptors than half-open requests, and as many as librdkafka, FullStory's connections and the port need."""


@pytest.mark.kafka
def test_a_port_full_of_half_requests_stops_nothing(stage: Stage) -> None:
    """Half-open requests beyond all descriptors cost neither deliveries nor probes, and few lines of the log."""
    program = stage.start(program=with_few_files(FILES))
    stage.produce()
    wait_until(lambda: stage.server.effects() == 1, "all is well at first")

    with half_open(program, 2 * FILES):
        for _ in range(10):
            stage.produce()
        wait_until(lambda: stage.server.effects() == 11, "delivery goes on")
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


STOPPABLE = """
import runpy, signal, threading
signal.signal(signal.SIGUSR1, lambda *_: threading.Event().wait())
runpy.run_module("processor", run_name="__main__", alter_sys=True)
"""
"""A worker whose loop stands still from a signal on."""


@pytest.mark.kafka
def test_a_loop_that_stands_still_hands_its_partitions_over(stage: Stage) -> None:
    """The process says where its loop stands, leaves the group and ends; another one delivers."""
    session = '{"session.timeout.ms": 6000}'
    log = stage.folder / "stuck"
    stuck = stage.start(log=log, program=[sys.executable, "-c", STOPPABLE], KAFKA__PROPERTIES=session)
    stuck.process.send_signal(signal.SIGUSR1)
    stage.produce()

    assert stuck.process.wait(60) == 1
    silent, end = (json.loads(line) for line in stuck.said().splitlines()[-2:])
    assert silent["event"] == "the event loop does not answer"
    assert any("<lambda>" in place for place in silent["where"])
    assert (end["event"], end["error"]) == ("the worker cannot go on", "the event loop has not answered for 6 s")

    stage.start(KAFKA__PROPERTIES=session)
    wait_until(lambda: stage.server.effects() == 1, "the other one delivers")


@pytest.mark.kafka
def test_a_file_that_does_not_answer_stops_nothing(stage: Stage) -> None:
    """A file of secrets whose reading never ends holds back its renewal, and neither delivery nor the end."""
    secret = stage.folder / "key"
    secret.write_text("na1.architect", encoding="utf-8")
    program = stage.start(FULLSTORY__API_KEY="", FULLSTORY__API_KEY_FILE=secret, SHUTDOWN__GRACE_S=10)
    pipe = stage.folder / "pipe"
    os.mkfifo(pipe)
    pipe.replace(secret)

    writing = os.open(secret, os.O_WRONLY)  # returns when the worker has begun to read
    stage.produce()
    wait_until(lambda: stage.server.effects() > 0, "the record is delivered")
    assert b"alive" in ask(f"http://{program.address}/livez")
    program.terminate(30)
    os.close(writing)
