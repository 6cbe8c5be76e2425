"""Free-form values to properties that FullStory takes."""

import json
from collections import Counter
from typing import Any

import orjson
import pytest

from processor.events import properties
from processor.events.properties import MAX_DEPTH, PropertyCleaner, count_names
from processor.model.reasons import PropertyRule
from tests.properties.limits import property_violations

NAN, INFINITY = float("nan"), float("inf")
LARGEST_TEXT = "x" * 8_192
LONGEST_NAME = "n" * 512

AS_TEXT_ROUNDED = [PropertyRule.ARRAY_AS_TEXT, PropertyRule.NUMBER_ROUNDED]

Notes = list[tuple[PropertyRule, str]]


def clean(properties: dict[str, Any]) -> tuple[dict[str, Any], Notes]:
    """Return what is sent, after checking it against FullStory's limits, and what was noted."""
    notes: Notes = []
    cleaned = PropertyCleaner().clean(properties, lambda rule, path: notes.append((rule, path)))
    assert property_violations(cleaned) == []
    orjson.dumps(cleaned)
    return cleaned, notes


@pytest.mark.parametrize(
    "value",
    [
        "text",
        "",
        LARGEST_TEXT,
        "é" * 4_096,
        True,
        False,
        0,
        -(2**63),
        2**64 - 1,
        99.95,
        -0.0,
        [],
        ["a", "b"],
        [1, 2.5],
        [-(2**63), 2**64 - 1],
        [True, False],
        {"plan": "premium", "limits": {"seats": 5}},
    ],
)
def test_what_fullstory_takes_is_sent_as_it_is(value: Any) -> None:
    """A legal value under a legal name is sent unchanged, type included."""
    cleaned, notes = clean({"value": value})

    assert json.dumps(cleaned) == json.dumps({"value": value})
    assert notes == []


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (None, PropertyRule.NULL_OMITTED),
        ({}, PropertyRule.NULL_OMITTED),
        (NAN, PropertyRule.NOT_A_NUMBER),
        (INFINITY, PropertyRule.NOT_A_NUMBER),
        (-INFINITY, PropertyRule.NOT_A_NUMBER),
        (10**400, PropertyRule.NOT_A_NUMBER),
        (LARGEST_TEXT + "x", PropertyRule.TOO_LONG_VALUE),
        ("é" * 4_097, PropertyRule.TOO_LONG_VALUE),
        (["x" * 8_189], PropertyRule.TOO_LONG_VALUE),
        ([["x" * 8_187]], PropertyRule.TOO_LONG_VALUE),
    ],
)
def test_what_fullstory_cannot_take_is_dropped_and_noted(value: Any, rule: PropertyRule) -> None:
    """An illegal value is dropped with a note of rule and property, and the others stay."""
    cleaned, notes = clean({"before": 1, "value": value, "after": 2})

    assert cleaned == {"before": 1, "after": 2}
    assert notes == [(rule, "value")]


@pytest.mark.parametrize(
    ("value", "expected", "rules"),
    [
        (2**64, float(2**64), [PropertyRule.NUMBER_ROUNDED]),
        (1e23, 1e23, [PropertyRule.NUMBER_ROUNDED]),
        (-(2**63) - 1, -(2.0**63), [PropertyRule.NUMBER_ROUNDED]),
        ([2**64, 1], [float(2**64), 1], [PropertyRule.NUMBER_ROUNDED]),
        ([1e23, NAN], [1e23], [PropertyRule.NOT_A_NUMBER, PropertyRule.NUMBER_ROUNDED]),
        ([1, {"n": 2**70}], '[1,{"n":1.1805916207174113e+21}]', AS_TEXT_ROUNDED),
        ([{"n": 1e23, "t": "e+"}], '[{"n":1e+23,"t":"e+"}]', AS_TEXT_ROUNDED),
        ([{"n": 10**400, "m": INFINITY, "t": "e+"}], '[{"m":null,"n":null,"t":"e+"}]', [PropertyRule.ARRAY_AS_TEXT]),
        ([{"n": 1, "t": "1e+23"}], '[{"n":1,"t":"1e+23"}]', [PropertyRule.ARRAY_AS_TEXT]),
        ([*range(3), [2**64, 10**400]], "[0,1,2,[1.8446744073709552e+19,null]]", AS_TEXT_ROUNDED),
        (["a", None], ["a"], [PropertyRule.NULL_OMITTED]),
        ([None], [], [PropertyRule.NULL_OMITTED]),
        ([1, NAN, INFINITY], [1], [PropertyRule.NOT_A_NUMBER]),
        ([None, NAN], [], [PropertyRule.NULL_OMITTED, PropertyRule.NOT_A_NUMBER]),
        (["x", 1], '["x",1]', [PropertyRule.ARRAY_AS_TEXT]),
        (["x", 1, None], '["x",1,null]', [PropertyRule.ARRAY_AS_TEXT]),
        ([True, 1], "[true,1]", [PropertyRule.ARRAY_AS_TEXT]),
        ([[1]], "[[1]]", [PropertyRule.ARRAY_AS_TEXT]),
        ([{"b c": 1, "a": NAN}], '[{"a":null,"b c":1}]', [PropertyRule.ARRAY_AS_TEXT]),
        ([{"é": "ü"}], '[{"é":"ü"}]', [PropertyRule.ARRAY_AS_TEXT]),
    ],
)
def test_what_has_another_form_for_fullstory_gets_it(value: Any, expected: Any, rules: list[PropertyRule]) -> None:
    """Unsupported arrays become text, numbers beyond 64 bits reals, and gaps in arrays close."""
    cleaned, notes = clean({"value": value})

    assert (cleaned, notes) == ({"value": expected}, [(rule, "value") for rule in rules])
    assert type(cleaned["value"]) is type(expected)


