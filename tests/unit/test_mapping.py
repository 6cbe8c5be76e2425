"""Segment events to FullStory items."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from processor.events.avro import decode
from processor.events.mapping import Mapping, MappingRules
from processor.events.privacy import PropertyLists
from processor.model.outcomes import Filtered, Mapped, Outcome, Rejected, unnoted
from processor.model.reasons import DeadLetterReason, FilterReason, Kind, PropertyRule
from processor.model.records import NO_TIME
from tests.properties.limits import event_violations, user_violations
from tests.properties.segment import KAFKA_TIMESTAMP, KAFKA_TIMESTAMP_MS, as_avro, record, shipped_readers

Json = dict[str, Any]

PAGE = Path(__file__).parents[2] / "docs/mapping.md"

ALLOWED = ("nulls", "nobody", "session")
NO_TIMES: tuple[Any, ...] = ("yesterday", "", 2**70, {}, 1.5, True)
WHEN_MS = 1_795_773_600_000
UNREADABLE = [PropertyRule.TIMESTAMP_INVALID, PropertyRule.TIMESTAMP_OF_KAFKA]


def mapped(event: Json, rules: MappingRules | None = None) -> tuple[Outcome, Counter[PropertyRule]]:
    """Return what becomes of an event, and the rules applied."""
    changes: Counter[PropertyRule] = Counter()
    outcome = Mapping(rules or MappingRules()).map(
        event, KAFKA_TIMESTAMP_MS, lambda rule, _path: changes.update([rule])
    )
    if isinstance(outcome, Mapped):
        checks = {Kind.USER: user_violations, Kind.EVENT: event_violations}
        if outcome.kind in checks:
            assert checks[outcome.kind](outcome.body, allows=ALLOWED) == []
    return outcome, changes


def user(traits: Any = None, **fields: Any) -> tuple[Json, Counter[PropertyRule]]:
    """Return the body that an identify becomes, and the rules applied."""
    outcome, changes = mapped({"type": "identify", "userId": "u", "traits": traits, **fields})
    assert isinstance(outcome, Mapped)
    assert outcome.kind is Kind.USER
    return outcome.body, changes


def event(properties: Any = None, **fields: Any) -> tuple[Json, Counter[PropertyRule]]:
    """Return the body that a track becomes, and the rules applied."""
    outcome, changes = mapped({"type": "track", "userId": "u", "event": "E", "properties": properties, **fields})
    assert isinstance(outcome, Mapped)
    assert outcome.kind is Kind.EVENT
    return outcome.body, changes


def rejection(**fields: Any) -> DeadLetterReason:
    """Return why a track with these fields is rejected."""
    outcome, changes = mapped({"type": "track", "userId": "u", "event": "E", **fields})
    assert isinstance(outcome, Rejected)
    assert not changes
    return outcome.reason


@pytest.mark.parametrize("kind", ["track", "Track", "TRACK"])
def test_the_type_is_read_in_any_case(kind: str) -> None:
    """The message's type is recognised in any case."""
    assert isinstance(mapped({"type": kind, "userId": "u", "event": "E"})[0], Mapped)


@pytest.mark.parametrize("kind", ["page", "screen", "group", "alias", "delete", "Page"])
def test_other_segment_types_are_filtered(kind: str) -> None:
    """Segment's types other than identify and track are filtered, not rejected."""
    assert mapped({"type": kind, "userId": "u"}) == (Filtered(FilterReason.MESSAGE_TYPE), Counter())


@pytest.mark.parametrize("kind", [None, "", "sneeze", " track", 5, True, ["track"], {}])
def test_any_other_type_is_rejected(kind: Any) -> None:
    """A message of an unknown type is rejected."""
    assert rejection(type=kind) is DeadLetterReason.UNKNOWN_TYPE
    outcome, _ = mapped({})
    assert isinstance(outcome, Rejected)


@pytest.mark.parametrize(
    ("user_id", "anonymous_id", "uid"),
    [
        ("u", None, "u"),
        ("u", "a", "u"),
        (None, "a", "a"),
        ("", "a", "a"),
        (" \t", "a", "a"),
        (" u ", "a", " u "),
        (123, None, "123"),
        (0, "a", "0"),
        (-5, "a", "-5"),
        (42.0, "a", "42"),
        (-0.0, "a", "0"),
        (1.7e12, None, "1700000000000"),
        (-(2.0**53), "a", "-9007199254740992"),
        (123456789012345678901, "a", "123456789012345678901"),
        (True, "a", "a"),
        (1.5, "a", "a"),
        (float("nan"), "a", "a"),
        (-float("inf"), "a", "a"),
        ({"id": 1}, "a", "a"),
        (["u"], "a", "a"),
        (None, 7, "7"),
        ("u" * 256, None, "u" * 256),
    ],
)
def test_the_uid_is_the_user_id_else_the_anonymous_id(user_id: Any, anonymous_id: Any, uid: str) -> None:
    """The uid is a userId, else an anonymousId: a text that is not blank, or a whole number.

    Whole numbers come as reals from Gson (`Map<String, Object>`), pandas (a column with gaps), Spark and Jackson.
    """
    ids = {"userId": user_id, "anonymousId": anonymous_id}

    assert user(**ids)[0]["uid"] == uid
    assert event(**ids)[0]["user"] == {"uid": uid}


