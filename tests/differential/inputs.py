"""Writes messages for both destinations to map, one JSON text a line: the same each time, by their seed.

python -m tests.differential.inputs
"""

import json
import random
import sys
from typing import Any

SEED = 3497
MESSAGES = 700

NAMES = (
    "plan",
    "order_ID",
    "Plan Type",
    "a.b",
    "ab",
    "a b",
    "2nd",
    "_id",
    "größe",
    "名前",
    "p2nd",
    "x_str",
    "utm-source",
)
TEXTS = ("premium", "", "Zürich 👢", "2015-02-23T22:28:55.111Z", "2015-02-23")
SCALARS = (*TEXTS, 5, 0, -3, 99.95, 1e-7, True, False, None, 2**31)
TOO_LONG = "é" * 4_097
PEOPLE = ("email", "name", "displayName", "display_name", "firstName", "lastName", "first_name", "last_name")
PERSONAL = ("john.doe@example.com", "John Doe", "J", "", "n" * 300, 5, None, "John", "Doe")

Json = dict[str, Any]

ODD_TIMES: tuple[tuple[Any, str | None], ...] = (
    ("2022-02-02T03:04:05Z", "2022-02-02T03:04:05.000Z"),
    ("2022-02-02T03:04:05.1Z", "2022-02-02T03:04:05.100Z"),
    ("2022-02-02T03:04:05.123456789Z", "2022-02-02T03:04:05.123Z"),
    ("2022-02-02t03:04:05z", "2022-02-02T03:04:05.000Z"),
    ("2022-02-02T03:04:05,123Z", "2022-02-02T03:04:05.123Z"),
    ("2022-02-02 03:04:05Z", "2022-02-02T03:04:05.000Z"),
    ("2022-02-02 03:04:05", "2022-02-02T03:04:05.000Z"),
    ("2022-02-02T03:04:05", "2022-02-02T03:04:05.000Z"),
    ("2022-02-02T03:04Z", "2022-02-02T03:04:00.000Z"),
    ("2022-02-02", "2022-02-02T00:00:00.000Z"),
    ("2022-02", None),
    ("2022", None),
    ("2022-2-2", None),
    ("2022/02/02 03:04:05", None),
    ("2/2/2022, 3:04:05 AM", None),
    ("20220202T030405Z", "2022-02-02T03:04:05.000Z"),
    ("20220202T030405", "2022-02-02T03:04:05.000Z"),
    ("20220202", "2022-02-02T00:00:00.000Z"),
    ("20220202030405", None),
    ("2022-W05-3T03:04:05Z", "2022-02-02T03:04:05.000Z"),
    ("2022-033T03:04:05Z", "2022-02-02T03:04:05.000Z"),
    ("2022-02-02T03:04:05+01:00", "2022-02-02T02:04:05.000Z"),
    ("2022-02-02T03:04:05+0100", "2022-02-02T02:04:05.000Z"),
    ("2022-02-02T03:04:05-00:00", "2022-02-02T03:04:05.000Z"),
    ("2022-02-02T24:00:00Z", "2022-02-03T00:00:00.000Z"),
    ("2022-02-02T23:59:60Z", "2022-02-03T00:00:00.000Z"),
    ("2022-02-30T00:00:00Z", None),
    ("+002022-02-02T03:04:05.000Z", "2022-02-02T03:04:05.000Z"),
    ("-000001-01-01T00:00:00Z", None),
    ("Wed, 02 Feb 2022 03:04:05 GMT", "2022-02-02T03:04:05.000Z"),
    ("Wed, 02 Feb 2022 03:04:05 +0100", "2022-02-02T02:04:05.000Z"),
    ("2 Feb 22 03:04:05 EST", "2022-02-02T08:04:05.000Z"),
    ("Wednesday, 02-Feb-22 03:04:05 GMT", None),
    ("Wed Feb  2 03:04:05 2022", None),
    ("Wed Feb 02 2022 04:04:05 GMT+0100 (Central European Standard Time)", "2022-02-02T03:04:05.000Z"),
    ("Wed Feb 02 2022", None),
    ("2022-02-02 03:04:05 +0000 UTC", "2022-02-02T03:04:05.000Z"),
    ("2022-02-02 03:04:05.123456789 +0100 CET m=+0.01", "2022-02-02T02:04:05.123Z"),
    ("2022-02-02 03:04:05 UTC", "2022-02-02T03:04:05.000Z"),
    (1643771045000, "2022-02-02T03:04:05.000Z"),
    (1643771045000.0, "2022-02-02T03:04:05.000Z"),
    (1643771045, "2022-02-02T03:04:05.000Z"),
    (1643771045.123, "2022-02-02T03:04:05.123Z"),
    (1643771045000000, "2022-02-02T03:04:05.000Z"),
    (1643771045000000000, "2022-02-02T03:04:05.000Z"),
    (0, None),
    (0.0, None),
    ("0.0", None),
    (253402300799999, "9999-12-31T23:59:59.999Z"),
    ("1643771045000", "2022-02-02T03:04:05.000Z"),
    ("1643771045", "2022-02-02T03:04:05.000Z"),
    ("1643771045000000", "2022-02-02T03:04:05.000Z"),
    ("1643771045000.0", "2022-02-02T03:04:05.000Z"),
    ("1.643771045E12", "2022-02-02T03:04:05.000Z"),
    ("0", None),
    ("-1", None),
    ("  ", None),
    ("now", None),
    ("null", None),
    (True, None),
    ([], None),
    ({}, None),
    ({"$date": "2022-02-02T03:04:05Z"}, None),
)
"""Times of an event, and what is sent for them; None: they count as absent."""

