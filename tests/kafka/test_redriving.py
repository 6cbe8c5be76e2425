"""Dead letters brought back into a topic of a real Kafka, as `segment-fullstory redrive --to topic` does it."""

import json
import random
import signal
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, Producer
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient

from processor.events.dead_letters import Attempts, dead_letter_headers
from processor.model.outcomes import Rejected
from processor.model.reasons import DeadLetterReason
from processor.model.records import Headers, Record, TopicPartition
from tests.commands.program import Done, run, started
from tests.kafka.cluster import ANSWER_DEADLINE_S, Cluster
from tests.kafka.conftest import Names
from tests.kafka.letters import DISTINCT, STAMP, distinct, write_letters
from tests.kafka.programs import environment_of, sandbox, wait_until, worker
from tests.kafka.topics import append, read_all

PARTITIONS = 4
KILLS = 10
ALL = ("--force", "--allow-duplicates", "--allow-stale")
COUNT = "fullstory.dlq.redrive.count"
TRACK = b'{"type": "track", "userId": "u", "event": "E"}'
IDENTIFY = b'{"type": "identify", "userId": "u", "traits": {"a": 1}}'
LONG_AGO_MS = 1_424_730_535_111


@pytest.fixture
def target(kafka: Cluster, names: Names) -> str:
    """Give a topic to bring letters back to; the dead-letter topic is created, too."""
    kafka.create_topic(names.dead_letters, PARTITIONS)
    kafka.create_topic(name := f"{names.topic}-redrive", PARTITIONS)
    return name


def arguments_of(*more: str) -> tuple[str, ...]:
    """Return the command's arguments."""
    return ("redrive", "--to", "topic", "--yes", "--format", "json", *more)


def settings_of(kafka: Cluster, names: Names, target: str) -> dict[str, str]:
    """Return the settings of an operator, which name the topic."""
    return environment_of(kafka, names, "http://127.0.0.1:1", KAFKA__REDRIVE_TOPIC=target)


def redrive(kafka: Cluster, names: Names, target: str, *more: str) -> Done:
    """Run the command."""
    return run(*arguments_of(*more), environment=settings_of(kafka, names, target))


def letter(number: int, value: bytes | None, reason: DeadLetterReason, own: Headers | None = None) -> Record:
    """Return a letter of a record with the offset `number`."""
    record = Record(number, LONG_AGO_MS + number, b"key-\xff-%d" % number, value, own)
    headers = dead_letter_headers(
        STAMP, TopicPartition("segment", 0), record, Rejected(reason, "why"), Attempts(1, 1e9, 1e9)
    )
    return record._replace(headers=headers, timestamp_ms=LONG_AGO_MS)


def held(message: Message) -> tuple[bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]:
    """Return what a message holds."""
    headers = message.headers() or []
    return message.key(), message.value(), tuple((name, each) for name, each in headers)


@pytest.fixture
def watcher(kafka: Cluster) -> Iterator[Consumer]:
    """Give a client that sees also what is not committed."""
    consumer = Consumer(
        {"bootstrap.servers": kafka.bootstrap_servers, "group.id": "nobody", "isolation.level": "read_uncommitted"}
    )
    yield consumer
    consumer.close()


def written(watcher: Consumer, target: str) -> int:
    """Return how many offsets the topic has, with those of transactions that are open or aborted."""
    ends = (
        watcher.get_watermark_offsets(KafkaPartition(target, number), ANSWER_DEADLINE_S) for number in range(PARTITIONS)
    )
    return sum(end for _, end in ends)


def has_written(watcher: Consumer, target: str, count: int) -> bool:
    """Say whether the topic has so many offsets."""
    return written(watcher, target) >= count