@pytest.mark.parametrize("nobody", [None, "", " ", True, 1.5, [], {}])
def test_a_message_of_nobody_is_rejected(nobody: Any) -> None:
    """A message without any id is rejected, because FullStory would make an anonymous user of each."""
    assert rejection(userId=nobody, anonymousId=nobody) is DeadLetterReason.MISSING_USER


@pytest.mark.parametrize(
    "junk", ["undefined", "NULL", "None", "[object Object]", "NaN", "Guest", "0" * 8 + "-0000" * 3 + "-" + "0" * 12]
)
def test_an_id_that_is_junk_is_nobodys(junk: str) -> None:
    """What languages print of nothing counts as absent, and a message without any other id is filtered."""
    body, changes = user(userId=junk, anonymousId="a")
    assert (body["uid"], changes) == ("a", {PropertyRule.ID_DROPPED: 1})
    body, changes = user({}, anonymousId=junk)
    assert (body, changes) == ({"uid": "u", "properties": {}}, {PropertyRule.ID_DROPPED: 1})
    for ids in ({"userId": junk}, {"userId": "", "anonymousId": junk}, {"userId": junk, "anonymousId": junk}):
        assert mapped({"type": "track", "event": "E", **ids})[0] == Filtered(FilterReason.JUNK_ID)


def test_which_ids_are_junk_is_a_setting() -> None:
    """The setting replaces the list, may be empty, and ignores case; a number is junk by its digits."""
    assert user(userId="0")[0]["uid"] == "0"
    assert user(userId="undefined2")[0]["uid"] == "undefined2"
    for junk_ids, given, is_junk in (((), "undefined", False), (("0", "Test"), 0, True), (("0", "Test"), "TEST", True)):
        outcome, _ = mapped({"type": "identify", "userId": given}, MappingRules(junk_ids=junk_ids))
        assert isinstance(outcome, Filtered) == is_junk


def test_an_id_is_never_cut() -> None:
    """An id that is too long is rejected, not cut, and the detail names its field without quoting it."""
    for ids in ({"userId": "u" * 257, "anonymousId": "a"}, {"userId": None, "anonymousId": "u" * 257}):
        outcome, _ = mapped({"type": "identify", **ids})
        assert isinstance(outcome, Rejected)
        assert outcome.reason is DeadLetterReason.UID_TOO_LONG
        assert ("`userId`" if ids["userId"] else "`anonymousId`") in outcome.detail
        assert "uuu" not in outcome.detail


def test_an_anonymous_id_beside_a_user_id_becomes_a_property() -> None:
    """An anonymousId beside a userId becomes `segmentAnonymousId` of the user, and is dropped from an event."""
    assert user({"plan": "free"}, anonymousId="a")[0]["properties"] == {"plan": "free", "segmentAnonymousId": "a"}
    assert user(userId=None, anonymousId="a")[0]["properties"] == {}
    assert event(anonymousId="a")[0]["properties"] == {}


@pytest.mark.parametrize(
    ("traits", "body"),
    [
        ({"email": "a@b.c"}, {"email": "a@b.c", "properties": {}}),
        ({"email": ""}, {"properties": {"email": ""}}),
        ({"email": 1.5}, {"properties": {"email": 1.5}}),
        ({"email": ["a@b.c"]}, {"properties": {"email": ["a@b.c"]}}),
        ({"displayName": "J"}, {"display_name": "J", "properties": {}}),
        ({"displayName": "J", "name": "K"}, {"display_name": "J", "properties": {"name": "K"}}),
        ({"displayName": 1.5, "name": "K"}, {"properties": {"displayName": 1.5, "name": "K"}}),
        ({"displayName": "", "name": "K"}, {"display_name": "K", "properties": {"displayName": "", "name": "K"}}),
        ({"name": "K", "firstName": "J"}, {"display_name": "K", "properties": {"name": "K", "firstName": "J"}}),
        (
            {"name": "", "firstName": "J", "lastName": "D"},
            {"display_name": "J D", "properties": {"name": "", "firstName": "J", "lastName": "D"}},
        ),
        ({"firstName": "J", "lastName": ""}, {"display_name": "J", "properties": {"firstName": "J", "lastName": ""}}),
        ({"lastName": "D"}, {"display_name": "D", "properties": {"lastName": "D"}}),
        ({"name": True, "firstName": False}, {"properties": {"name": True, "firstName": False}}),
        ({"display_name": "J"}, {"display_name": "J", "properties": {}}),
        ({"display_name": "J", "displayName": "K"}, {"display_name": "K", "properties": {"display_name": "J"}}),
        ({"display_name": "J", "displayName": ""}, {"display_name": "J", "properties": {"displayName": ""}}),
        ({"display_name": True, "name": "K"}, {"properties": {"display_name": True, "name": "K"}}),
        (
            {"first_name": "J", "last_name": "D"},
            {"display_name": "J D", "properties": {"first_name": "J", "last_name": "D"}},
        ),
        (
            {"firstName": "", "first_name": "J", "lastName": "D"},
            {"display_name": "J D", "properties": {"firstName": "", "first_name": "J", "lastName": "D"}},
        ),
    ],
)
def test_special_traits(traits: Json, body: Json) -> None:
    """`email` and `displayName` leave the properties; traits that only supply a display name stay in them."""
    assert user(traits) == ({"uid": "u", **body}, Counter())


