"""RudderStack's messages as messages of Segment's, for those who come from RudderStack's FullStory destination.

That destination reads some things in places of its own (`rudder-transformer`,
src/cdk/v2/destinations/fullstory/procWorkflow.yaml). They are moved to where a message of Segment's has them, so that
one mapping serves both.
"""

from typing import Any

from processor.events.context import read_context
from processor.model.outcomes import Event

_LOCATION = ("country", "region", "city", "latitude", "longitude")


def as_segment(event: Event) -> Event:
    """Return the message with traits, user and location where Segment has them. Total; the event is left as it was.

    Traits stand in `context.traits`, those of the message outrank; `properties` may name the user and the location.
    """
    context, properties = read_context(event.get("context")), event.get("properties")
    changed: Event = {}
    traits, of_context = event.get("traits"), context.get("traits")
    if type(of_context) is dict and (not traits or type(traits) is dict):
        changed["traits"] = {**of_context, **(traits or {})}
    if type(properties) is dict:
        if properties.get("userId") not in (None, ""):
            changed["userId"] = properties["userId"]
        location = context.get("location") or {}
        found = {name: properties[name] for name in _LOCATION if properties.get(name) is not None}
        if found and type(location) is dict:
            changed["context"] = {**context, "location": {**location, **found}}
    return {**event, **changed}


def session_options(event: Event, options: dict[str, Any] | None) -> dict[str, Any]:
    """Return what the message says of its session, for `sessions.identification`; `options` outrank.

    A number in `context.sessionId` is RudderStack's own session, and none of FullStory's.
    """
    properties = event.get("properties")
    properties = properties if type(properties) is dict else {}
    session = properties.get("sessionId") or read_context(event.get("context")).get("sessionId")
    found = {"useMostRecent": properties.get("useMostRecent"), "sessionId": session if type(session) is str else None}
    return {**found, **(options or {})}