def test_a_record_comes_back_byte_for_byte_and_counted(kafka: Cluster, names: Names, target: str) -> None:
    """Key, value, headers and time are the record's own; one header says how often it came back."""
    own: Headers = [("traceparent", b"00-\xff"), ("x", None), ("x", b"")]
    letters = [
        letter(1, TRACK, DeadLetterReason.REJECTED, own),
        letter(2, TRACK, DeadLetterReason.REJECTED, [*own, (COUNT, b"1")]),
        letter(3, b"", DeadLetterReason.MALFORMED)._replace(key=None),
        letter(4, None, DeadLetterReason.MALFORMED)._replace(key=b""),
    ]
    append(kafka, names.dead_letters, 0, letters)

    (account,) = redrive(kafka, names, target, *ALL).objects()

    assert (account["selected"], account["sent"], account["balances"]) == (4, 4, True)
    found = {message.timestamp()[1] - LONG_AGO_MS: held(message) for message in read_all(kafka, target)}
    assert found == {
        1: (b"key-\xff-1", TRACK, (*own, (COUNT, b"1"))),
        2: (b"key-\xff-2", TRACK, (*own, (COUNT, b"1"), (COUNT, b"2"))),
        3: (None, b"", ((COUNT, b"1"),)),
        4: (b"", None, ((COUNT, b"1"),)),
    }


def test_what_is_not_brought_back_is_counted_by_its_reason(kafka: Cluster, names: Names, target: str) -> None:
    """Each selected letter is sent, or skipped for a reason that the account names."""
    letters = [
        letter(1, TRACK, DeadLetterReason.REJECTED),
        letter(1, TRACK, DeadLetterReason.REJECTED),
        letter(2, b"no message", DeadLetterReason.MALFORMED),
        letter(3, None, DeadLetterReason.MALFORMED),
        letter(4, TRACK, DeadLetterReason.UNATTRIBUTED),
        letter(5, IDENTIFY, DeadLetterReason.REJECTED),
        letter(6, TRACK, DeadLetterReason.REJECTED, [(COUNT, b"3")]),
    ]
    append(kafka, names.dead_letters, 0, letters)

    (account,) = redrive(kafka, names, target).objects()

    assert account == {
        "topic": names.dead_letters,
        "target": target,
        "selected": 7,
        "sent": 1,
        "skipped": {
            "repeated": 1,
            "not_copied": 0,
            "redrive_limit": 1,
            "unattributed": 1,
            "would_fail": 1,
            "would_be_filtered": 1,
            "stale": 1,
        },
        "parked": 0,
        "balances": True,
        "earlier": 0,
        "other_records": 0,
    }
    assert [message.key() for message in read_all(kafka, target)] == [b"key-\xff-1"]


def test_the_same_command_again_brings_back_only_what_is_new(kafka: Cluster, names: Names, target: str) -> None:
    """A run goes on where the one before ended, also to know a copy; another selection begins anew."""
    append(kafka, names.dead_letters, 0, [letter(1, TRACK, DeadLetterReason.REJECTED)])
    redrive(kafka, names, target, "--since", "5000d")
    append(kafka, names.dead_letters, 1, [letter(each, TRACK, DeadLetterReason.REJECTED) for each in (1, 2)])
    (again,) = redrive(kafka, names, target, "--since", "5000d").objects()
    (nothing,) = redrive(kafka, names, target, "--since", "5000d").objects()
    (other,) = redrive(kafka, names, target, "--source-offset", "2").objects()
    (anew,) = redrive(kafka, names, target, "--since", "5000d", "--from-beginning").objects()

    assert (again["selected"], again["sent"], again["skipped"]["repeated"], again["earlier"]) == (2, 1, 1, 1)
    assert (nothing["selected"], nothing["earlier"]) == (0, 3)
    assert (other["selected"], other["sent"]) == (1, 1)
    assert (anew["selected"], anew["sent"], anew["earlier"]) == (3, 2, 0)


def test_killed_at_any_moment_nothing_is_lost_and_nothing_comes_twice(
    kafka: Cluster, names: Names, target: str, watcher: Consumer
) -> None:
    """Whatever was written when the process was killed: who reads what is committed gets each record once."""
    write_letters(kafka, names.dead_letters, DISTINCT, batched=True)
    chance = random.Random(29)
    for _ in range(KILLS):
        wanted = written(watcher, target) + chance.randrange(1, 900)
        with started(*arguments_of(*ALL), environment=settings_of(kafka, names, target)) as process:
            wait_until(partial(has_written, watcher, target, wanted), "some are written", poll_s=0)
            process.kill()
            process.communicate()
            assert process.returncode == -signal.SIGKILL
    (account,) = redrive(kafka, names, target, *ALL).objects()

    assert account["balances"]
    assert account["earlier"] + account["selected"] == DISTINCT
    expected = Counter(
        (record.key, record.value, (*(record.headers or ()), (COUNT, b"1"))) for record, _ in distinct(DISTINCT)
    )
    assert Counter(held(message) for message in read_all(kafka, target)) == expected


