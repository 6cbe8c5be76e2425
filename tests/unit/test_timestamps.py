"""What is a time, and the form in which it is sent: the table of docs/mapping.md#timestamps."""

from typing import Any

import pytest

from processor.events.timestamps import event_time, iso_of_ms, property_time, read_time
from processor.model.reasons import PropertyRule

FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999
SENT = "2022-02-02T03:04:05"

COMPLETE = (
    ("2022-02-02T03:04:05Z", SENT, ""),
    ("2022-02-02T03:04:05.1Z", SENT, "1"),
    ("2022-02-02T03:04:05.123456789Z", SENT, "123456789"),
    ("2022-02-02T03:04:05.12345678901234Z", SENT, "12345678901234"),
    ("2022-02-02T03:04:05,123Z", SENT, "123"),
    ("2022-02-02t03:04:05z", SENT, ""),
    ("2022-02-02 03:04:05Z", SENT, ""),
    ("2022-02-02T03:04Z", "2022-02-02T03:04:00", ""),
    ("2022-02-02T03:04:05+00:00", SENT, ""),
    ("2022-02-02T03:04:05-00:00", SENT, ""),
    ("2022-02-01T19:04:05-08:00", SENT, ""),
    ("2022-02-02T04:04:05.000+0100", SENT, "000"),
    ("2022-02-02T04:04:05+01", SENT, ""),
    ("2022-02-02T04:04:05 +0100", SENT, ""),
    ("2022-02-02T24:00:00Z", "2022-02-03T00:00:00", ""),
    ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00", ""),
    ("+002022-02-02T03:04:05.000Z", SENT, "000"),
    ("0999-01-01T00:00:00Z", "0999-01-01T00:00:00", ""),
    ("20220202T030405Z", SENT, ""),
    ("20220202T0304Z", "2022-02-02T03:04:00", ""),
    ("2022-W05-3T03:04:05Z", SENT, ""),
    ("2022-033T03:04:05Z", SENT, ""),
    ("2022-02-02 03:04:05 +0000 UTC", SENT, ""),
    ("2022-02-02 03:04:05.123456789 +0000 UTC", SENT, "123456789"),
    ("2022-02-02 04:04:05.5 +0100 CET", SENT, "5"),
    ("2022-02-01 21:34:05.5 -0530 -0530", SENT, "5"),
    ("2022-02-02 06:04:05 +0300 +03", SENT, ""),
    ("2022-02-02 03:04:05.1 +0000 UTC m=+0.000012345", SENT, "1"),
    ("2022-02-02 03:04:05 UTC", SENT, ""),
    ("2022-02-02 04:04:05 +0100", SENT, ""),
    ("Wed, 02 Feb 2022 03:04:05 GMT", SENT, ""),
    ("Wed, 2 Feb 2022 04:04:05 +0100", SENT, ""),
    ("Wed, 02 Feb 2022 04:04:05 +0100 (CET)", SENT, ""),
    ("02 Feb 2022 03:04:05 UT", SENT, ""),
    ("2 Feb 22 03:04 Z", "2022-02-02T03:04:00", ""),
    ("Tue, 01 Feb 72 22:04:05 EST", "1972-02-02T03:04:05", ""),
    ("Wed Feb 02 2022 03:04:05 GMT+0000 (Coordinated Universal Time)", SENT, ""),
    ("Wed Feb 02 2022 04:04:05 GMT+0100 (Central European Standard Time)", SENT, ""),
    ("Tue Feb 01 2022 21:34:05 GMT-0530", SENT, ""),
)
"""Times with date, time of day and zone, as Segment's libraries, Go, Ruby, Python, JavaScript and mail write them."""

INCOMPLETE = (
    ("2022-02-02T03:04:05", SENT, ""),
    ("2022-02-02 03:04:05.123", SENT, "123"),
    ("20220202T030405", SENT, ""),
    ("2022-02-02", "2022-02-02T00:00:00", ""),
    ("20220202", "2022-02-02T00:00:00", ""),
    ("2022-W05-3", "2022-02-02T00:00:00", ""),
)

