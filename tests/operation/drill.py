"""Plays outages on the real stack, and shows what an operator would be told of each: `python -m tests.operation.drill`.

A Kafka, a worker, the sandbox as FullStory, and Prometheus and Alertmanager with the rules that ship, in a world in
which an hour of theirs is a minute. What Kafka's client and the worker take to notice something is as long as ever.
Outages that concern one deployment alone are played beside each other.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import randbytes
from threading import Event
from typing import Any, NamedTuple, final

from bench.stages import CLEAN
from processor.model.records import Record
from processor.workload import generate
from tests.kafka.cluster import Cluster, KafkaCluster
from tests.kafka.programs import SandboxProgram, WorkerProgram, sandbox, wait_until
from tests.kafka.topics import allow, append, begin_transaction, producing
from tests.operation.alertmanager import Alertmanager, Labels, Webhook, labels_of
from tests.operation.faults import Stage
from tests.operation.prometheus import FASTER, ROOT, SCRAPE_S, Prometheus
from tests.properties.segment import IDS, framed, shipped
from tests.registry.apicurio import Apicurio

PAGE = ROOT / "docs" / "runbook.md"
BEGIN = "<!-- written by make drill -->\n"
END = "<!-- end of what make drill writes -->\n"
HEAD = "| outage | first notification | after | notifications | names the cause |\n|---|---|---|---|---|\n"
NO = "**no**"

RATE = 20
PARTITIONS = 4
BESIDE = 3
"""So many outages are played at once: more workers than these keep two processors from answering in time."""
TOLD_WITHIN_S = 90.0
HOUR_S = 3_600 / FASTER
SESSION = '{"session.timeout.ms": 6000, "heartbeat.interval.ms": 500}'
"""Else a member that was killed holds its partitions for 45 s, which is 45 minutes of the rules."""


EVENT = {"type": "track", "userId": "u", "event": "Seen"}


class Pace(NamedTuple):
    """For how many seconds what is looked at."""

    well: int
    """Before an outage, while nothing is to be told."""
    lasts: float
    """While an outage goes on, after it was told."""
    over: float
    """After the last alert of it has ended."""


THOROUGH = Pace(well=10, lasts=20, over=20)
QUICK = Pace(well=4, lasts=0, over=0)


@final
@dataclass
class Scene:
    """Where an outage is played: a worker between Kafka and the sandbox, and who watches it."""

    stage: Stage
    prometheus: Prometheus

    @property
    def kafka(self) -> Cluster:
        """The cluster."""
        return self.stage.kafka

    @property
    def broker(self) -> KafkaCluster:
        """Its only broker, which is ours."""
        assert isinstance(self.stage.kafka, KafkaCluster)
        return self.stage.kafka

    @property
    def server(self) -> SandboxProgram:
        """The sandbox."""
        return self.stage.server

    def append(self, value: bytes) -> None:
        """Write a record to the first partition."""
        append(self.kafka, self.stage.names.topic, 0, [Record(0, 0, b"u", value, None)])


Play = Generator[Mapping[str, Any], WorkerProgram, None]
"""An outage in its steps: it prepares, and yields the worker's settings; is sent the worker, and begins; ends."""


@dataclass(frozen=True)
class Outage:
    """Something that goes wrong, and what names it: None where nothing is to be told."""

    play: Callable[[Scene], Play]
    cause: str | None
    is_alone: bool = False
    """Whether it concerns all who share the servers."""
    is_watched_after_s: float = 0.0
    """So long the worker runs before anybody looks at it."""


@final
@dataclass(frozen=True)
class Told:
    """What was told of an outage, and after how many seconds the first of it came."""

    notifications: Sequence[Mapping[str, Any]]
    after_s: float

    @property
    def names(self) -> list[str]:
        """What each notification is about."""
        return [_name(labels_of(each)[0]) for each in self.notifications]

    @property
    def texts(self) -> list[str]:
        """All that was said of it."""
        alerts = [alert for each in self.notifications for alert in each["alerts"]]
        return [text for alert in alerts for text in alert["annotations"].values()]

    def row(self, name: str, cause: str | None) -> str:
        """Return a row of the table."""
        if not self.names:
            return f"| {name} | none | | 0 | {NO if cause else 'nothing is to be told'} |\n"
        first, others = self.names[0], self.names[1:]
        count = str(len(self.names)) + (f": also {', '.join(others)}" if others else "")
        return f"| {name} | {first} | {self.after_s:.0f} s | {count} | {'yes' if first == cause else NO} |\n"


def broker_stopped(scene: Scene) -> Play:
    """Stop the only broker."""
    yield {}
    scene.broker.stop()
    yield {}
    scene.broker.start()


def one_of_two_brokers_gone(scene: Scene) -> Play:
    """Kill the broker that leads half of the partitions, and has the only replica of each."""
    names, folder = scene.stage.names, scene.stage.folder / "second"
    folder.mkdir()
    scene.kafka.commit(names.group, names.topic, 0, 0)  # the group's offsets are with the broker that stays
    with KafkaCluster(folder, beside=scene.broker) as second:
        scene.kafka.add_partitions(names.topic, 2 * PARTITIONS)
        yield {}
        second.kill()
        yield {}
        second.start()
        yield {}


