"""The whole way on a real Kafka, with the worker and the sandbox as programs of their own."""

import random
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from processor.adapters.kafka.messages import record_of
from processor.model.reasons import DeadLetterReason
from processor.model.records import UNREADABLE
from processor.workload import ExpectDeadLettered, ExpectDelivered, GeneratedRecord, Mix, generate
from processor.workload.account import Account, Balance, letter_of
from tests.commands.program import run
from tests.kafka.by_hand import RawRecord, produce_raw
from tests.kafka.cluster import Cluster
from tests.kafka.conftest import Names
from tests.kafka.programs import (
    SandboxProgram,
    WorkerProgram,
    environment_of,
    is_conserved,
    sandbox,
    wait_until,
    worker,
)
from tests.kafka.topics import committed, end_offsets, produce_all, read_all

SEED = 20_261_124
PARTITIONS = 8
GRACE_S = 20
KILLS = 5

SHORT_SESSION = '{"session.timeout.ms": 6000, "heartbeat.interval.ms": 1000}'
"""The group notices a killed member soon."""

Unique = tuple[str, str, str]
"""Kind, uid and unique string: what tells a delivered record from every other."""

SANDBOX_BODY_BYTES = 500_000
"""Below the generator's oversized records."""

BATCH_BYTES = 400_000
"""Of the worker's batches: a request of good records passes the sandbox whole."""

SMALL = Mix(oversize_bytes=SANDBOX_BODY_BYTES + 20_000, users=300)


class Traffic(NamedTuple):
    """Records in a topic, and what must become of them."""

    kafka: Cluster
    names: Names
    account: Account
    poison: dict[tuple[int, int], bytes | None]
    """The values of records that must be dead-lettered, by coordinates."""
    at: dict[Unique, tuple[int, int]]
    """The coordinates of records that must be delivered."""

    def balance(self, server: SandboxProgram, *, may_reject: bool = False) -> Balance:
        """Judge what arrived and what was dead-lettered."""
        letters = [letter_of(message.headers() or []) for message in read_all(self.kafka, self.names.dead_letters)]
        return self.account.balance(server.arrivals(), letters, may_reject=may_reject)

    def is_committed(self) -> bool:
        """Say whether the group has committed every partition to its end."""
        ends = end_offsets(self.kafka, self.names.topic)
        return committed(self.kafka, self.names.group, self.names.topic) == ends

    def settled_share(self) -> float:
        """Return which part of the records lies below the committed offsets."""
        return sum(committed(self.kafka, self.names.group, self.names.topic).values()) / len(self.account)

    def has_settled(self, share: float) -> bool:
        """Say whether this part of the records lies below the committed offsets."""
        return self.settled_share() >= share


def produce(kafka: Cluster, names: Names, records: Iterable[GeneratedRecord], partitions: int = PARTITIONS) -> Traffic:
    """Create the topics and fill the first."""
    kafka.create_topic(names.topic, partitions)
    kafka.create_topic(names.dead_letters, 2, {"max.message.bytes": "2000000"})
    traffic = Traffic(kafka, names, Account(), {}, {})

    def told(record: GeneratedRecord, partition: int, offset: int) -> None:
        traffic.account.produced(partition, offset, record.expectation)
        if isinstance(record.expectation, ExpectDeadLettered):
            traffic.poison[partition, offset] = record.value
        elif isinstance(expected := record.expectation, ExpectDelivered):
            traffic.at[expected.kind, expected.uid, expected.unique] = (partition, offset)

    produce_all(kafka, names.topic, records, told)
    return traffic


def environment(traffic: Traffic, server: SandboxProgram, **settings: object) -> dict[str, str]:
    """Return a worker's environment with batches that fit the sandbox."""
    own = {"BATCH__MAX_BYTES": BATCH_BYTES, "BATCH__LINGER_S": 0.2, "SHUTDOWN__GRACE_S": GRACE_S, **settings}
    return environment_of(traffic.kafka, traffic.names, server.url, **own)


