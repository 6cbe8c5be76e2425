"""The endpoints for users: docs/fullstory-api.md#users."""

from collections.abc import Iterator

from processor.sandbox.items import USER
from processor.sandbox.paging import page
from processor.sandbox.truth import EffectKind, ItemOrigin, Via
from processor.sandbox.users import User
from processor.sandbox.wire import Call, SandboxAnswer, invalid, ok, parse_object
from processor.sandbox.world import World


def origin(call: Call, via: Via, kind: EffectKind = "user") -> ItemOrigin:
    """Where the items of a call come from."""
    return ItemOrigin(kind, via, call.number, call.idempotency_key)


def create(world: World, call: Call) -> SandboxAnswer:
    """POST /v2/users: upsert one user."""
    taken = world.intake.user(parse_object(call.body), origin(call, "single"), call.at)
    return ok({"id": taken.user_id}, items=1)


def update(world: World, call: Call) -> SandboxAnswer:
    """POST /v2/users/{id}: update by FullStory's id."""
    taken = world.intake.update(call.path["id"], parse_object(call.body), origin(call, "single"), call.at)
    return ok({"id": taken.user_id}, items=1)


def get(world: World, call: Call) -> SandboxAnswer:
    """GET /v2/users/{id}."""
    return ok(world.users.get(call.path["id"]).as_json(include_schema=wants_schema(call)))


def find(world: World, call: Call) -> SandboxAnswer:
    """GET /v2/users: the users that match every filter given, page by page."""
    filters = {name: call.query[name] for name in ("uid", "email", "display_name") if name in call.query}
    identified = call.query.get("is_identified")
    if identified not in (None, "true", "false"):
        raise invalid("is_identified must be true or false")

    def matching() -> Iterator[User]:
        for user in world.users:
            fits = all(getattr(user, name) == value for name, value in filters.items())
            if fits and identified in (None, "true" if user.uid else "false"):
                yield user

    include_schema = wants_schema(call)
    return page(world, call, list(matching()), lambda user: user.as_json(include_schema=include_schema))


def delete(world: World, call: Call) -> SandboxAnswer:
    """DELETE /v2/users/{id}."""
    return _deleted(world, call, world.users.get(call.path["id"]))


def delete_by_uid(world: World, call: Call) -> SandboxAnswer:
    """DELETE /v2/users?uid=."""
    if not call.query.get("uid"):
        raise invalid("uid is required", "required_field")
    return _deleted(world, call, world.users.by_uid(call.query["uid"]))


def stream(world: World, call: Call) -> SandboxAnswer:
    """POST /v2/users/stream: upsert one user in a while; what is wrong with it is said at once."""
    item = parse_object(call.body)
    world.intake.rules.user(item, USER)
    job = world.jobs.accept(origin(call, "stream"), [item], call.at)
    return ok({"request_id": job.id}, items=1)


def streamed(world: World, call: Call) -> SandboxAnswer:
    """GET /v2/users/stream/{request_id}: the user's id, empty until it exists."""
    job = world.jobs.find("user", "stream", call.path["id"], call.at)
    return ok({"id": job.imports[0].user_id if job.imports else ""})


def wants_schema(call: Call) -> bool:
    """Whether the caller asks for `schema` in what it reads."""
    return call.query.get("include_schema") == "true"


def _deleted(world: World, call: Call, user: User) -> SandboxAnswer:
    world.intake.delete(user, origin(call, "single", "deletion"), call.at)
    return ok({}, items=1)
