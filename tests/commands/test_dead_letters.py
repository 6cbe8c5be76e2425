"""`segment-fullstory dead-letters`, as an operator runs it: docs/dead-letters.md."""

import json
import os
import pty
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from processor.adapters.kafka.mock import MockCluster
from processor.commands.common.next_steps import NEXT_STEPS, NOT_COPIED
from processor.events.dead_letters import Attempts, Stamp, dead_letter_headers
from processor.model.outcomes import Rejected
from processor.model.reasons import DeadLetterReason
from processor.model.records import Headers, Record, TopicPartition
from tests.commands.program import DEADLINE_S, ROOT, Done, run
from tests.unit.test_letters import SHARED

SECRET = "s3cret"
"""In every part of a record that may be personal."""
TRACK = json.dumps({"type": "track", "userId": f"u-{SECRET}", "event": "Signed Up", "properties": {"a": SECRET}})
OWN: Headers = [("x-user", SECRET.encode())]
REJECTED = Rejected(DeadLetterReason.REJECTED, "FullStory answers 400 invalid_argument", 400)
MALFORMED = Rejected(DeadLetterReason.MALFORMED, "the value is neither Avro nor JSON")
LETTERS = 30
"""In all; every third is malformed."""


class Topic(NamedTuple):
    """A cluster with dead letters."""

    kafka: MockCluster
    places: list[tuple[int, int]]
    """Of the letters, in the order of writing; then that of the share group's, then that of a record that is none."""

    def run(self, *arguments: str) -> Done:
        """Run the command, with settings that know Kafka alone."""
        return run("dead-letters", *arguments, environment=self.environment)

    @property
    def environment(self) -> dict[str, str]:
        """The settings."""
        return {
            "PROCESSOR_KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "PROCESSOR_KAFKA__TOPICS": "segment",
            "PROCESSOR_KAFKA__GROUP_ID": "fullstory",
            "PROCESSOR_KAFKA__DEAD_LETTER_TOPIC": "dlq.segment",
        }

    def place(self, number: int) -> str:
        """Return a letter's place, as the command has it."""
        return "{}:{}".format(*self.places[number])


@pytest.fixture(scope="module")
def topic() -> Iterator[Topic]:
    """Give a topic with letters of the worker's, one of a share group's, and a record that is no letter."""
    with MockCluster("segment", "dlq.segment") as kafka:
        yield filled(kafka)


def filled(kafka: MockCluster) -> Topic:
    """Write the letters."""
    found = Topic(kafka, [])
    for number in range(LETTERS):
        is_malformed = number % 3 == 0
        value = b"no message" if is_malformed else TRACK.encode()
        record = Record(number, 1_424_730_535_111, b"", value, OWN)
        headers = dead_letter_headers(
            Stamp("fullstory", "1.0.0", "f1"),
            TopicPartition("segment", number % 4),
            record,
            MALFORMED if is_malformed else REJECTED,
            Attempts(1, 1.0, 2.0),
        )
        write(found, f"{SECRET}-{number}".encode(), value, headers)
    write(found, None, None, SHARED)
    write(found, b"key", b"{}", [])
    return found


def write(topic: Topic, key: bytes | None, value: bytes | None, headers: Headers, name: str = "dlq.segment") -> None:
    """Write a record and note its place."""
    before = len(topic.places)
    topic.kafka.produce(name, key, value, headers, lambda partition, offset: topic.places.append((partition, offset)))
    deadline = time.monotonic() + DEADLINE_S
    while len(topic.places) == before:
        assert time.monotonic() < deadline
        topic.kafka.serve()


def test_letters_are_counted_by_reason_topic_and_event(topic: Topic) -> None:
    """`stats` counts every letter once in each table, and the other records apart."""
    done = topic.run("stats", "--format", "json")
    (told,) = done.objects()

    assert done.code == 0
    assert (told["topic"], told["letters"], told["other_records"]) == ("dlq.segment", LETTERS + 1, 1)
    assert {row["reason"]: row["letters"] for row in told["reasons"]} == {
        "rejected": 20,
        "malformed": 10,
        "share_group": 1,
    }
    assert {row["topic"]: row["letters"] for row in told["source_topics"]} == {"segment": 30, "segment.track": 1}
    assert {row["event"]: row["letters"] for row in told["events"]} == {"Signed Up": 20, "(unreadable)": 11}
    assert sum(each["letters"] for each in told["times"]["buckets"]) == LETTERS + 1


