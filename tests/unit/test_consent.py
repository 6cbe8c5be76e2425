"""What a message says of its user's consent."""

import json
from collections import Counter
from typing import Any

import pytest

from processor.events.consent import Consent
from processor.events.mapping import Mapping, MappingRules
from processor.model.outcomes import Filtered, Mapped, Outcome
from processor.model.reasons import FilterReason

Json = dict[str, Any]


def context(preferences: Any) -> Json:
    """Return a context as @segment/analytics-consent-tools 2.0.3 writes it."""
    return {"consent": {"categoryPreferences": preferences}}


def mapped(rules: MappingRules, **fields: Any) -> Outcome:
    """Return what becomes of a track; nothing of it is changed on the way."""
    changes: Counter[str] = Counter()
    event = {"type": "track", "userId": "u", "event": "E", "timestamp": "2026-11-27T22:40:52.340Z", **fields}
    outcome = Mapping(rules).map(event, 0, lambda rule, _path: changes.update([rule]))
    assert not changes
    return outcome


@pytest.mark.parametrize(
    ("preferences", "for_all", "for_any"),
    [
        ({"A": True, "B": True}, True, True),
        ({"A": True, "B": False}, False, True),
        ({"A": True}, False, True),
        ({"A": False, "B": False}, False, False),
        ({"a": True, "b": True}, False, False),
        ({"C": True}, False, False),
        ({}, False, False),
        ({"A": "true", "B": "True"}, True, True),
        ({"A": "yes", "B": 1}, False, False),
        ({"A": None, "B": [True]}, False, False),
        ([], False, False),
        (["A", "B"], False, False),
        ("A", False, False),
        (True, False, False),
        (None, True, True),
    ],
)
def test_consent_is_what_is_true(preferences: Any, for_all: bool, for_any: bool) -> None:  # noqa: FBT001
    """A category that is not named, or not true, is not consented to; without any preferences nothing is said."""
    of_all, of_any = Consent(("A", "B"), "all"), Consent(("A", "B"), "any")
    as_text = json.dumps(context(preferences))
    in_strings = {"consent": json.dumps({"categoryPreferences": preferences})}

    for given in (context(preferences), as_text, in_strings):
        assert of_all.allows(given) is for_all
        assert of_any.allows(given) is for_any


@pytest.mark.parametrize(
    "silent", [None, {}, "", "{", [], "null", 5, {"ip": "192.0.2.7"}, {"consent": None}, {"consent": {}}]
)
def test_a_message_that_says_nothing_of_consent_is_forwarded(silent: Any) -> None:
    """Without `categoryPreferences` a message is forwarded, as in Segment."""
    assert Consent(("A",), "all").allows(silent)


def test_a_message_without_consent_is_filtered() -> None:
    """With categories set, a message of any type whose user did not consent to them is filtered as `consent`."""
    rules = MappingRules(consent=("Analytics",), message_types=("identify", "track", "page"))
    given = context({"Advertising": False, "Analytics": False, "Necessary": True})

    for kind in ("track", "identify", "page"):
        assert mapped(rules, type=kind, context=given) == Filtered(FilterReason.CONSENT)
    assert mapped(rules, context=given, integrations={"FullStory": True}) == Filtered(FilterReason.CONSENT)
    assert isinstance(mapped(rules, context=context({"Analytics": True})), Mapped)
    assert isinstance(mapped(rules), Mapped)


def test_consent_does_not_undo_an_opt_out() -> None:
    """A message whose `integrations` exclude FullStory is filtered although its user consents."""
    outcome = mapped(
        MappingRules(consent=("A",)), context=context({"A": True}), integrations={"FullStory": False, "All": True}
    )

    assert outcome == Filtered(FilterReason.INTEGRATIONS)


def test_without_categories_consent_decides_nothing() -> None:
    """By default what a message says of consent is not asked for."""
    assert isinstance(mapped(MappingRules(), context=context({"Analytics": False})), Mapped)