def test_a_display_name_that_is_null_is_none() -> None:
    """With a null display name, the name supplies it, and the null is counted like any other."""
    body, changes = user({"displayName": None, "name": "K"})

    assert body == {"uid": "u", "display_name": "K", "properties": {"name": "K"}}
    assert changes == {PropertyRule.NULL_OMITTED: 1}


def test_specials_keep_fullstorys_limits() -> None:
    """A display name that is too long is cut, an e-mail address that is too long is dropped."""
    body, changes = user({"displayName": "d" * 257, "email": "e" * 129})
    exact, no_changes = user({"displayName": "d" * 256, "email": "e" * 128})

    assert body == {"uid": "u", "display_name": "d" * 256, "properties": {}}
    assert changes == {PropertyRule.DISPLAY_NAME_CUT: 1, PropertyRule.EMAIL_DROPPED: 1}
    assert exact == {"uid": "u", "display_name": "d" * 256, "email": "e" * 128, "properties": {}}
    assert not no_changes


@pytest.mark.parametrize(("name", "sent"), [(404, "404"), (404.0, "404"), (0, "0"), (" E ", " E ")])
def test_an_events_name_may_be_a_whole_number(name: Any, sent: str) -> None:
    """A whole number names an event by its digits, as Segment's destination sends it."""
    assert event(event=name)[0]["name"] == sent


@pytest.mark.parametrize("name", [None, "", " \n", 4.5, True, 1e21, float("nan"), [], {}])
def test_a_track_without_a_name_is_rejected(name: Any) -> None:
    """A track without an event name is rejected, because FullStory answers 400 to it."""
    assert rejection(event=name) is DeadLetterReason.MISSING_EVENT_NAME


def test_a_long_event_name_is_cut() -> None:
    """An event name is cut at 250 characters, and the cut is counted."""
    assert event(event="é" * 250, timestamp=KAFKA_TIMESTAMP)[1] == {}
    body, changes = event(event="é" * 251, timestamp=KAFKA_TIMESTAMP)

    assert body["name"] == "é" * 250
    assert changes == {PropertyRule.NAME_CUT: 1}


