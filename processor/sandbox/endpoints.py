"""The routes of the API: which paths there are, who may use them, what answers (docs/fullstory-api.md#endpoints)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Never, final

from processor.sandbox import users_api
from processor.sandbox.batch_api import BatchEndpoints
from processor.sandbox.keys import Access
from processor.sandbox.truth import ItemOrigin
from processor.sandbox.wire import Call, Json, SandboxAnswer, not_allowed, not_found, ok, parse_object, rfc3339
from processor.sandbox.world import World

EVENT_QUOTA = 1_000_000
SESSION_QUOTA = 100_000


@final
@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method and path; `{id}` in it stands for a segment that may hold escaped characters."""

    method: str
    path: str
    access: Access
    answer: Callable[[World, Call], SandboxAnswer]
    idempotent: bool = False  # whether it honours an Idempotency-Key

    @property
    def name(self) -> str:
        """What statistics call it, whatever the prefix."""
        return f"{self.method} {self.path}"


def create_event(world: World, call: Call) -> SandboxAnswer:
    """POST /v2/events: create one event."""
    world.intake.event(
        parse_object(call.body), ItemOrigin("event", "single", call.number, call.idempotency_key), call.at
    )
    return ok({}, items=1)


def me(world: World, call: Call) -> SandboxAnswer:
    """GET /me: whose key this is."""
    role = world.keys.roles[call.key]
    return ok({"email": "sandbox@example.com", "orgId": world.options.org_id, "role": role})


def quotas(world: World, call: Call) -> SandboxAnswer:
    """GET /v2/organization/quotas: usage of the current calendar month; counts are strings."""
    start = datetime.fromtimestamp(call.at, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    period: Json = {"period_start": rfc3339(start.timestamp()), "period_end": rfc3339(end.timestamp())}
    events = world.truth.counts["event"]
    return ok(
        {
            "session_quota": {"usage": "0", "limit": str(SESSION_QUOTA), **period},
            "server_event_quota": {"usage": str(events), "limit": str(EVENT_QUOTA), **period},
        }
    )


def unknown(_world: World, _call: Call) -> Never:
    """Answer any other path."""
    raise not_found()


def other_methods(endpoints: Sequence[Endpoint]) -> Endpoint:
    """Return what answers, at the one path of these endpoints, any method that is none of theirs."""

    def refuse(_world: World, _call: Call) -> Never:
        raise not_allowed(endpoint.method for endpoint in endpoints)

    return Endpoint("*", endpoints[0].path, Access.ANY, refuse)


USERS = BatchEndpoints("user")
EVENTS = BatchEndpoints("event")

V2 = (
    Endpoint("POST", "/users", Access.STANDARD, users_api.create, idempotent=True),
    Endpoint("GET", "/users", Access.ARCHITECT, users_api.find),
    Endpoint("DELETE", "/users", Access.ARCHITECT, users_api.delete_by_uid),
    Endpoint("POST", "/users/batch", Access.STANDARD, USERS.create, idempotent=True),
    Endpoint("GET", "/users/batch/{id}", Access.STANDARD, USERS.status),
    Endpoint("GET", "/users/batch/{id}/imports", Access.ARCHITECT, USERS.imports),
    Endpoint("GET", "/users/batch/{id}/errors", Access.ARCHITECT, USERS.errors),
    Endpoint("POST", "/users/stream", Access.STANDARD, users_api.stream, idempotent=True),
    Endpoint("GET", "/users/stream/{id}", Access.ARCHITECT, users_api.streamed),
    Endpoint("POST", "/users/{id}", Access.STANDARD, users_api.update),
    Endpoint("GET", "/users/{id}", Access.ARCHITECT, users_api.get),
    Endpoint("DELETE", "/users/{id}", Access.ARCHITECT, users_api.delete),
    Endpoint("POST", "/events", Access.STANDARD, create_event, idempotent=True),
    Endpoint("POST", "/events/batch", Access.STANDARD, EVENTS.create, idempotent=True),
    Endpoint("GET", "/events/batch/{id}", Access.STANDARD, EVENTS.status),
    Endpoint("GET", "/events/batch/{id}/imports", Access.ARCHITECT, EVENTS.imports),
    Endpoint("GET", "/events/batch/{id}/errors", Access.ARCHITECT, EVENTS.errors),
    Endpoint("GET", "/organization/quotas", Access.STANDARD, quotas),
)
UNKNOWN = Endpoint("*", "/*", Access.ANY, unknown)
ME = Endpoint("GET", "/me", Access.ANY, me)
PREFIXES = ("/v2", "/v2beta")  # one and the same API