def disk_full(scene: Scene) -> Play:
    """Let the disk of the broker's log be full."""
    yield {}
    scene.broker.fill_disk()
    yield {}
    scene.broker.restart()


def registry_gone(scene: Scene) -> Play:
    """Stop the registry, and have a record whose schema only the registry knows."""
    with Apicurio(scene.stage.folder) as registry:
        for name in IDS.values():
            subject = name.removesuffix(".avsc")
            registry.register(subject, json.loads(shipped(subject)))
        new = {"type": "record", "name": "New", "fields": [{"name": name, "type": "string"} for name in EVENT]}
        new_id = registry.register("new", new)
        yield {"SCHEMA_REGISTRY__URL": registry.url}
        registry.stop()
        scene.append(framed(json.dumps(new), EVENT, new_id))
        yield {}
        registry.start()
        yield {}


def key_revoked(scene: Scene) -> Play:
    """Have FullStory refuse the key."""
    yield {}
    scene.server.set_keys(na1_architect=None)
    yield {}
    scene.server.set_keys(na1_architect="ARCHITECT")


def dead_letter_topic_gone(scene: Scene) -> Play:
    """Have something to dead-letter, and no topic for it."""
    yield {}
    scene.kafka.delete_topic(scene.stage.names.dead_letters)
    scene.append(b"\xff no event")
    yield {}
    scene.kafka.create_topic(scene.stage.names.dead_letters)


def fullstory(**faults: object) -> Callable[[Scene], Play]:
    """Return the play in which FullStory, as the sandbox, has these faults."""

    def play(scene: Scene) -> Play:
        yield {}
        before = scene.server.faults()
        scene.server.set_faults(**faults)
        yield {}
        scene.server.set_faults(**{name: before[name] for name in faults})

    return play


def poison(scene: Scene) -> Play:
    """Have one record whose dead letter is too large for its topic."""
    topic = scene.stage.names.dead_letters
    allow(scene.kafka, topic, 10_000)
    yield {}
    scene.append(b"\xff" + randbytes(20_000))
    yield {}
    allow(scene.kafka, topic, 100_000)


def crash_loop(scene: Scene) -> Play:
    """Kill the worker a minute of the rules after it has come up, again and again."""
    del scene  # it concerns the worker alone
    program = yield {}
    is_over = Event()

    def restart() -> None:
        while not is_over.is_set():
            program.kill()
            is_over.wait(15 / FASTER)
            program.start_again()
            wait_until(lambda: bool(program.ready()), "it is up again")
            is_over.wait(max(45 / FASTER, 2 * SCRAPE_S))

    with ThreadPoolExecutor(1) as thread:
        restarting = thread.submit(restart)
        try:
            yield {}
        finally:
            is_over.set()
        restarting.result()


def transaction_open(scene: Scene) -> Play:
    """Leave a transaction open."""
    yield {}
    topic = scene.stage.names.topic
    producer = begin_transaction(scene.kafka, topic, 0, [Record(0, 0, b"u", None, None)])
    yield {}
    producer.abort_transaction()


def scrapes_missing(scene: Scene) -> Play:
    """Have Prometheus pause, long after records were lost to retention."""
    names = scene.stage.names
    for _ in range(10):
        scene.append(b"gone")
    scene.kafka.commit(names.group, names.topic, 0, 0)
    scene.kafka.delete_records(names.topic, 0, 10)
    program = yield {"KAFKA__ON_GAP": "continue"}
    assert program.metrics()["records_lost_to_retention_total"] == 10
    scene.prometheus.suspend()
    yield {}
    scene.prometheus.go_on()


OUTAGES = {
    "the broker is stopped": Outage(broker_stopped, "KafkaUnreachable", is_alone=True),
    "one of two brokers is gone, without replicas": Outage(one_of_two_brokers_gone, "BrokerAway", is_alone=True),
    "the disk of the broker's log is full": Outage(disk_full, "KafkaUnreachable", is_alone=True),
    "the registry is gone, and a schema is new": Outage(registry_gone, "Halted: schema_registry"),
    "the key is revoked": Outage(key_revoked, "Halted: unauthorized"),
    "the dead-letter topic is gone": Outage(dead_letter_topic_gone, "Halted: dead_letter_topic"),
    "FullStory asks to wait, all the time": Outage(fullstory(outage_status=429, retry_after_s=2), "HeldBack"),
    "FullStory answers 503": Outage(fullstory(outage_status=503), "NotDelivering"),
    "the jobs of FullStory take long": Outage(fullstory(job_duration_s=[5, 5.5]), "Late"),
    "a record of one partition can be neither delivered nor dead-lettered": Outage(
        poison, "Halted: dead_letter_too_large"
    ),
    "a worker is killed again and again": Outage(crash_loop, "CrashLooping"),
    "a transaction is left open": Outage(transaction_open, "HeldUp"),
    "Prometheus pauses for almost two hours, long after records were lost": Outage(
        scrapes_missing, None, is_alone=True, is_watched_after_s=HOUR_S + 5
    ),
}