@pytest.mark.parametrize(
    ("times", "sent", "rules"),
    [
        ({"timestamp": "2015-02-23T22:28:55.111Z"}, "2015-02-23T22:28:55.111Z", []),
        ({"timestamp": 1_424_730_535_111}, "2015-02-23T22:28:55.111Z", []),
        ({"timestamp": 1_424_730_535_111, "originalTimestamp": 5, "sentAt": {}}, "2015-02-23T22:28:55.111Z", []),
        ({}, KAFKA_TIMESTAMP, [PropertyRule.TIMESTAMP_OF_KAFKA]),
        ({"sentAt": 1, "receivedAt": 2}, KAFKA_TIMESTAMP, [PropertyRule.TIMESTAMP_OF_KAFKA]),
        (
            {"originalTimestamp": "2015-02-23T22:28:55Z", "sentAt": WHEN_MS, "receivedAt": "2026-11-27T10:01:00Z"},
            "2015-02-23T22:29:55.000Z",
            [PropertyRule.TIMESTAMP_CORRECTED],
        ),
        (
            {"originalTimestamp": "2015-02-23T22:28:55.111Z", "sentAt": WHEN_MS + 60_000, "receivedAt": WHEN_MS},
            "2015-02-23T22:27:55.111Z",
            [PropertyRule.TIMESTAMP_CORRECTED],
        ),
        (
            {"originalTimestamp": 1_424_730_535_111, "sentAt": WHEN_MS},
            "2015-02-23T22:28:55.111Z",
            [PropertyRule.TIMESTAMP_ORIGINAL],
        ),
        (
            {"originalTimestamp": "2015-02-23T22:28:55Z", "sentAt": WHEN_MS, "receivedAt": WHEN_MS},
            "2015-02-23T22:28:55.000Z",
            [PropertyRule.TIMESTAMP_ORIGINAL],
        ),
        (
            {
                "timestamp": "yesterday",
                "originalTimestamp": 1_424_730_535_111,
                "sentAt": WHEN_MS,
                "receivedAt": "today",
            },
            "2015-02-23T22:28:55.111Z",
            [PropertyRule.TIMESTAMP_INVALID, PropertyRule.TIMESTAMP_INVALID, PropertyRule.TIMESTAMP_ORIGINAL],
        ),
        (
            {"originalTimestamp": "9999-12-31T23:59:59Z", "sentAt": WHEN_MS, "receivedAt": WHEN_MS + 1_000},
            KAFKA_TIMESTAMP,
            [PropertyRule.TIMESTAMP_OF_KAFKA],
        ),
        *(({"timestamp": bad}, KAFKA_TIMESTAMP, UNREADABLE) for bad in NO_TIMES),
        *(
            ({"timestamp": number}, "2026-11-27T10:00:00.000Z", [PropertyRule.TIMESTAMP_UNIT])
            for number in (1_795_773_600, 1_795_773_600_000_000, 1_795_773_600_000_000_000, "1795773600", 1795773600.0)
        ),
        *(({"timestamp": number}, "2026-11-27T10:00:00.123Z", []) for number in ("1795773600123", 1795773600123.0)),
        ({"timestamp": 1795773600.123}, "2026-11-27T10:00:00.123Z", [PropertyRule.TIMESTAMP_UNIT]),
        *(({"timestamp": bad}, KAFKA_TIMESTAMP, UNREADABLE) for bad in (1e300, float("nan"), "20150223222855")),
        (
            {"originalTimestamp": 1_795_773_600_000_000, "sentAt": 1_795_773_600_000, "receivedAt": 1_795_773_601},
            "2026-11-27T10:00:01.000Z",
            [PropertyRule.TIMESTAMP_UNIT, PropertyRule.TIMESTAMP_UNIT, PropertyRule.TIMESTAMP_CORRECTED],
        ),
    ],
)
def test_when_an_event_happened(times: Json, sent: str, rules: list[PropertyRule]) -> None:
    """An event's time is its timestamp, else the client's corrected clock, else Kafka's, never the current time."""
    body, changes = event(**times)

    assert body["timestamp"] == sent
    assert changes == Counter(rules)


@pytest.mark.parametrize("kafka_ms", [-1, 5 * 10**16])
def test_without_any_time_an_event_is_at_the_epoch(kafka_ms: int) -> None:
    """An event without any time, even Kafka's, gets the epoch, so that its bytes never change."""
    noted: list[PropertyRule] = []
    outcome = Mapping(MappingRules()).map(
        {"type": "track", "userId": "u", "event": "E"}, kafka_ms, lambda rule, _path: noted.append(rule)
    )

    assert isinstance(outcome, Mapped)
    assert outcome.body["timestamp"] == "1970-01-01T00:00:00.000Z"
    assert noted == [PropertyRule.TIMESTAMP_UNKNOWN]


@pytest.mark.parametrize("unit", [1_000, 1_000_000])
def test_kafkas_timestamp_may_be_of_another_unit(unit: int) -> None:
    """A record's timestamp in micro- or nanoseconds is the time that it is, and noted."""
    noted: list[PropertyRule] = []
    outcome = Mapping(MappingRules()).map(
        {"type": "track", "userId": "u", "event": "E"},
        1_795_773_600_123 * unit,
        lambda rule, _path: noted.append(rule),
    )

    assert isinstance(outcome, Mapped)
    assert outcome.body["timestamp"] == "2026-11-27T10:00:00.123Z"
    assert noted == [PropertyRule.TIMESTAMP_UNIT, PropertyRule.TIMESTAMP_OF_KAFKA]


@pytest.mark.parametrize(
    "ids",
    [
        {"userId": "u\ufffd"},
        {"userId": "\ufffd", "anonymousId": "a"},
        {"anonymousId": "\ufffd"},
        {"userId": 1e21, "anonymousId": "a"},
        {"anonymousId": 2.0**53 + 2},
    ],
)
def test_an_id_of_which_something_is_lost_is_nobodys(ids: Json) -> None:
    """An id with U+FFFD, or a real beyond 2**53, could be that of several users: it is sent for no other id either."""
    outcome, _ = mapped({"type": "track", "event": "E", **ids})

    assert isinstance(outcome, Rejected)
    assert outcome.reason is DeadLetterReason.MISSING_USER
    assert "U+FFFD" in outcome.detail


