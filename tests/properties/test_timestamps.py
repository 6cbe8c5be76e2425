"""Timestamps have one form."""

from hypothesis import given
from hypothesis import strategies as st

from processor.events.timestamps import iso, iso_of_ms, seconds_of

FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999


@given(st.integers(FIRST_MS, LAST_MS))
def test_the_form_is_its_own_form(milliseconds: int) -> None:
    """Formatting a time twice changes nothing, and the texts sort as the times do."""
    written = iso_of_ms(milliseconds)

    assert written is not None
    assert iso(written) == written
    if milliseconds < LAST_MS:
        assert written < str(iso_of_ms(milliseconds + 1))


@given(st.integers(FIRST_MS, LAST_MS))
def test_what_was_written_can_be_read(milliseconds: int) -> None:
    """A written time reads back to the millisecond."""
    assert round(seconds_of(str(iso_of_ms(milliseconds))) * 1_000) == milliseconds
