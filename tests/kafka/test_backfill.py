"""Records of a real Kafka delivered again beside a live worker, as `segment-fullstory backfill` does it."""

import os
import pty
import signal
import subprocess
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from processor.adapters.kafka.config import KafkaSettings
from processor.adapters.kafka.marks import mark
from processor.adapters.kafka.offsets import Stored
from processor.adapters.kafka.record_ranges import RecordRange
from processor.app.parts import kafka_settings
from processor.commands.backfill.planning import BackfillOrder, BackfillPlan, RefusedError, planned
from processor.commands.common import delivery_run
from processor.commands.common.delivery_run import DeliveryRun, RunTerms
from processor.commands.common.opened_topic import Opened
from processor.events.timestamps import iso_of_ms
from processor.model.records import Record, TopicPartition
from processor.settings import load
from tests.commands.program import Done, run, started
from tests.kafka.cluster import Cluster
from tests.kafka.conftest import Names
from tests.kafka.programs import PROGRAM, ROOT, SandboxProgram, environment_of, sandbox, wait_until, worker
from tests.kafka.topics import append, append_transaction, committed, end_offsets

PARTITIONS = 4
NOW = 0
"""As a timestamp, the producer's time."""
BEFORE, MEANT, AFTER, NEW = range(200), range(200, 800), range(800, 1_000), range(1_000, 1_050)
IN_TRANSACTION = 50
MARKS = len(MEANT) // PARTITIONS // IN_TRANSACTION
"""Of transactions, among the offsets that are meant."""
OLD_MS = 1_790_000_000_000


def record(number: int) -> Record:
    """Return an event that is like no other; every tenth is an identify, and old."""
    key = b"u%d" % (number % 50)
    if number % 10 == 9:
        value = b'{"type": "identify", "userId": "%s", "traits": {"n": %d}}' % (key, number)
        return Record(0, OLD_MS, key, value, None)
    value = b'{"type": "track", "userId": "%s", "event": "E%d", "messageId": "m%d"}' % (key, number, number)
    return Record(0, NOW, key, value, None)


class Scene(NamedTuple):
    """A topic with records that are meant and others, and where FullStory is."""

    kafka: Cluster
    names: Names
    url: str
    since_ms: int
    until_ms: int

    @property
    def environment(self) -> dict[str, str]:
        """The settings of the worker and of an operator."""
        return environment_of(self.kafka, self.names, self.url, BATCH__MAX_RECORDS=25, BATCH__LINGER_S=0.1)

    @property
    def partitions(self) -> list[TopicPartition]:
        """Those of the topic."""
        return [TopicPartition(self.names.topic, each) for each in range(PARTITIONS)]

    def arguments(self, *more: str) -> tuple[str, ...]:
        """Return the command's arguments; it is an equal of the worker's."""
        time_ = ("--since", str(iso_of_ms(self.since_ms)), "--until", str(iso_of_ms(self.until_ms)))
        return ("backfill", "--topic", self.names.topic, *time_, "--share", "1", "--yes", "--format", "json", *more)

    def is_at(self, ends: dict[int, int]) -> bool:
        """Say whether the worker's group is at these ends."""
        return committed(self.kafka, self.names.group, self.names.topic) == ends

    def ends(self) -> dict[int, int]:
        """Return where the topic ends."""
        return end_offsets(self.kafka, self.names.topic)

    def planned(self, since_ms: int, until_ms: int | None = None) -> BackfillPlan:
        """Return what would be delivered."""
        settings = load(self.environment)
        opened = Opened(settings, kafka_settings(settings), self.names.topic)
        order = BackfillOrder("selection", round(time.time() * 1_000), since_ms, until_ms, 86_400)
        with DeliveryRun(opened.kafka, f"{self.names.group}.backfill", opened.topic) as run:
            return planned(run, opened, order)

    def refusal(self, since_ms: int, until_ms: int | None = None) -> str:
        """Return why nothing would be."""
        with pytest.raises(RefusedError) as error:
            self.planned(since_ms, until_ms)
        return error.value.message


def effects(server: SandboxProgram) -> Counter[str]:
    """Return what took effect: events by their names, users by their traits."""
    return Counter(str(each.item.get("name", each.item["properties"])) for each in server.arrivals())