@pytest.mark.parametrize("absent", [None, {}, []])
def test_an_absent_free_form_part_is_empty(absent: Any) -> None:
    """An absent part counts as empty, and so does the empty array that PHP writes for an empty object."""
    assert user(absent, integrations=absent)[0] == {"uid": "u", "properties": {}}
    assert event(absent, integrations=absent)[0]["properties"] == {}


@pytest.mark.parametrize("other", ["text", "", 0, False, True, 1.5, [1], [None]])
def test_a_free_form_part_that_is_no_object_is_rejected(other: Any) -> None:
    """A message whose traits, properties or integrations are no object is rejected."""
    assert rejection(properties=other) is DeadLetterReason.MALFORMED
    assert rejection(integrations=other) is DeadLetterReason.MALFORMED
    assert rejection(type="identify", traits=other) is DeadLetterReason.MALFORMED


@pytest.mark.parametrize(
    ("integrations", "is_delivered"),
    [
        ({"All": True}, True),
        ({"All": False}, False),
        ({"All": None}, True),
        ({"all": False}, False),  # as analytics-go 3.1.0 writes it (`DisableAll`)
        ({"Mixpanel": True, "all": False}, False),
        ({"all": "false"}, False),
        ({"ALL": False}, False),
        ({"all": True}, True),
        ({"All": True, "all": False}, False),
        ({"FullStory": True, "all": False}, True),
        ({"Mixpanel": False}, True),
        ({"FullStory": False}, False),
        ({"FullStory": True, "All": False}, True),
        ({"FullStory": {"sessionId": "x"}, "All": False}, True),
        ({"FullStory": {}, "All": False}, True),
        ({"FullStory": None, "All": False}, False),
        ({"Fullstory": False}, False),
        ({"Fullstory (Actions)": False}, False),
        ({"Fullstory Cloud Mode (Actions)": False}, False),
        ({"Fullstory (Actions)": False, "FullStory": True}, True),
        ({"fullstory": False}, True),
        ({"All": "false"}, False),
        ({"All": "False", "FullStory": "true"}, True),
        ({"FullStory": "false"}, False),
    ],
)
def test_integrations_route_as_segment_does(integrations: Json, is_delivered: bool) -> None:  # noqa: FBT001
    """The destination's own entry in `integrations` decides, else `All`; options count as yes."""
    outcome, _ = mapped({"type": "identify", "userId": "u", "integrations": integrations})

    assert isinstance(outcome, Mapped) == is_delivered
    assert is_delivered or outcome == Filtered(FilterReason.INTEGRATIONS)


def test_the_names_of_the_destination_are_a_setting() -> None:
    """`integrations` is read under the names that the setting lists."""
    rules = MappingRules(integration_names=("Our FullStory",))

    outcome, _ = mapped({"type": "identify", "userId": "u", "integrations": {"Our FullStory": False}}, rules)
    other, _ = mapped({"type": "identify", "userId": "u", "integrations": {"FullStory": False}}, rules)

    assert outcome == Filtered(FilterReason.INTEGRATIONS)
    assert isinstance(other, Mapped)


def test_integrations_may_be_ignored() -> None:
    """With the setting `ignore`, `integrations` routes nothing; its session options still count."""
    given = {"type": "track", "userId": "u", "event": "E", "integrations": {"All": False, "FullStory": False}}
    rules = MappingRules(integrations="ignore")

    assert isinstance(mapped(given, rules)[0], Mapped)
    named, _ = mapped({**given, "integrations": {"All": False, "FullStory": {"sessionId": "1:2"}}}, rules)
    assert isinstance(named, Mapped)
    assert named.body["session"] == {"id": "1:2"}
    assert isinstance(mapped({**given, "integrations": 5}, rules)[0], Rejected)


@pytest.mark.parametrize(
    ("integrations", "options"),
    [
        ({"FullStory": {"sessionId": "1:2"}}, True),
        ({"Fullstory Cloud Mode (Actions)": {"sessionId": "1:2"}}, True),
        ({"Fullstory (Actions)": True, "FullStory": {"sessionId": "1:2"}}, True),
        ({"Mixpanel": {"sessionId": "1:2"}}, False),
        ({"FullStory": "1:2"}, False),
    ],
)
def test_options_stand_under_any_name_of_the_destination(integrations: Json, options: bool) -> None:  # noqa: FBT001
    """Session options are read from the first name of the destination that holds an object."""
    body, _ = event(integrations=integrations, timestamp=KAFKA_TIMESTAMP)

    assert body.get("session") == ({"id": "1:2"} if options else None)
    assert ("user" in body) != options
    assert user(integrations=integrations)[0] == {"uid": "u", "properties": {}}