@final
@dataclass(frozen=True)
class Played:
    """What was told of each outage, and the Prometheus that still runs."""

    told: Mapping[str, Told]
    prometheus: Prometheus


@contextmanager
def played(names: Sequence[str], kafka: Cluster, folder: Path, pace: Pace) -> Iterator[Played]:
    """Play these outages beside each other until nothing fires any more; all servers run inside of the `with`."""
    with ExitStack() as stack:
        webhook = stack.enter_context(Webhook())
        alertmanager, prometheus = Alertmanager(folder), Prometheus(folder)
        stack.callback(alertmanager.stop)
        stack.callback(prometheus.stop)
        acts = {name: stack.enter_context(_act(name, kafka, folder, prometheus)) for name in names}
        for act in acts.values():
            act.wait_for(RATE)
        time.sleep(max(OUTAGES[name].is_watched_after_s for name in names))
        alertmanager.start(webhook.url, FASTER)
        prometheus.start({name: act.program.address for name, act in acts.items()}, alertmanager.address)
        for act in acts.values():
            act.wait_for(pace.well * RATE)
        begun = {name: act.begin() for name, act in acts.items()}
        with suppress(TimeoutError):
            wait_until(lambda: _jobs(webhook) >= set(names), "each of them is told", TOLD_WITHIN_S)
        time.sleep(pace.lasts)
        for act in acts.values():
            act.end()
        for act in acts.values():
            act.wait_for(RATE)
        wait_until(lambda: not prometheus.alerts(), "nothing fires any more", TOLD_WITHIN_S)
        time.sleep(pace.over)
        yield Played({name: _told(webhook, name, begun[name]) for name in names}, prometheus)


@final
@dataclass
class _Act:
    """An outage that is being played."""

    play: Play
    program: WorkerProgram
    server: SandboxProgram

    def wait_for(self, deliveries: int) -> None:
        """Return when so many more records have been delivered."""
        enough = self.server.effects() + deliveries
        wait_until(lambda: self.server.effects() >= enough, f"it delivers; it says: {self.program.said()[-2_000:]}")

    def begin(self) -> float:
        """Let it go wrong; return when."""
        begun = time.monotonic()
        self.play.send(self.program)
        return begun

    def end(self) -> None:
        """Let it be well again."""
        next(self.play, None)


@contextmanager
def _act(name: str, kafka: Cluster, folder: Path, prometheus: Prometheus) -> Iterator[_Act]:
    own = folder / str(list(OUTAGES).index(name))
    own.mkdir()
    with sandbox("--job-seconds", "0.1", "0.2") as server, closing(Stage(kafka, server, own)) as stage:
        stage.create_topics(PARTITIONS)
        with closing(OUTAGES[name].play(Scene(stage, prometheus))) as play:
            program = stage.start(waits=False, **{"KAFKA__PROPERTIES": SESSION, **next(play)})
            with producing(kafka, stage.names.topic, generate(1, None, CLEAN), RATE):
                yield _Act(play, program, server)


def _jobs(webhook: Webhook) -> set[str]:
    return {labels_of(each)[0]["job"] for each in list(webhook.told)}


def _told(webhook: Webhook, job: str, begun: float) -> Told:
    told = [(at, each) for at, each in zip(webhook.at, webhook.told, strict=True) if labels_of(each)[0]["job"] == job]
    return Told([each for _, each in told], told[0][0] - begun if told else 0.0)


def _name(labels: Labels) -> str:
    reason = f": {labels['reason']}" if "reason" in labels else ""
    return labels["alertname"].removeprefix("SegmentFullstory") + reason


def documented() -> dict[str, str]:
    """Return the rows of the runbook's table."""
    table = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].removeprefix(HEAD)
    return {row.removeprefix("| ").split(" | ")[0]: row for row in table.splitlines(keepends=True)}


def main() -> None:
    """Play the outages that are named, or all of them, and write their rows into the table of the runbook."""
    chosen = sys.argv[1:] or list(OUTAGES)
    beside = [name for name in chosen if not OUTAGES[name].is_alone]
    groups = [beside[first : first + BESIDE] for first in range(0, len(beside), BESIDE)]
    rows: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as scratch, KafkaCluster(Path(scratch)) as kafka:
        for number, names in enumerate([*groups, *([name] for name in chosen if OUTAGES[name].is_alone)]):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            with played(names, kafka, folder, THOROUGH) as outcome:
                rows |= {name: told.row(name, OUTAGES[name].cause) for name, told in outcome.told.items()}
            print("".join(rows[name] for name in names), end="", flush=True)  # noqa: T201
    rows = documented() | rows
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    table = HEAD + "".join(rows[name] for name in OUTAGES if name in rows)
    PAGE.write_text(before + BEGIN + table + END + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    main()
