"""Mapping is total, pure and within every limit."""

import json
import random
from collections import Counter
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from processor.events.avro import decode
from processor.events.mapping import Mapping, MappingRules
from processor.events.privacy import PropertyLists
from processor.events.properties import PropertyCleaner, count_names
from processor.model.outcomes import Filtered, Mapped, Outcome, Rejected
from processor.model.reasons import Kind, PropertyRule
from tests.properties.limits import event_violations, property_violations, user_violations
from tests.properties.messages import JSON, NAMES, OBJECTS, RULES, strange_messages, typed_messages
from tests.properties.segment import KAFKA_TIMESTAMP_MS, record
from tests.properties.shapes import WRITERS

WARM = Mapping(MappingRules())
"""A mapping that has seen every event of the run."""


def mapped(mapping: Mapping, event: dict[str, Any]) -> tuple[Outcome, Counter[PropertyRule]]:
    """Return the outcome and the rules applied."""
    changes: Counter[PropertyRule] = Counter()
    return mapping.map(event, KAFKA_TIMESTAMP_MS, lambda rule, _path: changes.update([rule])), changes


@given(strange_messages() | st.dictionaries(st.text(), JSON))
def test_any_event_has_an_outcome_within_every_limit(event: dict[str, Any]) -> None:
    """Any event gives an item within FullStory's limits, a filter or a rejection, and is not changed."""
    before = json.dumps(event)

    outcome, _ = mapped(WARM, event)

    assert json.dumps(event) == before
    match outcome:
        case Mapped(Kind.USER, uid, body):
            assert user_violations(body) == []
            assert body["uid"] == uid
        case Mapped(Kind.EVENT, uid, body):
            assert event_violations(body, allows=["session"]) == []
            assert body.get("user", {"uid": uid}) == {"uid": uid}
        case _:
            assert isinstance(outcome, Filtered | Rejected)


@given(RULES, strange_messages())
def test_so_it_has_under_any_settings(rules: MappingRules, event: dict[str, Any]) -> None:
    """Under any rules, an event's outcome is what they ask for, and its body can be written."""
    asked = {"nulls": rules.nulls == "send", "nobody": rules.anonymous == "property", "session": True}
    allows = [name for name, is_asked in asked.items() if is_asked]
    before = json.dumps(event)

    outcome, _ = mapped(Mapping(rules), event)

    assert json.dumps(event) == before
    if isinstance(outcome, Mapped):
        orjson.dumps(outcome.body)
        violations = user_violations if outcome.kind is Kind.USER else event_violations
        assert violations(outcome.body, allows=allows) == []
        assert outcome.uid
        assert rules.context or "context" not in outcome.body
        assert rules.schema == "declare" or "schema" not in outcome.body


@given(RULES, strange_messages())
def test_the_same_event_gives_the_same_bytes(rules: MappingRules, event: dict[str, Any]) -> None:
    """An event gives the same bytes whatever the process has mapped before."""
    fresh, seasoned = Mapping(rules), Mapping(rules)
    outcomes = [mapped(mapping, event) for mapping in (fresh, seasoned, seasoned)]
    outcomes += [mapped(mapping, event) for mapping in (WARM, Mapping(MappingRules()))]

    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert outcomes[3] == outcomes[4]
    for same in (outcomes[:3], outcomes[3:]):
        assert len({orjson.dumps(outcome.body) for outcome, _ in same if isinstance(outcome, Mapped)}) <= 1


@given(typed_messages())
def test_every_shape_of_a_message_gives_the_same_bytes(message: dict[str, Any]) -> None:
    """A message gives the same bytes and counts as JSON and in Avro of every shape."""
    outcomes = []
    for write in WRITERS.values():
        value, readers = write(message)
        event = decode(record(value), readers)
        assert isinstance(event, dict)
        outcome, changes = mapped(WARM, event)
        assert isinstance(outcome, Mapped)
        outcomes.append((orjson.dumps(outcome.body), changes))

    assert outcomes == outcomes[:1] * len(outcomes)


@given(strange_messages(), st.sampled_from(["plan", "email", "name", "displayName", "a b"]))
def test_what_is_denied_or_hashed_is_nowhere_in_the_item(event: dict[str, Any], name: str) -> None:
    """A denied or hashed value is in no field of the item."""
    secret = "S3CR3T"
    event = {**event, "type": "identify", "userId": "u", "integrations": None}
    others = event["traits"] if isinstance(event.get("traits"), dict) else {}
    event["traits"] = {name: None, **others} | {name: [secret, {"x": secret}]}  # first, or the limit of 500 drops it
    shown, _ = mapped(WARM, event)
    assert isinstance(shown, Mapped)
    assert secret in json.dumps(shown.body)

    for value in (secret, [secret, {"x": secret}]):
        event["traits"][name] = value
        for lists in (PropertyLists(deny=(name,)), PropertyLists(hash=(name,)), PropertyLists(allow=("other",))):
            outcome, _ = mapped(Mapping(MappingRules(traits=lists)), event)
            assert isinstance(outcome, Mapped)
            assert secret not in json.dumps(outcome.body)


@given(OBJECTS)
def test_no_property_changes_in_silence(properties: dict[str, Any]) -> None:
    """Without a note, each property is sent as it was given, apart from whole numbers that become reals."""
    notes: list[PropertyRule] = []
    cleaned = PropertyCleaner().clean(properties, lambda rule, _path: notes.append(rule))

    assert property_violations(cleaned) == []
    if not notes:
        assert json.loads(json.dumps(cleaned), parse_int=float) == json.loads(json.dumps(properties), parse_int=float)
        assert list(cleaned) == list(properties)


@given(OBJECTS, st.integers())
def test_the_order_of_properties_changes_no_name_and_no_value(properties: dict[str, Any], seed: int) -> None:
    """The order of properties decides nothing but which of them exceed the limit of 500."""
    shuffled = list(properties.items())
    random.Random(seed).shuffle(shuffled)
    notes: list[Counter[PropertyRule]] = [Counter(), Counter()]

    one = PropertyCleaner().clean(properties, lambda rule, _path: notes[0].update([rule]))
    other = PropertyCleaner().clean(dict(shuffled), lambda rule, _path: notes[1].update([rule]))

    assert count_names(one) == count_names(other) or PropertyRule.TOO_MANY in notes[0]
    if PropertyRule.TOO_MANY not in notes[0]:
        assert one == other
        assert notes[0] == notes[1]


@given(st.dictionaries(NAMES, st.integers(0, 9), max_size=8))
def test_no_property_is_lost_to_another(properties: dict[str, Any]) -> None:
    """Properties with similar names each keep a value of their own."""
    cleaned = PropertyCleaner().clean(properties, lambda _rule, _path: None)

    assert list(cleaned.values()) == list(properties.values())


@given(OBJECTS)
def test_cleaning_what_is_clean_changes_nothing(properties: dict[str, Any]) -> None:
    """Properties that FullStory takes pass through unchanged; whether a large real was rounded, it does not tell."""
    notes: list[PropertyRule] = []
    once = PropertyCleaner().clean(properties, lambda _rule, _path: None)

    assert PropertyCleaner().clean(once, lambda rule, _path: notes.append(rule)) == once
    assert set(notes) <= {PropertyRule.NUMBER_ROUNDED}
