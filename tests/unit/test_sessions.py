"""Whom an event names."""

from typing import Any

import pytest

from processor.events.sessions import identification
from processor.model.reasons import PropertyRule

USER = {"user": {"uid": "u"}}
RECENT = {"user": {"uid": "u"}, "session": {"use_most_recent": True}}
SESSION = {"session": {"id": "1234:5678"}}
URL = "https://app.fullstory.com/ui/ORG/session/1234%3A5678"


def named(options: dict[str, Any] | None, uid: str | None = "u", *, most_recent: bool = False) -> Any:
    """Return what names the event's user, and the fields that are no sessions."""
    places: list[str] = []

    def note(rule: PropertyRule, place: str) -> None:
        assert rule is PropertyRule.SESSION_INVALID
        places.append(place.removeprefix("integrations.FullStory."))

    return identification(uid, options, note, most_recent=most_recent), places


@pytest.mark.parametrize(
    "options",
    [
        {"sessionId": "1234:5678"},
        {"session_id": "1234:5678", "useMostRecent": True},
        {"sessionUrl": URL},
        {"session_url": URL + "?x=1#y"},
        {"sessionId": URL},
        {"sessionUrl": "https://app.eu1.fullstory.com/ui/ORG/session/1234:5678"},
        {"sessionUrl": URL + "%3A1500000000000"},
        {"sessionId": "", "sessionUrl": URL},
    ],
)
@pytest.mark.parametrize("uid", ["u", None])
@pytest.mark.parametrize("most_recent", [True, False])
def test_a_session_outranks_the_user(options: dict[str, Any], uid: str | None, most_recent: bool) -> None:  # noqa: FBT001
    """With a session, it is the only form of identification sent."""
    assert named(options, uid, most_recent=most_recent) == (SESSION, [])


@pytest.mark.parametrize(
    "session",
    ["1234", ":5678", "1234:", ":", 1234, True, {"id": "1:2"}, "12 34:5678", "1:2\n", "1:" + "2" * 511, "https://a/b"],
)
@pytest.mark.parametrize("field", ["sessionId", "session_url"])
def test_what_is_no_session_counts_as_absent(session: Any, field: str) -> None:
    """An illegal session is noted and left out, and the other options hold."""
    assert named({field: session}) == (USER, [field])
    assert named({field: session, "useMostRecent": True}) == (RECENT, [field])
    assert named({field: session}, None) == ({}, [field])


@pytest.mark.parametrize(
    ("options", "by_setting", "expected"),
    [
        (None, False, USER),
        (None, True, RECENT),
        ({}, True, RECENT),
        ({"useMostRecent": True}, False, RECENT),
        ({"use_most_recent": "TRUE"}, False, RECENT),
        ({"useMostRecent": False}, True, USER),
        ({"useMostRecent": "false"}, True, USER),
        ({"useMostRecent": 1}, False, USER),
        ({"useMostRecent": None, "use_most_recent": True}, False, RECENT),
    ],
)
def test_the_message_outranks_the_setting(options: Any, by_setting: bool, expected: Any) -> None:  # noqa: FBT001
    """The message's option outranks the setting, and `false` is never sent."""
    assert named(options, most_recent=by_setting) == (expected, [])


def test_nobody_has_no_latest_session() -> None:
    """Without a user the most recent session is not asked for."""
    assert named({"useMostRecent": True}, None, most_recent=True) == ({}, [])
