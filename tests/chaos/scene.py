"""Everybody who plays: a broker, a sandbox, a proxy before each for every worker, and the workers."""

import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final
from urllib.parse import urlsplit

from tests.chaos.oracle import Oracle
from tests.chaos.toxiproxy import Toxiproxy, toxiproxy
from tests.chaos.traffic import BODY_BYTES
from tests.kafka.cluster import KafkaCluster, free_port
from tests.kafka.conftest import Names
from tests.kafka.programs import (
    ROOT,
    SandboxProgram,
    UnreadPipe,
    WorkerProgram,
    environment_of,
    is_conserved,
    sandbox,
    wait_until,
    with_few_files,
)

CHAOS = "chaos"
SESSION_S = 6
"""The group notices a killed member soon."""
GRACE_S = 20
FILES = 256
"""So many descriptors has a worker at most: fewer than it is sent half-open requests."""
DEADLINE_S = 90.0
"""For everything that a fault delays: longer than an attempt of a request, and than any back-off."""
LOOK_S = 0.2
"""Looking at the workers takes time from them."""

SANDBOX = (
    *("--max-body-bytes", str(BODY_BYTES)),
    *("--job-seconds", "0.3", "2"),
    *("--latency", "0.02", "--latency-jitter", "0.1"),
    *("--failing-items", "0.005"),
    *("--request-log", "10000000"),
)
WORKER = {"BATCH__MAX_RECORDS": 200, "BATCH__MAX_BYTES": 150_000, "BATCH__LINGER_S": 0.3, "SHUTDOWN__GRACE_S": GRACE_S}

PROTOCOLS = {
    "classic": f'{{"session.timeout.ms": {SESSION_S * 1_000}, "heartbeat.interval.ms": 1000}}',
    "consumer": '{"group.protocol": "consumer"}',
}
COUNTED = ("records_redelivered_total", "records_released_total", "records_consumed_total")
"""Counters that are summed over the lives of all workers."""


@final
@dataclass(frozen=True, slots=True)
class Script:
    """What is played."""

    seed: int = 1
    kills: int = 10
    workers: int = 4
    rate: int = 300
    partitions: int = 8
    mode: Literal["batch", "single"] = "batch"
    protocol: Literal["classic", "consumer"] = "classic"
    scenario: str = CHAOS
    """Every fault, or the name of one that comes alone."""
    root: Path = ROOT
    """The folder of the project whose worker plays."""


