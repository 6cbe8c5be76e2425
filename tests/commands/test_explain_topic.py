"""`segment-fullstory explain` of records in Kafka, also dead letters: docs/explain.md."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from processor.adapters.kafka.mock import MockCluster
from processor.commands.common.next_steps import BY_FULLSTORY, REDRIVE
from processor.events.dead_letters import Attempts, Stamp, dead_letter_headers
from processor.model.outcomes import Rejected
from processor.model.reasons import DeadLetterReason
from processor.model.records import Headers, Record, TopicPartition
from processor.workload import generate
from tests.commands.program import Done, run
from tests.kafka.by_hand import RawRecord, produce_raw

PRODUCED_S = 10.0


@pytest.fixture(scope="module")
def kafka() -> Iterator[MockCluster]:
    """Give a cluster with a topic for events and one for dead letters."""
    with MockCluster("segment", "letters") as cluster:
        yield cluster


def produce(kafka: MockCluster, topic: str, value: bytes | None, headers: Headers | None = None) -> tuple[int, int]:
    """Write a record; return its partition and offset."""
    placed: list[tuple[int, int]] = []
    kafka.produce(topic, b"key", value, headers or [], lambda partition, offset: placed.append((partition, offset)))
    deadline = time.monotonic() + PRODUCED_S
    while not placed:
        assert time.monotonic() < deadline
        kafka.serve()
    return placed[0]


def explain(kafka: MockCluster, topic: str, place: tuple[int, int], *options: str) -> Done:
    """Explain a record, with settings that know Kafka alone."""
    partition, offset = place
    environment = {
        "PROCESSOR_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "PROCESSOR_KAFKA__TOPICS": "segment",
        "PROCESSOR_KAFKA__GROUP_ID": "fullstory",
        "PROCESSOR_KAFKA__DEAD_LETTER_TOPIC": "letters",
    }
    arguments = ["--topic", topic, "--partition", str(partition), "--offset", str(offset)]
    return run("explain", *arguments, *options, environment=environment)


def test_a_record_is_explained_without_joining_the_group(kafka: MockCluster) -> None:
    """A framed record of a topic is explained with the shipped schemas, and nothing is committed."""
    record = next(each for each in generate(seed=1) if each.value and each.value[0] == 0)
    place = produce(kafka, "segment", record.value)
    (told,) = explain(kafka, "segment", place, "--format", "json").objects()
    text = explain(kafka, "segment", place).out

    assert told["record"] == f"segment[{place[0]}] at {place[1]}"
    assert told["outcome"] in ("delivered", "filtered", "dead-lettered")
    assert "Confluent" in text
    assert "com.segment." in text
    assert set(kafka.committed("segment", "fullstory").values()) == {0}


def test_several_records_are_explained_from_there_on(kafka: MockCluster) -> None:
    """As many records as asked for are explained, or as there are."""
    first = produce(kafka, "segment", b'{"type": "track", "userId": "u", "event": "First"}')
    produce(kafka, "segment", None)
    told = explain(kafka, "segment", first, "--count", "5", "--format", "json").objects()

    assert [(each["outcome"], each["reason"]) for each in told] == [("delivered", None), ("filtered", "tombstone")]


def test_an_event_without_a_time_gets_that_of_kafka(kafka: MockCluster) -> None:
    """An event without a time shows Kafka's in its request, as the worker would send it."""
    place = produce(kafka, "segment", b'{"type": "track", "userId": "u", "event": "Now"}')
    (told,) = explain(kafka, "segment", place, "--format", "json").objects()

    assert told["requests"][0]["body"]["timestamp"] > "2020"


def letter(value: bytes, rejected: Rejected, timestamp_ms: int) -> Headers:
    """Return the headers of a dead letter."""
    record = Record(17, timestamp_ms, b"key", value, [("own", b"1")])
    stamp = Stamp("fullstory", "0.0.9", "f1")
    return dead_letter_headers(stamp, TopicPartition("segment", 3), record, rejected, Attempts(2, 1.0, 2.0))


