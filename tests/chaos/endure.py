"""`python -m tests.chaos.endure`: a log that nobody reads, a port full of half requests and poison, together and long.

One worker plays on a real Kafka under a steady load: for a while without faults, which gives the measure, and then with
all three until the end. The oracle says whether every record ended where it belongs.
"""

import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, final

import click

from processor.adapters.telemetry.connections import raise_open_files
from processor.workload import generate
from tests.chaos.evidence import gather
from tests.chaos.oracle import Judgement, Oracle
from tests.chaos.play import Tell, versions
from tests.chaos.traffic import BODY_BYTES, MIX
from tests.kafka.by_hand import produce_poisoned
from tests.kafka.cluster import Cluster, KafkaCluster
from tests.kafka.conftest import Names
from tests.kafka.programs import (
    HALF,
    SandboxProgram,
    UnreadPipe,
    WorkerProgram,
    ask,
    environment_of,
    is_conserved,
    sandbox,
    wait_until,
    with_few_files,
    worker,
)
from tests.kafka.topics import committed, end_offsets, paced, produce_all
from tests.results import keep

SEED = 1
POISON_SEED = 2
"""So that no poisoned record is equal to another one."""
PARTITIONS = 8
FILES = 1_024
HALF_OPEN = 2_000
RENEW_S = 10.0
"""Every half-open connection is made anew as often: sooner than the port closes it for being late."""
POISON_EVERY_S = 2.0
LOOK_EVERY_S = 1.0
ANSWER_S = 5.0
FAILURES = 2
"""Of probes in a row. Where many wait, the system drops a connection now and then; whoever asks then asks again, and
restarts a worker after some failures, four of them in the chart."""
WARM_UP_S = 10.0
BASELINE_SHARE = 1 / 6
"""Of the time with faults, which comes after it."""
SETTLE_S = 180.0
GRACE_S = 20
AT_MOST = 2.0
"""So many times as old as without faults may records be when they take effect, at the 99th percentile."""

SANDBOX = (
    *("--max-body-bytes", str(BODY_BYTES)),
    *("--job-seconds", "0.5", "2"),
    *("--latency", "0.02", "--latency-jitter", "0.1"),
    *("--request-log", "10000000"),
)
WORKER = {
    "BATCH__MAX_BYTES": 150_000,
    "SHUTDOWN__GRACE_S": GRACE_S,
    "LOG__LEVEL": "debug",
    "KAFKA__PROPERTIES": '{"debug": "protocol"}',
}
"""librdkafka tells of every request, so that the log is long enough to lose lines of it."""


class Ages(NamedTuple):
    """How old records were when they took effect, in seconds."""

    records: int
    p50_s: float
    p99_s: float
    highest_s: float


@final
@dataclass(slots=True)
class Probes:
    """What came of asking the worker whether it is alive."""

    asked: int = 0
    unanswered: int = 0
    in_a_row: int = 0
    at_most_in_a_row: int = 0
    slowest_s: float = 0.0

    def ask(self, program: WorkerProgram) -> None:
        """Ask once."""
        begun = time.monotonic()
        try:
            is_alive = b"alive" in ask(f"http://{program.address}/livez")
        except OSError:
            is_alive = False
        took_s = time.monotonic() - begun
        self.asked += 1
        is_answered = is_alive and took_s <= ANSWER_S
        self.unanswered += not is_answered
        self.in_a_row = 0 if is_answered else self.in_a_row + 1
        self.at_most_in_a_row = max(self.at_most_in_a_row, self.in_a_row)
        self.slowest_s = max(self.slowest_s, took_s)