def test_every_record_ends_where_it_belongs(kafka: Cluster, names: Names, tmp_path: Path) -> None:
    """Of 100,000 records, each good one arrives once, each bad one is a dead letter, and the rest has a rule."""
    traffic = produce(kafka, names, generate(SEED, 100_000, SMALL))
    options = ("--max-body-bytes", str(SANDBOX_BODY_BYTES), "--job-seconds", "0.5", "3", "--failing-items", "0.01")

    with sandbox(*options) as server, worker(environment(traffic, server), tmp_path / "log") as program:
        wait_until(traffic.is_committed, "everything is committed", 240)
        metrics = program.metrics()
        exit_code = program.terminate(GRACE_S)
        said = program.said()
        balance = traffic.balance(server, may_reject=True)

    assert balance.faults == []
    assert (balance.lost, balance.repeated) == (0, 0)
    assert balance.dead_lettered[DeadLetterReason.REJECTED] > 0
    assert is_conserved(metrics)
    assert metrics["records_in_flight"] == 0
    assert metrics["records_consumed_total"] == 100_000
    assert metrics["records_redelivered_total"] == 0
    for reason, count in balance.dead_lettered.items():
        assert metrics[f"records_dead_lettered_total{{reason={reason}}}"] == count
    for rule, count in balance.filtered.items():
        assert metrics[f"records_filtered_total{{reason={rule}}}"] == count
    for kind, count in balance.delivered.items():
        assert metrics[f"records_delivered_total{{kind={kind}}}"] == count
    assert exit_code == 0
    assert_dead_letters_are_the_originals(traffic)
    assert len(said.splitlines()) < 200
    assert not [uid for _, uid, unique in traffic.at if uid in said or unique in said], "the log tells of nobody"


def assert_dead_letters_are_the_originals(traffic: Traffic) -> None:
    """Each dead letter has the key, value and headers of its record, and one record has one letter."""
    sources = {(m.partition(), m.offset()): m for m in read_all(traffic.kafka, traffic.names.topic)}
    letters = read_all(traffic.kafka, traffic.names.dead_letters)
    coordinates = [letter_of(letter.headers() or [])[:2] for letter in letters]

    assert set(coordinates) >= set(traffic.poison)
    assert len(coordinates) == len(set(coordinates))
    for letter, at in zip(letters, coordinates, strict=True):
        source = sources[at]
        own = source.headers() or []
        assert (letter.key(), letter.value()) == (source.key(), source.value())
        assert (letter.headers() or [])[: len(own)] == own
        assert dict(letter.headers() or [])["fullstory.dlq.original.timestamp"] == b"%d" % source.timestamp()[1]


@pytest.mark.timeout(420)
def test_nothing_is_lost_or_repeated_when_the_worker_is_killed(kafka: Cluster, names: Names, tmp_path: Path) -> None:
    """After five kills with jobs in flight everything arrived, and nothing took effect twice (law 10)."""
    traffic = produce(kafka, names, generate(SEED + 1, 20_000, SMALL))
    chance = random.Random(SEED)
    shares = [0.2 + 0.5 * (number + chance.random()) / KILLS for number in range(KILLS)]
    sys.stdout.write(f"seed {SEED}: kills at shares of {[round(share, 2) for share in shares]} settled\n")
    options = ("--max-body-bytes", str(SANDBOX_BODY_BYTES), "--job-seconds", "0.5", "3", "--latency", "0.1")
    settings = {"BATCH__MAX_RECORDS": 150, "BATCH__LINGER_S": 0.1, "KAFKA__PROPERTIES": SHORT_SESSION}
    offsets: list[int] = []

    with sandbox(*options) as server:
        for number, planned in enumerate(shares):
            share = max(planned, traffic.settled_share() + 0.02)  # each worker gets on before it is killed
            with worker(environment(traffic, server, **settings), tmp_path / f"log-{number}") as program:
                wait_until(partial(traffic.has_settled, share), f"{share:.0%} are settled")
                kill_in_flight(program, server)
            offsets.append(sum(committed(kafka, names.group, names.topic).values()))
            assert 0.2 <= traffic.settled_share() <= 0.8
        with worker(environment(traffic, server, **settings), tmp_path / "log-last") as program:
            wait_until(traffic.is_committed, "everything is committed", 240)
            metrics = program.metrics()
            assert program.terminate(GRACE_S) == 0
        balance = traffic.balance(server)

    assert balance.faults == []
    assert (balance.lost, balance.repeated) == (0, 0)
    assert offsets == sorted(set(offsets)), "committed offsets advance from kill to kill"
    assert metrics["journal_resumed_total{part=job}"] > 0
    assert metrics["records_redelivered_total"] == 0


