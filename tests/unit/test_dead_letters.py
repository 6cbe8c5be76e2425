"""The headers of dead letters."""

import re
from pathlib import Path

import pytest

from processor.events.dead_letters import REDRIVE_COUNT, Attempts, Stamp, dead_letter_headers
from processor.model.outcomes import Rejected
from processor.model.reasons import DeadLetterReason
from processor.model.records import Headers, Record, TopicPartition

PAGE = Path(__file__).parents[2] / "docs/dead-letters.md"
STAMP = Stamp("segment-fullstory", "1.0.0", "5f0c8a1d")
SOURCE = TopicPartition("segment.track", 7)
REJECTED = Rejected(DeadLetterReason.REJECTED, "FullStory answers invalid_argument", 400, "am9iLTE=")
UNTRIED = Rejected(DeadLetterReason.MALFORMED, "the value is empty")


def record(headers: Headers | None = None) -> Record:
    """Return a record with these headers."""
    return Record(184_467, 1_424_730_535_111, b"key", b"value", headers)


def headers(
    rejected: Rejected = REJECTED, own: Headers | None = None, attempts: Attempts | None = None
) -> list[tuple[str, str]]:
    """Return the headers of a dead letter as text."""
    tried = attempts or Attempts(3, 1_767_225_600.0, 1_767_225_604.25)
    found = dead_letter_headers(STAMP, SOURCE, record(own), rejected, tried)
    return [(name, (value or b"").decode()) for name, value in found]


def test_a_dead_letter_says_where_it_came_from_and_why() -> None:
    """A dead letter has every header, each with a value of its form."""
    assert headers() == [
        ("__dlq.errors.topic", "segment.track"),
        ("__dlq.errors.partition", "7"),
        ("__dlq.errors.offset", "184467"),
        ("__dlq.errors.group", "segment-fullstory"),
        ("__dlq.errors.delivery.count", "3"),
        ("__dlq.errors.message", "rejected: FullStory answers invalid_argument"),
        ("fullstory.dlq.reason", "rejected"),
        ("fullstory.dlq.detail", "FullStory answers invalid_argument"),
        ("fullstory.dlq.http.status", "400"),
        ("fullstory.dlq.job.id", "am9iLTE="),
        ("fullstory.dlq.attempts", "3"),
        ("fullstory.dlq.first.attempt", "2026-01-01T00:00:00.000Z"),
        ("fullstory.dlq.last.attempt", "2026-01-01T00:00:04.250Z"),
        ("fullstory.dlq.app.version", "1.0.0"),
        ("fullstory.dlq.mapping.fingerprint", "5f0c8a1d"),
        ("fullstory.dlq.original.timestamp", "1424730535111"),
        ("fullstory.dlq.redrive.count", "0"),
    ]


def test_a_record_that_was_never_posted_counts_as_one_delivery() -> None:
    """The delivery count begins at 1, as in Kafka's own dead letters; the attempts header has the true number."""
    found = dict(headers(UNTRIED, attempts=Attempts(0, 0.0, 0.0)))

    assert (found["__dlq.errors.delivery.count"], found["fullstory.dlq.attempts"]) == ("1", "0")


def test_a_records_own_headers_stay_in_front() -> None:
    """The record's own headers come first, byte for byte, with null values and repeated names."""
    own: Headers = [("traceparent", b"00-\xff"), ("x", None), ("x", b"")]

    found = dead_letter_headers(STAMP, SOURCE, record(own), REJECTED, Attempts(1, 0.0, 0.0))

    assert found[:3] == own
    assert found[3:] == dead_letter_headers(STAMP, SOURCE, record(), REJECTED, Attempts(1, 0.0, 0.0))


def test_the_last_headers_tell_nothing_of_an_earlier_dead_letter() -> None:
    """A record that was refused by FullStory, redriven and then malformed has no status and no job."""
    first = dead_letter_headers(STAMP, SOURCE, record(), REJECTED, Attempts(3, 0.0, 1.0))

    last = dict(headers(UNTRIED, first, Attempts(0, 5.0, 5.0)))

    assert last["fullstory.dlq.http.status"] == last["fullstory.dlq.job.id"] == ""
    assert last.keys() == dict(headers()).keys()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], "0"),
        ([b"1"], "1"),
        ([b"1", b"2"], "2"),
        ([b"2", b"many"], "2"),
        ([b"2", None], "2"),
        ([b""], "0"),
        ([b"-1"], "0"),
        (["٣".encode()], "0"),
        ([b"9" * 5_000], "0"),
    ],
)
def test_the_redrive_count_is_what_the_last_good_header_says(values: list[bytes | None], expected: str) -> None:
    """The redrive count is read from the last valid header; nonsense counts as no redrive."""
    own: Headers = [(REDRIVE_COUNT, value) for value in values]

    assert headers(own=own)[-1] == (REDRIVE_COUNT, expected)


def test_texts_are_bounded_and_always_encodable() -> None:
    """Header texts are cut to a bound and can always be encoded, whatever FullStory answered."""
    found = dict(headers(Rejected(DeadLetterReason.REJECTED, "\ud800" + "x" * 5_000)))

    assert found["fullstory.dlq.detail"] == "?" + "x" * 511
    assert len(found["__dlq.errors.message"]) == 512


def rows(heading: str) -> list[str]:
    """Return what stands in back-quotes at the beginning of each row of the table under a heading of the page."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"(?m)^\| `([^`]+)` \|", section)


def test_every_header_is_documented() -> None:
    """docs/dead-letters.md lists every header in the order in which they are written."""
    assert rows("Headers") == [name for name, _ in headers()]


def test_every_reason_is_documented() -> None:
    """docs/dead-letters.md has every reason, with what is wrong and what to do."""
    assert rows("Reasons") == list(DeadLetterReason)
