"""The examples of docs/mapping.md and docs/privacy.md, in every shape that a Segment message may have."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from processor.events.avro import decode
from processor.events.mapping import Mapping, MappingRules
from processor.model.outcomes import Filtered, Mapped, Rejected
from processor.model.reasons import DeadLetterReason, Kind, PropertyRule
from processor.settings.mapping import MappingSection as Settings
from tests.properties.segment import (
    KAFKA_TIMESTAMP,
    KAFKA_TIMESTAMP_MS,
    record,
)
from tests.properties.shapes import WRITERS, string_maps, written_by

Json = dict[str, Any]

PAGES = [Path(__file__).parents[2] / f"docs/{name}.md" for name in ("mapping", "privacy")]
PATHS = {Kind.USER: "POST /v2/users", Kind.EVENT: "POST /v2/events"}

EXAMPLE = re.compile(
    r"(?s)(?:\nWith (?P<settings>`PROCESSOR(?:(?!\n\n).)+):\n\n)?```json segment\n(?P<given>.+?)```\n\n"
    r"```(?P<kind>[^\n]+)\n(?P<outcome>.+?)```"
    r"(?:\n\nCounted: (?P<rules>[^\n]+))?"
)


TYPED = ("nested records", "typed maps")
UNSUITABLE = DeadLetterReason.UNSUITABLE_SCHEMA


def examples() -> list[Any]:
    """Return the examples of the pages: settings, message, kind of outcome, outcome, rules counted."""
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    found = list(EXAMPLE.finditer(text))
    assert len(found) == text.count("```json segment"), "an example has no outcome"
    return [
        pytest.param(rules_of(each["settings"]), *each.group("given", "kind", "outcome", "rules"), id=str(number))
        for number, each in enumerate(found, 1)
    ]


def rules_of(settings: str | None) -> MappingRules:
    """Return what the settings in a line of the page make of mapping."""
    given = re.findall(r"`PROCESSOR_MAPPING__(\w+)=([^`]+)`", settings or "")
    return Settings(**{name.lower(): value for name, value in given}).rules()


@pytest.mark.parametrize(("settings", "message", "kind", "expected", "counted"), examples())
@pytest.mark.parametrize("shape", WRITERS)
def test_the_documented_examples_are_true(
    shape: str, settings: MappingRules, message: str, kind: str, expected: str, counted: str | None
) -> None:
    """Each message of the pages, in each shape, has the outcome that its page shows."""
    value, readers = WRITERS[shape](json.loads(message))
    decoded = decode(record(value), readers)
    if isinstance(decoded, Rejected):
        assert (decoded.reason, expected) == (UNSUITABLE, "dead letter: malformed\n"), "the schema alone says it"
        assert shape in TYPED
        return
    assert isinstance(decoded, dict)
    changes: Counter[PropertyRule] = Counter()

    outcome = Mapping(settings).map(decoded, KAFKA_TIMESTAMP_MS, lambda rule, _path: changes.update([rule]))

    if not isinstance(outcome, Rejected):
        assert changes == Counter(re.findall(r"`(\w+)`", counted or ""))
    match outcome:
        case Mapped(to, _, body):
            assert kind == f"json {PATHS[to]}"
            assert orjson.dumps(body) == orjson.dumps(orjson.loads(expected)), "order of keys included"
        case Filtered(reason):
            assert (kind, expected) == ("text", f"filtered: {reason}\n")
        case Rejected(reason):
            assert (kind, expected) == ("text", f"dead letter: {reason}\n")


PURCHASE = {
    "order_ID": "2969302398",
    "category": "boots",
    "product_name": "yellow_cowboy_boots",
    "price": 99.95,
    "currency": "EUR",
}
SPECIAL = {"email": "john.doe@example.com", "displayName": "John Doe"}


def test_every_example_of_the_product_text_is_among_them() -> None:
    """The page has the product text's examples: identify without a user, with one, with traits; and a track."""
    known = [json.loads(each.values[1]) for each in examples() if each.values[0] == MappingRules()]

    for call in (
        {"type": "identify", "anonymousId": "507f191e810c19729de860ea"},
        {"type": "identify", "userId": "userId"},
        {"type": "identify", "userId": "userId123", "traits": {"plan": "premium", "logins": 5}},
        {"type": "identify", "userId": "userId123", "traits": SPECIAL},
        {"type": "track", "event": "Product Purchased", "properties": PURCHASE},
    ):
        assert any(call.items() <= message.items() for message in known), call


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            {"type": "identify", "userId": "userId123", "traits": {"plan": "premium", "logins": "5"}},
            {"uid": "userId123", "properties": {"plan": "premium", "logins": "5"}},
        ),
        (
            {"type": "identify", "userId": "userId123", "traits": SPECIAL},
            {"uid": "userId123", "display_name": "John Doe", "email": "john.doe@example.com", "properties": {}},
        ),
        (
            {
                "type": "track",
                "userId": "u",
                "event": "Product Purchased",
                "properties": {**PURCHASE, "price": "99.95"},
            },
            {
                "name": "Product Purchased",
                "timestamp": KAFKA_TIMESTAMP,
                "user": {"uid": "u"},
                "properties": {**PURCHASE, "price": "99.95"},
            },
        ),
    ],
)
def test_maps_of_strings_give_the_same_in_texts(message: Json, expected: Json) -> None:
    """As maps of strings, the examples give the same items with texts for values."""
    value, readers = written_by(string_maps(message), message)
    decoded = decode(record(value), readers)
    assert isinstance(decoded, dict)

    outcome = Mapping(MappingRules()).map(decoded, KAFKA_TIMESTAMP_MS, lambda _rule, _path: None)

    assert isinstance(outcome, Mapped)
    assert outcome.body == expected
