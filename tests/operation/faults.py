"""Eleven faults, staged on real parts, and what the worker's page says of each: the table of docs/status-page.md.

    python -m tests.operation.faults

stages them all and writes the table anew.
"""

import asyncio
import json
import re
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, final

from processor.model.records import Record
from tests.kafka.cluster import Cluster, KafkaCluster, free_port
from tests.kafka.conftest import Names
from tests.kafka.programs import (
    PROGRAM,
    ROOT,
    SandboxProgram,
    WorkerProgram,
    environment_of,
    sandbox,
    wait_until,
    worker,
)
from tests.kafka.topics import append
from tests.operation.browser import browser

PAGE = ROOT / "docs" / "status-page.md"
BEGIN, END = "<!-- faults: begin -->\n", "<!-- faults: end -->\n"
HEAD = "| fault | state | first line |\n|---|---|---|\n"
LOOK_EVERY_S = 0.2
NAMED = ", since "
"""In every line that names a fault."""

STEADY_LOOKS = 8
"""A line that is the same for so long is the one to document: librdkafka may tell a little later why."""

DEADLINE_S = 60.0
"""Far beyond the few seconds that it takes: how many is measured, and never asserted."""


class Shown(NamedTuple):
    """What the page shows of a fault, with what differs from run to run put in general terms."""

    state: str
    line: str


def _names() -> Names:
    mark = uuid.uuid4().hex[:8]
    return Names(f"segment.track.{mark}", f"dlq.segment.{mark}", f"segment-fullstory.{mark}")


@final
@dataclass
class Stage:
    """A worker between a real Kafka and the sandbox, while one thing is wrong."""

    kafka: Cluster
    server: SandboxProgram
    folder: Path
    names: Names = field(default_factory=_names)
    _numbers: Iterator[int] = field(default_factory=count)
    _stack: ExitStack = field(default_factory=ExitStack)

    def create_topics(self, partitions: int = 1, *, dead_letters: bool = True) -> None:
        """Create the topic of the records and, usually, that of dead letters."""
        self.kafka.create_topic(self.names.topic, partitions)
        if dead_letters:
            self.kafka.create_topic(self.names.dead_letters)

    def start(
        self, *, log: Path | None = None, waits: bool = True, program: Sequence[str] = PROGRAM, **settings: object
    ) -> WorkerProgram:
        """Run a worker; return when it has joined, unless told not to wait."""
        own = {"SCHEMA_REGISTRY__URL": "", "KAFKA__TOPICS": self.names.topic, "BATCH__LINGER_S": 0.2, **settings}
        environment = environment_of(self.kafka, self.names, self.server.url, **own)
        running = self._stack.enter_context(worker(environment, log or self.folder / "worker.log", program=program))
        if waits:
            running.wait_until_joined()
        return running

    def produce(self, value: bytes | None = None) -> None:
        """Write one record: a track, unless told otherwise."""
        number = next(self._numbers)
        message = {"type": "track", "event": "Seen", "userId": f"user-{number}", "messageId": str(uuid.uuid4())}
        append(self.kafka, self.names.topic, 0, [Record(0, 0, None, value or json.dumps(message).encode(), None)])

    def close(self) -> None:
        """End the worker."""
        self._stack.close()


Fault = Callable[[Stage], tuple[WorkerProgram, Callable[[], None]]]
"""Stages a fault; returns the worker, and what has to be done again and again while it is looked at."""


def broker_gone(stage: Stage) -> tuple[WorkerProgram, Callable[[], None]]:
    """Kill the only broker."""
    stage.create_topics()
    program = stage.start()
    stage.kafka.kill()
    return program, _nothing


def topic_missing(stage: Stage) -> tuple[WorkerProgram, Callable[[], None]]:
    """Misspell the topic."""
    stage.create_topics()
    return stage.start(waits=False, KAFKA__TOPICS=stage.names.topic.replace("track", "trak")), _nothing


def dead_letter_topic_missing(stage: Stage) -> tuple[WorkerProgram, Callable[[], None]]:
    """Have something to dead-letter, and no topic for it."""
    stage.create_topics(dead_letters=False)
    program = stage.start()
    stage.produce(b"\xff no event")
    return program, _nothing


def key_wrong(stage: Stage) -> tuple[WorkerProgram, Callable[[], None]]:
    """Begin with a key that FullStory does not know."""
    stage.create_topics()
    return stage.start(FULLSTORY__API_KEY="na1.mistyped"), _nothing


def key_revoked(stage: Stage) -> tuple[WorkerProgram, Callable[[], None]]:
    """Revoke the key while the worker delivers."""
    stage.create_topics()
    program = stage.start()
    stage.server.set_keys(na1_architect=None)
    return program, stage.produce


def outage(stage: Stage) -> tuple[WorkerProgram, Callable[[], None]]:
    """Answer 503 to everything."""
    return _faulty(stage, outage_status=503)


def fullstory_closed(stage: Stage) -> tuple[WorkerProgram, Callable[[], None]]:
    """Have nobody listen at FullStory's address."""
    stage.create_topics()
    return stage.start(FULLSTORY__BASE_URL=f"http://127.0.0.1:{free_port()}"), _nothing


def throttled(stage: Stage) -> tuple[WorkerProgram, Callable[[], None]]:
    """Answer 429 to everything."""
    return _faulty(stage, outage_status=429)


def slow(stage: Stage) -> tuple[WorkerProgram, Callable[[], None]]:
    """Take half a minute for each answer."""
    return _faulty(stage, latency_s=30.0)


def registry_gone(stage: Stage) -> tuple[WorkerProgram, Callable[[], None]]:
    """Have a record whose schema is not known, and nobody to ask for it."""
    stage.create_topics()
    program = stage.start(SCHEMA_REGISTRY__URL=f"http://127.0.0.1:{free_port()}")
    stage.produce(b"\0\0\0\0\7\2\2")
    return program, _nothing