ODD_NAMES: tuple[tuple[Any, str | None], ...] = (
    (42.0, "42"),
    (1.7e12, "1700000000000"),
    (0, "0"),
    (-5, "-5"),
    ("42.0", "42.0"),
    (42.5, None),
    (True, None),
    ([], None),
    ({}, None),
    (["u"], None),
    ("undefined", "undefined"),
    ("[object Object]", "[object Object]"),
)
"""Ids and names of events, and what is sent for them; None: they are none."""

ODD_OBJECTS: tuple[Any, ...] = (
    None,
    "",
    "plan",
    '{"plan": "free"}',
    0,
    5,
    0.5,
    True,
    False,
    [],
    ["plan"],
    [{"plan": 1}],
)
"""What may stand for traits or properties, and is no object."""


def messages(seed: int = SEED, count: int = MESSAGES) -> list[Json]:
    """Return the messages: most as producers send them, some with each thing that the two may see otherwise."""
    chance = random.Random(seed)
    return [_message(chance, number) for number in range(count)] + _odd_messages()


def _odd_messages() -> list[Json]:
    """Return a message for each odd value; a time stands among the properties, too."""
    track = {"type": "track", "userId": "u-1", "event": "E", "timestamp": "2015-02-23T22:28:55.111Z"}
    odd = [{**track, "timestamp": given, "properties": {"when": given}} for given, _ in ODD_TIMES]
    for given, _ in ODD_NAMES:
        odd.append({**track, "userId": given, "anonymousId": "a-1"})
        odd.append({"type": "identify", "userId": given, "anonymousId": "a-1", "traits": {"plan": "free"}})
        odd.append({**track, "event": given})
    for given in ODD_OBJECTS:
        odd.append({**track, "properties": given})
        odd.append({"type": "identify", "userId": "u-1", "traits": given})
    return [{"messageId": f"odd-{number}", **message} for number, message in enumerate(odd)]


def _message(chance: random.Random, number: int) -> Json:
    kind = chance.choice(("identify", "track"))
    message: Json = {"type": kind, "messageId": f"m-{number}"}
    message |= _chosen(chance, "userId", ("u-1", "użytkownik", 42, "u-2", "u-3", "", " ", None), absent=0.1)
    message |= _chosen(chance, "anonymousId", ("a-1", "a-2", 7, "", None), absent=0.4)
    if kind == "track":
        message |= _chosen(chance, "event", ("Product Purchased", "Größe gewählt 👢", "e" * 251, " ", ""), absent=0.03)
        message |= _chosen(
            chance,
            "timestamp",
            ("2015-02-23T22:28:55.111Z", "2015-02-23T14:28:55-08:00", "2015-02-23T22:28:55Z", "yesterday"),
            absent=0.15,
        )
        message |= _chosen(chance, "originalTimestamp", ("2015-02-23T22:00:00.000Z",), absent=0.7)
        message |= _chosen(chance, "properties", (_object(chance, 0),), absent=0.05)
    else:
        traits = _object(chance, 0)
        for name in chance.sample(PEOPLE, chance.choice((0, 0, 1, 2, 4))):
            traits[name] = chance.choice(PERSONAL)
        message |= _chosen(chance, "traits", (traits,), absent=0.1)
    contexts: tuple[Json, ...] = (
        {"ip": "192.0.2.7", "page": {"url": "https://shop.example/"}},
        {"traits": {"plan": "free"}},
        {},
    )
    message |= _chosen(chance, "context", contexts, absent=0.6)
    sessions = {"FullStory": {"sessionUrl": "https://app.fullstory.com/ui/ORG/session/1234%3A5678"}}
    return message | _chosen(chance, "integrations", ({"All": True}, {"All": False}, sessions, {}), absent=0.8)


def _chosen(chance: random.Random, field: str, values: tuple[Any, ...], *, absent: float) -> Json:
    """Return the field with one of the values, the first ones more often, or nothing."""
    if chance.random() < absent:
        return {}
    return {field: values[min(int(chance.expovariate(0.7)), len(values) - 1)]}


def _object(chance: random.Random, depth: int) -> Json:
    return {name: _value(chance, depth) for name in chance.sample(NAMES, chance.choice((0, 1, 2, 3, 5)))}


def _value(chance: random.Random, depth: int) -> Any:
    shape = chance.random()
    if shape < 0.75:
        return TOO_LONG if shape < 0.003 else chance.choice(SCALARS)
    if shape < 0.82:
        return [chance.choice((("a", "b"), (1, 2.5), (True, False)))[each] for each in range(chance.choice((0, 1, 2)))]
    if shape < 0.86:
        return chance.choice((["x", 1], ["x", None], [1, None, 2], [None], [True, 1]))
    if shape < 0.9:
        return chance.choice(([{"b c": 1, "a": None}], [[1, 2], [3]], [{}, {"1": "x"}]))
    if shape < 0.93:
        return {}
    inner = _object(chance, depth + 1)
    for level in range(chance.choice((0, 0, 1, 6)) if depth == 0 else 0):
        inner = {f"le vel{level}": inner, "a b": level}
    return inner


if __name__ == "__main__":
    for message in messages():
        sys.stdout.write(json.dumps(message, ensure_ascii=False) + "\n")
