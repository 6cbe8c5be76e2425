"""The vocabulary says what it means."""

from hypothesis import given
from hypothesis import strategies as st

from processor.model.errors import ConfigurationError
from processor.model.records import PER_RECORD_OVERHEAD_BYTES, OffsetRange, Record, TopicPartition, held_bytes

BYTES = st.none() | st.binary(max_size=9)


@given(BYTES, BYTES, st.none() | st.lists(st.tuples(st.text(alphabet="ab", max_size=4), BYTES), max_size=3))
def test_a_record_is_held_with_everything_it_brought(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]] | None
) -> None:
    """A record's size counts its key, value and headers, and the record itself."""
    parts = [key, value, *[part for name, content in headers or [] for part in (name.encode(), content)]]

    held = held_bytes([Record(0, 0, key, value, headers)])

    assert held == PER_RECORD_OVERHEAD_BYTES + sum(len(part) for part in parts if part is not None)


def test_coordinates_read_as_people_write_them() -> None:
    """Logs and messages show a partition as `topic[partition]` and a range as `[start, end)`."""
    assert str(TopicPartition("segment.track", 7)) == "segment.track[7]"
    assert str(OffsetRange(3, 9)) == "[3, 9)"


def test_a_configuration_error_says_everything_at_once() -> None:
    """A configuration error's text has all problems, one a line."""
    error = ConfigurationError(["one", "two"])

    assert (str(error), error.problems) == ("one\ntwo", ["one", "two"])