def disk_full(stage: Stage) -> tuple[WorkerProgram, Callable[[], None]]:
    """Let the log go to a disk that is full."""
    stage.create_topics()
    program = stage.start(log=Path("/dev/full"), waits=False)  # whose "log so far" would never end
    wait_until(lambda: program.ready().get("joined", False), "the worker joins")
    return program, _nothing


FAULTS: dict[str, Fault] = {
    "Kafka's broker is killed": broker_gone,
    "the source topic does not exist": topic_missing,
    "the dead-letter topic does not exist, and a record is to go there": dead_letter_topic_missing,
    "the API key is wrong": key_wrong,
    "the API key is revoked": key_revoked,
    "FullStory answers 503": outage,
    "nothing listens at FullStory's address": fullstory_closed,
    "FullStory answers 429": throttled,
    "FullStory takes long to answer": slow,
    "the schema registry is away, and a record names a new schema": registry_gone,
    "the disk is full that the log goes to": disk_full,
}


KILLS_KAFKA = {"Kafka's broker is killed"}
"""Faults for which Kafka is started anew; the others share one, each with topics and a group of its own."""


def _faulty(stage: Stage, **faults: object) -> tuple[WorkerProgram, Callable[[], None]]:
    stage.create_topics()
    program = stage.start()
    stage.produce()
    wait_until(lambda: stage.server.effects() > 0, "all is well at first")
    stage.server.set_faults(**faults)
    return program, stage.produce


def _nothing() -> None:
    """Leave all as it is."""


def documented() -> dict[str, Shown]:
    """Return the table of docs/status-page.md."""
    table = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    rows = [re.split(r" \| ", row.strip("| \n")) for row in table.removeprefix(HEAD).splitlines()]
    return {fault: Shown(state.strip("*"), line) for fault, state, line in rows}


def shown_by(fault: str, shared: Cluster, folder: Path, is_enough: Callable[[Shown], bool]) -> tuple[Shown, float]:
    """Stage the fault and look at the page until it shows enough; return what it shows, and after how many seconds.

    What it shows in the end is returned, too, where that is never enough.
    """
    with (
        _kafka(fault, shared, folder) as kafka,
        sandbox("--job-seconds", "0.1", "0.2") as server,
        _stage(kafka, server, folder) as stage,
    ):
        program, again = FAULTS[fault](stage)
        return asyncio.run(_look(f"http://{program.address}/", stage.names, folder, again, is_enough))


@contextmanager
def _kafka(fault: str, shared: Cluster, folder: Path) -> Iterator[Cluster]:
    if fault not in KILLS_KAFKA:
        yield shared
        return
    own = folder / "kafka"
    own.mkdir()
    with KafkaCluster(own) as cluster:
        yield cluster


@contextmanager
def _stage(kafka: Cluster, server: SandboxProgram, folder: Path) -> Iterator[Stage]:
    stage = Stage(kafka, server, folder)
    try:
        yield stage
    finally:
        stage.close()


async def _look(
    url: str, names: Names, folder: Path, again: Callable[[], None], is_enough: Callable[[Shown], bool]
) -> tuple[Shown, float]:
    begun = time.monotonic()
    seen, named_after_s = Shown("", ""), 0.0
    async with browser(folder) as page:
        while time.monotonic() < begun + DEADLINE_S and not is_enough(seen):
            again()
            await asyncio.sleep(LOOK_EVERY_S)
            await page.visit(url, width=1_280)
            texts: Any = await page.value(
                "['h2', '.line'].map((each) => document.querySelector('.state ' + each)?.textContent ?? '')"
            )
            seen = Shown(texts[0], _general(texts[1].removesuffix(" Runbook"), names))
            if NAMED in seen.line and not named_after_s:
                named_after_s = time.monotonic() - begun
    return seen, named_after_s


def _general(line: str, names: Names) -> str:
    """Put what differs from run to run in general terms."""
    for name, general in ((names.topic, "segment.track"), (names.dead_letters, "dlq.segment")):
        line = line.replace(name, general)
    line = line.replace(names.topic.replace("track", "trak"), "segment.trak")
    for pattern, general in (
        (r"\d\d:\d\d:\d\d UTC \([^)]*\)", "01:40:04 UTC (4 s)"),
        (r"Next try in \d+ s", "Next try in 4 s"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:9092"),
        (r"for \d+ s,", "for 4 s,"),
        (r"\d+ lines lost", "2 lines lost"),
    ):
        line = re.sub(pattern, general, line)
    return line


def table(rows: Sequence[tuple[str, Shown]]) -> str:
    """Return the table as docs/status-page.md has it."""
    return HEAD + "".join(f"| {fault} | **{shown.state}** | {shown.line} |\n" for fault, shown in rows)


def _is_steady() -> Callable[[Shown], bool]:
    last: list[Shown] = []

    def is_steady(seen: Shown) -> bool:
        last.append(seen)
        return NAMED in seen.line and last[-STEADY_LOOKS:] == [seen] * STEADY_LOOKS

    return is_steady


def main() -> None:
    """Stage every fault, show what the page says and after how many seconds, and write the table."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch, KafkaCluster(Path(scratch)) as kafka:
        for number, fault in enumerate(sys.argv[1:] or FAULTS):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            shown, seconds = shown_by(fault, kafka, folder, _is_steady())
            print(f"{seconds:4.1f} s  {fault}: {shown.state}: {shown.line}", flush=True)  # noqa: T201
            rows.append((fault, shown))
    if len(rows) == len(FAULTS):
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        PAGE.write_text(before + BEGIN + table(rows) + END + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    main()
