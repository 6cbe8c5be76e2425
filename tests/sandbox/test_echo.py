"""How failed items are echoed: docs/fullstory-api.md#echoes."""

from pathlib import Path
from typing import Any

import pytest

from processor.sandbox import Echo, Faults
from processor.sandbox.echo import STYLES
from tests.sandbox.stage import STANDARD, Api, on_sandbox

DOCUMENT = Path(__file__).parents[2] / "docs" / "fullstory-api.md"

USER = {"uid": "u1", "email": "", "properties": {"n": 2**53 + 1, "none": None, "inner": {"zero": 0}}}
EVENT = {
    "name": "",
    "timestamp": "2026-01-02T03:04:05.000Z",
    "user": {"uid": "u1"},
    "context": {"location": {"country": "GH", "latitude": 0}},
    "properties": {"n": 2**53 + 1, "list": [0, 5], "off": False},
}

UNSENT = dict.fromkeys(("page_properties", "page_properties_schema", "schema", "session"))
PLACE = {"region": "", "city": "", "longitude": 0, "ip_address": ""}
BARE: dict[str, Any] = {
    **{name: EVENT[name] for name in ("timestamp", "user")},
    "context": {"location": {"country": "GH"}},
    "properties": {"n": 2**53 + 1, "list": [0, 5]},
}

ECHOES: dict[Echo, Any] = {
    Echo.EXACT: EVENT,
    Echo.REORDERED: EVENT,
    Echo.NULLS: {**UNSENT, **EVENT},
    Echo.POPULATED: {
        **UNSENT,
        **EVENT,
        "user": {"uid": "u1", "id": ""},
        "context": {
            **dict.fromkeys(("browser", "mobile", "device")),
            "location": {"country": "GH", "latitude": 0, **PLACE},
        },
    },
    Echo.DEFAULTS: BARE,
    Echo.DOUBLES: {**EVENT, "properties": {"n": 2**53, "list": [0, 5], "off": False}},
    Echo.TEXTS: {**EVENT, "properties": {"n": str(2**53 + 1), "list": ["0", "5"], "off": False}},
    Echo.SECONDS: {**EVENT, "timestamp": "2026-01-02T03:04:05Z"},
    Echo.PROTO: {**BARE, "timestamp": "2026-01-02T03:04:05Z", "properties": {"n": 2**53, "list": [0, 5]}},
}


@pytest.mark.parametrize("echo", list(ECHOES))
@on_sandbox()
async def test_a_failed_event_is_echoed_as_it_was_asked_for(api: Api, echo: Echo) -> None:
    """The style is chosen at run time, and asked again the same job echoes its failures in the new one."""
    path = await api.finished_job("events", [EVENT])
    await api.faults(echo=echo.value)
    (failure,) = (await api.get(f"{path}/errors")).body["results"]
    assert failure["event"] == ECHOES[echo]


@pytest.mark.parametrize(
    ("echo", "expected"),
    [
        (Echo.NULLS, {**dict.fromkeys(("display_name", "id", "schema")), **USER}),
        (Echo.POPULATED, {"display_name": "", "id": "", "schema": None, **USER}),
        (Echo.DEFAULTS, {"uid": "u1", "properties": {"n": 2**53 + 1}}),
        (Echo.PROTO, {"uid": "u1", "properties": {"n": 2**53}}),
        (Echo.SECONDS, USER),
    ],
)
@on_sandbox()
async def test_a_failed_user_is_echoed_in_the_same_styles(api: Api, echo: Echo, expected: Any) -> None:
    """Users have other fields than events, and no timestamp."""
    path = await api.finished_job("users", [USER])
    await api.faults(echo=echo.value)
    (failure,) = (await api.get(f"{path}/errors")).body["results"]
    assert failure["user"] == expected


@on_sandbox(faults=Faults(echo=Echo.NONE))
async def test_failures_may_be_told_without_their_items(api: Api) -> None:
    """The failure has its code and message, and no item; what is no object has no spelling to change."""
    path = await api.finished_job("events", [EVENT, 5])
    failures = (await api.get(f"{path}/errors")).body["results"]
    assert [set(failure) for failure in failures] == [{"message", "code"}] * 2
    await api.faults(echo="proto")
    assert 5 in [failure["event"] for failure in (await api.get(f"{path}/errors")).body["results"]]
    assert (await api.get(f"{path}/errors", key=STANDARD)).status == 403


@pytest.mark.parametrize("echo", list(Echo))
@on_sandbox()
async def test_what_has_the_wrong_form_is_echoed_too(api: Api, echo: Echo) -> None:
    """Null, and what is no object where one is expected, breaks no style."""
    odd: list[Any] = [None, [], "x", {}]
    items = [{"name": "", "user": each, "session": each, "context": each, "properties": each} for each in odd]
    items += [{"name": "", "context": {"device": each}} for each in odd]
    path = await api.finished_job("events", items)
    await api.faults(echo=echo.value)
    reply = await api.get(f"{path}/errors")
    assert (reply.status, len(reply.body["results"])) == (200, len(items))


def test_every_style_is_documented() -> None:
    """The page has a row for each style, in the words of the help."""
    text = DOCUMENT.read_text(encoding="utf-8")
    assert [echo for echo in Echo if f"| `{echo}` | {STYLES[echo].text} |" not in text] == []