@final
@dataclass(slots=True)
class Ordeal:
    """One run, and what was seen of it."""

    kafka: Cluster
    names: Names
    server: SandboxProgram
    program: WorkerProgram
    pipe: UnreadPipe
    oracle: Oracle = field(default_factory=Oracle)
    probes: Probes = field(default_factory=Probes)
    stop: threading.Event = field(default_factory=threading.Event)
    poisoned: int = 0
    connections: int = 0

    def feed(self, rate: float) -> None:
        """Produce at a steady rate until the end."""
        records = paced(generate(SEED, None, MIX), rate, self.stop)
        produce_all(self.kafka, self.names.topic, records, self.oracle.produced)

    def poison(self) -> None:
        """Produce a record with a header that clients cannot read, now and then until the end."""
        chance = random.Random(POISON_SEED)
        records = generate(POISON_SEED, None, MIX)
        while not self.stop.wait(POISON_EVERY_S):
            partition = chance.randrange(PARTITIONS)
            produce_poisoned(self.kafka, self.names.topic, partition, [next(records)], self.oracle.produced)
            self.poisoned += 1

    def crowd(self, until: threading.Event) -> None:
        """Hold half-open connections to the port, renewing the oldest."""
        host, port = self.program.address.split(":")
        held: deque[socket.socket] = deque()
        while not until.wait(RENEW_S / HALF_OPEN if len(held) == HALF_OPEN else 0):
            if len(held) == HALF_OPEN:
                held.popleft().close()
            with suppress(OSError):  # the worker may close it, and the system keep it waiting
                held.append(socket.create_connection((host, int(port)), ANSWER_S))
                self.connections += 1
                held[-1].sendall(HALF)
        for connection in held:
            connection.close()

    def look(self, until: threading.Event) -> None:
        """Ask whether the worker is alive, again and again."""
        while not until.wait(LOOK_EVERY_S):
            self.probes.ask(self.program)

    def is_settled(self) -> bool:
        """Say whether the group has committed every partition to its end; raises when the worker has ended."""
        if (code := self.program.process.poll()) is not None:
            raise RuntimeError(f"the worker ended by itself with {code}")
        return committed(self.kafka, self.names.group, self.names.topic) == end_offsets(self.kafka, self.names.topic)


def endure(kafka: Cluster, names: Names, folder: Path, seconds: float, rate: float, tell: Tell) -> dict[str, Any]:
    """Play with faults for so long, after a while without; return the result, whose `faults` name what went wrong."""
    raise_open_files()
    kafka.create_topic(names.topic, PARTITIONS)
    kafka.create_topic(names.dead_letters, 2, {"max.message.bytes": "2000000"})
    pipe = UnreadPipe(folder / "log")
    with (
        sandbox(*SANDBOX, "--seed", str(SEED)) as server,
        worker(environment_of(kafka, names, server.url, **WORKER), pipe.path, program=with_few_files(FILES)) as program,
        ThreadPoolExecutor(4) as threads,
    ):
        ordeal, settled = Ordeal(kafka, names, server, program, pipe), threading.Event()
        try:
            pipe.read()
            wait_until(lambda: program.ready().get("joined", False), "the worker joins")
            running = [threads.submit(ordeal.feed, rate), threads.submit(ordeal.look, settled)]
            _wait(ordeal, WARM_UP_S)
            measured_from = time.time()
            _wait(ordeal, seconds * BASELINE_SHARE)
            pipe.leave()
            struck_at = time.time()
            tell(f"{len(ordeal.oracle.account):,} records without faults; all come now, for {seconds / 60:.1f} minutes")
            running += [threads.submit(ordeal.poison), threads.submit(ordeal.crowd, settled)]
            _wait(ordeal, seconds)
            ordeal.stop.set()
            tell(f"{len(ordeal.oracle.account):,} records; now all must settle, with the faults still there")
            wait_until(ordeal.is_settled, "all settles", SETTLE_S, LOOK_EVERY_S)
        finally:
            ordeal.stop.set()
            settled.set()
        for each in running:
            each.result()
        metrics = program.metrics()
        exit_code = program.terminate(GRACE_S + 10)
        judgement = ordeal.oracle.judge(gather(kafka, names, server))
    before = _ages([age for at, age in judgement.ages if measured_from <= at < struck_at])
    after = _ages([age for at, age in judgement.ages if at >= struck_at])
    return {
        "faults": list(_faults(ordeal, metrics, exit_code, judgement)),
        "minutes": round(seconds / 60, 1),
        "rate": rate,
        "poisoned": ordeal.poisoned,
        **judgement.counts(),
        "half_open_at_once": HALF_OPEN,
        "half_open_in_all": ordeal.connections,
        "open_files_allowed": FILES,
        "log_lines_lost": int(metrics["log_lines_lost_total"]),
        "livez_asked": ordeal.probes.asked,
        "livez_unanswered": ordeal.probes.unanswered,
        "livez_unanswered_in_a_row": ordeal.probes.at_most_in_a_row,
        "livez_slowest_s": round(ordeal.probes.slowest_s, 2),
        "without_faults": before._asdict(),
        "with_faults": after._asdict(),
    }


