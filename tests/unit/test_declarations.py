"""Types that FullStory would infer wrongly."""

from typing import Any

import pytest

from processor.events.properties import PropertyCleaner
from processor.model.reasons import PropertyRule


def declare(properties: dict[str, Any]) -> dict[str, str]:
    """Return the types that are declared of properties."""
    declared: dict[str, str] = {}
    PropertyCleaner().clean(properties, lambda _rule, _path: None, declared)
    return declared


@pytest.mark.parametrize(
    ("value", "declared"),
    [
        (5, "int"),
        (0, "int"),
        (-(2**63), "int"),
        (2**63 - 1, "int"),
        (2**63, None),
        (5.0, None),
        (True, None),
        (None, None),
        ("5", None),
        ("", None),
        ([1, 2], "ints"),
        ([-(2**63), 2**63 - 1], "ints"),
        ([1, 2.5], None),
        ([True], None),
        ([1, 2**63], None),
        ([], None),
        (["a"], None),
        ("2015-02-23T22:28:55Z", "date"),
        ("2015-02-23T22:28:55.111Z", "date"),
        ("2015-02-23T22:28:55.123456789+05:30", "date"),
        ("2015-02-23T22:28:55-08:00", "date"),
        ("2015-02-23", None),
        ("2015-02-23T22:28:55", None),
        ("2015-02-23 22:28:55Z", "date"),
        ("Mon, 23 Feb 2015 22:28:55 GMT", "date"),
        ("1424730535111", None),
        ("2015-02-30T22:28:55Z", None),
        ("2015-02-23T25:28:55Z", None),
        ("2015-02-23T22:28Z", "date"),
        ("20150223T222855Z", "date"),
        ("2015-02-23T22:28:55Z and more", None),
        ("\uff12\uff10\uff11\uff15-02-23T22:28:55Z", None),
        (["2015-02-23T22:28:55Z", "2016-02-23T22:28:55Z"], "dates"),
        (["2015-02-23T22:28:55Z", "yesterday"], None),
        ('[{"a":1}]', None),
    ],
)
def test_whole_numbers_and_times_are_declared(value: Any, declared: str | None) -> None:
    """Only whole numbers and times are declared, because FullStory infers all else correctly."""
    assert declare({"p": value}) == ({} if declared is None else {"p": declared})


def test_paths_are_dotted_and_in_order() -> None:
    """The path of a nested property joins the names of its levels with dots, as they are sent."""
    assert list(declare({"z": 1, "a b": {"b": {"c": [1, None]}, "d": 2}, "e": {"f": "x"}}).items()) == [
        ("z", "int"),
        ("ab.b.c", "ints"),
        ("ab.d", "int"),
    ]


@pytest.mark.parametrize(
    "value", ["x" * 8_193, [1, "a"], [[1]], [{"a": 1}], None, [None], {}, float("nan"), ["2015-02-23T22:28:55Z", 1]]
)
def test_what_is_not_sent_as_it_is_is_not_declared(value: Any) -> None:
    """A property that is dropped, or an array sent as text, is not declared."""
    assert declare({"p": value}) == {}


def test_what_is_beyond_the_limit_of_names_is_not_declared() -> None:
    """Names beyond the limit are not declared, at any level."""
    within = declare({**{f"n{number}": 1 for number in range(498)}, "a": {"b": 1, "c": 2}, "d": 3, "e": {"f": 1}})

    assert list(within)[-2:] == ["n497", "a.b"]
    assert len(within) == 499


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("2024-01-02T03:04:05.000+0000", "2024-01-02T03:04:05.000Z"),
        ("2024-01-02t03:04:05.123456789z", "2024-01-02T03:04:05.123456789Z"),
        ("Tue, 02 Jan 2024 03:04:05 GMT", "2024-01-02T03:04:05Z"),
        (["20240102T030405Z", "2024-01-02T03:04:05Z"], ["2024-01-02T03:04:05Z"] * 2),
    ],
)
def test_times_in_another_form_are_sent_in_rfc_3339_and_noted(given: Any, sent: Any) -> None:
    """A time that is declared is one that FullStory can read; with `infer` no property is a time, and none changes."""
    noted: list[tuple[PropertyRule, str]] = []

    assert PropertyCleaner().clean({"p": given}, lambda *note: noted.append(note)) == {"p": sent}
    assert noted == [(PropertyRule.TIME_REWRITTEN, "p")]
    assert PropertyCleaner(rewrites_times=False).clean({"p": given}, lambda *note: noted.append(note)) == {"p": given}
    assert len(noted) == 1
