"""Segment's context of an event to FullStory's."""

import json
from typing import Any

import pytest

from processor.events import context as context_module
from processor.events.context import EventContexts
from processor.model.reasons import PropertyRule

Json = dict[str, Any]
DROPPED = PropertyRule.CONTEXT_DROPPED


def taken(context: Json) -> tuple[Json, list[str]]:
    """Return FullStory's context, and where something was dropped."""
    places: list[str] = []

    def note(rule: PropertyRule, place: str) -> None:
        assert rule is DROPPED
        places.append(place)

    return EventContexts().of(context, note), places


def test_everything_that_both_know_is_taken() -> None:
    """Every field that both sides know is taken, in FullStory's order of groups."""
    context = {
        "screen": {"height": 844, "width": 390, "density": 3},
        "ip": "192.0.2.7",
        "location": {
            "city": "Kraków",
            "country": "PL",
            "region": "PL-12",
            "latitude": 50,
            "longitude": 19.94,
            "speed": 0,
        },
        "device": {"id": "d", "manufacturer": "Apple", "model": "iPhone15,2", "name": "maguro", "type": "ios"},
        "app": {"name": "Shop", "version": "1.2", "build": "7", "namespace": "com.shop"},
        "userAgent": "Mozilla/5.0",
        "page": {"url": "https://shop.example/", "path": "/", "referrer": "https://a.example", "title": "Shop"},
        "referrer": {"url": "https://search.example", "type": "search"},
        "library": {"name": "analytics.js"},
        "traits": {"plan": "free"},
    }

    found, places = taken(context)

    assert (found, places) == (
        {
            "browser": {
                "url": "https://shop.example/",
                "initial_referrer": "https://search.example",
                "user_agent": "Mozilla/5.0",
            },
            "mobile": {"app_id": "com.shop", "app_version": "1.2", "app_name": "Shop"},
            "device": {"manufacturer": "Apple", "model": "iPhone15,2", "screen_width": 390, "screen_height": 844},
            "location": {
                "country": "PL",
                "region": "12",
                "city": "Kraków",
                "latitude": 50,
                "longitude": 19.94,
                "ip_address": "192.0.2.7",
            },
        },
        [],
    )
    assert list(found) == ["browser", "mobile", "device", "location"]


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({"page": {"initial_referrer": "a"}, "referrer": {"url": "b"}}, {"browser": {"initial_referrer": "a"}}),
        ({"page": {"referrer": "a"}}, {}),
        ({"screen": {"width": 390.0}}, {"device": {"screen_width": 390}}),
        ({"screen": {"width": 0}}, {"device": {"screen_width": 0}}),
        ({"location": {"country": "US", "region": "GA"}}, {"location": {"country": "US", "region": "GA"}}),
        ({"location": {"country": "us", "region": "ca"}}, {"location": {"country": "US", "region": "CA"}}),
        ({"location": {"country": "us", "region": "US-CA"}}, {"location": {"country": "US", "region": "CA"}}),
        ({"location": {"region": "us-ca"}}, {"location": {"country": "US", "region": "CA"}}),
        ({"location": {"region": "us-ca", "country": ""}}, {"location": {"country": "US", "region": "CA"}}),
        ({"location": {"latitude": -90, "longitude": 180.0}}, {"location": {"latitude": -90, "longitude": 180.0}}),
        ({"ip": "2001:db8::1"}, {"location": {"ip_address": "2001:db8::1"}}),
        ({"ip": "::ffff:192.0.2.7"}, {"location": {"ip_address": "::ffff:192.0.2.7"}}),
        ({"ip": "255.255.255.255"}, {"location": {"ip_address": "255.255.255.255"}}),
        ({"page": {"url": "x" * 8_192}}, {"browser": {"url": "x" * 8_192}}),
        ({"page": {"url": ""}, "app": {}, "device": None, "screen": [], "ip": None, "userAgent": ""}, {}),
        ({}, {}),
    ],
)
def test_a_field_is_taken_in_its_form(context: Json, expected: Json) -> None:
    """A field is taken if it has the right form; an absent or empty one is left out without a note."""
    found, places = taken(context)

    assert repr(found) == repr(expected), "types included"
    assert places == []


