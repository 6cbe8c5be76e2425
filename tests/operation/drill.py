"""Plays outages on the real stack, and shows what an operator would be told of each: `python -m tests.operation.drill`.

A Kafka, a worker, the sandbox as FullStory, and Prometheus and Alertmanager with the rules that ship, in a world in
which an hour of theirs is a minute. What Kafka's client and the worker take to notice something is as long as ever.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import randbytes
from typing import Any

from bench.stages import CLEAN
from processor.model.records import Record
from processor.workload import generate
from tests.kafka.cluster import Cluster, KafkaCluster
from tests.kafka.programs import sandbox, wait_until
from tests.kafka.topics import append, begin_transaction, producing
from tests.operation.alertmanager import Alertmanager, Webhook, labels_of
from tests.operation.faults import Stage
from tests.operation.prometheus import FASTER, ROOT, Prometheus

PAGE = ROOT / "docs" / "runbook.md"
BEGIN = "<!-- written by make drill -->\n"
END = "<!-- end of what make drill writes -->\n"
HEAD = "| outage | first notification | after | notifications | names the cause |\n|---|---|---|---|---|\n"

RATE = 20
PARTITIONS = 4
WELL_S = 10.0
"""So long all is well before an outage, and nothing is to be told."""
TOLD_WITHIN_S = 90.0
LASTS_S = 20.0
"""So long an outage goes on after it was told."""
OVER_S = 30.0
"""So long it is looked at after its end."""

End = Callable[[], object]


@dataclass(frozen=True)
class Outage:
    """Something that goes wrong; `begin` returns what ends it. Each of `causes` names it."""

    begin: Callable[[Stage], End]
    causes: frozenset[str]
    dead_letters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    """What was told of an outage: the alerts by notification, and after how many seconds the first one came."""

    notifications: Sequence[str]
    after_s: float

    def row(self, name: str, outage: Outage) -> str:
        """Return a row of the table."""
        if not self.notifications:
            return f"| {name} | none | | 0 | no |\n"
        first, others = self.notifications[0], self.notifications[1:]
        count = str(len(self.notifications)) + (f": also {', '.join(others)}" if others else "")
        is_named = "yes" if first in outage.causes else "**no**"
        return f"| {name} | {first} | {self.after_s:.0f} s | {count} | {is_named} |\n"


def broker_stopped(stage: Stage) -> End:
    """Stop the only broker."""
    assert isinstance(stage.kafka, KafkaCluster)
    stage.kafka.stop()
    return stage.kafka.start


def key_revoked(stage: Stage) -> End:
    """Have FullStory refuse the key."""
    stage.server.set_keys(na1_architect=None)
    return lambda: stage.server.set_keys(na1_architect="ARCHITECT")


def throttled(stage: Stage) -> End:
    """Answer 429 to everything, and ask to wait for two seconds each time."""
    return _faulty(stage, outage_status=429, retry_after_s=2)


def fullstory_down(stage: Stage) -> End:
    """Answer 503 to everything."""
    return _faulty(stage, outage_status=503)


def poison(stage: Stage) -> End:
    """Have one record whose dead letter is too large for its topic."""
    append(stage.kafka, stage.names.topic, 0, [Record(0, 0, None, b"\xff" + randbytes(20_000), None)])
    return _nothing


def dead_letter_topic_gone(stage: Stage) -> End:
    """Have something to dead-letter, and no topic for it."""
    stage.kafka.delete_topic(stage.names.dead_letters)
    append(stage.kafka, stage.names.topic, 0, [Record(0, 0, None, b"\xff no event", None)])
    return lambda: stage.kafka.create_topic(stage.names.dead_letters)


def transaction_open(stage: Stage) -> End:
    """Leave a transaction open."""
    producer = begin_transaction(stage.kafka, stage.names.topic, 0, [Record(0, 0, b"u", None, None)])
    return producer.abort_transaction


def _faulty(stage: Stage, **faults: object) -> End:
    stage.server.set_faults(**faults)
    return lambda: stage.server.set_faults(outage_status=None)


def _nothing() -> None:
    """Leave all as it is."""


OUTAGES = {
    "the broker is stopped": Outage(broker_stopped, frozenset({"KafkaUnreachable"})),
    "the key is revoked": Outage(key_revoked, frozenset({"Halted: unauthorized"})),
    "FullStory asks to wait, all the time": Outage(throttled, frozenset({"HeldBack"})),
    "a record of one partition can be neither delivered nor dead-lettered": Outage(
        poison, frozenset({"Halted: dead_letter_too_large"}), dead_letters={"max.message.bytes": "10000"}
    ),
    "FullStory answers 503": Outage(fullstory_down, frozenset({"NotDelivering"})),
    "a transaction is left open": Outage(transaction_open, frozenset({"HeldUp"})),
    "the dead-letter topic is gone": Outage(dead_letter_topic_gone, frozenset({"Halted: dead_letter_topic"})),
}


def play(outage: Outage, kafka: Cluster, folder: Path) -> Told:
    """Play the outage; return what was told from before its beginning until after its end."""
    with sandbox("--job-seconds", "0.1", "0.2") as server, _stage(Stage(kafka, server, folder)) as stage:
        kafka.create_topic(stage.names.topic, PARTITIONS)
        kafka.create_topic(stage.names.dead_letters, 1, dict(outage.dead_letters))
        program = stage.start()
        traffic = producing(kafka, stage.names.topic, generate(1, None, CLEAN), RATE)
        with traffic, Webhook() as webhook, _watched(program.address, webhook, folder):
            wait_until(lambda: server.effects() > RATE, "all is well")
            time.sleep(WELL_S)
            begun = time.monotonic()
            end = outage.begin(stage)
            with suppress(TimeoutError):
                wait_until(lambda: bool(webhook.told), "it is told", TOLD_WITHIN_S)
            after_s = time.monotonic() - begun
            time.sleep(LASTS_S)
            end()
            time.sleep(OVER_S)
            return Told([_name(each) for each in webhook.told], after_s)


@contextmanager
def _stage(stage: Stage) -> Iterator[Stage]:
    try:
        yield stage
    finally:
        stage.close()


@contextmanager
def _watched(target: str, webhook: Webhook, folder: Path) -> Iterator[None]:
    alertmanager, prometheus = Alertmanager(folder), Prometheus(folder)
    try:
        alertmanager.start(webhook.url, FASTER)
        prometheus.start(target, alertmanager.address)
        yield
    finally:
        prometheus.stop()
        alertmanager.stop()


def _name(notification: Mapping[str, Any]) -> str:
    labels = labels_of(notification)[0]
    reason = f": {labels['reason']}" if "reason" in labels else ""
    return labels["alertname"].removeprefix("SegmentFullstory") + reason


def main() -> None:
    """Play the outages that are named, or all of them, and write their rows into the table of the runbook."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    table, _, after = rest.partition(END)
    rows = {row.split(" | ")[0].removeprefix("| "): row for row in table.removeprefix(HEAD).splitlines(keepends=True)}
    with tempfile.TemporaryDirectory() as scratch, KafkaCluster(Path(scratch)) as kafka:
        for number, name in enumerate(sys.argv[1:] or OUTAGES):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            rows[name] = play(OUTAGES[name], kafka, folder).row(name, OUTAGES[name])
            print(rows[name], end="", flush=True)  # noqa: T201
    table = HEAD + "".join(rows[name] for name in OUTAGES if name in rows)
    PAGE.write_text(before + BEGIN + table + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
