"""Strategies for Segment messages: mostly sensible, and as strange as JSON allows."""

import json
from typing import Any, get_args

from hypothesis import strategies as st

from processor.events.consent import ConsentRule
from processor.events.context import FIELDS, PARTS
from processor.events.privacy import PropertyLists
from processor.events.rules import (
    JUNK_IDS,
    Anonymous,
    Integrations,
    MappingRules,
    MessageSource,
    MessageType,
    Names,
    Nulls,
    SchemaRule,
    Session,
)

NAMES = st.sampled_from(["plan", "email", "name", "displayName", "a b", "a-b", "ab", "1", "_x", "größe", ""]) | st.text(
    max_size=6
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["x" * 8_192, "x" * 8_193, "é" * 4_097, 2**64, -(2**63) - 1, 10**400])
)
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)
WIDE = st.integers(450, 600).map(
    lambda width: {f"n{number}": {"m": number} if number % 7 else 1 for number in range(width)}
)
OBJECTS = st.dictionaries(NAMES, JSON, max_size=6) | WIDE

IDS = st.sampled_from(["u1", "u2", "u3"])


def messages() -> st.SearchStrategy[dict[str, Any]]:
    """Return messages as a healthy producer sends them, in a form that both shapes can hold."""
    small = st.dictionaries(
        NAMES, st.integers(-9, 9) | st.text(max_size=9) | st.dictionaries(NAMES, st.integers(0, 3)), max_size=4
    )
    common = {"userId": IDS, "anonymousId": st.sampled_from(["a1", None]), "integrations": st.just({"All": True})}
    identify = st.fixed_dictionaries({"type": st.just("identify"), "traits": small, **common})
    track = st.fixed_dictionaries({"type": st.just("track"), "event": st.just("E"), "properties": small, **common})
    return identify | track


TYPED: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
"""What the types of Avro can hold: JSON without whole numbers beyond 64 bits."""


def typed_messages() -> st.SearchStrategy[dict[str, Any]]:
    """Return messages with free-form parts of any structure, in a form that every shape can hold."""
    free = st.dictionaries(NAMES, TYPED, max_size=6)
    common = {"userId": IDS, "context": st.dictionaries(st.sampled_from(["page", "ip", "traits"]), TYPED)}
    identify = st.fixed_dictionaries({"type": st.just("identify"), "traits": free, **common})
    track = st.fixed_dictionaries({"type": st.just("track"), "event": st.just("E"), "properties": free, **common})
    return identify | track


CONTEXTS = st.dictionaries(
    st.sampled_from(
        ["page", "referrer", "userAgent", "app", "device", "screen", "location", "ip", "traits", "library", "consent"]
    ),
    st.dictionaries(
        st.sampled_from(
            [
                *("url", "name", "version", "model", "width", "height", "country", "region", "city", "latitude"),
                *("plan", "categoryPreferences"),
            ]
        ),
        JSON
        | st.dictionaries(st.sampled_from(["A", "B"]), st.booleans())
        | st.sampled_from(["PL", "PL-12", "12", 390, 390.0, 50.06, "https://shop.example/"]),
        max_size=4,
    )
    | JSON
    | st.sampled_from(["192.0.2.7", "::1"]),
    max_size=6,
)
OPTIONS = st.dictionaries(
    st.sampled_from(["sessionId", "session_url", "useMostRecent"]),
    st.sampled_from(["1:2", "https://app.fullstory.com/ui/O/session/1%3A2", True, False, "true"]) | JSON,
)
TIMES = JSON | st.integers(-(10**14), 10**15) | st.datetimes().map(str)


def strange_messages() -> st.SearchStrategy[dict[str, Any]]:
    """Return events of which every field may be anything, but which mostly get far into mapping."""
    kinds = st.sampled_from(["identify", "track"])
    return st.fixed_dictionaries(
        {
            "type": kinds | kinds | st.sampled_from(["page", "screen"]) | JSON,
            "userId": IDS | JSON,
            "event": st.just("E") | st.text(min_size=240) | JSON,
        },
        optional={
            "anonymousId": JSON | IDS,
            "name": JSON,
            "category": JSON,
            "timestamp": TIMES,
            "originalTimestamp": TIMES,
            "sentAt": TIMES,
            "receivedAt": TIMES,
            "context": CONTEXTS | CONTEXTS.map(json.dumps) | JSON,
            "traits": OBJECTS | OBJECTS | JSON,
            "properties": OBJECTS | OBJECTS | JSON,
            "integrations": JSON | st.just({"All": True}) | st.fixed_dictionaries({"FullStory": OPTIONS}),
        },
    )


_PATHS = st.lists(
    st.sampled_from(["plan", "email", "name", "displayName", "a b", "1", "ab.plan", "a b.1.plan"]), max_size=3
)
_GLOBS = st.lists(st.sampled_from(["*", "E", "E*", "Viewed*", "?", ""]), max_size=2).map(tuple)
_LISTS = st.builds(
    PropertyLists,
    _PATHS.map(tuple) | st.just(()),
    _PATHS.map(tuple),
    _PATHS.map(tuple),
    _PATHS.map(lambda paths: tuple((path, 2) for path in paths)),
)
RULES = st.builds(
    MappingRules,
    integrations=st.sampled_from(get_args(Integrations)),
    consent=st.lists(st.sampled_from(["A", "B"]), max_size=2).map(tuple),
    consent_rule=st.sampled_from(get_args(ConsentRule)),
    message_types=st.just(get_args(MessageType)),
    anonymous=st.sampled_from(get_args(Anonymous)),
    source=st.sampled_from(get_args(MessageSource)),
    junk_ids=st.sampled_from([JUNK_IDS, (), ("U1", "a1")]),
    names=st.sampled_from(get_args(Names)),
    schema=st.sampled_from(get_args(SchemaRule)),
    nulls=st.sampled_from(get_args(Nulls)),
    session=st.sampled_from(get_args(Session)),
    context=st.booleans(),
    context_deny=st.lists(st.sampled_from([*FIELDS, *PARTS]), max_size=2).map(tuple),
    events_allow=st.just(()) | _GLOBS,
    events_deny=st.just(()) | _GLOBS,
    libraries_deny=st.just(()) | _GLOBS,
    traits=st.just(PropertyLists()) | _LISTS,
    properties=st.just(PropertyLists()) | _LISTS,
    hash_salt=st.sampled_from(["", "correct-horse-battery-staple"]),
)
"""Any settings, those included that are refused at the start because they contradict each other."""
