"""One run of the worker or of a peer over a whole topic, in a process of its own, from its start to its last event."""

import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import orjson

from bench.end_to_end import sink
from bench.kafka import cpu_s, create, memory_mib
from bench.peers.install import HERE, java_classpath, quix_python
from bench.typed import SCHEMA, SCHEMA_ID, typed
from processor import shipped_folder
from processor.model.records import Record
from processor.workload import Mix, generate
from tests.kafka.cluster import Cluster, free_port
from tests.kafka.conftest import Names
from tests.kafka.programs import PROGRAM, ROOT, ask, environment_of
from tests.kafka.topics import produce_all

PARTITIONS = 8
BATCH = 1_000
"""The worker's default."""
CONCURRENCY = 16
CHUNK = 20_000
DEADLINE_S = 900.0
LOOK_S = 0.05
WARM = 1 / 3
"""Start-up is over when so many of the events have come."""
NATIVE = ROOT / "build" / "native"
"""Where `make native` puts the compiled worker."""
JAVA = ["java", "-Xmx512m", "-XX:+UseParallelGC"]


@dataclass(frozen=True, slots=True)
class Topics:
    """The same events twice."""

    events: int
    typed_maps: Names
    json_text: Names
    schemas: Path
    """A folder with the schema of the typed maps."""


@dataclass(frozen=True, slots=True)
class Result:
    """CPU is user and system time of the whole process, from its start, in microseconds an event."""

    cpu_us: float
    steady_cpu_us: float
    """Without the first third of the events."""
    events_per_s: float
    """From the first request to the last."""
    seconds: float
    """From the start of the process to the last request."""
    peak_mib: float
    requests: int


Peer = Callable[[Cluster, Topics, str], tuple[list[str], dict[str, str]]]
"""Gives the command and its environment, for a sink's URL."""


def _worker(*, is_json: bool = False, is_compiled: bool = False) -> Peer:
    def peer(cluster: Cluster, topics: Topics, url: str) -> tuple[list[str], dict[str, str]]:
        names = topics.json_text if is_json else topics.typed_maps
        own = Names(names.topic, names.dead_letters, _group())
        folder = shipped_folder() if is_json else topics.schemas
        settings = environment_of(cluster, own, url, SCHEMA_REGISTRY__FOLDER=folder, HTTP__PORT=free_port())
        program, variables = compiled_program() if is_compiled else (PROGRAM, {})
        return [*program, "run"], settings | variables

    return peer


def compiled_program() -> tuple[list[str], dict[str, str]]:
    """Return the worker that `make native` compiled, and the environment that it takes; raises if there is none."""
    # -P: the folder that the command runs in, with the sources, is not searched before NATIVE.
    program, own = [sys.executable, "-P", "-m", "processor"], {"PYTHONPATH": str(NATIVE)}
    said = subprocess.run(
        [*program, "--version"], env=os.environ | own, capture_output=True, text=True, check=True
    ).stdout
    if not said.rstrip().endswith("compiled"):
        raise RuntimeError(f"{NATIVE} holds no compiled worker; run `make native` first")
    return program, own


def _quix(cluster: Cluster, topics: Topics, url: str) -> tuple[list[str], dict[str, str]]:
    return [quix_python(), str(HERE / "quix" / "peer.py")], _environment(cluster, topics, url)


def _parallel_consumer(ordering: str) -> Peer:
    def peer(cluster: Cluster, topics: Topics, url: str) -> tuple[list[str], dict[str, str]]:
        environment = {**_environment(cluster, topics, url), "ORDERING": ordering}
        return [
            *JAVA,
            "-cp",
            java_classpath(),
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "peers.Peer",
        ], environment

    return peer


