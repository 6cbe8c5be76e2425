"""The endpoints of import jobs, for users and events alike: docs/fullstory-api.md#jobs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, final

from processor.sandbox.echo import echoed
from processor.sandbox.jobs import Job
from processor.sandbox.message import ApiMessage
from processor.sandbox.paging import page
from processor.sandbox.property_types import types_of
from processor.sandbox.truth import ItemKind, ItemOrigin, TakenItem
from processor.sandbox.users_api import wants_schema
from processor.sandbox.wire import (
    ApiError,
    Call,
    Json,
    SandboxAnswer,
    invalid,
    not_found,
    ok,
    parse_object,
    require,
    rfc3339,
    too_many,
)
from processor.sandbox.world import World

T = TypeVar("T")
USERS_REQUEST = ApiMessage("the request", ("requests",))
EVENTS_REQUEST = ApiMessage("the request", ("requests", "shared"))


@final
@dataclass(frozen=True, slots=True)
class BatchEndpoints:
    """The four endpoints of one kind of job."""

    kind: ItemKind

    def create(self, world: World, call: Call) -> SandboxAnswer:
        """POST …/batch: accept a job. Only its structure is checked here; its items when they are processed."""
        request = (EVENTS_REQUEST if self.kind == "event" else USERS_REQUEST).read(parse_object(call.body))
        if "requests" not in request:
            raise invalid("requests is required", "required_field")
        items = require(request["requests"], list, "requests")
        if not items or len(items) > world.options.max_items:
            raise invalid(f"requests must hold 1 to {world.options.max_items} items")
        shared = world.intake.rules.shared(request["shared"]) if "shared" in request else {}
        if not world.jobs.has_room(len(items)):
            raise too_many(world.options.hard_stop_retry_after_s)
        origin = ItemOrigin(self.kind, "batch", call.number, call.idempotency_key)
        job = world.jobs.accept(origin, items, call.at, shared)
        return ok({"job": job.metadata()}, items=len(items))

    def status(self, world: World, call: Call) -> SandboxAnswer:
        """GET …/batch/{job_id}: how far the job is, and how many items were imported and how many failed."""
        job = self._job(world, call)
        job.status_read = job.status_read or job.finished
        errors = {"errors": len(job.errors)} if job.errors else {}
        return ok({"imports": len(job.imports), **errors, "job": job.metadata()})

    def imports(self, world: World, call: Call) -> SandboxAnswer:
        """GET …/batch/{job_id}/imports: the items that took effect."""
        job = self._job(world, call)
        include_schema = wants_schema(call)

        def imported(taken: TakenItem) -> Json:
            shape = _user(taken) if self.kind == "user" else _event(taken)
            declared = shape.pop("schema", {}).get("properties", {})
            if include_schema:
                shape["schema"] = {"properties": types_of(shape.get("properties", {}), declared)}
            return shape

        return _when_finished(world, call, job, job.imports, imported)

    def errors(self, world: World, call: Call) -> SandboxAnswer:
        """GET …/batch/{job_id}/errors: the items that failed, echoed whole; no index, no order. 404 unless some did."""
        job = self._job(world, call)
        if job.finished and not job.errors:
            raise not_found()

        def failed(failure: tuple[Any, ApiError]) -> Json:
            item, error = failure
            shape = {"message": error.message, "code": error.code, **echoed(item, self.kind, world.faults.echo)}
            return {**shape, "shared": job.shared} if job.shared else shape

        return _when_finished(world, call, job, job.errors, failed)

    def _job(self, world: World, call: Call) -> Job:
        return world.jobs.find(self.kind, "batch", call.path["id"], call.at)


def _user(taken: TakenItem) -> Json:
    """Return an imported user: what it was given, under FullStory's id."""
    return {"id": taken.user_id, **taken.effect.item}


def _event(taken: TakenItem) -> Json:
    """Return an imported event with the user and the session that it went to; without a time, that of its arrival."""
    shape = {"timestamp": rfc3339(taken.effect.at), **taken.effect.item}
    if taken.user_id:
        shape["user"] = {**shape.get("user", {}), "id": taken.user_id}
    session = shape.pop("session", {})
    shape.pop("page_properties_schema", None)
    return {**shape, "session": {"id": session["id"]}} if "id" in session else shape


def _when_finished(
    world: World, call: Call, job: Job, records: Sequence[T], as_json: Callable[[T], Json]
) -> SandboxAnswer:
    """Return a page of the job's results, or 202 while it runs."""
    return page(world, call, records, as_json) if job.finished else ok({}, status=202)
