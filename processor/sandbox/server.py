"""The sandbox as a server on a socket."""

from itertools import groupby
from operator import attrgetter
from types import TracebackType
from typing import Self, final

from aiohttp import web

from processor.sandbox.admin import Admin, Handler
from processor.sandbox.door import Visit
from processor.sandbox.endpoints import ME, PREFIXES, UNKNOWN, V2, Endpoint, other_methods
from processor.sandbox.faults import Faults
from processor.sandbox.keys import Keys
from processor.sandbox.options import SandboxOptions, SystemWallClock, WallClock
from processor.sandbox.truth import Truth
from processor.sandbox.weather import Condition
from processor.sandbox.world import World

SHUTDOWN_S = 0.5  # for answers under way when the sandbox stops

KEEP_ALIVE_S = 60.0
"""A connection without a whole request for so long is closed; clients keep theirs for shorter."""


@final
class Sandbox:
    """A FullStory on a local port, between `async with` and its end, in the event loop that enters it.

    `truth`, `faults` and `keys` are the live objects, for use from that loop; all three are new after a reset.
    """

    def __init__(self, options: SandboxOptions | None = None, clock: WallClock | None = None) -> None:
        self.options = options or SandboxOptions()
        self._clock = clock or SystemWallClock()
        self._world = World(self.options, self._clock)
        self._runner = web.AppRunner(
            self._application(),
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=KEEP_ALIVE_S,
            shutdown_timeout=SHUTDOWN_S,
        )

    @property
    def url(self) -> str:
        """The base address, without a slash at the end; only while it is entered."""
        host, port = self._runner.addresses[0][:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def truth(self) -> Truth:
        """What has taken effect by now. Read it afresh: jobs are carried out when somebody looks."""
        self._world.settle()
        return self._world.truth

    @property
    def faults(self) -> Faults:
        """The faults in force; assign to its fields to change them."""
        return self._world.faults

    @property
    def keys(self) -> Keys:
        """The keys in force."""
        return self._world.keys

    def weather(self) -> list[Condition]:
        """Return what it does on purpose now; what is total comes first."""
        return self._world.weather.look(self._clock.now())

    def past_weather(self) -> list[Condition]:
        """Return all that it did on purpose since the start or the last reset, oldest first."""
        return self._world.weather.history(self._clock.now())

    def reset(self) -> None:
        """Forget everything and start again from the options."""
        self._world = World(self.options, self._clock)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self.options.host, self.options.port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=self.options.max_body_bytes)
        application.router.add_routes(Admin(lambda: self._world, self.reset).routes())
        for prefix, endpoints in (("", (ME,)), *((prefix, V2) for prefix in PREFIXES)):
            for path, group in groupby(endpoints, attrgetter("path")):
                at_path = list(group)
                for endpoint in (*at_path, other_methods(at_path)):
                    application.router.add_route(endpoint.method, prefix + path, self._handler(endpoint))
        application.router.add_route("*", "/{path:.*}", self._handler(UNKNOWN))
        return application

    def _handler(self, endpoint: Endpoint) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await Visit(self._world, endpoint, request).serve()

        return handle
