"""Dead letters as they are read, and which of them are meant."""

import re

import pytest

from processor.events.dead_letters import REDRIVE_COUNT, Attempts, Stamp, dead_letter_headers, origin_of
from processor.events.letters import SHARE_GROUP, Letter, LetterFilter, letter_of
from processor.model.outcomes import Rejected
from processor.model.reasons import DeadLetterReason
from processor.model.records import Headers, OffsetRange, Record, TopicPartition

WRITTEN_MS = 1_795_964_347_486
ORIGINAL_MS = 1_424_730_535_111
OWN: Headers = [("traceparent", b"00-\xff"), ("x", None), ("x", b"")]
REJECTED = Rejected(DeadLetterReason.REJECTED, "FullStory answers invalid_argument", 400, "am9iLTE=")
SHARED: Headers = [
    ("__dlq.errors.topic", b"segment.track"),
    ("__dlq.errors.partition", b"7"),
    ("__dlq.errors.offset", b"184467"),
    ("__dlq.errors.group", b"shared"),
    ("__dlq.errors.delivery.count", b"5"),
    ("__dlq.errors.message", b"Offset rejected by client."),
]
"""As Kafka 4.4.0 writes them, in this order (recorded 2026-11); not one header of the record's own is among them."""


def original(headers: Headers | None = None) -> Record:
    """Return a record as it was before it became a letter."""
    return Record(184_467, ORIGINAL_MS, b"key", b"value", headers)


def written(record: Record, rejected: Rejected = REJECTED) -> Record:
    """Return the letter that the worker writes of a record, as it is read from its topic."""
    source = TopicPartition("segment.track", 7)
    headers = dead_letter_headers(Stamp("g", "1.0.0", "f1"), source, record, rejected, Attempts(3, 1.0, 2.0))
    return Record(12, WRITTEN_MS, record.key, record.value, headers)


def read(record: Record) -> Letter:
    """Return the letter that a record is."""
    letter = letter_of(record)
    assert letter is not None
    return letter


def test_a_letter_tells_what_was_written_into_it() -> None:
    """A letter gives reason, detail, status and the record's own place."""
    letter = read(written(original(OWN)))

    assert (letter.reason, letter.detail, letter.http_status) == ("rejected", REJECTED.detail, 400)
    assert (letter.topic, letter.partition, letter.offset) == ("segment.track", 7, 184_467)
    assert letter.origin == "segment.track[7] at 184467"
    assert letter.redrives == "0"
    assert not letter.is_empty


@pytest.mark.parametrize(
    ("headers", "count"),
    [(None, b"1"), (OWN, b"1"), ([*OWN, (REDRIVE_COUNT, b"2")], b"3"), ([(REDRIVE_COUNT, b"many")], b"1")],
)
def test_a_record_that_is_brought_back_is_counted_behind_its_own_headers(headers: Headers | None, count: bytes) -> None:
    """What `redrive` writes is the record, and how often it came back; the last such header counts."""
    back = read(written(original(headers))).brought_back

    assert back.headers == [*(headers or []), (REDRIVE_COUNT, count)]
    assert back[1:4] == original()[1:4]


@pytest.mark.parametrize("headers", [None, OWN, SHARED, [(REDRIVE_COUNT, b"2")]])
def test_a_record_that_comes_back_without_a_topic_keeps_its_origin(headers: Headers | None) -> None:
    """If it fails again, its next letter is like the first one, except for the fault and the count."""
    first = read(written(original(headers)))
    source = TopicPartition("dlq.segment", 0)
    stamp = Stamp("g.redrive", "2.0.0", "f2")
    malformed = Rejected(DeadLetterReason.MALFORMED, "it is empty")
    again = dead_letter_headers(stamp, source, first.returned, malformed, Attempts(0, 1.0, 1.0))
    second = read(first.returned._replace(headers=again))

    assert origin_of(source, first.returned) == (TopicPartition("segment.track", 7), 184_467)
    assert (second.origin, second.told["__dlq.errors.group"]) == (first.origin, b"g.redrive")
    assert (second.reason, int(second.redrives)) == ("malformed", int(first.redrives) + 1)
    assert second.original == first.original


def test_a_letter_of_unknown_origin_is_the_origin_itself() -> None:
    """If nobody knows where a record came from, its next letter names the one that came back."""
    first = read(Record(12, WRITTEN_MS, b"key", b"value", SHARED[:2]))
    again = dead_letter_headers(
        Stamp("g", "1", "f"), TopicPartition("dlq.segment", 0), first.returned, REJECTED, Attempts(0, 1.0, 1.0)
    )

    assert read(first.record._replace(headers=again)).origin == "dlq.segment[0] at 12"
    assert origin_of(TopicPartition("dlq.segment", 0), first.returned) == (TopicPartition("dlq.segment", 0), 12)


@pytest.mark.parametrize("headers", [None, OWN, [("__dlq.errors.topic", b"own")], SHARED])
def test_a_record_comes_back_byte_for_byte(headers: Headers | None) -> None:
    """Key, value, headers and time of the original are as they were, also where it was a letter before."""
    assert read(written(original(headers))).original == original(headers)._replace(offset=12)