def kill_in_flight(program: WorkerProgram, server: SandboxProgram) -> None:
    """Kill the worker between a job's acceptance and its completion."""
    while True:
        program.suspend()
        if any(job["status"] == "PROCESSING" for job in server.jobs()):
            break
        program.go_on()
    program.kill()


FETCHED_BYTES = 3 * 1_000_000
"""A fetch may be on its way when the budget is used up (law 5): one batch of the producer's, which librdkafka fills to
a megabyte, counted as records, as items and as requests."""


@pytest.mark.timeout(420)
def test_an_outage_loses_nothing_and_retry_after_is_obeyed(kafka: Cluster, names: Names, tmp_path: Path) -> None:
    """Through 30 s of 503 and then 429, nothing is lost, memory stays bounded, and no request is early."""
    traffic = produce(kafka, names, generate(SEED + 2, 60_000, SMALL))
    budget = 16 * 1024 * 1024
    held: list[float] = []

    options = ("--max-body-bytes", str(SANDBOX_BODY_BYTES), "--job-seconds", "0.1", "0.3")
    with sandbox(*options) as server:
        settings = {"MEMORY__BUDGET_BYTES": budget}
        with worker(environment(traffic, server, **settings), tmp_path / "log") as program:
            wait_until(lambda: server.effects() > 1_000, "delivery is under way")
            server.set_faults(outage_status=503, outage_s=30)
            before = server.effects()
            wait_until(lambda: outage_is_over(server, program, held), "the outage of 30 s ends")
            server.set_faults(outage_status=429, retry_after_s=3)
            wait_until(lambda: program.metrics()["retries_total{reason=throttled}"] > 0, "a request is throttled")
            server.set_faults(outage_status=None)
            wait_until(traffic.is_committed, "everything is committed", 240)
            metrics, stats = program.metrics(), server.stats()
        balance = traffic.balance(server)

    assert 0 < before < len(traffic.account)
    assert balance.faults == []
    assert (balance.lost, balance.repeated) == (0, 0)
    assert stats["early_requests"] == 0
    assert stats["earliest_margin_s"] >= 0
    assert metrics["throttled_seconds_total"] >= 3
    assert max(held) <= budget + FETCHED_BYTES
    assert metrics["rebalances_total{kind=assigned}"] == 1
    assert metrics["rebalances_total{kind=revoked}"] == metrics["rebalances_total{kind=lost}"] == 0
    assert is_conserved(metrics)


def outage_is_over(server: SandboxProgram, program: WorkerProgram, held: list[float]) -> bool:
    """Look at the memory held, and say whether requests are answered again."""
    metrics = program.metrics()
    held.append(metrics["bytes_held"])
    assert is_conserved(metrics)
    return server.effects() > 0 and metrics["retries_total{reason=server_error}"] > 0 and not _is_out(server)


def _is_out(server: SandboxProgram) -> bool:
    stats = server.stats()
    faults = server.faults()
    return bool(faults["outage_until"] is not None and stats["now"] < faults["outage_until"])