def test_a_dead_letter_tells_why_and_what_would_become_of_it_now(kafka: MockCluster) -> None:
    """A dead letter shows its reason and its outcome now, at the time of the original record."""
    value = json.dumps({"type": "track", "userId": "u", "event": "Late"}).encode()
    rejected = Rejected(DeadLetterReason.REJECTED, "FullStory answers 400 invalid_argument", 400)
    place = produce(kafka, "letters", value, letter(value, rejected, 1_424_730_535_111))
    (told,) = explain(kafka, "letters", place, "--format", "json").objects()
    text = explain(kafka, "letters", place).out

    assert told["dead_letter"] == {"reason": "rejected", "detail": rejected.detail, "of": "segment[3] at 17"}
    assert told["outcome"] == "delivered"
    assert told["requests"][0]["body"]["timestamp"] == "2015-02-23T22:28:55.111Z"
    assert told["next_step"] == BY_FULLSTORY["rejected"]
    assert "rejected: FullStory answers 400 invalid_argument" in text
    assert "segment[3] at 17" in text


def test_a_dead_letter_that_mapping_takes_now_can_be_brought_back(kafka: MockCluster) -> None:
    """A dead letter that mapping takes now can be redriven, unless FullStory itself refused it."""
    value = json.dumps({"type": "track", "anonymousId": "a", "event": "Late"}).encode()
    rejected = Rejected(DeadLetterReason.MISSING_USER, "no id")
    place = produce(kafka, "letters", value, letter(value, rejected, 1_424_730_535_111))
    (told,) = explain(kafka, "letters", place, "--format", "json").objects()

    assert (told["outcome"], told["next_step"]) == ("delivered", REDRIVE)


def test_a_record_whose_headers_no_client_can_read_is_explained_with_that(kafka: MockCluster) -> None:
    """A header's name that is not UTF-8 is a note, for a record that is delivered as for one that is dead-lettered."""
    track = b'{"type": "track", "userId": "u", "event": "E"}'
    poison = [(b"fine", b"1"), (b"\xc3\x28", b"x")]
    records = [RawRecord(track, headers=poison), RawRecord(b"no message", headers=poison), RawRecord(track)]
    first = produce_raw(kafka.bootstrap_servers, "segment", records, partition=2)
    told = explain(kafka, "segment", (2, first), "--count", "3", "--format", "json").objects()
    text = explain(kafka, "segment", (2, first)).out

    noted = [{(note["rule"], note["path"]) for note in each["notes"]} for each in told]
    assert [each["outcome"] for each in told] == ["delivered", "dead-lettered", "delivered"]
    assert [("unreadable", "headers") in each for each in noted] == [True, True, False]
    assert "unreadable: headers" in text


def test_an_offset_that_is_not_there_is_named_with_those_that_are(kafka: MockCluster) -> None:
    """For an offset that is not there, the message names the offsets that are."""
    partition, offset = produce(kafka, "segment", b"{}")
    done = explain(kafka, "segment", (partition, offset + 1))

    assert done.code == 2
    assert f"segment[{partition}] has no offset {offset + 1}: it holds the offsets 0 to {offset}" in done.err


@pytest.mark.parametrize(
    ("topic", "place", "complaint"),
    [
        ("segment", (99, 0), "segment[99] is no partition: the topic has the partitions 0 to 3"),
        ("letters", (3, 0), "letters[3] has no offset 0: it is empty"),
        ("nothing", (0, 0), "the topic nothing cannot be read: "),
    ],
)
def test_a_place_that_holds_nothing_is_named(
    kafka: MockCluster, topic: str, place: tuple[int, int], complaint: str
) -> None:
    """For a place without records, one line says what there is instead."""
    done = explain(kafka, topic, place)

    assert done.code == 2
    assert complaint in done.err


def test_a_wrong_address_is_named() -> None:
    """An unreachable broker is reported with the system's reason and the setting."""
    environment: dict[str, Any] = {
        "PROCESSOR_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "PROCESSOR_KAFKA__TOPICS": "segment",
        "PROCESSOR_KAFKA__GROUP_ID": "fullstory",
        "PROCESSOR_KAFKA__DEAD_LETTER_TOPIC": "letters",
    }
    done = run("explain", "--topic", "t", "--partition", "0", "--offset", "0", environment=environment)

    assert done.code == 2
    assert done.err == (
        "Kafka does not answer at 127.0.0.1:1 (connection refused): check PROCESSOR_KAFKA__BOOTSTRAP_SERVERS\n"
    )


def test_kafka_must_be_configured_to_be_read() -> None:
    """Each missing Kafka setting is named."""
    done = run("explain", "--topic", "t", "--partition", "0", "--offset", "0")

    assert done.code == 2
    assert "  PROCESSOR_KAFKA__BOOTSTRAP_SERVERS=" in done.err
    assert "FULLSTORY" not in done.err