def test_a_record_that_was_dead_lettered_twice_comes_back_as_the_first_letter() -> None:
    """The headers of an earlier letter are the record's own; what counts is the last letter."""
    first = written(original(OWN))
    second = read(written(first, Rejected(DeadLetterReason.MALFORMED, "the value is empty")))

    assert (second.reason, second.http_status) == ("malformed", None)
    assert second.original.headers == first.headers


def test_headers_that_were_put_in_another_order_are_still_known() -> None:
    """If a tool has put headers behind those of a letter, the letter is read, and its own headers are the others."""
    letter = read(written(original(OWN))._replace(headers=[*(written(original(OWN)).headers or []), ("late", b"1")]))

    assert letter.reason == "rejected"
    assert letter.original.headers == [*OWN, ("late", b"1")]


def test_a_letter_of_a_share_group_is_read_as_well() -> None:
    """Kafka's own letter has a reason of its own, its message as the detail, and the time of writing."""
    letter = read(Record(12, WRITTEN_MS, b"key", b"value", SHARED))

    assert (letter.reason, letter.detail, letter.http_status) == (SHARE_GROUP, "Offset rejected by client.", None)
    assert letter.origin == "segment.track[7] at 184467"
    assert letter.original == Record(12, WRITTEN_MS, b"key", b"value", None)


def test_a_share_groups_letter_that_was_not_copied_is_empty() -> None:
    """Without key and value, a share group's letter tells only where the record is; ours holds what the record held."""
    assert read(Record(12, WRITTEN_MS, None, None, SHARED)).is_empty
    assert not read(Record(12, WRITTEN_MS, b"key", None, SHARED)).is_empty
    assert not read(written(Record(1, 1, None, None, None))).is_empty


def test_a_share_groups_letter_of_a_record_that_was_ours_is_no_longer_ours() -> None:
    """Which kind of letter it is, the last headers say."""
    letter = read(Record(12, WRITTEN_MS, b"key", b"value", [*(written(original()).headers or []), *SHARED]))

    assert letter.reason == SHARE_GROUP
    assert "fullstory.dlq.reason" not in letter.told


@pytest.mark.parametrize("headers", [None, [], OWN, [("__dlq.errors.message", b"x")]])
def test_any_other_record_is_no_letter(headers: Headers | None) -> None:
    """A record without the topic or the reason of a letter is none."""
    assert letter_of(original(headers)) is None


@pytest.mark.parametrize("value", [None, b"", b"x", b"\xff", b"1" * 5_000, "٣".encode(), b"--1"])
def test_numbers_that_are_none_are_absent(value: bytes | None) -> None:
    """Coordinates that are no numbers are absent, and no fault."""
    letter = read(Record(12, WRITTEN_MS, None, None, [*SHARED, ("__dlq.errors.offset", value)]))

    assert letter.offset is None
    assert letter.origin.startswith("segment.track[7] at ")


LETTER = read(written(original()))


@pytest.mark.parametrize(
    "wanted",
    [
        LetterFilter(),
        LetterFilter(reasons=frozenset({"rejected", "malformed"})),
        LetterFilter(statuses=frozenset({400})),
        LetterFilter(since_ms=WRITTEN_MS, until_ms=WRITTEN_MS + 1),
        LetterFilter(topic="segment.track", partition=7, offsets=OffsetRange(184_467, 184_468)),
        LetterFilter(key=b"key"),
        LetterFilter(detail=re.compile("invalid_.*")),
    ],
)
def test_a_letter_that_agrees_is_meant(wanted: LetterFilter) -> None:
    """A letter that agrees with all that is given is meant."""
    assert wanted.matches(LETTER)


@pytest.mark.parametrize(
    "wanted",
    [
        LetterFilter(reasons=frozenset({"malformed"})),
        LetterFilter(statuses=frozenset({422})),
        LetterFilter(since_ms=WRITTEN_MS + 1),
        LetterFilter(until_ms=WRITTEN_MS),
        LetterFilter(topic="segment"),
        LetterFilter(partition=0),
        LetterFilter(offsets=OffsetRange(0, 184_467)),
        LetterFilter(key=b"ke"),
        LetterFilter(detail=re.compile("^invalid")),
        LetterFilter(reasons=frozenset({"rejected"}), statuses=frozenset({422})),
    ],
)
def test_a_letter_that_differs_in_one_thing_is_not_meant(wanted: LetterFilter) -> None:
    """A letter that differs in anything that is given is not meant."""
    assert not wanted.matches(LETTER)


def test_a_letter_without_an_offset_is_of_no_offset() -> None:
    """Where the offset cannot be read, a filter by offsets does not find the letter."""
    letter = read(Record(12, WRITTEN_MS, None, None, SHARED[:1]))

    assert not LetterFilter(offsets=OffsetRange(0, 2**62)).matches(letter)
    assert LetterFilter(topic="segment.track").matches(letter)