def test_the_tables_can_be_read(topic: Topic) -> None:
    """`stats` prints a table for each question; filters apply."""
    done = topic.run("stats", "--reason", "rejected")

    assert done.out.startswith("dlq.segment: 20 dead letters; 1 other records\n")
    assert "rejected                                           20  100.0%" in done.out
    assert "Signed Up                                          20  100.0%" in done.out
    assert "malformed" not in done.out


def test_nothing_is_joined_and_nothing_committed(topic: Topic) -> None:
    """Whatever is read, the worker's group has no offset of the dead-letter topic."""
    topic.run("stats")
    topic.run("list")

    assert set(topic.kafka.committed("dlq.segment", "fullstory").values()) == {0}
    assert set(topic.kafka.committed("segment", "fullstory").values()) == {0}


def test_each_letter_has_a_line(topic: Topic) -> None:
    """`list` has each letter once, at its place, with its reason, status, own place and detail."""
    lines = topic.run("list").out.splitlines()

    assert sorted(line.split()[0] for line in lines) == sorted(topic.place(each) for each in range(LETTERS + 1))
    (line,) = (each for each in lines if each.startswith(f"{topic.place(1)} "))
    assert (
        line.split(maxsplit=2)[2] == "rejected           400  segment[1] at 1  FullStory answers 400 invalid_argument"
    )


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        (["--reason", "malformed"], range(0, LETTERS, 3)),
        (["--reason", "share_group", "--reason", "malformed"], [*range(0, LETTERS, 3), LETTERS]),
        (["--status", "400", "--source-partition", "1"], [1, 5, 13, 17, 25, 29]),
        (["--source-topic", "segment.track"], [LETTERS]),
        (["--source-offset", "4-7"], [4, 5, 6, 7]),
        (["--source-offset", "7"], [7]),
        (["--key", f"{SECRET}-7"], [7]),
        (["--detail", "^FullStory.*argument$", "--source-offset", "0-3"], [1, 2]),
        (["--until", "2026-01-01"], []),
        (["--until", "1s"], None),
    ],
    ids=str,
)
def test_letters_are_chosen(topic: Topic, options: list[str], numbers: list[int] | None) -> None:
    """Only the letters that agree with all options are listed."""
    done = topic.run("list", "--format", "json", *options)

    assert done.code == 0
    if numbers is not None:
        assert {f"{each['partition']}:{each['offset']}" for each in done.objects()} == set(map(topic.place, numbers))


def test_a_list_ends_where_it_is_told_to(topic: Topic) -> None:
    """`list` ends after so many letters and says so; 0 is without end."""
    some, every = topic.run("list", "--limit", "3"), topic.run("list", "--limit", "0")

    assert (len(some.out.splitlines()), some.err) == (3, "ended after 3 letters: --limit\n")
    assert (len(every.out.splitlines()), every.err) == (LETTERS + 1, "")


@pytest.mark.parametrize("format_", ["text", "json"])
def test_what_a_record_holds_is_shown_only_if_asked_for(topic: Topic, format_: str) -> None:
    """No key, no value and no header's value is printed without --with-data."""
    commands = (["stats"], ["list"], ["show", topic.place(1)])
    shown = [topic.run(*command, "--format", format_).out for command in commands]

    assert all(shown)
    assert [SECRET in each for each in shown] == [False] * 3
    assert f"key {SECRET}-1 " in topic.run("list", "--with-data").out


