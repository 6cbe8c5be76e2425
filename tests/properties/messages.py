"""Strategies for Segment messages: mostly sensible, and as strange as JSON allows."""

from typing import Any

from hypothesis import strategies as st

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


def strange_messages() -> st.SearchStrategy[dict[str, Any]]:
    """Return events of which every field may be anything, but which mostly get far into mapping."""
    kinds = st.sampled_from(["identify", "track"])
    return st.fixed_dictionaries(
        {"type": kinds | kinds | JSON, "userId": IDS | JSON, "event": st.just("E") | st.text(min_size=240) | JSON},
        optional={
            "anonymousId": JSON,
            "timestamp": JSON | st.integers(-(10**14), 10**15) | st.datetimes().map(str),
            "traits": OBJECTS | OBJECTS | JSON,
            "properties": OBJECTS | OBJECTS | JSON,
            "integrations": JSON | st.just({"All": True}),
        },
    )
