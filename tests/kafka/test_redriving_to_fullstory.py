"""Dead letters of a real Kafka delivered to the sandbox, as `segment-fullstory redrive --to fullstory` does it."""

import random
import signal
from collections import Counter
from functools import partial

from processor.model.reasons import DeadLetterReason
from processor.model.records import Record
from tests.commands.program import Done, run, started
from tests.kafka.cluster import Cluster
from tests.kafka.conftest import Names
from tests.kafka.programs import SandboxProgram, environment_of, sandbox, wait_until
from tests.kafka.test_redriving import IDENTIFY, TRACK, letter
from tests.kafka.topics import append, read_all

PARTITIONS = 4
STATIC = '{"group.instance.id": "redrive"}'
"""The group takes the next process for the one that was killed."""


def arguments_of(*more: str) -> tuple[str, ...]:
    """Return the command's arguments; nobody is beside it."""
    return ("redrive", "--to", "fullstory", "--share", "1", "--yes", "--format", "json", *more)


def settings_of(kafka: Cluster, names: Names, server: SandboxProgram) -> dict[str, str]:
    """Return the settings of an operator."""
    more = {"KAFKA__PROPERTIES": STATIC, "BATCH__MAX_RECORDS": 50, "BATCH__LINGER_S": 0.1}
    return environment_of(kafka, names, server.url, **more)


def redrive(kafka: Cluster, names: Names, server: SandboxProgram, *more: str) -> Done:
    """Run the command."""
    return run(*arguments_of(*more), environment=settings_of(kafka, names, server))


def track(number: int) -> Record:
    """Return a letter of an event that is like no other."""
    value = b'{"type": "track", "userId": "u%d", "event": "E", "messageId": "m%d"}' % (number % 50, number)
    return letter(number, value.replace(b'"E"', b'"E%d"' % number), DeadLetterReason.REJECTED)


def events(server: SandboxProgram) -> Counter[str]:
    """Return the names of the events that took effect."""
    return Counter(each.item["name"] for each in server.arrivals() if each.kind == "event")


def test_chosen_letters_are_delivered_and_the_account_balances(kafka: Cluster, names: Names) -> None:
    """What is skipped is counted, and so is what FullStory refuses again: its next letter is counted up."""
    kafka.create_topic(names.dead_letters, PARTITIONS)
    too_long = TRACK.replace(b'"userId": "u"', b'"userId": "%s"' % (b"u" * 300))
    append(kafka, names.dead_letters, 0, [track(1), track(1), letter(2, IDENTIFY, DeadLetterReason.REJECTED)])
    append(kafka, names.dead_letters, 1, [letter(3, too_long, DeadLetterReason.UID_TOO_LONG), track(4)])
    with sandbox() as server:
        done = redrive(kafka, names, server)
        again = redrive(kafka, names, server)
        forced = redrive(kafka, names, server, "--source-offset", "3", "--force")

        assert events(server) == Counter(["E1", "E4"])
    (account,) = done.objects()
    assert done.code == 0, done.err
    assert account == {
        "topic": names.dead_letters,
        "target": "fullstory",
        "selected": 5,
        "sent": 2,
        "skipped": {
            "repeated": 1,
            "not_copied": 0,
            "redrive_limit": 0,
            "unattributed": 0,
            "would_fail": 1,
            "would_be_filtered": 0,
            "stale": 1,
        },
        "parked": 0,
        "balances": True,
        "earlier": 0,
        "other_records": 0,
        "delivered": {"event": 2},
        "filtered": {},
        "dead_lettered": {},
        "expired": 0,
        "left": 0,
    }
    (later,) = again.objects()
    assert (later["selected"], later["earlier"], later["balances"]) == (0, 5, True)
    (failed,) = forced.objects()
    assert (failed["sent"], failed["dead_lettered"], failed["balances"]) == (1, {"uid_too_long": 1}, True)
    newest = max(read_all(kafka, names.dead_letters), key=lambda message: message.timestamp()[1])
    headers = dict(newest.headers() or [])
    assert headers["fullstory.dlq.redrive.count"] == b"1"
    assert headers["fullstory.dlq.original.timestamp"] == b"1424730535114"


def test_what_fails_again_keeps_its_origin_until_it_came_back_too_often(kafka: Cluster, names: Names) -> None:
    """The next letter names the record's own place, is new to the same selection, and the only one to another."""
    kafka.create_topic(names.dead_letters, PARTITIONS)
    append(kafka, names.dead_letters, 0, [letter(3, TRACK.replace(b'"u"', b'""'), DeadLetterReason.REJECTED)])
    forced = ("--force", "--max-count", "2")
    with sandbox() as server:
        accounts = [redrive(kafka, names, server, *forced).objects()[0] for _ in range(3)]
        (other,) = redrive(kafka, names, server, *forced, "--source-topic", "segment").objects()

    assert [(each["sent"], each["skipped"]["redrive_limit"], each["earlier"]) for each in accounts] == [
        (1, 0, 0),
        (1, 0, 1),
        (0, 1, 2),
    ]
    assert (other["sent"], other["skipped"]["redrive_limit"], other["skipped"]["repeated"]) == (0, 1, 2)
    letters = [dict(message.headers() or []) for message in read_all(kafka, names.dead_letters)]
    origin = ("__dlq.errors.topic", "__dlq.errors.partition", "__dlq.errors.offset", "fullstory.dlq.original.timestamp")
    assert {tuple(each[name] for name in origin) for each in letters} == {(b"segment", b"0", b"3", b"1424730535114")}
    assert sorted(each["fullstory.dlq.redrive.count"] for each in letters) == [b"0", b"1", b"2"]


def has_taken(server: SandboxProgram, count: int) -> bool:
    """Say whether so many effects have been there."""
    return server.effects() >= count


def test_killed_at_any_moment_each_letter_takes_effect_once(kafka: Cluster, names: Names) -> None:
    """Whatever was on its way when the process was killed: the next one goes on with it, under the same keys."""
    count, kills = 1_000, 2
    kafka.create_topic(names.dead_letters, PARTITIONS)
    for partition in range(PARTITIONS):
        append(kafka, names.dead_letters, partition, [track(each) for each in range(partition, count, PARTITIONS)])
    chance = random.Random(32)
    with sandbox("--job-seconds", "0.1", "1.0") as server:
        environment = settings_of(kafka, names, server)
        server.set_faults(latency_s=0.05)
        for _ in range(kills):
            wanted = server.effects() + chance.randrange(1, 300)
            with started(*arguments_of("--since", "5000d"), environment=environment) as process:
                wait_until(partial(has_taken, server, wanted), "some took effect", poll_s=0)
                process.kill()
                process.communicate()
                assert process.returncode == -signal.SIGKILL
        before = server.effects()
        done = redrive(kafka, names, server, "--since", "5000d")
        taken = events(server)

    (account,) = done.objects()
    assert before < count
    assert done.code == 0, done.err
    assert account["balances"]
    assert account["earlier"] + account["selected"] == count
    assert taken == Counter(f"E{each}" for each in range(count))