@final
class Scene:
    """The players. A worker plays in a slot, which has proxies of its own to Kafka and to FullStory."""

    def __init__(
        self, script: Script, folder: Path, kafka: KafkaCluster, server: SandboxProgram, proxies: Toxiproxy
    ) -> None:
        unique = uuid.uuid4().hex[:8]
        self.script = script
        self.kafka = kafka
        self.server = server
        self.proxies = proxies
        self.oracle = Oracle()
        self.names = Names(f"chaos-{unique}", f"chaos-{unique}-dlq", f"chaos-{unique}")
        self.workers: dict[int, WorkerProgram] = {}
        self.absent: set[int] = set()
        """The slots of workers that are suspended or cut off from Kafka."""
        self.killed: list[int] = []
        """How many requests were in flight in each worker that was killed."""
        self.faults: list[str] = []
        """What was seen to go wrong on the way."""
        self.counts: dict[WorkerProgram, dict[str, float]] = {}
        """The last that each worker said of itself."""
        self._folder = folder
        self._environments: list[dict[str, str]] = []
        kafka.create_topic(self.names.topic, script.partitions)
        kafka.create_topic(self.names.dead_letters, 2, {"max.message.bytes": "2000000"})
        for slot, (proxy, behind) in enumerate(kafka.behind.items()):
            proxies.add(f"kafka-{slot}", proxy, behind)
            fullstory = free_port()
            proxies.add(f"fullstory-{slot}", fullstory, urlsplit(server.url).port or 0)
            self._environments.append(self._environment(f"127.0.0.1:{proxy}", f"http://127.0.0.1:{fullstory}"))

    def _environment(self, bootstrap_servers: str, destination: str) -> dict[str, str]:
        settings = {
            "KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers,
            "KAFKA__PROPERTIES": PROTOCOLS[self.script.protocol],
            "DELIVERY__MODE": self.script.mode,
            **WORKER,
        }
        return environment_of(self.kafka, self.names, destination, **settings)

    def start(self, *slots: int) -> None:
        """Start a worker in each of these slots."""
        for slot in slots:
            self._start(slot, self._new_log(slot))

    def start_unread(self, slot: int) -> UnreadPipe:
        """Start a worker whose log is a pipe that is full and that nobody reads."""
        pipe = UnreadPipe(self._new_log(slot))
        self._start(slot, pipe.path)
        return pipe

    def _new_log(self, slot: int) -> Path:
        return self._folder / f"worker-{slot}-{len(self.counts)}.log"

    def _start(self, slot: int, log: Path) -> None:
        program = WorkerProgram(self._environments[slot], log, self.script.root, with_few_files(FILES))
        self.workers[slot] = program
        self.counts[program] = {}

    def kill(self, *slots: int) -> None:
        """End these workers with SIGKILL, all at once."""
        programs = [self.workers.pop(slot) for slot in slots]
        for program in programs:
            program.process.kill()
        for program in programs:
            program.process.wait()

    def terminate(self, *slots: int) -> None:
        """End these workers with SIGTERM; each must leave in good order within its time."""
        for slot in slots:
            self.look(slot)
        programs = {slot: self.workers.pop(slot) for slot in slots}
        for program in programs.values():
            program.process.terminate()
        for slot, program in programs.items():
            try:
                code: object = program.process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                code = f"nothing in {DEADLINE_S:.0f} s"
            if code:
                self.faults.append(f"the worker in slot {slot} answered SIGTERM with {code}: {program.log.name}")
            program.kill()

    def suspend(self, slot: int) -> None:
        """Stop a worker where it is."""
        self.absent.add(slot)
        self.workers[slot].suspend()

    def wake(self, slot: int) -> None:
        """Let a suspended worker go on."""
        self.workers[slot].go_on()
        self.absent.discard(slot)

    def look(self, slot: int) -> dict[str, float]:
        """Return a worker's metrics; none while it does not listen. One that has ended is noted and replaced."""
        program = self.workers[slot]
        if (code := program.process.poll()) is not None:
            self.faults.append(f"the worker in slot {slot} ended by itself with {code}: {program.log.name}")
            self.start(slot)
            return {}
        try:
            metrics = program.metrics()
        except OSError:
            return {}
        if not is_conserved(metrics):
            self.faults.append(f"the counters of the worker in slot {slot} do not balance (law 12): {program.log.name}")
        self.counts[program] = {name: metrics[name] for name in COUNTED}
        return metrics

    def in_flight(self, slot: int) -> int:
        """Return how many requests and jobs of a worker are not finished."""
        return int(self.look(slot).get("jobs_in_flight", 0))

    def assigned(self) -> list[int]:
        """Return how many partitions each worker says that it owns, of those that are there."""
        there = [slot for slot in self.workers if slot not in self.absent]
        return [int(self.look(slot).get("partitions_assigned", 0)) for slot in there]

    def wait_until_assigned(self) -> None:
        """Return when the partitions are shared out, some to every worker that is there."""

        def shared() -> bool:
            owned = self.assigned()
            return sum(owned) == self.script.partitions and all(owned)

        until(shared, "every worker has partitions")

    def total(self, counter: str) -> int:
        """Return a counter's sum over all workers, as far as they were seen."""
        return int(sum(counts.get(counter, 0) for counts in self.counts.values()))

    def clear(self) -> None:
        """End every worker that still runs."""
        for program in self.counts:
            program.kill()


def until(holds: Callable[[], bool], what: str) -> None:
    """Return when it holds; raises `TimeoutError` with `what` when it does not in time."""
    wait_until(holds, what, DEADLINE_S, LOOK_S)


@contextmanager
def scene(script: Script, folder: Path) -> Iterator[Scene]:
    """Set the scene; its processes end with the block, also when SIGTERM ends the program."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack:
        proxies = stack.enter_context(toxiproxy(folder / "toxiproxy.log"))
        ports = [free_port() for _ in range(script.workers)]
        kafka = stack.enter_context(KafkaCluster(folder, proxies=ports))
        server = stack.enter_context(sandbox(*SANDBOX, "--seed", str(script.seed)))
        players = Scene(script, folder, kafka, server, proxies)
        stack.callback(players.clear)
        yield players
