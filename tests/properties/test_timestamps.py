"""Timestamps have one form."""

from hypothesis import given
from hypothesis import strategies as st

from processor.events.timestamps import iso_of_ms, property_time, read_time, seconds_of

FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999


@given(st.integers(FIRST_MS, LAST_MS))
def test_the_form_is_its_own_form(milliseconds: int) -> None:
    """Formatting a time twice changes nothing, and the texts sort as the times do."""
    written = iso_of_ms(milliseconds)

    assert written is not None
    assert property_time(written) == written
    assert read_time(written) == (written[:19], written[20:23], True)
    if milliseconds < LAST_MS:
        assert written < str(iso_of_ms(milliseconds + 1))


@given(st.integers(FIRST_MS, LAST_MS))
def test_what_was_written_can_be_read(milliseconds: int) -> None:
    """A written time reads back to the millisecond."""
    assert round(seconds_of(str(iso_of_ms(milliseconds))) * 1_000) == milliseconds


ALMOST_TIMES = st.from_regex(r"\d{4}-?\d\d-?\d\d[T ]\d\d:?\d\d:?\d\d(\.\d+)?( ?[+-]\d\d:?\d\d|Z)?", fullmatch=True)


@given(st.text() | ALMOST_TIMES)
def test_what_is_sent_for_a_text_is_a_time_with_a_zone(text: str) -> None:
    """Nothing raises, and what is sent for a property is the time that was read, down to nanoseconds."""
    time, written = read_time(text), property_time(text)

    assert (written is not None) == (time is not None and time.is_complete)
    if written is not None and time is not None:
        assert read_time(written) == (time.second, time.fraction[:9], True)
