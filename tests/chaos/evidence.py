"""Gathers what a run left behind: in the sandbox, on the dead-letter topic, and in the group's commits."""

import struct
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote, urlsplit

import orjson

from processor.adapters.kafka.messages import record_of
from processor.model.reasons import Kind
from processor.workload.account import letter_of
from tests.chaos.oracle import Commit, Evidence
from tests.kafka.altering import varint
from tests.kafka.cluster import Cluster
from tests.kafka.conftest import Names
from tests.kafka.programs import ANSWER_S, SandboxProgram, ask
from tests.kafka.topics import read_all

OFFSETS_TOPIC = "__consumer_offsets"
IS_COMMIT = (0, 1)
"""Versions of the keys there that mean a commit; others mean members and groups."""
COMPACT = 4
"""The version of a commit's record that first has compact strings."""


def gather(kafka: Cluster, names: Names, server: SandboxProgram) -> Evidence:
    """Read everything but the effects, which are read when the oracle looks at them."""
    jobs = server.jobs()
    requests = orjson.loads(ask(f"{server.url}/sandbox/requests"))
    return Evidence(
        effects=effects(server),
        arrivals={each["number"]: each["at"] for each in requests if each["method"] == "POST"},
        accepted={job["id"]: job["accepted_at"] for job in jobs},
        failed=[
            failure for job in jobs if job["errors"] and job["kind"] == Kind.USER for failure in failed(server, job)
        ],
        letters=[
            (letter_of(letter.headers or []), letter.timestamp_ms / 1_000)
            for letter in map(record_of, read_all(kafka, names.dead_letters))
        ],
        commits=list(commits(kafka, names)),
    )


def effects(server: SandboxProgram) -> Iterator[dict[str, Any]]:
    """Yield what took effect, in order, without holding all of it."""
    with closing(HTTPConnection(urlsplit(server.url).netloc, timeout=ANSWER_S)) as connection:
        connection.request("GET", "/sandbox/truth")
        for line in connection.getresponse():
            yield orjson.loads(line)


def failed(server: SandboxProgram, job: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the users that a job did not take, with its id; all are on one page."""
    url = f"{server.url}/v2/users/batch/{quote(job['id'], safe='')}/errors"
    page = orjson.loads(ask(url, headers={"Authorization": "Basic na1.architect"}))
    assert len(page["results"]) == job["errors"]
    for failure in page["results"]:
        yield job["id"], failure["user"]


def commits(kafka: Cluster, names: Names) -> Iterator[Commit]:
    """Yield the group's commits of its topic, in the order of the broker's log."""
    for message in read_all(kafka, OFFSETS_TOPIC):
        key, value = message.key(), message.value()
        if not isinstance(key, bytes) or not isinstance(value, bytes):
            continue
        (version,) = struct.unpack_from(">h", key)
        if version in IS_COMMIT:
            group, at = _text(key, 2)
            topic, at = _text(key, at)
            (partition,) = struct.unpack_from(">i", key, at)
            if (group, topic) == (names.group, names.topic):
                version, offset = struct.unpack_from(">hq", value)
                yield Commit(partition, offset, message.timestamp()[1] / 1_000, _metadata(version, value))


def _metadata(version: int, value: bytes) -> str:
    """Return a commit's metadata: its length is 2 bytes up to version 3 of the record, and compact since (Kafka 4)."""
    at = 14  # behind the version, the offset and the leader's epoch
    if version < COMPACT:
        return _text(value, at)[0]
    length, at = varint(value, at)
    return value[at : at + length - 1].decode()


def _text(data: bytes, at: int) -> tuple[str, int]:
    """Read a string with its length before it; return it and where it ends."""
    (length,) = struct.unpack_from(">h", data, at)
    at += 2
    return data[at : at + length].decode(), at + length