def test_a_revoked_key_halts_and_a_working_one_goes_on(kafka: Cluster, names: Names, tmp_path: Path) -> None:
    """A revoked key halts delivery, as probe, log and metric say, and nothing is lost."""
    traffic = produce(kafka, names, generate(SEED + 3, 20_000, SMALL))

    with sandbox("--max-body-bytes", str(SANDBOX_BODY_BYTES), "--latency", "0.05") as server:
        with worker(environment(traffic, server), tmp_path / "log") as program:
            wait_until(lambda: server.effects() > 1_000, "delivery is under way")
            server.set_keys(na1_architect=None)
            wait_until(lambda: "unauthorized" in program.ready()["halts"], "the worker says that it is halted")
            halted = program.metrics()
            ready = program.ready()
            server.set_keys(na1_architect="ARCHITECT")
            wait_until(traffic.is_committed, "everything is committed", 240)
            metrics, ready_again = program.metrics(), program.ready()
            said = program.said()
        balance = traffic.balance(server)

    assert halted["halted{reason=unauthorized}"] == 1
    assert "401" in ready["halts"]["unauthorized"]["cause"]
    assert ready["status"] == "ready"
    assert '"reason": "unauthorized"' in said
    assert metrics["halted{reason=unauthorized}"] == 0
    assert ready_again["halts"] == {}
    assert balance.faults == []
    assert (balance.lost, balance.repeated) == (0, 0)
    assert "na1.architect" not in said


def test_a_key_file_that_is_renewed_ends_the_halt_without_a_restart(
    kafka: Cluster, names: Names, tmp_path: Path
) -> None:
    """After a revocation, a wrong new key changes nothing, and a working one ends the halt."""
    traffic = produce(kafka, names, generate(SEED + 6, 2_000, SMALL))
    file = tmp_path / "key"
    file.write_text("na1.architect\n", encoding="utf-8")

    def renew(key: str) -> None:
        (tmp_path / "fresh").write_text(key, encoding="utf-8")
        (tmp_path / "fresh").replace(file)

    with sandbox("--max-body-bytes", str(SANDBOX_BODY_BYTES)) as server:
        server.set_keys(na1_architect=None)
        with worker({**environment(traffic, server), **_key_from(file)}, tmp_path / "log") as program:
            wait_until(lambda: "unauthorized" in program.ready().get("halts", {}), "the worker says that it is halted")
            renew("na1.wrong")
            wait_until(lambda: "the new key is not used" in program.said(), "the wrong key is told of")
            server.set_keys(na1_fresh="ARCHITECT")
            renew("na1.fresh")
            wait_until(traffic.is_committed, "everything is committed", 240)
            said, ready = program.said(), program.ready()
        balance = traffic.balance(server)

    assert ready["halts"] == {}
    assert balance.faults == []
    assert not [key for key in ("na1.architect", "na1.wrong", "na1.fresh") if key in said]


def _key_from(file: Path) -> dict[str, str]:
    return {"PROCESSOR_FULLSTORY__API_KEY": "", "PROCESSOR_FULLSTORY__API_KEY_FILE": str(file)}


def test_a_stopped_worker_leaves_nothing_settled_to_be_repeated(kafka: Cluster, names: Names, tmp_path: Path) -> None:
    """On SIGTERM under load the worker exits 0 in time, and its successor repeats nothing that settled."""
    traffic = produce(kafka, names, generate(SEED + 4, 60_000, SMALL))
    options = ("--max-body-bytes", str(SANDBOX_BODY_BYTES), "--job-seconds", "0.3", "1", "--latency", "0.05")

    with sandbox(*options) as server:
        with worker(environment(traffic, server), tmp_path / "log-1") as program:
            wait_until(lambda: traffic.settled_share() > 0.2, "some are settled")
            exit_code = program.terminate(GRACE_S)
            share = traffic.settled_share()
        with worker(environment(traffic, server), tmp_path / "log-2") as program:
            wait_until(traffic.is_committed, "everything is committed", 240)
            metrics = program.metrics()
        balance = traffic.balance(server)

    assert exit_code == 0
    assert share < 1
    assert balance.faults == []
    assert (balance.lost, balance.repeated) == (0, 0)
    assert metrics["records_consumed_total"] <= round((1 - share) * 60_000)  # what settled since is passed over


