"""What the generated messages say: ordinary traffic, and everything that mapping has to put right."""

import itertools
from typing import Any

from processor.workload.encoding import Message, json_text

_INCLUDING = (None, "{}", '{"All":true}', '{"All":false,"FullStory":true}', '{"Mixpanel":false}')
_EXCLUDING = ('{"All":false}', '{"FullStory":false}', '{"Mixpanel":true,"all":false}')
_EVENTS = ("Product Viewed", "Product Added", "Order Completed", "Signed In", "Größe gewählt 👢", "検索")
_PLANS = ("free", "pro", "enterprise")
_OTHER_TYPES: tuple[Message, ...] = (
    {"type": "page", "name": "Pricing", "category": "Docs", "properties": '{"path":"/pricing/"}'},
    {"type": "screen", "name": "Cart", "properties": '{"items":3}'},
    {"type": "group", "groupId": "group-7", "traits": '{"name":"Initech","employees":329}'},
    {"type": "alias", "previousId": "anon-before"},
)
_AWKWARD: tuple[dict[str, Any], ...] = (
    {"größe": "44½", "Ürün rengi": "çağla yeşili 👢", "名前": "靴"},
    {"product name": "boots", "shipping.method": "air", "utm-source": "mail", "a b": 1, "a.b": 2},
    {"2fa": True, "_internal": 1, "": "nameless"},
    {"items": [{"sku": "A1", "quantity": 2}, {"sku": "B2", "sizes": [44, 45]}]},
    {"matrix": [[1, 2], [3, 4]], "mixed": [1, "two", None, True], "prices": [9.5, 10.0]},
    {"delivery": {"geo": {"lat": 50.06, "lon": 19.94}, "city name": "Kraków", "door code": None}},
    {"account": 2**53 + 1, "lowest": -(2**63), "largest": 1.7976931348623157e308, "smallest": 5e-324},
    {"coupon": None, "nothing": {}, "none": [], "blank": "", "shipped at": "2026-01-01T00:00:00.000Z"},
)


def _make_contexts() -> list[str]:
    agents = (
        "Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0.0.0",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X)",
    )
    paths = ("/", "/pricing/", "/docs/start", "/cart", "/größen/")
    return [
        json_text(
            {
                "ip": "192.0.2.7",
                "locale": "en-US",
                "library": {"name": "analytics.js", "version": "2.11.1"},
                "page": {"path": path, "referrer": "", "title": f"Shop {path}", "url": f"https://shop.example{path}"},
                "userAgent": agent,
            }
        )
        for agent, path in itertools.product(agents, paths)
    ]


_CONTEXTS = _make_contexts()


def user_id(user: int) -> str:
    """Return a user's id; every fiftieth one is not ASCII."""
    return f"użytkownik/{user}@例え" if user % 50 == 0 else f"user-{user}"


def envelope(number: int, user: int, now_ms: int) -> Message:
    """Return what every message of a known user has; every hundredth leaves its time to Kafka."""
    return {
        "userId": user_id(user),
        "anonymousId": f"anon-{user}",
        "timestamp": None if number % 100 == 0 else now_ms - 90,
        "originalTimestamp": now_ms - 100,
        "sentAt": now_ms - 60,
        "receivedAt": now_ms - 50,
        "channel": "browser",
        "version": "2",
        "context": _CONTEXTS[user % len(_CONTEXTS)],
        "integrations": _INCLUDING[number % len(_INCLUDING)],
    }


def identify(unique: str, number: int, extra: dict[str, Any]) -> Message:
    """Return the fields of an identify with a trait named `unique`."""
    traits = {
        unique: True,
        "email": f"user{number}@example.com",
        "displayName": f"Zoë Nowak-{number}",
        "plan": _PLANS[number % len(_PLANS)],
        "logins": number % 5_000,
        "address": {"city": "Kraków", "zip": "30-001"},
    }
    return {"type": "identify", "traits": json_text(traits | extra)}


def track(unique: str, number: int, extra: dict[str, Any]) -> Message:
    """Return the fields of a track whose property `unique` is `unique`."""
    properties = {
        "unique": unique,
        "order_ID": f"{2_969_302_398 + number}",
        "category": "boots",
        "price": number % 10_000 / 100,
        "currency": "EUR",
        "quantity": 1 + number % 5,
        "tags": ["eu", "beta"],
    }
    return {
        "type": "track",
        "event": _EVENTS[number % len(_EVENTS)],
        "properties": json_text(properties | extra),
    }


def other_type(number: int) -> Message:
    """Return the fields of a message that is neither an identify nor a track."""
    return _OTHER_TYPES[number % len(_OTHER_TYPES)]


def excluding(number: int) -> str:
    """Return `integrations` that keep a message from FullStory."""
    return _EXCLUDING[number % len(_EXCLUDING)]


def awkward(number: int) -> dict[str, Any]:
    """Return properties whose names or values FullStory does not take as they are."""
    return _AWKWARD[number % len(_AWKWARD)]