def _environment(cluster: Cluster, topics: Topics, url: str) -> dict[str, str]:
    return {
        "BOOTSTRAP": cluster.bootstrap_servers,
        "TOPIC": topics.typed_maps.topic,
        "GROUP": _group(),
        "SINK_URL": url,
        "SCHEMA": str(topics.schemas / "typed.avsc"),
        "BATCH": str(BATCH),
        "CONCURRENCY": str(CONCURRENCY),
    }


def _group() -> str:
    return f"bench-{uuid.uuid4().hex[:8]}"


PEERS: Mapping[str, Peer] = {
    "worker": _worker(),
    "worker-json": _worker(is_json=True),
    "worker-compiled": _worker(is_compiled=True),
    "worker-json-compiled": _worker(is_json=True, is_compiled=True),
    "quix": _quix,
    "parallel-consumer": _parallel_consumer("KEY"),
    "parallel-consumer-unordered": _parallel_consumer("UNORDERED"),
}
"""`KEY` is the order that the worker keeps: each user's events one after the other."""


@contextmanager
def filled(cluster: Cluster, events: int, mix: Mix) -> Iterator[Topics]:
    """Produce the same generated events as typed maps and as JSON text, each to a topic of its own."""
    names = create(cluster, PARTITIONS), create(cluster, PARTITIONS)
    with tempfile.TemporaryDirectory(prefix="bench-schemas-") as folder:
        schemas = Path(folder)
        (schemas / "typed.avsc").write_text(SCHEMA, encoding="utf-8")
        (schemas / "ids.json").write_bytes(orjson.dumps({str(SCHEMA_ID): "typed.avsc"}))
        given = generate(1, events, mix)
        while chunk := list(islice(given, CHUNK)):
            produce_all(cluster, names[1].topic, chunk)
            values = typed(Record(0, each.timestamp_ms, each.key, each.value, each.headers) for each in chunk)
            same = [replace(each, value=record.value) for each, record in zip(chunk, values, strict=True)]
            produce_all(cluster, names[0].topic, same)
        yield Topics(events, *names, schemas)


def run(name: str, cluster: Cluster, topics: Topics, *options: str) -> Result:
    """Let one deliver all of it, as a new group; raises when it ends or does not come to an end."""
    with tempfile.TemporaryFile() as log, sink(*options) as url:
        command, environment = PEERS[name](cluster, topics, url)
        inherited = {each: value for each, value in os.environ.items() if not each.startswith("PROCESSOR_")}
        began_at = time.time()
        with subprocess.Popen(command, env=inherited | environment, cwd=ROOT, stdout=log, stderr=log) as process:
            try:
                return _watched(process, url, topics.events, began_at)
            except (RuntimeError, TimeoutError) as fault:
                log.seek(0)
                raise RuntimeError(
                    f"{name}: {fault}; it says: {log.read()[-2_000:].decode(errors='replace')}"
                ) from None
            finally:
                process.kill()


def _watched(process: subprocess.Popen[bytes], url: str, events: int, began_at: float) -> Result:
    warm: tuple[int, float] | None = None
    while (account := orjson.loads(ask(f"{url}/account")))["records"] < events:
        if warm is None and account["records"] >= events * WARM:
            warm = account["records"], cpu_s(process.pid)
        if process.poll() is not None:
            raise RuntimeError(f"ended with {process.returncode} after {account['records']} events")
        if time.time() - began_at > DEADLINE_S:
            raise TimeoutError(f"only {account['records']} of {events} events came in time")
        time.sleep(LOOK_S)
    cpu = cpu_s(process.pid)
    if account["records"] > events:
        raise RuntimeError(f"{account['records']} events came of {events}")
    warm_events, warm_cpu = warm or (0, 0.0)
    return Result(
        cpu_us=cpu / events * 1e6,
        steady_cpu_us=(cpu - warm_cpu) / (events - warm_events) * 1e6,
        events_per_s=events / max(account["last"] - account["first"], LOOK_S),
        seconds=account["last"] - began_at,
        peak_mib=memory_mib(process.pid, "VmHWM"),
        requests=account["requests"],
    )
