"""Avro as Java writes it: a recorded sample of what `make avro` compares, and that it finds differences."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.random_avro.compared import LISTED, Account, differing
from tests.random_avro.written import SAMPLE, Value, Written, parsed

MOMENT = {"text": "2015-02-23T22:28:55.111Z", "number": 1_424_730_535_111}


def sample() -> Iterator[Written]:
    """Yield the schemas that Avro 1.12.2 for Java was given, with the values that it wrote."""
    yield from map(parsed, SAMPLE.read_text(encoding="utf-8").splitlines())


def test_what_java_writes_is_read_as_java_reads_it() -> None:
    """No value of the sample is rejected, none differs but by a listed rule, and each rule has its examples."""
    account = Account()
    for written in sample():
        account.add(written)

    assert account.faults == []
    assert (account.schemas, account.values) == (56, 130)
    assert account.listed.keys() == LISTED.keys()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (5, 5),
        (None, None),
        ({"a": [True, "x"]}, {"a": [True, "x"]}),
        (1.5, {"$double": "1.5"}),
        (float("nan"), {"$float": "NaN"}),
        (12.34, {"$float": "12.34"}),
        (42, {"$decimal": "42"}),
        (42.0, {"$decimal": "42.00"}),
        ("P1M2DT3.050S", {"$duration": [1, 2, 3_050]}),
        ("2015-02-23", {"$date": "2015-02-23"}),
        ("22:28:00", {"$time": "22:28"}),
        ("22:28:55.100000", {"$time": "22:28:55.100"}),
        ("2015-02-23T22:28:55.111Z", {"$moment": MOMENT}),
        ("2015-02-23T22:28:00.000", {"$moment": {"text": "2015-02-23T22:28", "number": 0}}),
    ],
)
def test_the_same_is_no_difference(ours: Any, theirs: Any) -> None:
    """Forms that mean the same are equal."""
    assert list(differing(ours, theirs)) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "rule"),
    [
        ("ab", "a\0b", "nul_removed"),
        (5, {"$json": 5}, "json_record"),
        (None, {"$date": "+10000-01-01"}, "time_out_of_range"),
        (None, {"$time": None}, "time_out_of_range"),
        (None, {"$moment": {"text": "-0001-01-01T00:00:00Z", "number": 0}}, "time_out_of_range"),
        ("2015-02-23T22:28:55.111Z", {"$moment": {**MOMENT, "text": "1970-01-17T11:45:30.535111Z"}}, "timestamp_unit"),
        (1_424_730_535_111, {"$moment": MOMENT}, "own_time"),
    ],
)
def test_a_listed_difference_is_named(ours: Any, theirs: Any, rule: str) -> None:
    """Each rule is known by what it does."""
    assert list(differing(ours, theirs)) == [rule]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (5, 6),
        (1, True),
        (5, 5.0),
        ("a", "b"),
        ("a", "a\1"),
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, {}),
        ([1], [1, 2]),
        (None, {}),
        (5, {"$double": "5.0"}),
        (12.34000015258789, {"$float": "12.34"}),
        (12.35, {"$float": "12.34"}),
        (42.0, {"$decimal": "42"}),
        ("P1M2DT3S", {"$duration": [1, 2, 3_050]}),
        (None, {"$date": "2015-02-23"}),
        ("2015-02-24", {"$date": "2015-02-23"}),
        (None, {"$time": "22:28"}),
        ("22:28:01", {"$time": "22:28"}),
        ("22:28:00", {"$time": None}),
        (None, {"$moment": MOMENT}),
        ("2015-02-23T22:28:55.111", {"$moment": MOMENT}),
        ("2015-02-23T22:28:55.112Z", {"$moment": MOMENT}),
    ],
)
def test_any_other_difference_is_told(ours: Any, theirs: Any) -> None:
    """What is not listed is a fault."""
    assert not set(differing(ours, theirs)) <= LISTED.keys()


def test_a_rejection_and_a_change_that_is_not_counted_are_faults() -> None:
    """A value that is not read, or that differs without a note, is told with its bytes and its schema."""
    first = next(sample())
    account = Account()
    account.add(Written("[]", first.values[:1]))
    account.add(Written(first.schema, [Value(b"", {})]))
    account.add(Written(first.schema, [Value(first.values[0].body, {**first.values[0].read, "userId": "\0"})]))

    # Each of the first two is rejected by both readers.
    assert len(account.faults) == 5
    assert first.schema in account.faults[-1]
    assert "5 other differences" in str(account)
