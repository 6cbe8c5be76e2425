"""Timestamps to the one form that is sent."""

from typing import Any

import pytest

from processor.events.timestamps import iso

FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (1_424_730_535_111, "2015-02-23T22:28:55.111Z"),
        (FIRST_MS, "0001-01-01T00:00:00.000Z"),
        (LAST_MS, "9999-12-31T23:59:59.999Z"),
        (FIRST_MS - 1, None),
        (LAST_MS + 1, None),
        (2**70, None),
        (-(2**70), None),
    ],
)
def test_numbers_are_milliseconds_since_the_epoch(timestamp: int, expected: str | None) -> None:
    """Every millisecond of the years 1 to 9999 has a form, and no other number has."""
    assert iso(timestamp) == expected


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        ("2015-02-23T22:28:55.111Z", "2015-02-23T22:28:55.111Z"),
        ("2015-02-23T22:28:55Z", "2015-02-23T22:28:55.000Z"),
        ("2015-02-23T22:28:55.111999Z", "2015-02-23T22:28:55.111Z"),
        ("2015-02-23T22:28:55,111Z", "2015-02-23T22:28:55.111Z"),
        ("2015-W09-1T22:28:55.111Z", "2015-02-23T22:28:55.111Z"),
        ("2015-02-23T22:28:55.111+00:00", "2015-02-23T22:28:55.111Z"),
        ("2015-02-23T14:28:55.111-08:00", "2015-02-23T22:28:55.111Z"),
        ("2015-02-24T00:28:55.111+02", "2015-02-23T22:28:55.111Z"),
        ("2015-02-23T22:28:55.111", "2015-02-23T22:28:55.111Z"),
        ("2015-02-23 22:28:55", "2015-02-23T22:28:55.000Z"),
        ("2015-02-23", "2015-02-23T00:00:00.000Z"),
        ("0999-01-01T00:00:00Z", "0999-01-01T00:00:00.000Z"),
        ("2026-11-27 10:00:00 +0000 UTC", "2026-11-27T10:00:00.000Z"),
        ("2026-11-27 10:00:00.123456789 +0000 UTC", "2026-11-27T10:00:00.123Z"),
        ("2026-11-27 10:00:00.5 +0100 CET", "2026-11-27T09:00:00.500Z"),
        ("2026-11-27 10:00:00.5 -0530 -0530", "2026-11-27T15:30:00.500Z"),
        ("2026-11-27 10:00:00 +0300 +03", "2026-11-27T07:00:00.000Z"),
        ("2026-11-27 10:00:00.123456789 +0000 UTC m=+0.000012345", "2026-11-27T10:00:00.123Z"),
        ("2026-11-27 10:00:00 UTC", "2026-11-27T10:00:00.000Z"),
        ("2026-11-27 10:00:00 +0100", "2026-11-27T09:00:00.000Z"),
    ],
)
def test_text_is_iso_8601_and_utc_unless_it_says_otherwise(timestamp: str, expected: str) -> None:
    """Every form of ISO 8601 becomes one form, and text without an offset is UTC."""
    assert iso(timestamp) == expected


@pytest.mark.parametrize(
    "timestamp",
    [
        None,
        True,
        1.5,
        float("nan"),
        [],
        {},
        "",
        " ",
        "yesterday",
        "1424730535111",
        "1777122481405",
        "20150223222855",
        "2015-02-30T00:00:00Z",
        "2015-02-23T22:28:61Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "2026-11-27 10:00:00 EST",
        "2026-11-27 10:00:00 +0100 CET x",
        "2026-02-30 10:00:00 UTC",
        "2026-11-27 10:00:00 +9900 UTC",
        "0001-01-01 00:00:00 +0100 CET",
        "2026-11-27 10:00:00 UTC\n",
    ],
)
def test_anything_else_is_no_time(timestamp: Any) -> None:
    """A text that is no time gives an answer and no exception."""
    assert iso(timestamp) is None