def test_one_letter_is_shown_with_what_would_become_of_it_now(topic: Topic) -> None:
    """`show` has the headers, the record's own place, and what `explain` says; of the record, sizes and names."""
    (told,) = topic.run("show", topic.place(1), "--format", "json").objects()
    text = topic.run("show", topic.place(1)).out

    assert (told["reason"], told["http_status"], told["attempts"], told["redrives"]) == ("rejected", 400, "1", "0")
    assert told["source"] == {"topic": "segment", "partition": 1, "offset": 1}
    assert (told["now"]["outcome"], told["now"]["next_step"]) == ("delivered", NEXT_STEPS["rejected"])
    assert "from      segment[1] at 1\n" in text
    assert f"holds     key 8 bytes, value {len(TRACK)} bytes, headers x-user; --with-data shows them" in text
    assert "outcome   delivered\n" in text


def test_one_letter_gives_back_the_record_byte_for_byte(topic: Topic) -> None:
    """With --with-data, `show` gives key, value, headers and time of the record that it was, and the request."""
    (told,) = topic.run("show", topic.place(1), "--with-data", "--format", "json").objects()
    text = topic.run("show", topic.place(1), "--with-data").out
    record = told["record"]

    assert (b64decode(record["key"]), b64decode(record["value"])) == (f"{SECRET}-1".encode(), TRACK.encode())
    assert [(name, b64decode(value)) for name, value in record["headers"]] == OWN
    assert record["timestamp_ms"] == 1_424_730_535_111
    assert told["now"]["requests"][0]["body"]["user"] == {"uid": f"u-{SECRET}"}
    assert f"header    x-user: {SECRET}\n" in text
    assert '"timestamp":"2015-02-23T22:28:55.111Z"' in text


def test_a_share_groups_letter_without_the_record_says_where_that_is(topic: Topic) -> None:
    """If Kafka has not copied the record, `show` says so, rather than to call it a tombstone."""
    (told,) = topic.run("show", topic.place(LETTERS), "--format", "json").objects()

    assert (told["reason"], told["detail"]) == ("share_group", "Offset rejected by client.")
    assert told["now"]["next_step"] == NOT_COPIED


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["show", "0:999"], "dlq.segment[0] has no offset 999: it holds"),
        (["show", "99:0"], "dlq.segment[99] is no partition"),
        (["show", "12"], "12 is no place; for example 0:12"),
        (["list", "--since", "yesterday"], "yesterday is no time; for example 2026-11-28T09:30:00Z"),
        (["list", "--source-offset", "x"], "x is no offset; for example 184467"),
        (["stats", "--detail", "("], "( is no regular expression"),
        (["stats", "--topic", "nothing"], "the topic nothing cannot be read"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_said_in_a_line(topic: Topic, arguments: list[str], complaint: str) -> None:
    """What cannot be used is named, and the exit code is 2."""
    done = topic.run(*arguments)

    assert done.code == 2
    assert complaint in done.err
    assert done.out == ""


def test_a_record_that_is_no_letter_is_called_so(topic: Topic) -> None:
    """`show` of another record says that it is none."""
    done = topic.run("show", topic.place(LETTERS + 1))

    assert (done.code, done.out) == (2, "")
    assert "is no dead letter" in done.err


def test_kafka_must_be_configured() -> None:
    """Each missing Kafka setting is named."""
    done = run("dead-letters", "stats")

    assert done.code == 2
    assert "PROCESSOR_KAFKA__DEAD_LETTER_TOPIC=" in done.err


def test_a_terminal_keeps_its_cursor_and_the_output_stays_clean(topic: Topic) -> None:
    """Where standard error is a terminal, progress goes there alone, and hides no cursor."""
    near, far = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "processor", "dead-letters", "stats", "--format", "json"],
            env={**os.environ, **topic.environment},
            stdout=subprocess.PIPE,
            stderr=far,
            cwd=ROOT,
            check=True,
            timeout=DEADLINE_S,
        )
        os.write(far, b"end")
        shown = b""
        while not shown.endswith(b"end"):
            shown += os.read(near, 65_536)
    finally:
        os.close(near)
        os.close(far)

    assert json.loads(done.stdout)["letters"] == LETTERS + 1
    assert b"?25l" not in shown
    assert shown.endswith(b"\r\x1b[Kend")