def test_an_object_that_loses_everything_is_not_sent() -> None:
    """An object that loses all its properties is not sent, because an empty one might erase FullStory's."""
    cleaned, notes = clean({"address": {"street": None, "geo": {"lat": NAN}}, "plan": "free"})

    assert cleaned == {"plan": "free"}
    assert notes == [
        (PropertyRule.NULL_OMITTED, "address.street"),
        (PropertyRule.NOT_A_NUMBER, "address.geo.lat"),
        (PropertyRule.NULL_OMITTED, "address.geo"),
        (PropertyRule.NULL_OMITTED, "address"),
    ]


def test_names_are_cleaned_at_every_level() -> None:
    """Each cleaned name is noted once, by its dotted path and whether it met a sibling."""
    cleaned, notes = clean({"Home Address": {"zip-code": 1, "zip.code": 2, "city": "x", "zipcode": 3}})

    assert cleaned == {"HomeAddress": {"zipcode_22be52f7": 1, "zipcode_651e2827": 2, "city": "x", "zipcode": 3}}
    assert notes == [
        (PropertyRule.RENAMED, "HomeAddress"),
        (PropertyRule.COLLIDED, "HomeAddress.zipcode_22be52f7"),
        (PropertyRule.COLLIDED, "HomeAddress.zipcode_651e2827"),
    ]


@pytest.mark.parametrize("properties", [{"a b": None, "a-b": 1}, {"a-b": 1, "a b": None}])
def test_a_sibling_that_is_not_sent_collides_in_any_order(properties: dict[str, Any]) -> None:
    """A name's legal form depends neither on the order of its siblings nor on their values."""
    cleaned, notes = clean(properties)

    assert list(cleaned) != ["ab"]
    assert list(cleaned.values()) == [1]
    assert Counter(rule for rule, _ in notes) == {PropertyRule.COLLIDED: 2, PropertyRule.NULL_OMITTED: 1}


def test_a_name_that_is_clean_beside_others_that_collide_keeps_its_note() -> None:
    """A collision elsewhere in the object changes no other name and counts nothing twice."""
    _, notes = clean({"a b": 1, "a-b": 2, "c d": 3, "gone": None})

    assert Counter(rule for rule, _ in notes) == {
        PropertyRule.COLLIDED: 2,
        PropertyRule.RENAMED: 1,
        PropertyRule.NULL_OMITTED: 1,
    }


def test_a_name_may_have_512_characters_with_its_parents() -> None:
    """A dotted name beyond 512 characters is dropped, and its note is cut."""
    kept, no_notes = clean({LONGEST_NAME: 1, "p": {"q" * 510: 2}})
    cleaned, notes = clean({LONGEST_NAME + "n": 1, "p": {"q" * 511: 2, "r": 3}})

    assert (kept, no_notes) == ({LONGEST_NAME: 1, "p": {"q" * 510: 2}}, [])
    assert cleaned == {"p": {"r": 3}}
    assert [(rule, len(path)) for rule, path in notes] == [(PropertyRule.TOO_LONG_NAME, 512)] * 2