def test_missing_records_halt_their_partition_until_told_otherwise(
    kafka: Cluster, names: Names, tmp_path: Path
) -> None:
    """Records that retention deleted unread halt their partition; with ON_GAP=continue they are counted."""
    traffic = produce(kafka, names, generate(SEED + 5, 2_000, SMALL), partitions=1)
    with sandbox("--max-body-bytes", str(SANDBOX_BODY_BYTES)) as server:
        kafka.commit(names.group, names.topic, 0, 100)
        kafka.delete_records(names.topic, 0, 400)
        with worker(environment(traffic, server), tmp_path / "log-1") as program:
            wait_until(lambda: "gap" in program.ready().get("halts", {}), "the gap is told")
            detail = program.ready()["halts"]["gap"]["cause"]
            effects = server.effects()
            program.terminate(GRACE_S)
        with worker(environment(traffic, server, KAFKA__ON_GAP="continue"), tmp_path / "log-2") as program:
            wait_until(traffic.is_committed, "everything that is left is committed")
            metrics = program.metrics()

    assert "400" in detail
    assert "300 records" in detail
    assert effects == 0
    assert metrics["records_lost_to_retention_total"] == 300
    assert metrics["records_consumed_total"] == 1_600


def test_an_absent_broker_is_told_and_waited_for(own_kafka: Cluster, names: Names, tmp_path: Path) -> None:
    """Without a broker the worker says so in plain words and goes on when one is there."""
    traffic = produce(own_kafka, names, generate(SEED + 6, 1_000, SMALL))
    own_kafka.kill()
    try:
        with sandbox("--max-body-bytes", str(SANDBOX_BODY_BYTES)) as server:
            with worker(environment(traffic, server), tmp_path / "log") as program:
                wait_until(lambda: "Connection refused" in program.said(), "the worker tells that no broker is there")
                unready = program.ready()
                own_kafka.restart()
                wait_until(traffic.is_committed, "everything is committed")
            balance = traffic.balance(server)
    finally:
        own_kafka.restart()

    assert unready["status"] != "ready"
    assert balance.faults == []
    assert (balance.lost, balance.repeated) == (0, 0)


def test_records_whose_headers_no_client_can_read_stop_nobody(kafka: Cluster, names: Names, tmp_path: Path) -> None:
    """Records with a header name that is not UTF-8 are delivered, or dead-lettered byte for byte; the rest goes on."""
    kafka.create_topic(names.topic)
    kafka.create_topic(names.dead_letters, 1, {"retention.ms": "2592000000"})
    track = b'{"type": "track", "userId": "u", "event": "Event %d", "timestamp": "2026-01-01T00:00:00Z"}'
    poison = [(b"before", b"1"), (b"\xc3\x28", b"2")]
    records = [RawRecord(track % each, b"u", poison if each % 10 == 3 else ()) for each in range(100)]
    records[53] = RawRecord(b"\xff no message", b"\xff key", poison)
    produce_raw(kafka.bootstrap_servers, names.topic, records)

    with sandbox() as server, worker(environment_of(kafka, names, server.url), tmp_path / "log") as program:
        wait_until(lambda: committed(kafka, names.group, names.topic) == {0: 100}, "all is committed")
        metrics, said = program.metrics(), program.said()
        effects = sorted(each["item"]["name"] for each in server.truth())
        place = ("--topic", names.topic, "--partition", "0", "--offset", "53", "--format", "json")
        settings = environment_of(kafka, names, server.url)
        (told,) = run("explain", *place, environment=settings).objects()
        checked = run("check", environment=settings).out
    (letter,) = [record_of(each) for each in read_all(kafka, names.dead_letters)]

    assert effects == sorted(f"Event {each}" for each in range(100) if each != 53)
    assert metrics["property_changes_total{rule=unreadable}"] == 10
    assert metrics["records_dead_lettered_total{reason=malformed}"] == 1
    assert is_conserved(metrics)
    assert len(said.splitlines()) < 20, "no line for each record"
    assert (letter.key, letter.value) == (b"\xff key", b"\xff no message")
    assert letter.headers is not None
    assert letter.headers[0] == (UNREADABLE, b"headers")
    assert dict(letter.headers)["__dlq.errors.offset"] == b"53"
    assert told["outcome"] == "dead-lettered"
    assert {"rule": "unreadable", "path": "headers", "text": ""} in told["notes"]
    assert "dead-lettered 1 (malformed 1); rules applied: unreadable 9" in checked
