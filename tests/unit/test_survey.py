"""What a sample of records says of the settings."""

import asyncio
from typing import Any

import pytest

from processor.commands.check.survey import Survey
from processor.commands.common.explanation import Explainer, Input
from processor.events.mapping import Mapping, MappingRules
from processor.model.records import TopicPartition
from tests.fakes.schemas import FakeSchemas
from tests.properties.segment import as_json, record

Json = dict[str, Any]

PARTITION = TopicPartition("segment", 0)
SERVER: Json = {"library": {"name": "analytics-node"}}
BROWSER: Json = {"library": {"name": "analytics.js"}}


def found(*messages: Json, rules: MappingRules | None = None, limit: float = 0.5) -> dict[str, str]:
    """Return what is found in these messages, by id: what it is found of; `limit` is that to dead letters."""
    rules, survey = rules or MappingRules(), Survey()
    explainer = Explainer(Mapping(rules), FakeSchemas({}), 0)
    for message in messages:
        value = record(as_json(message))
        survey.add(PARTITION, asyncio.run(explainer.explain(Input("here", value))))
    return {each.finding.id: each.seen for each in survey.findings(rules, limit)}


def track(properties: Json, context: Json | None = SERVER) -> Json:
    """Return a track."""
    return {"type": "track", "userId": "u", "event": "E", "properties": properties, "context": context}


def test_a_property_of_two_types_of_number_is_found() -> None:
    """It is named with where it belongs; traits and properties are told apart."""
    identify: Json = {"type": "identify", "userId": "u", "traits": {"price": 1}, "context": SERVER}
    mixed = [track({"price": 1, "a": {"b": [1]}}), track({"price": 1.5, "a": {"b": [1, 2.5]}}), identify]

    assert found(*mixed)["records.type_conflict"] == "property a.b, property price"
    assert "records.type_conflict" not in found(*mixed, rules=MappingRules(schema="infer"))
    assert "records.type_conflict" not in found(track({"price": 1}), track({"price": 2}), identify)


def test_only_some_names_are_shown() -> None:
    """Their number tells the rest."""
    names = [f"p{number}" for number in range(7)]

    assert found(track(dict.fromkeys(names, 1)), track(dict.fromkeys(names, 1.5)))["records.type_conflict"].endswith(
        "property p4 and 2 more"
    )


@pytest.mark.parametrize(
    ("message", "is_found"),
    [
        (track({"n": 1}, BROWSER), True),
        ({**track({"n": 1}, None), "channel": "web"}, True),
        (track({"n": 1}, {"library": {"name": "RudderLabs JavaScript SDK"}}), True),
        (track({"n": 1.5}, BROWSER), False),
        (track({"n": 1}, SERVER), False),
    ],
)
def test_whole_numbers_of_browsers_are_found(message: Json, is_found: bool) -> None:  # noqa: FBT001
    """FullStory's snippet takes them for reals, so that their types may conflict."""
    assert found(message).get("records.browser_integers") == ("property n" if is_found else None)


@pytest.mark.parametrize("name", ["RudderLabs JavaScript SDK", "analytics.js"])
def test_visitors_of_browsers_are_found(name: str) -> None:
    """Segment's and RudderStack's libraries are known."""
    message = {**track({}, {"library": {"name": name}}), "userId": "", "anonymousId": "a"}

    assert "records.anonymous_browser" in found(message)
    assert "records.anonymous_browser" not in found(message, rules=MappingRules(anonymous="property"))


@pytest.mark.parametrize("rules", [MappingRules(libraries_allow=("x",)), MappingRules(libraries_deny=("x",))])
def test_records_without_a_library_are_found_where_libraries_are_filtered(rules: MappingRules) -> None:
    """As analytics-go (v3.1.0) and Segment's libraries for Java and Rust write them."""
    messages = [track({}, None), track({}, {}), track({}, {"library": {}}), track({}, SERVER)]

    assert found(*messages, rules=rules)["records.no_library"] == "3 of 4 records"
    assert "records.no_library" not in found(*messages)


def test_a_sample_that_would_halt_the_worker_is_an_error() -> None:
    """As 1,500 bodies of `batch` requests in a topic: the worker dead-letters the first hundreds, then halts."""
    bad: Json = {"batch": []}
    good = track({"price": 1})

    assert found(*[bad] * 51, *[good] * 49)["records.would_halt"].startswith("51 of 100 records")
    assert "records.rejected" not in found(*[bad] * 100)
    assert "records.rejected" in found(*[bad] * 50, *[good] * 50)
    assert "records.would_halt" in found(*[bad] * 50, *[good] * 50, limit=0.4)
    assert "records.would_halt" not in found(*[bad] * 100, limit=1.0)


def test_a_few_bad_records_say_nothing_of_a_thousand() -> None:
    """They are dead-lettered, and that is said."""
    assert "records.rejected" in found(*[{"batch": []}] * 99)
