"""The `Retry-After` header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.adapters.fullstory.retry_after import MAX_RETRY_AFTER_S, retry_after_s

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("120000", MAX_RETRY_AFTER_S),
        ("9" * 5000, MAX_RETRY_AFTER_S),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 01:00:30 +0100", 30.0),
        ("Thu, 01 Jan 2026 00:00:30 -0000", 30.0),
        ("Thursday, 01-Jan-26 00:00:30 GMT", 30.0),
        ("Thu Jan  1 00:00:30 2026", 30.0),
        ("Wed, 31 Dec 2025 23:59:59 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER_S),
        ("Thu, 99 Jan 2026 00:00:30 GMT", None),
    ],
)
def test_seconds_and_dates_become_seconds_from_now(value: str | None, expected: float | None) -> None:
    """The wait is never negative or beyond the bound, and None if the header cannot be read."""
    assert retry_after_s(value, NOW) == expected


@given(
    st.text(max_size=60)
    | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,3} [A-Z][a-z]{2} [0-9]{1,6} [0-9:]{0,9} [-+A-Z0-9]{0,6}")
)
def test_no_header_is_a_failure(value: str) -> None:
    """Any header gives a wait within the bounds, or none."""
    wait = retry_after_s(value, NOW)

    assert wait is None or 0.0 <= wait <= MAX_RETRY_AFTER_S