def test_long_parents_leave_no_room_for_their_children() -> None:
    """The limit of a dotted name also holds for names that are known to be legal."""
    cleaner = PropertyCleaner()
    notes: Notes = []

    for parent in ("short", "m" * 510, "m" * 511):
        cleaned = cleaner.clean({"a": 1, "bc": 2, parent: {"a": 1, "bc": 2}}, lambda *note: notes.append(note))
        assert property_violations(cleaned) == []

    assert [rule for rule, _ in notes] == [PropertyRule.TOO_LONG_NAME] * 3 + [PropertyRule.NULL_OMITTED]


def test_the_same_members_get_the_same_names_and_notes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered of an object's names depends on where it stands, and is bounded."""
    monkeypatch.setattr(properties, "_MAX_SHAPES", 3)
    cleaner = PropertyCleaner()
    given = {
        "a b": 1,
        "c": {"a b": 2, "ab": 3},
        "n" * 600 + "-": 4,
        "x": {f"{number} d": number for number in range(9)},
    }
    seen: list[tuple[dict[str, Any], Notes]] = []

    for _ in range(3):
        notes: Notes = []
        cleaned = cleaner.clean(given, lambda *note, notes=notes: notes.append(note))
        cleaner.clean({f"e {number} {len(seen)}": 1 for number in range(9)}, lambda *_: None)
        seen.append((cleaned, notes))

    assert seen[0] == seen[1] == seen[2]
    assert seen[0][0]["c"] == {"ab_806c5cd3": 2, "ab": 3}
    assert len(cleaner._shapes) <= 3


def test_500_names_are_sent_and_the_rest_is_dropped_in_order() -> None:
    """The first 500 names are sent, those of objects and inside of objects included."""
    cleaned, notes = clean({f"n{number}": number for number in range(502)})
    nested, nested_notes = clean(
        {"first": {"a": 1, "b": {"c": 2}}, **{f"n{number}": number for number in range(495)}, "last": {"d": 3}, "e": 4}
    )

    assert list(cleaned) == [f"n{number}" for number in range(500)]
    assert notes == [(PropertyRule.TOO_MANY, "n500"), (PropertyRule.TOO_MANY, "n501")]
    assert count_names(nested) == 500
    assert list(nested)[-2:] == ["n494", "e"]
    assert nested_notes == [(PropertyRule.TOO_MANY, "last.d")]


def test_an_object_keeps_as_many_names_as_there_is_room_for() -> None:
    """The limit of names cuts an object's names and does not drop the whole object."""
    cleaned, notes = clean({"all": {f"n{number}": number for number in range(600)}, "rest": 1})

    assert count_names(cleaned) == 500
    assert len(notes) == 102


def test_nesting_ends_at_a_fixed_depth() -> None:
    """What is nested beyond the limit is dropped, however deep it goes."""
    deep: dict[str, Any] = {"leaf": 1}
    for _ in range(900):
        deep = {"leaf": 1, "n": deep}

    cleaned, notes = clean(deep)

    levels = 0
    while "n" in cleaned:
        cleaned, levels = cleaned["n"], levels + 1
    assert levels == MAX_DEPTH
    assert [rule for rule, _ in notes] == [PropertyRule.TOO_DEEP]


def test_an_array_too_deep_for_json_text_is_dropped() -> None:
    """An array nested too deeply for JSON text is dropped without an exception."""
    deep: list[Any] = []
    for _ in range(900):
        deep = [deep]

    assert clean({"deep": deep}) == ({}, [(PropertyRule.TOO_DEEP, "deep")])


def test_cleaning_leaves_what_it_was_given() -> None:
    """Cleaning does not change the properties it was given."""
    given = {"a b": {"c": None, "d": [1, None]}, **{f"n{number}": number for number in range(600)}}
    before = json.dumps(given)

    clean(given)

    assert json.dumps(given) == before


def test_nulls_may_be_sent() -> None:
    """With the setting `send`, nulls are sent, except inside of arrays."""
    notes: Notes = []
    cleaner = PropertyCleaner(sends_nulls=True)
    cleaned = cleaner.clean(
        {"a": None, "b": {"c": None}, "d": [1, None], "e": {}, "f g": None}, lambda *note: notes.append(note)
    )

    assert cleaned == {"a": None, "b": {"c": None}, "d": [1], "fg": None}
    assert notes == [
        (PropertyRule.RENAMED, "fg"),
        (PropertyRule.NULL_OMITTED, "d"),
        (PropertyRule.NULL_OMITTED, "e"),
    ]