def has_effects(server: SandboxProgram, count: int) -> bool:
    """Say whether so many have been there."""
    return server.effects() >= count


@pytest.fixture
def scene(kafka: Cluster, names: Names) -> Scene:
    """Give one; of the first partition, what is meant is written in transactions, each of which leaves a mark."""
    kafka.create_topic(names.topic, PARTITIONS)
    kafka.create_topic(names.dead_letters, PARTITIONS)
    times = []
    for numbers in (BEFORE, MEANT, AFTER):
        times.append(round(time.time() * 1_000) + 5)
        time.sleep(0.02)
        for partition in range(PARTITIONS):
            records = [record(each) for each in numbers if each % PARTITIONS == partition]
            if partition or numbers is not MEANT:
                append(kafka, names.topic, partition, records)
            else:
                parts = (records[each : each + IN_TRANSACTION] for each in range(0, len(records), IN_TRANSACTION))
                append_transaction(kafka, names.topic, partition, *parts)
    return Scene(kafka, names, "http://127.0.0.1:1", *times[1:])


def test_a_range_is_delivered_once_beside_a_worker_however_it_is_killed(scene: Scene, tmp_path: Path) -> None:
    """Exactly its records take effect again, none of the worker's are touched, and what each process did balances."""
    static = {"PROCESSOR_KAFKA__PROPERTIES": '{"group.instance.id": "backfill"}'}
    with sandbox("--job-seconds", "0.1", "0.5") as server, ExitStack() as stack:
        scene = scene._replace(url=server.url)
        environment = {**scene.environment, **static}
        live = stack.enter_context(worker(scene.environment, tmp_path / "log"))
        ends = scene.ends()
        wait_until(partial(scene.is_at, ends), "all is delivered")
        first = effects(server)
        server.set_faults(latency_s=0.05)
        codes, counts = [], [server.effects()]
        for ending in (signal.SIGKILL, signal.SIGTERM):
            with started(*scene.arguments(), environment=environment) as process:
                assert process.stderr is not None
                assert any(b'"started"' in line for line in process.stderr)
                wait_until(partial(has_effects, server, counts[-1] + 100), "some took effect again", poll_s=0)
                process.send_signal(ending)
                out, _ = process.communicate()
            codes.append(process.returncode)
            counts.append(server.effects())
        assert scene.is_at(ends)
        append(scene.kafka, scene.names.topic, 1, [record(each) for each in NEW])
        done = run(*scene.arguments(), environment=environment)
        wait_until(partial(scene.is_at, scene.ends()), "all is delivered")
        after = effects(server)
        assert live.metrics()["records_redelivered_total"] == 0

    again, new = ([f"E{each}" for each in numbers if each % 10 != 9] for numbers in (MEANT, NEW))
    assert codes == [-signal.SIGKILL, 1]
    assert counts[0] < counts[1] < counts[2] < first.total() + len(again)
    assert done.code == 0, done.err
    (stopped,), (account,) = Done(1, out.decode(), "").objects(), done.objects()
    assert stopped["balances"]
    assert stopped["left"] > 0
    assert account["balances"]
    assert account["left"] == 0
    assert {each["earlier"] + each["selected"] for each in (stopped, account)} == {len(MEANT) + MARKS}
    events = Counter({each: count for each, count in after.items() if each.startswith("E")})
    assert events - first == Counter([*again, *new])


def test_a_plan_is_of_what_is_there_and_the_workers_have_dealt_with(scene: Scene) -> None:
    """What retention has deleted is told, and refused where nothing is left."""
    settings = KafkaSettings(scene.kafka.bootstrap_servers, (scene.names.topic,), scene.names.group, "dlq")
    assert "has committed nothing" in scene.refusal(scene.since_ms)
    first, second, third, last = scene.partitions
    mark(settings, {first: Stored(90, ""), second: Stored(200, ""), third: Stored(180, "")})
    plan = scene.planned(scene.since_ms, scene.until_ms)
    assert {each: tuple(range_) for each, range_ in plan.ranges.items()} == {
        first: (50, 90),
        second: (50, 200),
        third: (50, 180),
        last: (50, 50),
    }
    assert (plan.deleted_before_ms, plan.ahead) == (None, (203 - 90) + (200 - 180) + 150)
    assert "have not come to the records" in scene.refusal(scene.until_ms)
    assert "nothing was written" in scene.refusal(scene.until_ms + 86_400_000)

    scene.kafka.delete_records(scene.names.topic, 1, 100)
    cut = scene.planned(scene.since_ms - 60_000)
    assert cut.ranges[second] == (100, 200)
    assert cut.deleted_before_ms is not None
    assert scene.since_ms < cut.deleted_before_ms < scene.until_ms
    mark(settings, {each: Stored(100, "") for each in scene.partitions})
    for each in range(PARTITIONS):
        scene.kafka.delete_records(scene.names.topic, each, 100)
    assert f"its records are there from {iso_of_ms(cut.deleted_before_ms)}"[:40] in scene.refusal(0, scene.since_ms)
    scene.kafka.delete_group(scene.names.group)
    mark(settings, {each: Stored(1_000, "") for each in scene.partitions})
    assert "lies behind the end" in scene.refusal(scene.since_ms)


