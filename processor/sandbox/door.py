"""Takes a request of the API from its arrival to its answer.

What may stop a request, in this order: a gateway in between, an outage, a dropped connection, a body too large or
encoded, the key (401, 403), throttling (429), the Idempotency-Key (409 or a replay), an injected error, the endpoint
itself. Only what comes after the Idempotency-Key may be stored under it.
"""

import asyncio
from typing import final

from aiohttp import web

from processor.sandbox.endpoints import Endpoint
from processor.sandbox.faults import Fault
from processor.sandbox.gateway import GATEWAYS, Gateway, Interception
from processor.sandbox.limits import retry_after
from processor.sandbox.wire import (
    FORBIDDEN,
    NOT_ALLOWED,
    NOT_FOUND,
    UNAUTHORIZED,
    ApiError,
    Call,
    SandboxAnswer,
    invalid,
    too_many,
)
from processor.sandbox.world import World

TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500
REFUSALS = {
    400: ("invalid_argument", "injected 400"),
    401: ("unauthorized", UNAUTHORIZED),
    403: ("forbidden", FORBIDDEN),
    404: ("resource_not_found", NOT_FOUND),
    405: ("method_not_allowed", NOT_ALLOWED),
    413: ("request_too_large", "the request body is too large"),
    415: ("unsupported_media_type", "no content encoding is documented"),
    500: ("server_error", "Server error was encountered"),
}
"""Code and message of a refusal, by its status."""


@final
class Dropped(Exception):  # noqa: N818 - what happens to the connection, not what is wrong
    """The connection is to be closed without an answer."""


@final
class Intercepted(Exception):  # noqa: N818 - what happens to the request, not what is wrong
    """A gateway answers in FullStory's place."""

    def __init__(self, by: Interception) -> None:
        super().__init__(by.text)
        self.by = by


@final
class Visit:
    """One request to one endpoint of one world."""

    def __init__(self, world: World, endpoint: Endpoint, request: web.Request) -> None:
        self._world = world
        self._endpoint = endpoint
        self._request = request
        self._fault = world.chance.request_fault(world.faults)
        now = world.clock.now()
        path = request.rel_url.raw_path
        self._entry = world.log.arrive(now, request.method, path, endpoint.name, request.headers)
        if request.method == "POST":
            world.watch.arrive(now)

    async def serve(self) -> web.Response:
        """Answer, or close the connection when a fault says so."""
        try:
            answer = await self._answer()
            self._afflict(Fault.DROP_AFTER)
        except Dropped:
            if self._request.transport is not None:
                self._request.transport.abort()
            return web.Response()
        except Intercepted as intercepted:
            response = intercepted.by.response()
            self._entry.status = response.status
            return response
        else:
            self._entry.status, self._entry.items = answer.status, answer.items
            return self._response(answer)
        finally:
            self._world.log.leave(self._entry)

    def _response(self, answer: SandboxAnswer) -> web.Response:
        response = web.Response(status=answer.status, body=answer.body, content_type="application/json")
        if answer.allow is not None:
            response.headers["Allow"] = answer.allow
        if answer.retry_after_s is not None:
            now = self._world.clock.now()
            value, until = retry_after(now, answer.retry_after_s, as_date=self._world.options.retry_after_as_date)
            response.headers["Retry-After"] = value
            self._world.watch.announce(now, until)
        return response

    async def _answer(self) -> SandboxAnswer:
        world = self._world
        try:
            await self._meet_gateway()
            self._meet_outage()
            self._afflict(Fault.DROP_BEFORE)
            body = await self._body()
            api_key = world.keys.admit(self._request.headers.get("Authorization"), self._endpoint.access)
            self._throttle()
            idempotency_key = self._entry.idempotency_key
            if idempotency_key is None or not self._endpoint.idempotent:
                return await self._perform(api_key, body)
            return await self._perform_once(api_key, body, idempotency_key)
        except ApiError as error:
            return error.answer()

    async def _perform_once(self, api_key: str, body: bytes, idempotency_key: str) -> SandboxAnswer:
        keys = self._world.idempotency
        scope = (api_key, idempotency_key)
        answer = keys.begin(scope, self._endpoint.name, body, self._world.clock.now())
        if answer is not None:
            self._entry.replayed = True
            return answer
        try:
            answer = await self._perform(api_key, body)
        except ApiError as error:
            answer = error.answer()
        finally:
            keys.finish(scope, answer)
        return answer

    async def _perform(self, api_key: str, body: bytes) -> SandboxAnswer:
        world, request = self._world, self._request
        latency_s = world.chance.latency(world.faults)
        if latency_s:
            await asyncio.sleep(latency_s)
        if self._fault is Fault.ERROR:
            self._entry.fault = self._fault
            raise self._injected(world.faults.error_status)
        call = Call(
            number=self._entry.number,
            at=world.settle(),
            key=api_key,
            path=request.match_info,
            query=request.query,
            body=body,
            idempotency_key=self._entry.idempotency_key,
        )
        return self._endpoint.answer(world, call)

    async def _meet_gateway(self) -> None:
        faults = self._world.faults
        if faults.gateway is None or faults.gateway_path not in self._request.rel_url.raw_path:
            return
        gateway = GATEWAYS[faults.gateway]
        body = await self._body() if faults.gateway is Gateway.WAF_403 else b""  # the others look at its length at most
        if gateway.applies is None or gateway.applies(self._request, body):
            self._intercept(gateway)

    def _intercept(self, gateway: Interception) -> None:
        self._entry.fault = Fault.GATEWAY
        if gateway.status is None:
            raise Dropped
        raise Intercepted(gateway)

    def _meet_outage(self) -> None:
        status = self._world.faults.outage(self._world.clock.now())
        if status is not None:
            self._entry.fault = Fault.OUTAGE
            raise self._injected(status)

    def _afflict(self, fault: Fault) -> None:
        if self._fault is fault:
            self._entry.fault = fault
            raise Dropped

    def _throttle(self) -> None:
        world = self._world
        if self._fault is Fault.THROTTLE:
            self._entry.fault = self._fault
            raise self._injected(TOO_MANY_REQUESTS)
        wait_s = world.bucket.take(world.clock.now())
        if wait_s:
            if world.faults.gateway is Gateway.LIMIT_503:
                self._intercept(GATEWAYS[Gateway.LIMIT_503])
            raise too_many(wait_s)

    def _injected(self, status: int) -> ApiError:
        faults = self._world.faults
        if status == TOO_MANY_REQUESTS:
            return too_many(faults.retry_after_s)
        announces = status >= SERVER_ERROR and faults.retry_after_on_5xx
        retry_after_s = faults.retry_after_s if announces else None
        code, message = REFUSALS.get(status, ("server_error", f"injected {status}"))
        return ApiError(status, code, message, retry_after_s=retry_after_s)

    async def _body(self) -> bytes:
        if self._request.headers.get("Content-Encoding", "identity") != "identity":
            raise ApiError(415, *REFUSALS[415])
        try:
            return await self._request.read()
        except web.HTTPRequestEntityTooLarge:
            raise ApiError(413, *REFUSALS[413]) from None
        except (ConnectionError, web.RequestPayloadError):  # whoever sent it has gone, so nobody reads this
            raise invalid("the request body breaks off") from None