OFTEN: Headers = [("own", b"\xff"), (COUNT, b"3")]


def test_what_came_back_too_often_is_parked_and_can_be_brought_back(kafka: Cluster, names: Names, target: str) -> None:
    """The letter is copied with all its headers, in the time of the copy; from there it comes back when allowed."""
    kafka.create_topic(parking := f"{names.dead_letters}-parked")
    often = [letter(number, TRACK, DeadLetterReason.REJECTED, OFTEN) for number in range(2)]
    append(kafka, names.dead_letters, 0, [*often, letter(2, TRACK, DeadLetterReason.REJECTED)])
    environment = settings_of(kafka, names, target) | {"PROCESSOR_KAFKA__PARKING_TOPIC": parking}
    (account,) = run(*arguments_of(), environment=environment).objects()
    parked = read_all(kafka, parking)
    (back,) = run(*arguments_of("--topic", parking, "--max-count", "4"), environment=environment).objects()

    assert (account["sent"], account["skipped"]["redrive_limit"], account["parked"]) == (1, 2, 2)
    assert [held(each) for each in parked] == [(each.key, each.value, tuple(each.headers or ())) for each in often]
    assert min(message.timestamp()[1] for message in parked) > LONG_AGO_MS + len(often)
    assert (back["sent"], back["parked"]) == (2, 0)
    assert len(read_all(kafka, parking)) == len(parked)


def test_on_the_way_to_fullstory_letters_are_parked_once_though_it_is_killed(
    kafka: Cluster, names: Names, target: str, watcher: Consumer
) -> None:
    """How far parking is stands in Kafka, too: the next process parks the rest."""
    often = [letter(number, TRACK, DeadLetterReason.REJECTED, OFTEN) for number in range(1_500)]
    append(kafka, names.dead_letters, 0, often)
    with sandbox() as server:
        environment = environment_of(kafka, names, server.url, KAFKA__PARKING_TOPIC=target)
        arguments = ("redrive", "--to", "fullstory", "--yes", "--format", "json")
        with started(*arguments, environment=environment) as process:
            wait_until(partial(has_written, watcher, target, 1), "some are parked", poll_s=0)
            process.kill()
            process.communicate()
        done = run(*arguments, environment=environment)

    (account,) = done.objects()
    assert (done.code, account["balances"], account["sent"]) == (0, True, 0), done.err
    assert Counter(message.key() for message in read_all(kafka, target)) == Counter(each.key for each in often)


@pytest.mark.parametrize("properties", [{"group.protocol": "consumer"}, {"group.instance.id": "worker-1"}])
def test_what_makes_the_workers_members_is_no_hindrance(
    kafka: Cluster, names: Names, target: str, properties: dict[str, str]
) -> None:
    """The command has the settings of the workers, and its own group has no members."""
    append(kafka, names.dead_letters, 0, [letter(1, TRACK, DeadLetterReason.REJECTED)])
    environment = settings_of(kafka, names, target) | {"PROCESSOR_KAFKA__PROPERTIES": json.dumps(properties)}
    accounts = [run(*arguments_of(), environment=environment).objects()[0] for _ in range(2)]

    assert [each["sent"] for each in accounts] == [1, 0]
    assert accounts[1]["earlier"] == 1


