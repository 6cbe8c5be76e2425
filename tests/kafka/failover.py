"""A cluster is lost, and the worker goes on with its mirror: what is lost, what is sent twice, and what was told.

`python -m tests.kafka.failover [--result FILE]`: two brokers, MirrorMaker 2 between them, a load, a worker that is
killed in the middle of it and once more together with the first broker, and one that goes on with the second broker,
and is killed as well. Nothing in the gate runs it: docs/failover.md has its figures.
"""

import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from processor.workload import GeneratedRecord, Mix, generate
from processor.workload.account import Account, FoundLetter, letter_of
from tests.kafka.cluster import JARS, LOGGING, Cluster, KafkaCluster
from tests.kafka.conftest import Names
from tests.kafka.consumer_groups import groups
from tests.kafka.maven import fetched
from tests.kafka.programs import SandboxProgram, environment_of, sandbox, wait_until, worker
from tests.kafka.topics import committed, end_offsets, produce_all, producing, read_all
from tests.results import keep

POM = Path(__file__).with_name("mirror.xml")
SEED = 20_261_128
PARTITIONS = 4
RATE = 100.0
"""Records a second."""
OLD = 2_000
"""Records that retention has deleted before the mirror begins, so that offsets are others there."""
NAMES = Names("segment", "dlq.segment", "segment-fullstory")
BODY_BYTES = 500_000
"""The most that the sandbox takes."""
MIX = Mix(oversize_bytes=BODY_BYTES + 20_000, users=300)
SETTINGS = {
    "BATCH__MAX_BYTES": BODY_BYTES - 100_000,
    "BATCH__LINGER_S": 0.2,
    "KAFKA__START": "halt",
}
PROPERTIES = {
    "classic": '{"session.timeout.ms": 6000, "heartbeat.interval.ms": 500}',
    "consumer": '{"group.protocol": "consumer"}',
}

MIRROR = """\
clusters=near, far
near.bootstrap.servers={near}
far.bootstrap.servers={far}
near->far.enabled=true
far->near.enabled=false
near->far.topics={topic}
near->far.groups={group}
replication.policy.class=org.apache.kafka.connect.mirror.{policy}
replication.factor=1
offset-syncs.topic.replication.factor=1
checkpoints.topic.replication.factor=1
config.storage.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
emit.heartbeats.enabled=false
# MirrorMaker 2 (4.3.1) creates this topic all the same.
heartbeats.topic.replication.factor=1
refresh.topics.interval.seconds=5
refresh.groups.interval.seconds=5
offset.lag.max={lag_max}
emit.checkpoints.interval.seconds={seconds}
sync.group.offsets.enabled={translates}
sync.group.offsets.interval.seconds={seconds}
"""


@dataclass(frozen=True, slots=True)
class Round:
    """How the mirror is set up, and for how long there is a load."""

    policy: str
    is_translated: bool
    """Whether MirrorMaker sets the group's offsets; else they are set by the time of what was not settled."""
    seconds: int
    """Between two checkpoints, and between two settings of the offsets."""
    lag_max: int
    load_s: float
    behind_s: float = 0.0
    """How long before the end the mirror stands still."""
    protocol: str = "classic"
    """Of the workers' group."""

    @property
    def topic(self) -> str:
        """The mirror's."""
        return f"near.{NAMES.topic}" if self.policy == PREFIX else NAMES.topic

    def environment(self, cluster: Cluster, topic: str, server: SandboxProgram) -> dict[str, str]:
        """Return a worker's."""
        settings = {**SETTINGS, "KAFKA__PROPERTIES": PROPERTIES[self.protocol]}
        return environment_of(cluster, replace(NAMES, topic=topic), server.url, **settings)


IDENTITY, PREFIX = "IdentityReplicationPolicy", "DefaultReplicationPolicy"
ROUNDS = (
    Round(IDENTITY, is_translated=True, seconds=1, lag_max=0, load_s=30.0),
    Round(IDENTITY, is_translated=True, seconds=10, lag_max=100, load_s=45.0, behind_s=3.0, protocol="consumer"),
    Round(PREFIX, is_translated=True, seconds=60, lag_max=100, load_s=130.0),
    Round(IDENTITY, is_translated=False, seconds=60, lag_max=100, load_s=30.0),
)
SLOW_S = 600.0
"""For whatever has to come: five programs start, on a machine that may have other work."""
JOBS_S = 3.0
"""Within which the jobs end that the first cluster's worker left behind."""