@pytest.mark.parametrize("kind", ["page", "screen"])
@pytest.mark.parametrize(
    ("fields", "name", "properties"),
    [
        ({}, "Loaded a {}", {}),
        ({"name": "Cart"}, "Viewed Cart {}", {"name": "Cart"}),
        ({"category": "Shop"}, "Viewed Shop {}", {"category": "Shop"}),
        ({"category": "Shop", "name": "Cart"}, "Viewed Shop Cart {}", {"name": "Cart", "category": "Shop"}),
        ({"name": " ", "category": True}, "Loaded a {}", {"name": " ", "category": True}),
        ({"name": "Cart", "properties": {"name": "Basket"}}, "Viewed Cart {}", {"name": "Basket"}),
    ],
)
def test_pages_and_screens_may_be_events(kind: str, fields: Json, name: str, properties: Json) -> None:
    """Page and screen become events if the setting lists them, named as Segment's destinations name them."""
    rules = MappingRules(message_types=("page", "screen"))
    message = {"type": kind, "userId": "u", "timestamp": KAFKA_TIMESTAMP, **fields}

    outcome, changes = mapped(message, rules)

    assert not changes
    assert isinstance(outcome, Mapped)
    assert (outcome.body["name"], outcome.body["properties"]) == (name.format(kind.capitalize()), properties)
    assert mapped({**message, "type": "track"}, rules)[0] == Filtered(FilterReason.MESSAGE_TYPE)
    long, changes = mapped({**message, "name": "n" * 250}, rules)
    assert isinstance(long, Mapped)
    assert len(long.body["name"]) == 250
    assert changes[PropertyRule.NAME_CUT] == 1


@pytest.mark.parametrize(
    ("ids", "anonymous", "uid"),
    [
        ({"userId": "u", "anonymousId": "a"}, "uid", "u"),
        ({"userId": "u", "anonymousId": "a"}, "property", "u"),
        ({"userId": "u", "anonymousId": "a"}, "filter", "u"),
        ({"anonymousId": "a"}, "uid", "a"),
        ({"anonymousId": "a"}, "property", None),
        ({"anonymousId": 7}, "property", None),
    ],
)
def test_what_a_visitors_id_becomes(ids: Json, anonymous: Any, uid: str | None) -> None:
    """A setting decides whether an anonymousId is the uid or a property; either way it keeps the order."""
    rules = MappingRules(anonymous=anonymous)
    kept = {"segmentAnonymousId": str(ids["anonymousId"])}
    who, _ = mapped({"type": "identify", **ids}, rules)
    what, _ = mapped({"type": "track", "event": "E", **ids}, rules)

    assert isinstance(who, Mapped)
    assert isinstance(what, Mapped)
    assert who.body.get("uid") == uid
    assert who.body["properties"] == ({} if uid == "a" else kept)
    assert what.body.get("user") == (None if uid is None else {"uid": uid})
    assert what.body["properties"] == (kept if uid is None else {})
    assert who.uid == what.uid == (uid or str(ids["anonymousId"]))


def test_visitors_may_be_filtered() -> None:
    """With the setting `filter`, anonymous messages are filtered, and those without any id still rejected."""
    rules = MappingRules(anonymous="filter")

    for kind in ("identify", "track"):
        outcome, _ = mapped({"type": kind, "anonymousId": "a", "event": "E"}, rules)
        assert outcome == Filtered(FilterReason.ANONYMOUS)
    assert isinstance(mapped({"type": "track", "event": "E"}, rules)[0], Rejected)


def test_a_long_anonymous_id_that_is_no_uid_is_no_fault() -> None:
    """An anonymousId that is only a property may be longer than a uid."""
    outcome, _ = mapped({"type": "identify", "anonymousId": "a" * 300}, MappingRules(anonymous="property"))

    assert isinstance(outcome, Mapped)
    assert outcome.body == {"properties": {"segmentAnonymousId": "a" * 300}}


@pytest.mark.parametrize(
    ("fields", "traits", "is_from_context"),
    [
        ({"traits": {"a": "x"}, "context": {"traits": {"b": "y"}}}, {"a": "x"}, False),
        ({"context": {"traits": {"b": "y"}}}, {"b": "y"}, True),
        ({"traits": {}, "context": {"traits": {"b": "y"}}}, {"b": "y"}, True),
        ({"traits": [], "context": '{"traits": {"b": "y"}}'}, {"b": "y"}, True),
        ({"context": {"traits": {}}}, {}, False),
        ({"context": {"traits": "text"}}, {}, False),
        ({"context": "no JSON"}, {}, False),
        ({"context": ""}, {}, False),
        ({"context": [1]}, {}, False),
    ],
)
def test_an_identify_without_traits_has_those_of_its_context(fields: Json, traits: Json, is_from_context: bool) -> None:  # noqa: FBT001
    """An identify without traits takes those of its context; a track does not."""
    body, changes = user(**fields)

    assert body["properties"] == traits
    assert changes == ({PropertyRule.TRAITS_FROM_CONTEXT: 1} if is_from_context else {})
    assert event(**{**fields, "traits": None})[0]["properties"] == {}


