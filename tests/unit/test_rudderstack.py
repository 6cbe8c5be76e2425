"""Messages as RudderStack's FullStory destination reads them.

The cases are those of its own test data (rudder-transformer, test/integrations/destinations/fullstory), with values of
our own: a complete track, a track without a name, identifies with traits in their context.
"""

from typing import Any

import pytest

from processor.events.mapping import Mapping, MappingRules
from processor.model.outcomes import Filtered, Mapped, Outcome, Rejected
from processor.model.reasons import DeadLetterReason, FilterReason, PropertyRule
from tests.properties.limits import event_violations
from tests.properties.segment import KAFKA_TIMESTAMP_MS

Json = dict[str, Any]

TRACK: Json = {
    "type": "track",
    "channel": "web",
    "anonymousId": "fb87339b-7e20-4f9c-a8de-edd541ae972e",
    "event": "Mug Rated",
    "originalTimestamp": "2026-11-27T22:42:11.233Z",
    "sentAt": "2026-11-27T22:42:11.240Z",
    "context": {
        "app": {"name": "Potter", "version": "2.0.1"},
        "library": {"name": "RudderLabs JavaScript SDK", "version": "3.34.1"},
        "ip": "192.0.2.7",
        "device": {"manufacturer": "Acme", "model": "A1"},
        "page": {"url": "https://shop.example/mug", "initial_referrer": "https://search.example/"},
        "userAgent": "Mozilla/5.0 (X11; Linux x86_64)",
    },
    "integrations": {"All": True},
    "properties": {
        "userId": "u-1",
        "sessionId": "1234:5678",
        "stars": 4.5,
        "latitude": 50.06,
        "longitude": 19.94,
        "city": "Krak\u00f3w",
        "region": "12",
        "country": "PL",
    },
}


def mapped(message: Json, source: Any = "rudderstack") -> tuple[Outcome, set[PropertyRule]]:
    """Return what becomes of a message, and the rules applied."""
    rules: set[PropertyRule] = set()
    outcome = Mapping(MappingRules(source=source)).map(message, KAFKA_TIMESTAMP_MS, lambda rule, _path: rules.add(rule))
    return outcome, rules


def body(message: Json, source: Any = "rudderstack") -> Json:
    """Return the item that a message becomes."""
    outcome, _ = mapped(message, source)
    assert isinstance(outcome, Mapped)
    return outcome.body


def test_a_complete_track_is_what_rudderstack_makes_of_it() -> None:
    """User, session and location come from the properties, where they stay; the session is the one identification."""
    sent = body(TRACK)

    assert event_violations(sent, allows=("session",)) == []
    assert (sent["name"], sent["timestamp"]) == ("Mug Rated", "2026-11-27T22:42:11.233Z")
    assert sent["session"] == {"id": "1234:5678"}
    assert "user" not in sent
    assert sent["context"] == {
        "browser": {
            "url": "https://shop.example/mug",
            "initial_referrer": "https://search.example/",
            "user_agent": "Mozilla/5.0 (X11; Linux x86_64)",
        },
        "mobile": {"app_version": "2.0.1", "app_name": "Potter"},
        "device": {"manufacturer": "Acme", "model": "A1"},
        "location": {
            "country": "PL",
            "region": "12",
            "city": "Krak\u00f3w",
            "latitude": 50.06,
            "longitude": 19.94,
            "ip_address": "192.0.2.7",
        },
    }
    assert sent["properties"] == TRACK["properties"]


@pytest.mark.parametrize(
    ("properties", "context", "whose"),
    [
        ({"userId": "u-1"}, {}, {"user": {"uid": "u-1"}}),
        ({"userId": 7.0}, {}, {"user": {"uid": "7"}}),
        ({"userId": ""}, {}, {"user": {"uid": "u-2"}}),
        ({"userId": None}, {"sessionId": "1:2"}, {"session": {"id": "1:2"}}),
        ({"sessionId": "3:4"}, {"sessionId": "1:2"}, {"session": {"id": "3:4"}}),
        ({"useMostRecent": True}, {}, {"user": {"uid": "u-2"}, "session": {"use_most_recent": True}}),
        ({"useMostRecent": False}, {}, {"user": {"uid": "u-2"}}),
        ({}, {"sessionId": 1_795_773_600_123}, {"user": {"uid": "u-2"}}),
    ],
)
def test_properties_say_whose_an_event_is(properties: Json, context: Json, whose: Json) -> None:
    """What the properties name outranks what stands beside them; RudderStack's own sessions are none of FullStory's."""
    given = {"type": "track", "userId": "u-2", "event": "E", "properties": properties, "context": context}

    sent = body(given)

    assert {name: sent[name] for name in ("user", "session") if name in sent} == whose
    assert body(given, "segment")["user"] == {"uid": "u-2"}


def test_a_session_that_is_none_of_fullstorys_is_counted() -> None:
    """The user takes its place."""
    outcome, rules = mapped({**TRACK, "properties": {"userId": "u-1", "sessionId": "s001"}})

    assert isinstance(outcome, Mapped)
    assert outcome.body["user"] == {"uid": "u-1"}
    assert PropertyRule.SESSION_INVALID in rules


def test_what_properties_name_changes_no_routing() -> None:
    """A session in the properties is no option of the destination: an opt-out holds."""
    assert mapped({**TRACK, "integrations": {"All": False}})[0] == Filtered(FilterReason.INTEGRATIONS)


def test_a_track_without_a_name_is_rejected() -> None:
    """RudderStack answers 400 to it."""
    outcome, _ = mapped({name: value for name, value in TRACK.items() if name != "event"})

    assert isinstance(outcome, Rejected)
    assert outcome.reason is DeadLetterReason.MISSING_EVENT_NAME


@pytest.mark.parametrize(
    ("traits", "of_context", "sent"),
    [
        (None, {"email": "j@shop.example", "name": "Jo", "plan": "pro"}, {"name": "Jo", "plan": "pro"}),
        ({"plan": "free"}, {"email": "j@shop.example", "name": "Jo", "plan": "pro"}, {"name": "Jo", "plan": "free"}),
        ([], {"email": "j@shop.example", "name": "Jo"}, {"name": "Jo"}),
    ],
)
def test_traits_stand_in_the_context(traits: Any, of_context: Json, sent: Json) -> None:
    """Email and display name are found there, even if the message has traits of its own. That is no change to count."""
    outcome, rules = mapped({"type": "identify", "userId": "u", "traits": traits, "context": {"traits": of_context}})

    assert isinstance(outcome, Mapped)
    assert outcome.body == {"uid": "u", "display_name": "Jo", "email": "j@shop.example", "properties": sent}
    assert rules == set()


def test_a_message_may_say_nothing_of_all_this() -> None:
    """Nothing is made up, and what has another form is left to the rules of every message."""
    contexts: tuple[Any, ...] = (None, [], "text", 5, {"traits": 5, "location": "x", "sessionId": {}})
    for odd in contexts:
        assert body({"type": "track", "userId": "u", "event": "E", "context": odd})["user"] == {"uid": "u"}
    assert isinstance(
        mapped({"type": "identify", "userId": "u", "traits": 5, "context": {"traits": {"a": 1}}})[0], Rejected
    )