@contextmanager
def mirror(folder: Path, near: Cluster, far: Cluster, how: Round) -> Iterator["subprocess.Popen[bytes]"]:
    """Run MirrorMaker 2 from one cluster to the other."""
    properties = folder / "mirror.properties"
    properties.write_text(
        MIRROR.format(
            near=near.bootstrap_servers,
            far=far.bootstrap_servers,
            topic=NAMES.topic,
            group=NAMES.group,
            policy=how.policy,
            lag_max=how.lag_max,
            seconds=how.seconds,
            translates=str(how.is_translated).lower(),
        )
    )
    jars = fetched(POM, JARS.with_name("mirror"), "copy")
    settings = [f"-Dorg.slf4j.simpleLogger.{each}" for each in LOGGING]
    command = ["java", "-cp", f"{jars}/*", *settings, "-Xmx512m", "org.apache.kafka.connect.mirror.MirrorMaker"]
    with (folder / "mirror.log").open("wb") as log:
        process = subprocess.Popen([*command, str(properties)], stdout=log, stderr=log, cwd=folder)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@contextmanager
def load(near: Cluster, account: Account) -> Iterator[None]:
    """Produce at a steady rate until the end of the `with`."""

    def told(record: GeneratedRecord, partition: int, offset: int) -> None:
        account.produced(partition, offset, record.expectation)

    with producing(near, NAMES.topic, generate(SEED, 1_000_000, MIX), RATE, told):
        yield


def delete_old(near: Cluster) -> dict[int, int]:
    """Fill the topic with records, deliver none of them, and delete them; return where it begins then."""
    produce_all(near, NAMES.topic, generate(SEED + 1, OLD, MIX))
    first = end_offsets(near, NAMES.topic)
    for partition, offset in first.items():
        near.delete_records(NAMES.topic, partition, offset)
        near.commit(NAMES.group, NAMES.topic, partition, offset)
    return first


def letters_in(cluster: Cluster, first: Mapping[int, int]) -> list[FoundLetter]:
    """Return the dead letters of a cluster, with the offsets of a topic whose records began there."""
    letters = [letter_of(message.headers() or []) for message in read_all(cluster, NAMES.dead_letters)]
    return [each._replace(offset=each.offset + first[each.partition]) for each in letters]


def lose(folder: Path, near: Cluster, far: Cluster, server: SandboxProgram, how: Round, account: Account) -> float:
    """Deliver under load, and lose workers and mirror at once; return the time of what was not settled."""
    environment = how.environment(near, NAMES.topic, server)
    with mirror(folder, near, far, how) as mirroring, load(near, account):
        with worker(environment, folder / "near-1.log"):
            wait_until(
                lambda: sum(committed(near, NAMES.group, NAMES.topic).values()) > OLD + 500, "it delivers", SLOW_S
            )
            wait_until(lambda: is_mirrored(far, how), "the mirror is set up", SLOW_S)
        with worker(environment, folder / "near-2.log") as program:
            wait_until(lambda: program.ready().get("joined", False), "the next worker joins", SLOW_S)
            time.sleep(how.load_s - how.behind_s)
            if how.behind_s:
                mirroring.send_signal(signal.SIGSTOP)
                time.sleep(how.behind_s)
            metrics = program.metrics()
            program.kill()
            mirroring.kill()
    oldest = [at for name, at in metrics.items() if name.startswith("oldest_unsettled_timestamp_seconds{") and at]
    return min(oldest, default=time.time())


def is_mirrored(far: Cluster, how: Round) -> bool:
    """Say whether records arrive at the mirror, and the group's offsets where they are translated."""
    has_records = sum(end_offsets(far, how.topic).values()) > 0
    return has_records and (not how.is_translated or len(committed(far, NAMES.group, how.topic)) == PARTITIONS)