@pytest.mark.parametrize("context", ["no JSON", '"text"', 5, [1], True])
def test_a_context_that_is_no_object_is_left_out(context: Any) -> None:
    """A context that is no object is left out and counted, and the event is sent."""
    body, changes = event(context=context, timestamp=KAFKA_TIMESTAMP)

    assert "context" not in body
    assert changes == {PropertyRule.CONTEXT_DROPPED: 1}


def test_context_may_be_left_out() -> None:
    """With the setting `false`, context is neither sent nor counted."""
    given = {"type": "track", "userId": "u", "event": "E", "timestamp": KAFKA_TIMESTAMP}

    for context in ({"ip": "192.0.2.7"}, "no JSON"):
        outcome, changes = mapped({**given, "context": context}, MappingRules(context=False))
        assert isinstance(outcome, Mapped)
        assert "context" not in outcome.body
        assert not changes


@pytest.mark.parametrize(
    ("context", "is_forwarded"),
    [
        ({"library": {"name": "analytics-python"}}, True),
        ('{"library": {"name": "analytics-python"}}', True),
        ({"library": {"name": "analytics.js"}}, False),
        ({"library": {"name": 5}}, False),
        ({"library": "analytics-python"}, False),
        ({}, False),
        (None, False),
        ("no JSON", False),
    ],
)
def test_messages_may_be_filtered_by_their_library(context: Any, is_forwarded: bool) -> None:  # noqa: FBT001
    """A list of allowed libraries filters messages of others, and those that name none."""
    rules = MappingRules(libraries_allow=("analytics-*",))

    outcome, _ = mapped({"type": "identify", "userId": "u", "context": context}, rules)

    assert isinstance(outcome, Mapped) == is_forwarded
    assert is_forwarded or outcome == Filtered(FilterReason.LIBRARY)


def test_events_may_be_filtered_by_their_name() -> None:
    """Lists of event names match whole names, and do not touch identifies."""
    rules = MappingRules(message_types=("identify", "track", "page"), events_deny=("Debug*", "Viewed * Page"))
    common = {"userId": "u", "timestamp": KAFKA_TIMESTAMP}

    assert mapped({"type": "track", "event": "Debug", **common}, rules)[0] == Filtered(FilterReason.EVENT_NAME)
    assert mapped({"type": "page", "name": "Cart", **common}, rules)[0] == Filtered(FilterReason.EVENT_NAME)
    assert isinstance(mapped({"type": "track", "event": "E", **common}, rules)[0], Mapped)
    assert isinstance(mapped({"type": "identify", **common}, rules)[0], Mapped)


@pytest.mark.parametrize(
    ("lists", "traits", "body"),
    [
        (PropertyLists(deny=("email", "name")), {"email": "e@x", "name": "N"}, {"properties": {}}),
        (
            PropertyLists(truncate=(("email", 3), ("name", 1))),
            {"email": "e@x", "name": "N"},
            {"properties": {"email": "e@x", "name": "N"}},
        ),
        (
            PropertyLists(truncate=(("firstName", 1),)),
            {"firstName": "Jo", "lastName": "D"},
            {"display_name": "D", "properties": {"firstName": "J", "lastName": "D"}},
        ),
        (
            PropertyLists(deny=("displayName",)),
            {"displayName": "D", "name": "N"},
            {"display_name": "N", "properties": {"name": "N"}},
        ),
        (PropertyLists(allow=("email",)), {"email": "e@x", "name": "N"}, {"email": "e@x", "properties": {}}),
    ],
)
def test_what_is_kept_back_names_nobody(lists: PropertyLists, traits: Json, body: Json) -> None:
    """An e-mail address or display name that is denied, hashed or cut is not sent as a special."""
    outcome, _ = mapped({"type": "identify", "userId": "u", "traits": traits}, MappingRules(traits=lists))

    assert isinstance(outcome, Mapped)
    assert outcome.body == {"uid": "u", **body}


def test_hashed_specials_stay_properties() -> None:
    """Hashed specials are sent as properties."""
    rules = MappingRules(traits=PropertyLists(hash=("email", "displayName")))
    outcome, changes = mapped(
        {"type": "identify", "userId": "u", "traits": {"email": "e@x", "displayName": "D", "name": "N"}}, rules
    )

    assert isinstance(outcome, Mapped)
    assert outcome.body.keys() == {"uid", "properties"}
    assert [len(outcome.body["properties"][name]) for name in ("email", "displayName")] == [64, 64]
    assert changes == {PropertyRule.HASHED: 2}