def test_people_are_told_and_asked(kafka: Cluster, names: Names) -> None:
    """By a dry run what would become of each record, without data and without a key; and, on a terminal, whether."""
    kafka.create_topic(names.topic)
    append(kafka, names.topic, 0, [*map(record, range(5)), Record(0, NOW, None, b"no event", None)])
    settings = KafkaSettings(kafka.bootstrap_servers, (names.topic,), names.group, names.dead_letters)
    mark(settings, {TopicPartition(names.topic, 0): Stored(6, "")})
    arguments = ("backfill", "--topic", names.topic, "--since", "2026-01-01")
    environment = environment_of(kafka, names, "http://127.0.0.1:1")
    done = run(*arguments, "--dry-run", environment={**environment, "PROCESSOR_FULLSTORY__API_KEY": ""})
    person, terminal = pty.openpty()
    os.write(person, b"n\n")
    process = subprocess.run(
        [*PROGRAM, *arguments],
        env={**os.environ, **environment, "PROCESSOR_MAPPING__MESSAGE_TYPES": "identify,track,delete"},
        stdin=terminal,
        capture_output=True,
        check=False,
        cwd=ROOT,
    )
    os.close(person)
    os.close(terminal)
    unasked = run(*arguments, environment=environment)

    assert done.code == 0, done.err
    title, period, _, _, *rows = done.out.splitlines()
    assert title == f"{names.topic}: 6 records would be delivered again; nothing was sent"
    assert period.startswith("written from 20")
    assert [each.split() for each in rows[:2]] == [
        ["delivered:", "event", "5", "83.3%"],
        ["dead-lettered:", "malformed", "1", "16.7%"],
    ]
    assert rows[2].startswith("  correct the producer; docs/input.md")
    assert (process.returncode, process.stdout) == (1, b"")
    question = process.stderr.decode()
    assert f"6 offsets of {names.topic}, from 2026-01-01T00:00:00.000Z on, are to be delivered to" in question
    assert "Events that were delivered before take effect twice. Users who were deleted since come back. Go" in question
    assert (unasked.code, "there is no terminal to ask on: add --yes" in unasked.err) == (2, True)


def test_a_run_is_kept_for_as_long_as_it_goes_on(kafka: Cluster, names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka forgets in time what a group without members has committed: it is committed again, now and then.

    After its end, the same command finds nothing left; before, it goes on with nothing else than was allowed.
    """
    kafka.create_topic(names.topic)
    here = TopicPartition(names.topic, 0)
    settings = KafkaSettings(kafka.bootstrap_servers, (names.topic,), names.group, names.dead_letters)
    monkeypatch.setattr(delivery_run, "KEEP_EVERY_S", 0.0)
    terms = RunTerms({here: 7}, 1, 2, None, {"max_age": 3})
    ranges = {here: RecordRange(7)}
    with DeliveryRun(settings, names.group, names.topic) as run:
        assert run.latest() is None
        run.start(terms, {here: 2})
        run.begin()
        kept = f"{names.group}.run"
        mark(replace(settings, group_id=kept), {here: Stored(3, "lost")})
        assert run.left(ranges) == 5
        assert committed(kafka, kept, names.topic) == {0: 7}
        mark(settings, {here: Stored(7, "")})
        assert run.left(ranges) is None
        assert run.latest() == terms
        assert run.is_over(terms)