def set_offsets(far: Cluster, how: Round, since_s: float) -> None:
    """Let the group go on with the records of this time."""
    since = datetime.fromtimestamp(since_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.000")
    groups(far, NAMES.group, "--topic", how.topic, "--reset-offsets", "--to-datetime", since, "--execute")


def go_on(folder: Path, far: Cluster, server: SandboxProgram, how: Round) -> Counter[str]:
    """Deliver what the mirror holds, by one worker that is killed and another one; return what they counted."""
    environment = how.environment(far, how.topic, server)
    before, ends = server.effects(), end_offsets(far, how.topic)

    def is_settled() -> bool:
        return committed(far, NAMES.group, how.topic) == ends

    with worker(environment, folder / "far-1.log") as program:
        wait_until(lambda: server.effects() > before or is_settled(), "it delivers", SLOW_S)
        counted = Counter(program.metrics())
    with worker(environment, folder / "far-2.log") as program:
        wait_until(is_settled, "the mirror is settled", SLOW_S)
        return counted + Counter(program.metrics())


def fail_over(folder: Path, how: Round) -> dict[str, Any]:
    """Lose a cluster while the worker is in the middle of it; return what came of that."""
    account = Account()
    for each in ("near", "far"):
        (folder / each).mkdir(parents=True)
    with (
        KafkaCluster(folder / "near") as near,
        KafkaCluster(folder / "far") as far,
        sandbox("--job-seconds", "0.5", "2", "--latency", "0.1", "--max-body-bytes", str(BODY_BYTES)) as server,
    ):
        near.create_topic(NAMES.topic, PARTITIONS)
        for cluster in (near, far):
            cluster.create_topic(NAMES.dead_letters, 1)
        first = delete_old(near)
        oldest_s = lose(folder, near, far, server, how, account)
        letters = letters_in(near, dict.fromkeys(first, 0))
        settled = sum(committed(near, NAMES.group, NAMES.topic).values()) - OLD
        near.kill()
        if not how.is_translated:
            set_offsets(far, how, oldest_s)
        time.sleep(JOBS_S)
        begins_at = sum(committed(far, NAMES.group, how.topic).values())
        counted = go_on(folder, far, server, how)
        mirrored = sum(end_offsets(far, how.topic).values())
        balance = account.balance(server.arrivals(), [*letters, *letters_in(far, first)])
    return {
        **asdict(how),
        "records": len(account),
        "not_mirrored": len(account) - mirrored,
        "settled_before": settled,
        "group_begins_at": begins_at,
        "lost": balance.lost,
        "sent_twice": balance.repeated,
        "counted": int(counted["records_redelivered_total"]),
        "journals_ignored": int(counted["journal_ignored_total{reason=foreign}"]),
    }


def faults_of(found: Mapping[str, Any]) -> Iterator[str]:
    """Say what must not be, whatever the mirror does."""
    if found["lost"] > found["not_mirrored"]:
        yield "records were lost that the mirror has"
    if found["is_translated"] and found["sent_twice"] > found["counted"]:
        yield "more was sent twice than was counted"


@click.command
@click.option("--result", "file", type=click.Path(path_type=Path), help="Write the result to this file, as JSON.")
@click.option("--logs", type=click.Path(path_type=Path), help="Keep all logs in this folder.")
@click.option("--round", "only", type=int, help="Play this one alone, counted from 0.")
def main(file: Path | None, logs: Path | None, only: int | None) -> None:
    """Lose a cluster, once for each set-up of the mirror."""
    found = []
    with tempfile.TemporaryDirectory(prefix="failover-") as temporary:
        for number, how in enumerate(ROUNDS):
            if only in (None, number):
                found.append(fail_over((logs or Path(temporary)) / str(number), how))
                click.echo(found[-1])
    faults = [fault for each in found for fault in faults_of(each)]
    keep(file, {"command": " ".join(["python -m tests.kafka.failover", *sys.argv[1:]]), "seed": SEED, "rounds": found})
    sys.exit("; ".join(faults) or 0)


if __name__ == "__main__":
    main()
