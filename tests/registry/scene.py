"""A worker between an embedded Kafka and the sandbox, with a real registry beside it."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, final

from processor.adapters.kafka.mock import MockCluster
from tests.kafka.cluster import ExternalCluster
from tests.kafka.conftest import Names
from tests.kafka.programs import SandboxProgram, WorkerProgram, environment_of, sandbox, wait_until, worker
from tests.properties.segment import framed
from tests.registry.apicurio import Apicurio

NAMES = Names(topic="segment", dead_letters="dlq.segment", group="segment-fullstory")


@final
class Scene:
    """What is between a producer and FullStory."""

    def __init__(self, cluster: MockCluster, server: SandboxProgram, environment: dict[str, str], folder: Path) -> None:
        self.produced = 0
        self._cluster = cluster
        self._server = server
        self._environment = environment
        self._folder = folder
        self._acknowledged = 0

    @contextmanager
    def worker(self) -> Iterator[WorkerProgram]:
        """Run a worker that has joined."""
        with worker(self._environment, self._folder / "worker.log") as program:
            program.wait_until_joined()
            yield program

    def produce(self, schema: Any, schema_id: int, event: dict[str, Any]) -> None:
        """Write an event to its user's partition."""
        self.produce_raw(framed(json.dumps(schema), event, schema_id), str(event.get("userId", "nobody")))

    def produce_raw(self, value: bytes, key: str) -> None:
        """Write a value."""
        self.produced += 1
        self._cluster.produce(NAMES.topic, key.encode(), value, [], self._told)
        self._cluster.serve()

    def delivered(self) -> list[dict[str, Any]]:
        """Return the events that took effect."""
        return [effect["item"] for effect in self._server.truth()]

    def wait_for(self, count: int, program: WorkerProgram) -> None:
        """Return when so many events took effect."""
        self.wait_until(lambda: self._server.effects() >= count, program)

    def wait_until(self, holds: Any, program: WorkerProgram) -> None:
        """Return when it holds; meanwhile what was produced is sent."""

        def serve() -> bool:
            self._cluster.serve()
            return bool(holds())

        wait_until(serve, f"what the worker says: {program.said()[-2_000:]}", deadline_s=90.0)

    def halts(self, program: WorkerProgram) -> dict[str, str]:
        """Return what keeps the worker waiting."""
        return {reason: halt["cause"] for reason, halt in program.ready().get("halts", {}).items()}

    def pace(self) -> None:
        """Let the load be one that a registry's outage lasts for."""
        time.sleep(0.05)

    def _told(self, _partition: int, _offset: int) -> None:
        self._acknowledged += 1


@contextmanager
def scene(registry: Apicurio, folder: Path, **settings: object) -> Iterator[Scene]:
    """Set the scene, without a worker yet."""
    with ExitStack() as stack:
        cluster = stack.enter_context(MockCluster(NAMES.topic, NAMES.dead_letters))
        server = stack.enter_context(sandbox("--job-seconds", "0.1", "0.2"))
        own = {
            "SCHEMA_REGISTRY__URL": registry.url,
            "BATCH__LINGER_S": 0.1,
            "KAFKA__PROPERTIES": '{"session.timeout.ms": 3000, "heartbeat.interval.ms": 500}',  # waited out by the next
            **settings,
        }
        environment = environment_of(ExternalCluster(cluster.bootstrap_servers), NAMES, server.url, **own)
        yield Scene(cluster, server, environment, folder)