@pytest.mark.parametrize(
    ("context", "place"),
    [
        ({"page": "https://shop.example/"}, "context.page"),
        ({"page": {"url": 5}}, "context.page.url"),
        ({"page": {"url": "x" * 8_193}}, "context.page.url"),
        ({"page": {"url": "é" * 4_097}}, "context.page.url"),
        ({"userAgent": ["Mozilla"]}, "context.userAgent"),
        ({"app": {"version": 1.2}}, "context.app.version"),
        ({"screen": {"width": "390"}}, "context.screen.width"),
        ({"screen": {"width": 390.5}}, "context.screen.width"),
        ({"screen": {"width": -1}}, "context.screen.width"),
        ({"screen": {"width": 2**31}}, "context.screen.width"),
        ({"screen": {"width": True}}, "context.screen.width"),
        ({"screen": {"height": float("inf")}}, "context.screen.height"),
        ({"location": {"country": "Poland"}}, "context.location.country"),
        ({"location": {"country": 48}}, "context.location.country"),
        ({"location": {"region": "California"}}, "context.location.region"),
        ({"location": {"region": "CA"}}, "context.location.region"),
        ({"location": {"region": 5}}, "context.location.region"),
        ({"location": {"latitude": 90.5}}, "context.location.latitude"),
        ({"location": {"longitude": float("nan")}}, "context.location.longitude"),
        ({"location": {"longitude": 180.5}}, "context.location.longitude"),
        ({"location": {"longitude": "west"}}, "context.location.longitude"),
        ({"location": {"latitude": True}}, "context.location.latitude"),
        ({"location": {"latitude": 10**400}}, "context.location.latitude"),
        ({"ip": "localhost"}, "context.ip"),
        ({"ip": "256.0.0.1"}, "context.ip"),
        ({"ip": "1.2.3"}, "context.ip"),
        ({"ip": "1.2.3.4.5"}, "context.ip"),
        ({"ip": "192.0.2.7, 198.51.100.2"}, "context.ip"),
        ({"ip": 3_221_225_991}, "context.ip"),
        ({"ip": "12:30"}, "context.ip"),
        ({"ip": "a.b:c"}, "context.ip"),
        ({"ip": ":"}, "context.ip"),
        ({"ip": "::1::2"}, "context.ip"),
        ({"ip": "192.0.02.7"}, "context.ip"),
        ({"ip": "192.0.2.7:"}, "context.ip"),
        ({"ip": "192.0.2.7:http"}, "context.ip"),
        ({"ip": "192.0.2.7:123456"}, "context.ip"),
        ({"ip": "192.0.2.7/24"}, "context.ip"),
        ({"ip": "[192.0.2.7]:80"}, "context.ip"),
        ({"ip": "[2001:db8::1"}, "context.ip"),
        ({"ip": "[2001:db8::1]80"}, "context.ip"),
        ({"ip": "[::1]:80\n"}, "context.ip"),
        ({"ip": "\u0661\u0669\u0662.0.2.7"}, "context.ip"),
        ({"ip": "fe80::1%" + "x" * 200}, "context.ip"),
    ],
)
def test_what_has_another_form_is_left_out(context: Json, place: str) -> None:
    """A field of another form is left out, and the note names its place, not its value."""
    assert taken(context) == ({}, [place])


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("203.0.113.5:4432", "203.0.113.5"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]:8080", "fe80::1"),
        ("[::ffff:192.0.2.7]:80", "::ffff:192.0.2.7"),
    ],
)
@pytest.mark.parametrize("write", [dict, json.dumps], ids=["object", "text"])
def test_what_gateways_add_to_an_address_is_cut_off(write: Any, given: str, sent: str) -> None:
    """A port, brackets and a zone are cut off an IP address, and noted; the rest is sent as it was written."""
    notes: list[tuple[PropertyRule, str]] = []
    found = EventContexts().of(write({"ip": given}), lambda *note: notes.append(note))

    assert found == {"location": {"ip_address": sent}}
    assert notes == [(PropertyRule.ADDRESS_CUT, "context.ip")]