NONE = (
    "",
    " ",
    "yesterday",
    "now",
    "1424730535111",
    "1777122481405",
    "20150223222855",
    "2022",
    "2022-02",
    "2022-2-2",
    "2022/02/02 03:04:05",
    "2/2/2022, 3:04:05 AM",
    "2022-02-30T00:00:00Z",
    "2022-13-01T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "2022-W54-1T00:00:00Z",
    "2022-366T00:00:00Z",
    "2022-000T00:00:00Z",
    "2022-02-02T03:04:61Z",
    "2022-02-02T25:04:05Z",
    "2022-02-02T24:00:01Z",
    "2022-02-02T03:60:05Z",
    "2022-02-02T03:04:05+24:00",
    "2022-02-02T03:04:05+01:60",
    "2022-02-02x03:04:05Z",
    "2022-02-02T03:04:05ZZ",
    "2022-02-02T03:04:05Z\n",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "0001-01-01 00:00:00 +0100 CET",
    "2022-02-02 03:04:05 EST",
    "2022-02-02 03:04:05 +0100 CET x",
    "2022-02-30 10:00:00 UTC",
    "2022-02-02 10:00:00 +9900 UTC",
    "Wed, 30 Feb 2022 03:04:05 GMT",
    "Wed, 02 Foo 2022 03:04:05 GMT",
    "Wed, 02 Feb 2022 03:04:05 CET",
    "Wed Feb 02 2022",
    "Wed Feb  2 03:04:05 2022",
    "\uff12\uff10\uff12\uff12-02-02T03:04:05Z",
    "8d4f0c3e-0000-4000-8000-000000000000",
)


@pytest.mark.parametrize(("text", "second", "fraction"), COMPLETE)
def test_a_complete_time_is_one_wherever_it_stands(text: str, second: str, fraction: str) -> None:
    """What says date, time of day and zone is a time, as the event's own and as a property's."""
    assert read_time(text) == (second, fraction, True)
    assert own(text)[0] == f"{second}.{fraction[:3]:0<3}Z"
    written = property_time(text)
    assert written is not None
    assert written == text or written == (f"{second}.{fraction[:9]}Z" if fraction else f"{second}Z")


@pytest.mark.parametrize(("text", "second", "fraction"), INCOMPLETE)
def test_a_time_without_a_zone_is_utc_where_it_says_when_an_event_happened(
    text: str, second: str, fraction: str
) -> None:
    """An event's own time is UTC unless it says otherwise; a property's could be of any zone, and stays text."""
    assert read_time(text) == (second, fraction, False)
    assert own(text)[0] == f"{second}.{fraction[:3]:0<3}Z"
    assert property_time(text) is None


@pytest.mark.parametrize("text", NONE)
def test_anything_else_is_no_time(text: str) -> None:
    """A text of no form, or with a number out of its range, is no time and raises nothing."""
    assert read_time(text) is None
    assert property_time(text) is None


@pytest.mark.parametrize("text", [SENT + "Z", SENT + ".1Z", SENT + ".123456789+05:30", SENT + "-08:00"])
def test_a_property_in_the_form_of_rfc_3339_is_sent_as_it_is(text: str) -> None:
    """It keeps its zone and all its digits."""
    assert property_time(text) is text


def own(given: Any) -> tuple[str, list[PropertyRule]]:
    """Return what is sent for an event's own time, and what is noted; its record has no time."""
    noted: list[PropertyRule] = []
    return event_time({"timestamp": given}, -1, lambda rule, _field: noted.append(rule)), noted


CUT, UNIT, EARLY = PropertyRule.TIMESTAMP_CUT, PropertyRule.TIMESTAMP_UNIT, PropertyRule.TIMESTAMP_EARLY