def _wait(ordeal: Ordeal, seconds: float) -> None:
    """Let the run go on for so long; raises when the worker ends."""
    with suppress(subprocess.TimeoutExpired):
        code = ordeal.program.process.wait(seconds)
        raise RuntimeError(f"the worker ended by itself with {code}")


def _ages(found: Sequence[float]) -> Ages:
    ages = sorted(found)
    p50, p99 = (ages[int(len(ages) * share)] for share in (0.5, 0.99))
    return Ages(len(ages), round(p50, 2), round(p99, 2), round(ages[-1], 2))


def _faults(ordeal: Ordeal, metrics: dict[str, float], exit_code: int, judgement: Judgement) -> Iterator[str]:
    """Name what went wrong, but for the ages."""
    yield from judgement.faults()
    if (in_a_row := ordeal.probes.at_most_in_a_row) >= FAILURES:
        yield f"/livez gave no answer within {ANSWER_S:g} s {in_a_row} times in a row"
    if (came := metrics["rebalances_total"]) != 1:
        yield f"partitions came and went {came:g} times instead of coming once"
    if redelivered := metrics["records_redelivered_total"]:
        yield f"the worker gave up keys for {redelivered:g} records"
    if not is_conserved(metrics):
        yield "the counters do not balance (law 12)"
    if metrics["property_changes_total{rule=unreadable}"] == 0 or ordeal.connections < HALF_OPEN:
        yield f"{ordeal.poisoned} records were poisoned, {ordeal.connections} connections made: this tests nothing"
    if exit_code:
        yield f"SIGTERM was answered with {exit_code}"


@click.command
@click.option("--minutes", default=60.0, show_default=True, type=click.FloatRange(min=0.1), help="With all faults.")
@click.option("--rate", default=200, show_default=True, type=click.IntRange(min=1), help="Records a second.")
@click.option("--result", "file", type=click.Path(path_type=Path), help="Write the result to this file, as JSON.")
def main(*, minutes: float, rate: int, file: Path | None) -> None:
    """Let one worker endure a log that nobody reads, a port full of half requests and poison, and judge it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="endure-") as temporary, KafkaCluster(Path(temporary)) as kafka:
        result = endure(kafka, Names("endure", "endure-dlq", "endure"), Path(temporary), 60 * minutes, rate, click.echo)
    faults, before, after = result["faults"], result["without_faults"], result["with_faults"]
    if after["p99_s"] > AT_MOST * before["p99_s"]:
        faults.append(f"the 99th percentile of the ages is {after['p99_s']} s, without faults {before['p99_s']} s")
    result = {
        "verdict": "broken" if faults else "kept",
        "faults": faults,
        "command": f"python -m tests.chaos.endure {' '.join(sys.argv[1:])}".strip(),
        **{name: value for name, value in result.items() if name != "faults"},
        "versions": versions(),
    }
    keep(file, result)
    click.echo(json.dumps(result, indent=2))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
