"""The HTTP server: what Prometheus and Kubernetes get, over a real socket on the loopback."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from processor.adapters.telemetry.connections import connection_limit
from processor.adapters.telemetry.history import OVER_AFTER_S, History, Trouble
from processor.adapters.telemetry.metrics import Metrics
from processor.adapters.telemetry.server import POLL_LIMIT_S, ListenAddress, TelemetryServer, Views
from processor.engine.halts import SHOWN_FAULTS
from processor.engine.notices import Answered, Retried, WaitsFor
from processor.engine.partition.state import Blocked, PartitionState
from processor.engine.service_health import FORGET_AFTER_S, Diagnosis, Symptom
from processor.engine.verdict import RetryReason
from processor.engine.worker_state import WorkerState
from processor.model.errors import ConfigurationError
from processor.model.reasons import ACTIONS, HaltReason
from processor.model.records import TopicPartition
from tests.fakes.state import FACTS, IDLE, halts

HOST = "127.0.0.1"
Get = Callable[..., Awaitable[aiohttp.ClientResponse]]

HALTS = halts(HaltReason.FORBIDDEN, "the key's level is too low")


@dataclass
class World:
    """A worker's state and the time, as a test wants them."""

    state: WorkerState = IDLE
    now: float = 0.0
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    troubles: list[Trouble] = field(default_factory=list)

    def monotonic(self) -> float:
        """Return the moment."""
        return self.now

    def wall(self) -> float:
        """Return the moment."""
        return self.now

    def server(self, host: str = HOST, port: int = 0, *, fail_on_halt: bool = False) -> TelemetryServer:
        """Return a server that shows this world."""
        return TelemetryServer(
            ListenAddress(host, port),
            self.registry,
            lambda: self.state,
            Views(lambda: "<p>page", lambda: self.troubles),
            self,
            fail_on_halt=fail_on_halt,
        )

    def ask(self, path: str, *, fail_on_halt: bool = False) -> tuple[int, Any]:
        """Return status and JSON of one answer."""

        async def ask(get: Get) -> tuple[int, Any]:
            response = await get(path)
            assert response.headers["Cache-Control"] == "no-store"
            return response.status, await response.json()

        status, body = self.run(ask, fail_on_halt=fail_on_halt)
        return status, body

    def run(self, use: Callable[[Get], Awaitable[Any]], *, fail_on_halt: bool = False) -> Any:
        """Start a server and use it."""

        async def run() -> Any:
            async with self.server(fail_on_halt=fail_on_halt) as server, aiohttp.ClientSession() as session:
                return await use(lambda path, **headers: session.get(f"http://{HOST}:{server.port}{path}", **headers))

        return asyncio.run(run())


def partition(number: int) -> PartitionState:
    """Return the state of a partition."""
    return PartitionState(TopicPartition("t", number), 0, 0, False, 0, None, None)  # noqa: FBT003 - as it is declared


def test_a_worker_that_polls_is_alive() -> None:
    """/livez is good while the last poll is within its limit, and fails beyond it."""
    world = World(now=POLL_LIMIT_S)
    assert world.ask("/livez") == (
        200,
        {"status": "alive", "seconds_since_poll": POLL_LIMIT_S, "limit_seconds": POLL_LIMIT_S},
    )

    world.now += 0.5
    assert world.ask("/livez") == (
        503,
        {"status": "stalled", "seconds_since_poll": POLL_LIMIT_S + 0.5, "limit_seconds": POLL_LIMIT_S},
    )