def test_the_lists_reach_what_mapping_adds() -> None:
    """The lists of denied and hashed paths apply to the anonymousId that mapping adds."""
    lists = PropertyLists(deny=("segmentAnonymousId",))
    rules = MappingRules(anonymous="property", traits=lists, properties=lists)

    for message in ({"type": "identify", "userId": "u"}, {"type": "track", "event": "E"}):
        outcome, changes = mapped({**message, "anonymousId": "a"}, rules)
        assert isinstance(outcome, Mapped)
        assert outcome.body["properties"] == {}
        assert changes[PropertyRule.DENIED] == 1


def test_who_may_not_be_forwarded_is_filtered_before_faults_are_looked_for() -> None:
    """A message for another destination is filtered, even if it is faulty."""
    outcome, _ = mapped({"type": "track", "integrations": {"All": False}, "properties": 5})

    assert outcome == Filtered(FilterReason.INTEGRATIONS)


def test_mapping_leaves_the_event_as_it_was() -> None:
    """Mapping does not change the event, which may be explained or mapped again."""
    given = {
        "type": "identify",
        "userId": "u",
        "anonymousId": "a",
        "traits": {"email": "e", "displayName": "d", "a b": [None]},
    }
    before = json.dumps(given)

    assert mapped(given) == mapped(given)
    assert json.dumps(given) == before


def test_every_rule_of_mapping_is_documented() -> None:
    """docs/mapping.md describes every rule that a metric counts."""
    text = PAGE.read_text(encoding="utf-8")

    assert [label for label in (*PropertyRule, *FilterReason) if f"`{label}`" not in text] == []


DELETES = MappingRules(message_types=("identify", "track", "delete"))


@pytest.mark.parametrize(
    ("later_ms", "timestamp_ms", "is_stale"),
    [
        (1, KAFKA_TIMESTAMP_MS, True),
        (0, KAFKA_TIMESTAMP_MS, False),
        (1, KAFKA_TIMESTAMP_MS * 1_000, True),
        (0, KAFKA_TIMESTAMP_MS * 1_000, False),
        (1, NO_TIME, False),
    ],
)
def test_an_identify_of_an_earlier_record_may_be_stale(later_ms: int, timestamp_ms: int, *, is_stale: bool) -> None:
    """Whatever unit its producer took for Kafka's timestamp; events and deletions never are, nor what has no time."""
    mapping = Mapping(replace(DELETES, stale_before_ms=KAFKA_TIMESTAMP_MS + later_ms))
    identify = mapping.map({"type": "identify", "userId": "u"}, timestamp_ms, unnoted)

    assert (identify == Filtered(FilterReason.STALE)) is is_stale
    for other in ("track", "delete"):
        event = {"type": other, "userId": "u", "event": "E"}
        assert isinstance(mapping.map(event, timestamp_ms, unnoted), Mapped)


def test_a_delete_deletes_the_user_of_its_uid() -> None:
    """By default it is filtered."""
    message = {"type": "Delete", "userId": 42.0, "anonymousId": "a", "traits": {"x": 1}}
    assert mapped(message, DELETES) == (Mapped(Kind.DELETION, "42", {"uid": "42"}), Counter())
    assert mapped(message)[0] == Filtered(FilterReason.MESSAGE_TYPE)


def test_a_delete_by_the_shipped_schema_is_one_too() -> None:
    """Its record has what every message has, and nothing else."""
    event = decode(record(as_avro({"type": "delete", "userId": "u"})), shipped_readers())
    assert isinstance(event, dict)
    assert mapped(event, DELETES)[0] == Mapped(Kind.DELETION, "u", {"uid": "u"})


@pytest.mark.parametrize("anonymous", ["property", "filter"])
def test_a_delete_of_nobody_is_rejected(anonymous: Any) -> None:
    """A request to delete is never passed over, whatever becomes of visitors' other messages."""
    rules = replace(DELETES, anonymous=anonymous)
    outcome, _ = mapped({"type": "delete", "anonymousId": "a"}, rules)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is DeadLetterReason.MISSING_USER


def test_a_delete_is_held_back_by_integrations_alone() -> None:
    """Who consents to nothing is deleted all the same, whichever library says so."""
    rules = replace(DELETES, consent=("Analytics",), libraries_deny=("*",))
    refused = {"consent": {"categoryPreferences": {"Analytics": False}}, "library": {"name": "x"}}
    message = {"type": "delete", "userId": "u", "context": refused}
    assert isinstance(mapped(message, rules)[0], Mapped)
    assert mapped({**message, "integrations": {"All": False}}, rules)[0] == Filtered(FilterReason.INTEGRATIONS)
