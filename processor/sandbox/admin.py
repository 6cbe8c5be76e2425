"""The sandbox's own endpoints, under /sandbox: what took effect, what arrived, what shall go wrong. No key needed."""

from collections.abc import Awaitable, Callable
from typing import Any, final, get_args

import orjson
from aiohttp import web

from processor.sandbox.jobs import Job
from processor.sandbox.options import Role
from processor.sandbox.page import page
from processor.sandbox.truth import EffectKind
from processor.sandbox.wire import ApiError, Json, invalid, not_allowed, parse_object
from processor.sandbox.world import World

LINES_PER_CHUNK = 1_000
KINDS = get_args(EffectKind)
"""Of effects."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _json(payload: Any) -> web.Response:
    return web.Response(body=orjson.dumps(payload), content_type="application/json")


def _job_json(job: Job) -> Json:
    return {
        "id": job.id,
        "kind": job.origin.kind,
        "via": job.origin.via,
        "request": job.origin.request,
        "idempotency_key": job.origin.idempotency_key,
        "accepted_at": job.accepted_at,
        "started_at": job.started_at,
        "finish_at": job.finish_at,
        "status": job.status,
        "items": job.size,
        "imports": len(job.imports),
        "errors": len(job.errors),
        "status_read": job.status_read,
    }


def _stats(world: World) -> Json:
    now = world.settle()
    jobs = world.jobs
    return {
        "now": now,
        "requests": world.log.counts(),
        "requests_total": world.log.total,
        "requests_in_progress": world.log.in_progress,
        "effects": {kind: world.truth.counts[kind] for kind in KINDS},
        "users": sum(1 for _ in world.users),
        "properties_dropped": world.intake.properties_dropped,
        "jobs": {
            "total": sum(1 for _ in jobs),
            "running": jobs.running,
            "queued": jobs.queued,
            "max_in_progress": jobs.max_in_progress,
        },
        "operations": {"in_progress": jobs.operations, "max_in_progress": jobs.max_operations},
        "throttled": world.log.with_status(429),
        "replays": world.idempotency.replays,
        "conflicts": world.idempotency.conflicts,
        "early_requests": world.watch.early_requests,
        "earliest_margin_s": world.watch.earliest_margin_s,
        "faults": dict(world.log.faults),
    }


@final
class Admin:
    """The handlers of /sandbox. `world()` is the world in force, `reset()` starts another."""

    def __init__(self, world: Callable[[], World], reset: Callable[[], None]) -> None:
        self._world = world
        self._reset = reset

    def routes(self) -> list[web.RouteDef]:
        """Every path with its handlers, and what answers its other methods."""
        paths: dict[str, dict[str, Handler]] = {
            "": {"GET": page},
            "sandbox/stats": {"GET": self.stats},
            "sandbox/truth": {"GET": self.truth},
            "sandbox/users": {"GET": self.users},
            "sandbox/jobs": {"GET": self.jobs},
            "sandbox/requests": {"GET": self.requests},
            "sandbox/faults": {"GET": self.faults, "POST": self.set_faults},
            "sandbox/limit": {"GET": self.limit, "POST": self.set_limit},
            "sandbox/keys": {"GET": self.keys, "POST": self.set_keys},
            "sandbox/weather": {"GET": self.weather},
            "sandbox/reset": {"POST": self.reset},
        }
        return [
            web.route(method, f"/{path}", handler)
            for path, handlers in paths.items()
            for method, handler in (*handlers.items(), ("*", _refusing(not_allowed(handlers))))
        ]

    async def stats(self, _request: web.Request) -> web.Response:
        """GET: the counters."""
        return _json(_stats(self._world()))

    async def truth(self, request: web.Request) -> web.StreamResponse:
        """GET: the effects so far, one JSON object a line; `?kind=user|event|deletion`, `?after=<sequence>`."""
        world = self._world()
        world.settle()
        kind = request.query.get("kind")
        after = request.query.get("after", "0")
        if kind not in (None, *KINDS) or not after.isdecimal():
            return _refusal(invalid(f"kind must be one of {', '.join(KINDS)}, after a sequence number"))
        effects = world.truth.effects
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        # Effects are only ever appended, and number themselves from 1: the slices stay true while we write.
        for start in range(int(after), len(effects), LINES_PER_CHUNK):
            chunk = effects[start : start + LINES_PER_CHUNK]
            lines = [orjson.dumps(effect.as_json()) for effect in chunk if kind in (None, effect.kind)]
            if lines:
                await response.write(b"\n".join([*lines, b""]))
        await response.write_eof()
        return response

    async def users(self, request: web.Request) -> web.Response:
        """GET: the users as they are now; `?uid=`, and `?limit=` for the newest only."""
        world = self._world()
        world.settle()
        uid = request.query.get("uid")
        limit = request.query.get("limit", "0")
        if not limit.isdecimal():
            return _refusal(invalid("limit must be a number"))
        found = [user.as_json(include_schema=True) for user in world.users if uid in (None, user.uid)]
        return _json(found[-int(limit) :])

    async def jobs(self, request: web.Request) -> web.Response:
        """GET: every job, in order of acceptance; `?limit=` for the newest ones."""
        world = self._world()
        world.settle()
        limit = request.query.get("limit", "0")
        if not limit.isdecimal():
            return _refusal(invalid("limit must be a number"))
        return _json([_job_json(job) for job in list(world.jobs)[-int(limit) :]])

    async def requests(self, _request: web.Request) -> web.Response:
        """GET: the last requests of the API, oldest first."""
        return _json([entry.as_json() for entry in self._world().log])

    async def faults(self, _request: web.Request) -> web.Response:
        """GET: the faults in force."""
        return _json(self._world().faults.as_json())

    async def set_faults(self, request: web.Request) -> web.Response:
        """POST: change the faults named, keep the others; answers all of them."""
        world = self._world()
        try:
            world.faults.update(parse_object(await request.read()), world.clock.now())
        except ValueError as error:
            return _refusal(invalid(str(error)))
        except ApiError as error:
            return _refusal(error)
        world.weather.look(world.clock.now())
        return _json(world.faults.as_json())

    async def limit(self, _request: web.Request) -> web.Response:
        """GET: the limit of requests in force."""
        return _json(self._world().bucket.as_json())

    async def set_limit(self, request: web.Request) -> web.Response:
        """POST {requests_per_s: number | null, burst: count}: change both; null is no limit."""
        world = self._world()
        try:
            wanted = parse_object(await request.read())
        except ApiError as error:
            return _refusal(error)
        per_s, burst = wanted.get("requests_per_s"), wanted.get("burst")
        is_rate = per_s is None or (isinstance(per_s, int | float) and not isinstance(per_s, bool) and per_s > 0)
        if not is_rate or type(burst) is not int or burst < 1:
            return _refusal(invalid("requests_per_s must be null or a number above 0, burst a whole number above 0"))
        now = world.clock.now()
        world.bucket.change(now, per_s, burst)
        world.weather.look(now)
        return _json(world.bucket.as_json())

    async def keys(self, _request: web.Request) -> web.Response:
        """GET: the keys in force with their roles."""
        return _json(self._world().keys.roles)

    async def set_keys(self, request: web.Request) -> web.Response:
        """POST {key: role | null}: grant, change or revoke (null); answers the keys then in force."""
        try:
            changes = parse_object(await request.read())
            roles = {key: None if role is None else Role(role) for key, role in changes.items()}
        except ValueError:
            return _refusal(invalid(f"a role must be null or one of {', '.join(Role)}"))
        except ApiError as error:
            return _refusal(error)
        world = self._world()
        for key, role in roles.items():
            world.keys.change(key, role)
        world.weather.look(world.clock.now())
        return _json(world.keys.roles)

    async def weather(self, _request: web.Request) -> web.Response:
        """GET: what is in force on purpose, in words, and every key with its role, revoked or not."""
        world = self._world()
        now = world.clock.now()
        return _json(
            {
                "now": now,
                "conditions": [condition.as_json() for condition in world.weather.look(now)],
                "keys": {
                    key: {"role": role, "is_revoked": key not in world.keys.roles}
                    for key, role in world.keys.known.items()
                },
            }
        )

    async def reset(self, _request: web.Request) -> web.Response:
        """POST: forget everything; faults and keys return to what the sandbox started with."""
        self._reset()
        return _json({})


def _refusal(error: ApiError) -> web.Response:
    answer = error.answer()
    headers = None if answer.allow is None else {"Allow": answer.allow}
    return web.Response(status=answer.status, body=answer.body, content_type="application/json", headers=headers)


def _refusing(error: ApiError) -> Handler:
    async def refuse(_request: web.Request) -> web.StreamResponse:
        return _refusal(error)

    return refuse