def test_a_probe_keeps_its_place_among_connections_that_come_at_once() -> None:
    """It is answered though all places are taken, and as many more want one at the same moment as may wait."""

    async def run() -> None:
        async with World().server() as server:
            with ExitStack() as stack:

                def connect() -> socket.socket:
                    connection = stack.enter_context(socket.socket())
                    connection.setblocking(False)  # noqa: FBT003 - as the library has it
                    connection.connect_ex((HOST, server.port))
                    return connection

                async def status(connection: socket.socket) -> bytes:
                    await loop.sock_sendall(connection, b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n")
                    return (await loop.sock_recv(connection, 1_000)).split()[1]

                loop = asyncio.get_running_loop()
                for _ in range(connection_limit()):
                    assert await status(connect()) == b"200"
                probe, *_ = [connect() for _ in range(2 * connection_limit())]
                assert await status(probe) == b"200"

    asyncio.run(run())


@pytest.mark.parametrize(
    "state",
    [
        replace(IDLE, has_joined=False),
        replace(IDLE, is_draining=True),
        replace(IDLE, halts=HALTS),
        replace(IDLE, polled_at=5.0),
    ],
)
def test_nothing_but_polling_decides_about_life(state: WorkerState) -> None:
    """/livez stays good if the group, FullStory or the dead-letter topic is away."""
    assert World(state).ask("/livez", fail_on_halt=True)[0] == 200


def test_a_worker_without_partitions_is_ready() -> None:
    """A worker that joined without partitions is ready: spare pods and rollouts look like that."""
    assert World().ask("/readyz") == (
        200,
        {
            "status": "ready",
            "joined": True,
            "partitions": 0,
            "held_up": {},
            "halts": {},
            "diagnosis": None,
            "errors": [],
        },
    )


def test_a_worker_with_partitions_says_how_many() -> None:
    """The body of /readyz says how many partitions the worker owns."""
    assert World(replace(IDLE, partitions=(partition(0), partition(1)))).ask("/readyz")[1]["partitions"] == 2


def test_a_worker_says_which_partitions_are_held_up_for_longest() -> None:
    """The body of /readyz names some partitions that wait, the longest wait first; the worker is ready all the same."""
    waiting = tuple(
        replace(partition(each), blocked=Blocked(7, 30.4 + each, WaitsFor.TRANSACTION)) for each in range(9)
    )
    code, body = World(replace(IDLE, partitions=(partition(9), *waiting))).ask("/readyz")

    assert code == 200
    assert list(body["held_up"]) == [str(partition(each).id) for each in (8, 7, 6, 5, 4)]
    assert body["held_up"][str(partition(8).id)] == {
        "offset": 7,
        "waits_for": "the end of a transaction",
        "seconds": 38,
    }


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"has_joined": False}, "joining"),
        ({"is_draining": True}, "draining"),
        ({"is_draining": True, "has_joined": False}, "draining"),
    ],
)
def test_a_worker_is_not_ready_before_it_joins_and_when_it_leaves(changes: dict[str, bool], status: str) -> None:
    """/readyz fails before the worker has joined the group and once it leaves."""
    code, body = World(replace(IDLE, **changes)).ask("/readyz")  # type: ignore[arg-type]

    assert (code, body["status"]) == (503, status)


def test_a_halt_stands_in_the_body_of_a_ready_worker() -> None:
    """A halt is named in the body of /readyz, whose status stays 200 unless the settings say otherwise."""
    world = World(replace(IDLE, halts=HALTS))

    halt = {
        "cause": "the key's level is too low",
        "since": "1970-01-01T00:00:00+00:00",
        "action": ACTIONS[HaltReason.FORBIDDEN],
        "runbook": "/runbook#halt-forbidden",
        "count": 1,
    }
    halt["faults"] = [{name: halt[name] for name in ("cause", "since", "action")}]
    body = {
        "joined": True,
        "partitions": 0,
        "held_up": {},
        "halts": {"forbidden": halt},
        "diagnosis": None,
        "errors": [],
    }
    assert world.ask("/readyz") == (200, {"status": "ready", **body})
    assert world.ask("/readyz", fail_on_halt=True) == (503, {"status": "halted", **body})


def test_a_halt_in_several_places_stands_in_the_body_with_each_of_the_first_and_their_number() -> None:
    """Nobody has to mend one to learn of the next."""
    causes = [f"t[{each}] lacks records" for each in range(SHOWN_FAULTS + 2)]
    _, body = World(replace(IDLE, halts=halts(HaltReason.GAP, *causes))).ask("/readyz")

    gap = body["halts"]["gap"]
    assert [each["cause"] for each in gap["faults"]] == causes[:SHOWN_FAULTS]
    assert gap["count"] == SHOWN_FAULTS + 2
    assert gap["cause"] == "; ".join([*causes[:SHOWN_FAULTS], "and 2 more"])


def test_what_slows_delivery_and_is_no_halt_stands_in_the_body() -> None:
    """A 429 to every request, or an answer that is long in coming, is told before any error is."""
    world = World(replace(IDLE, diagnosis=Diagnosis(Symptom.SLOW, "FullStory takes long to answer", 7.0)), now=10.0)

    cause = {"cause": "FullStory takes long to answer", "since": "1970-01-01T00:00:07+00:00"}
    assert world.ask("/readyz")[1]["diagnosis"] == cause


