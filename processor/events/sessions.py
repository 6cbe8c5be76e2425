"""Whom an event names: exactly one form of identification (docs/fullstory-api.md#identification).

An event may name its session in the options of its destination: `integrations.FullStory.sessionId` or `sessionUrl`, or
ask with `useMostRecent` for the latest one of its user.
"""

from typing import Any
from urllib.parse import unquote

from processor.model.outcomes import Note
from processor.model.reasons import PropertyRule

MAX_SESSION_CHARACTERS = 512
"""FullStory states none; its ids are two numbers of twenty digits at most."""

_IDS = ("sessionId", "session_id", "sessionUrl", "session_url")
_MOST_RECENT = ("useMostRecent", "use_most_recent")


def identification(uid: str | None, options: dict[str, Any] | None, note: Note, *, most_recent: bool) -> dict[str, Any]:
    """Return the fields of an event that say whose it is; empty when nothing is known of that.

    A session outranks the user, who is known to it. `options` are those of the event; `most_recent` is what the
    settings say where the event does not. Without a user there is no latest session to look for.
    """
    if options:
        session = _session(options, note)
        if session is not None:
            return {"session": {"id": session}}
        most_recent = _says(options, most_recent)
    if uid is None:
        return {}
    user = {"uid": uid}
    # `false` has been taken for true, so it is never sent.
    return {"user": user, "session": {"use_most_recent": True}} if most_recent else {"user": user}


def _session(options: dict[str, Any], note: Note) -> str | None:
    for name in _IDS:
        given = options.get(name)
        if given is None or given == "":
            continue
        session = _session_id(given) if type(given) is str else None
        if session is not None:
            return session
        note(PropertyRule.SESSION_INVALID, f"integrations.FullStory.{name}")
    return None


def _session_id(given: str) -> str | None:
    """Return `DeviceId:SessionId`, which stands percent-encoded at the end of a session's URL, or None."""
    if "/" in given:
        given = ":".join(unquote(given.partition("?")[0].partition("#")[0].rpartition("/")[2]).split(":")[:2])
    device, _, session = given.partition(":")
    is_session = (
        device and session and len(given) <= MAX_SESSION_CHARACTERS and given.isprintable() and " " not in given
    )
    return given if is_session else None


def _says(options: dict[str, Any], otherwise: bool) -> bool:  # noqa: FBT001 - what holds where nothing is said
    """Read a yes or no; in a map of strings it is text."""
    for name in _MOST_RECENT:
        given = options.get(name)
        if type(given) is bool:
            return given
        if type(given) is str and given.lower() in ("true", "false"):
            return given.lower() == "true"
    return otherwise