@pytest.mark.parametrize(
    ("given", "sent", "noted"),
    [
        (1_643_771_045_123, SENT + ".123Z", []),
        (1_643_771_045_123.0, SENT + ".123Z", []),
        ("1643771045123", SENT + ".123Z", []),
        ("1643771045123.0", SENT + ".123Z", []),
        ("1.643771045123E12", SENT + ".123Z", []),
        ("1.643771045123e+12", SENT + ".123Z", []),
        ("1777122481405", "2026-04-25T13:08:01.405Z", []),
        (1_643_771_045, SENT + ".000Z", [UNIT]),
        ("1643771045", SENT + ".000Z", [UNIT]),
        ("1.643771045E9", SENT + ".000Z", [UNIT]),
        (1_643_771_045.123, SENT + ".123Z", [UNIT]),
        (1_643_771_045.001, SENT + ".001Z", [UNIT]),
        ("1643771045.001", SENT + ".001Z", [UNIT]),
        (1_643_771_045.0619, SENT + ".061Z", [UNIT, CUT]),
        (1_643_400_000, "2022-01-28T20:00:00.000Z", [UNIT]),  # a whole quarter of an hour in milliseconds, too
        (1_643_771_045_123_000, SENT + ".123Z", [UNIT]),
        (1_643_771_045_123_456, SENT + ".123Z", [UNIT, CUT]),
        (1_643_771_045_123_456_789, SENT + ".123Z", [UNIT, CUT]),
        ("1643771045123456789", SENT + ".123Z", [UNIT, CUT]),
        (1_643_771_045_123.75, SENT + ".123Z", [CUT]),
        (SENT + ".123456Z", SENT + ".123Z", [CUT]),
        (SENT + ".123000Z", SENT + ".123Z", []),
        (-1, "1969-12-31T23:59:59.999Z", [EARLY]),
        (86_400, "1970-01-01T00:01:26.400Z", [EARLY]),
        (LAST_MS, "9999-12-31T23:59:59.999Z", []),
        (FIRST_MS, "0001-01-01T00:00:00.000Z", [EARLY]),
    ],
)
def test_an_events_own_time_may_be_a_number_of_any_unit_and_type(
    given: Any, sent: str, noted: list[PropertyRule]
) -> None:
    """A number, a real and a text of either are the same time, and no second of today becomes 1970 in silence."""
    assert own(given) == (sent, noted)


@pytest.mark.parametrize(
    "given",
    [
        *(
            True,
            1.5,
            -1.5,
            123.25,
            float("nan"),
            float("inf"),
            1e300,
            2**70,
            -(2**70),
            FIRST_MS - 1,
            [],
            {},
        ),
        *(
            0,
            0.0,
            -0.0,
            "0",
            "0.0",
            "5",
            "12345678",
            "20150223222855",
            "253402300799999",
            "-1643771045123",
            "1.5E2",
            "1E400",
            "9" * 30,
            "1_643771045",
        ),
    ],
)
def test_other_values_are_no_time_of_an_event(given: Any) -> None:
    """What is none counts as absent: no text of digits becomes a time of another century."""
    assert own(given) == (
        "1970-01-01T00:00:00.000Z",
        [PropertyRule.TIMESTAMP_INVALID, PropertyRule.TIMESTAMP_UNKNOWN],
    )


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [
        (1_424_730_535_111, "2015-02-23T22:28:55.111Z"),
        (FIRST_MS, "0001-01-01T00:00:00.000Z"),
        (LAST_MS, "9999-12-31T23:59:59.999Z"),
        (FIRST_MS - 1, None),
        (LAST_MS + 1, None),
        (2**70, None),
        (-(2**70), None),
    ],
)
def test_every_millisecond_of_the_years_1_to_9999_has_a_form(milliseconds: int, expected: str | None) -> None:
    """No other number has."""
    assert iso_of_ms(milliseconds) == expected