def test_a_second_redrive_of_the_group_ends_the_first(
    kafka: Cluster, names: Names, target: str, watcher: Consumer
) -> None:
    """Two never write beside each other, whatever they select; the later one does all of its work."""
    letters = [letter(number, TRACK, DeadLetterReason.REJECTED) for number in range(500)]
    append(kafka, names.dead_letters, 0, letters)
    environment = settings_of(kafka, names, target)
    with started(*arguments_of("--rate", "1"), environment=environment) as first:
        wait_until(lambda: written(watcher, target) > 0, "the first one writes")
        (account,) = redrive(kafka, names, target).objects()
        _, err = first.communicate()

    assert (first.returncode, b"Traceback" in err) == (2, False), err.decode()
    assert b"another redrive of this group has begun" in err
    assert account["earlier"] + account["selected"] == len(letters)
    assert len(read_all(kafka, target)) == len(letters)


def test_what_a_killed_one_left_open_keeps_nobody_waiting(kafka: Cluster, names: Names, target: str) -> None:
    """Nobody tells what a group has committed while a transaction with its offsets is open: that is ended first."""
    append(kafka, names.dead_letters, 0, [letter(1, TRACK, DeadLetterReason.REJECTED)])
    redrive(kafka, names, target)
    admin, found = AdminClient({"bootstrap.servers": kafka.bootstrap_servers}), list[str]()

    def is_listed() -> bool:  # a client's first question may meet a connection that it is about to replace
        listed: Any = admin.list_consumer_groups()
        found[:] = [
            each.group_id for each in listed.result().valid if each.group_id.startswith(f"{names.group}.redrive")
        ]
        return bool(found)

    wait_until(is_listed, "the brokers list the group of the redrive")
    append(kafka, names.dead_letters, 0, [letter(2, TRACK, DeadLetterReason.REJECTED)])
    settings = {"bootstrap.servers": kafka.bootstrap_servers}
    consumer = Consumer(settings | {"group.id": found[0]})
    killed = Producer(settings | {"transactional.id": f"{names.group}.redrive"})
    killed.init_transactions(ANSWER_DEADLINE_S)
    killed.begin_transaction()
    offsets = [KafkaPartition(names.dead_letters, 0, 2)]
    killed.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), ANSWER_DEADLINE_S)
    consumer.close()

    (account,) = redrive(kafka, names, target).objects()

    assert (account["selected"], account["sent"], account["earlier"]) == (1, 1, 1)


def test_a_topic_that_does_not_take_a_record_ends_it_and_keeps_the_progress(
    kafka: Cluster, names: Names, target: str
) -> None:
    """A missing topic and a record that is too large are told; nothing of that transaction counts, nothing is lost."""
    kafka.create_topic(small := f"{target}-small", 1, {"max.message.bytes": "1000"})
    append(kafka, names.dead_letters, 0, [letter(1, TRACK, DeadLetterReason.REJECTED)])
    redrive(kafka, names, small)
    large = TRACK.replace(b'"E"', b'"%s"' % random.Random(29).randbytes(2_000).hex().encode())  # not compressible
    more = [letter(2, TRACK, DeadLetterReason.REJECTED), letter(3, large, DeadLetterReason.REJECTED)]
    append(kafka, names.dead_letters, 0, more)

    missing = redrive(kafka, names, f"{target}-missing")
    refused = [redrive(kafka, names, small) for _ in range(2)]

    assert (missing.code, missing.out) == (2, "")
    assert f"{target}-missing" in missing.err
    for each in refused:
        assert (each.code, each.out) == (2, "")
        assert f"nothing can be written to {small}: Broker: Message size too large" in each.err
    assert len(read_all(kafka, small)) == 1


def test_the_worker_delivers_what_comes_back(kafka: Cluster, names: Names, target: str, tmp_path: Path) -> None:
    """With the topic of redrives set, the worker reads it beside its own."""
    kafka.create_topic(names.topic)
    letters = [letter(number, TRACK, DeadLetterReason.REJECTED) for number in range(20)]
    append(kafka, names.dead_letters, 0, letters)
    redrive(kafka, names, target)
    with sandbox() as server:
        environment = environment_of(kafka, names, server.url, KAFKA__REDRIVE_TOPIC=target)
        with worker(environment, tmp_path / "log") as program:
            program.wait_until_joined()
            wait_until(lambda: program.metrics()["records_delivered_total"] == len(letters), "all are delivered")