@pytest.mark.parametrize(
    ("deny", "left", "denied"),
    [
        ((), {"browser": {"url": "u", "user_agent": "a"}, "location": {"city": "c", "ip_address": "192.0.2.7"}}, []),
        (("ip",), {"browser": {"url": "u", "user_agent": "a"}, "location": {"city": "c"}}, ["context.ip"]),
        (("location", "ip"), {"browser": {"url": "u", "user_agent": "a"}}, ["context.location.city", "context.ip"]),
        (
            ("page.url", "location.country"),
            {"browser": {"user_agent": "a"}, "location": {"city": "c", "ip_address": "192.0.2.7"}},
            ["context.page.url"],
        ),
    ],
)
@pytest.mark.parametrize("write", [dict, json.dumps], ids=["object", "text"])
def test_what_is_denied_is_not_sent_and_noted(write: Any, deny: tuple[str, ...], left: Json, denied: list[str]) -> None:
    """A denied field, or a whole part, is left out and noted; one that is not there is no change."""
    given = {"page": {"url": "u"}, "userAgent": "a", "location": {"city": "c"}, "ip": "192.0.2.7"}
    notes: list[tuple[PropertyRule, str]] = []
    contexts = EventContexts(deny)
    found = [contexts.of(write(given), lambda *note: notes.append(note)) for _ in range(2)]

    assert found == [left, left]
    assert notes == [(PropertyRule.DENIED, place) for place in denied] * 2


def test_a_context_that_repeats_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A remembered context gives the same result, notes included; few are kept, and no long ones."""
    monkeypatch.setattr(context_module, "_REMEMBERED_TEXTS", 3)
    contexts = EventContexts()
    texts = [json.dumps({"ip": f"192.0.2.{number}", "page": 5}) for number in range(10)]
    texts.append(json.dumps({"userAgent": "x" * context_module._REMEMBERED_CHARACTERS}))
    given = [texts[0], *texts, *texts, "no JSON", "no JSON", "{}", "null", "[]"]
    places: list[str] = []

    found = [contexts.of(each, lambda _rule, place: places.append(place)) for each in given]

    assert found == [EventContexts().of(each, lambda _rule, _place: None) for each in given]
    assert places == ["context.page"] * 21 + ["context"] * 2
    assert len(contexts._remembered) <= 3
    assert all(len(text) <= context_module._REMEMBERED_CHARACTERS for text in contexts._remembered)


def test_a_region_of_another_country_is_left_out() -> None:
    """A country and a region that contradict each other are not sent together."""
    assert taken({"location": {"country": "DE", "region": "US-CA"}}) == (
        {"location": {"country": "DE"}},
        ["context.location.region"],
    )


def test_a_region_that_is_denied_tells_no_country() -> None:
    """What the settings deny does not reach FullStory by half."""
    noted: list[str] = []
    contexts = EventContexts(["location.region"])

    assert contexts.of({"location": {"region": "US-CA"}}, lambda _rule, place: noted.append(place)) == {}
    assert noted == ["context.location.region"]


def test_a_library_that_calls_itself_the_app_makes_no_mobile_context() -> None:
    """RudderStack's SDK for browsers (3.34.1) puts its own name into `app`; an app of another name is taken."""
    library = {"name": "RudderLabs JavaScript SDK", "version": "3.34.1"}
    itself = {**library, "namespace": "com.rudderlabs.javascript", "installType": "npm"}

    assert taken({"app": itself, "library": library}) == ({}, [])
    assert taken({"app": {"name": "Shop"}, "library": library}) == ({"mobile": {"app_name": "Shop"}}, [])
    assert taken({"app": {"version": "1"}, "library": "x"}) == ({"mobile": {"app_version": "1"}}, [])
    assert taken({"app": {"version": "1"}, "library": {}}) == ({"mobile": {"app_version": "1"}}, [])
