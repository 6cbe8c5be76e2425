"""A worker that reaches the sandbox by way of a gateway, with Kafka embedded, and the account of its records."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, final
from urllib.parse import urlsplit

from processor.adapters.kafka.mock import MockCluster
from processor.model.reasons import Kind
from processor.workload import Expectation, ExpectDelivered, GeneratedRecord, Mix
from processor.workload.account import Account, Balance, letter_of
from tests.gateways.servers import Changes, Gateway
from tests.kafka.cluster import ExternalCluster
from tests.kafka.conftest import Names
from tests.kafka.programs import SandboxProgram, WorkerProgram, environment_of, sandbox, wait_until, worker

NAMES = Names(topic="segment", dead_letters="dlq.segment", group="segment-fullstory")
HASTY = [sys.executable, "-m", "tests.gateways.hasty"]
CLEAN = Mix(poison=0, tombstone=0, other_type=0, excluded=0, awkward=0, plain_json=1, users=100)
"""Traffic of which nothing is bad, and nothing unusual."""
TOLD_S = 30.0
"""Longer than the worker needs to say why nothing is delivered, on a machine that has other things to do."""
SETTLED_S = 60.0
POLL_S = 0.25


@final
class Scene:
    """Producer, gateway, sandbox, and the settings of a worker; all of it is used by one thread."""

    def __init__(
        self,
        cluster: MockCluster,
        gateway: Gateway,
        server: SandboxProgram,
        environment: dict[str, str],
        folder: Path,
    ) -> None:
        self.gateway = gateway
        self.server = server
        self.account = Account()
        self._cluster = cluster
        self._letters = cluster.tail(NAMES.dead_letters)
        self._environment = environment
        self._folder = folder
        self._told = 0
        self._read: list[tuple[Any, bytes | None]] = []

    def produce(self, records: Iterable[GeneratedRecord]) -> None:
        """Have these in the topic."""
        produced = 0
        for record in records:
            produced += 1
            self._cluster.produce(
                NAMES.topic, record.key, record.value, record.headers, self._acknowledged(record.expectation)
            )
        wanted = self._told + produced
        wait_until(lambda: self._serve() or self._told == wanted, "all is produced", poll_s=0.01)

    def _acknowledged(self, expectation: Expectation) -> Callable[[int, int], None]:
        def told(partition: int, offset: int) -> None:
            self._told += 1
            self.account.produced(partition, offset, expectation)

        return told

    def _serve(self) -> bool:
        self._cluster.serve()
        return False

    @contextmanager
    def worker(self) -> Iterator[WorkerProgram]:
        """Run a worker."""
        with worker(self._environment, self._folder / "worker.log", program=HASTY) as program:
            yield program

    def committed(self) -> dict[int, int]:
        """Return what the group has committed."""
        return self._cluster.committed(NAMES.topic, NAMES.group)

    def ends(self) -> dict[int, int]:
        """Return the end of each partition."""
        return self._cluster.ends(NAMES.topic)

    def unsettled(self) -> set[int]:
        """Return the partitions of which not all is committed."""
        committed = self.committed()
        return {each for each, end in self.ends().items() if committed[each] < end}

    def wait_until_settled(self, program: WorkerProgram, deadline_s: float = SETTLED_S) -> None:
        """Return when all is committed."""
        try:
            wait_until(lambda: not self.unsettled(), "all is committed", deadline_s, POLL_S)
        except TimeoutError as error:
            raise AssertionError(f"{error}; {self.server.stats()['effects']}; {told(program)}") from error

    def letters(self) -> list[tuple[Any, bytes | None]]:
        """Return what the dead letters say of themselves, and their values, so far."""
        while found := self._letters.read():
            self._read += [(letter_of(each.headers or []), each.value) for each in found]
        return self._read

    def balance(self, *, may_reject: bool = False) -> Balance:
        """Judge what became of the records, one by one."""
        wait_until(lambda: sum(self._letters.offsets.values()) == self._end_of_letters() or not self.letters(), "read")
        letters = [letter for letter, _ in self.letters()]
        return self.account.balance(self.server.arrivals(), letters, may_reject=may_reject)

    def _end_of_letters(self) -> int:
        return sum(self._cluster.ends(NAMES.dead_letters).values())


def told(program: WorkerProgram) -> str:
    """Return what a worker tells of its state: the readiness probe and the end of its log."""
    return json.dumps(program.ready()) + program.said()[-4_000:]


def wait_until_told(program: WorkerProgram, *texts: str) -> dict[str, Any]:
    """Return the halts when the worker has told of the gateway with all these texts, in one halt."""
    program.wait_until_joined()

    def cause() -> str:
        return str(program.ready().get("halts", {}).get("gateway", {}).get("cause", ""))

    try:
        wait_until(lambda: all(each in cause() for each in texts), f"{texts} are told", TOLD_S)
    except TimeoutError as error:
        raise AssertionError(f"{error}; it says {told(program)}") from error
    halts: dict[str, Any] = program.ready()["halts"]
    return halts


def assert_exact(scene: Scene) -> None:
    """Assert that all arrived where it had to, once."""
    balance = scene.balance()

    assert balance.faults == [], balance.faults
    assert (balance.lost, balance.repeated) == (0, 0), balance


def track(number: int, uid: str = "u", **properties: object) -> GeneratedRecord:
    """Return a track of this user that has to be delivered."""
    unique = f"e-{number}"
    message = {
        "type": "track",
        "userId": uid,
        "event": "Seen",
        "timestamp": "2026-01-01T00:00:00Z",
        "properties": {"unique": unique, **properties},
    }
    return GeneratedRecord(uid.encode(), json.dumps(message).encode(), [], 0, ExpectDelivered(Kind.EVENT, uid, unique))


@contextmanager
def scene(
    kind: str, folder: Path, changes: Changes | None = None, options: tuple[str, ...] = (), **settings: object
) -> Iterator[Scene]:
    """Set the scene: without a worker yet, and the gateway is still to be run."""
    with ExitStack() as stack:
        cluster = stack.enter_context(MockCluster(NAMES.topic, NAMES.dead_letters))
        server = stack.enter_context(sandbox("--job-seconds", "0.1", "0.3", *options))
        gateway = Gateway(kind, folder / kind, urlsplit(server.url).netloc, changes or {})
        own = {"BATCH__LINGER_S": 0.1, **settings}
        environment = environment_of(ExternalCluster(cluster.bootstrap_servers), NAMES, gateway.url, **own)
        yield Scene(cluster, gateway, server, environment, folder)