def test_errors_stand_in_the_body_with_their_causes_until_they_are_over() -> None:
    """Each kind of call that goes wrong is named, with each of its causes and how often, until it goes well again."""
    world = World()
    history = History(world)
    history(Retried(RetryReason.CONNECTION, "the certificate has expired", call="question"))
    for status in (502, 502, 503):
        world.now += 1.0
        history(Retried(RetryReason.SERVER_ERROR, status=status))
    world.now += 1.0
    history(Answered("events/batch", "2xx", 0.1))
    world.troubles = history.troubles()

    requests = {
        "of": "FullStory, requests",
        "since": "1970-01-01T00:00:01+00:00",
        "last": "1970-01-01T00:00:03+00:00",
        "times": 3,
        "causes": {"FullStory answers 503": 1, "FullStory answers 502": 2},
    }
    questions = {
        "of": "FullStory, questions about jobs",
        "since": "1970-01-01T00:00:00+00:00",
        "last": "1970-01-01T00:00:00+00:00",
        "times": 1,
        "causes": {"the certificate has expired": 1},
    }
    assert world.ask("/readyz")[1]["errors"] == [requests, questions]

    world.now += OVER_AFTER_S
    assert world.ask("/readyz")[1]["errors"] == [questions], "which nobody has tried again yet"

    world.now += FORGET_AFTER_S
    assert world.ask("/readyz")[1]["errors"] == []


def test_metrics_come_in_the_format_that_is_asked_for() -> None:
    """The Accept header chooses the format of the metrics, which show the moment of the scrape."""
    world = World(replace(IDLE, bytes_held=77))
    Metrics(world.registry, lambda: world.state, world, FACTS)

    async def scrape(get: Get) -> list[tuple[str, str]]:
        openmetrics = "application/openmetrics-text;version=1.0.0"
        answers = [await get("/metrics", headers={"Accept": accept}) for accept in ("*/*", openmetrics)]
        return [(each.headers["Content-Type"], await each.text()) for each in answers]

    (text_type, text), (open_type, opened) = world.run(scrape)

    assert text_type.startswith("text/plain; version=")
    assert open_type.startswith("application/openmetrics-text; version=1.0.0")
    assert opened.endswith("# EOF\n")
    assert "segment_fullstory_bytes_held 77.0" in text
    assert "segment_fullstory_bytes_held 77.0" in opened


def test_a_scrape_is_compressed_when_it_may_be() -> None:
    """A scrape is compressed if the client accepts that."""
    world = World()
    Metrics(world.registry, lambda: world.state, world, FACTS)

    async def scrape(get: Get) -> tuple[str | None, str | None]:
        packed = await get("/metrics", headers={"Accept-Encoding": "gzip"})
        plain = await get("/metrics", headers={"Accept-Encoding": "identity"})
        return packed.headers.get("Content-Encoding"), plain.headers.get("Content-Encoding")

    assert world.run(scrape) == ("gzip", None)


def test_the_front_page_says_what_there_is() -> None:
    """A browser is shown the status page, whose policy allows nothing from elsewhere."""

    async def visit(get: Get) -> tuple[str, str, str, int]:
        front, elsewhere = await get("/"), await get("/elsewhere")
        return front.content_type, front.headers["Content-Security-Policy"], await front.text(), elsewhere.status

    content_type, policy, text, elsewhere = World().run(visit)

    assert content_type == "text/html"
    assert text == "<p>page"
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert elsewhere == 404


def problem_of(server: TelemetryServer) -> str:
    """Return why a server does not start."""

    async def enter() -> None:
        async with server:
            pass

    with pytest.raises(ConfigurationError) as raised:
        asyncio.run(enter())
    [problem] = raised.value.problems
    return problem


def test_a_port_in_use_names_its_variable() -> None:
    """If the port is in use, the error names the setting that chooses it."""
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]

        assert problem_of(World().server(port=port)) == (
            f"PROCESSOR_HTTP__PORT: port {port} of {HOST} is in use: choose another"
        )


@pytest.mark.parametrize("host", ["192.0.2.1", "256.256.256.256"])
def test_an_address_of_somewhere_else_names_its_variable(host: str) -> None:
    """An address that is not this computer's, or no address, is an error that names the setting."""
    assert problem_of(World().server(host)).startswith(f"PROCESSOR_HTTP__HOST: cannot listen on {host}: ")


def test_a_port_that_needs_a_privilege_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the system refuses the port, the error names the setting."""

    def refuse(_socket: socket.socket, _address: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)

    assert problem_of(World().server(port=80)) == (
        "PROCESSOR_HTTP__PORT: port 80 needs a privilege: choose one above 1023"
    )


def test_a_port_is_free_again_afterwards() -> None:
    """The port is free once the server has stopped, even if a client kept its connection open."""

    async def twice() -> None:
        world = World()
        async with aiohttp.ClientSession() as session:
            async with world.server() as server:
                port = server.port
                await session.get(f"http://{HOST}:{port}/livez")
            async with world.server(port=port) as server:
                assert server.port == port

    asyncio.run(twice())
