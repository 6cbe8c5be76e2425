"""The dead letters of a real Kafka, as `segment-fullstory dead-letters` reads them."""

from base64 import b64decode
from collections import Counter
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from processor.adapters.kafka.letters import for_all, read_letters
from processor.adapters.kafka.reading import TopicReader
from processor.commands.common.next_steps import BY_FULLSTORY
from processor.events.letters import LetterFilter
from processor.model.reasons import DeadLetterReason
from processor.model.records import Headers
from processor.workload import ExpectDeadLettered, ExpectFiltered, GeneratedRecord
from tests.commands.program import Done, run
from tests.kafka.cluster import ANSWER_DEADLINE_S, Cluster
from tests.kafka.conftest import Names
from tests.kafka.letters import DISTINCT, count_letters, distinct, settings_for, write_letters
from tests.kafka.programs import environment_of, sandbox, wait_until, worker
from tests.kafka.topics import read_all

PARTITIONS = 4
LETTERS = 50_000
"""A short form of `python -m bench.dead_letters`."""
MAX_MIB = 250
"""Of the command, whatever the topic holds: librdkafka's queue is 32 MiB of it."""

NEVER_DELIVERED = {
    b"no message": "malformed",
    b'{"type": "trick", "userId": "u"}': "unknown_type",
    b'{"type": "track", "event": "E", "anonymousId": null}': "missing_user",
    b'{"type": "track", "userId": "%s", "event": "E"}' % (b"u" * 300): "uid_too_long",
    b'{"type": "track", "userId": "u", "event": ""}': "missing_event_name",
    b"\0\0\0\x03\xe7?": "unknown_schema",
}
"""Records and the reason of each; none has the offset 0."""
OWN: Headers = [("traceparent", b"00-\xff"), ("x", None), ("x", b"")]
"""Headers of each of them."""


def dead_letters(kafka: Cluster, names: Names, *arguments: str) -> Done:
    """Run the command."""
    return run("dead-letters", *arguments, environment=environment_of(kafka, names, "http://127.0.0.1:1"))


def test_what_a_worker_dead_lettered_comes_back_byte_for_byte(kafka: Cluster, names: Names, tmp_path: Path) -> None:
    """Each letter of a worker has its reason and its place, and gives back key, value, headers and time."""
    kafka.create_topic(names.topic)
    kafka.create_topic(names.dead_letters, PARTITIONS)
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    producer.produce(names.topic, b'{"type": "track", "userId": "u", "event": "E"}', b"good")
    for number, value in enumerate(NEVER_DELIVERED):
        producer.produce(
            names.topic,
            value,
            b"key-\xff-%d" % number,
            headers=OWN,  # type: ignore[arg-type]  # a header may be null, which the stubs forget
            timestamp=1_424_730_535_111 + number,
        )
    assert producer.flush(ANSWER_DEADLINE_S) == 0
    settings = {"DELIVERY__DEAD_LETTER_RATIO": 1, "SCHEMA_REGISTRY__UNKNOWN_AFTER_S": 0}
    with sandbox() as server, worker(environment_of(kafka, names, server.url, **settings), tmp_path / "log") as program:
        program.wait_until_joined()
        wait_until(
            lambda: program.metrics()["records_dead_lettered_total"] == len(NEVER_DELIVERED), "all are dead letters"
        )

    found = dead_letters(kafka, names, "list", "--format", "json", "--with-data").objects()

    assert len(found) == len(NEVER_DELIVERED)
    for each in found:
        number = each["source"]["offset"] - 1
        record, (value, reason) = each["record"], list(NEVER_DELIVERED.items())[number]
        assert each["source"] == {"topic": names.topic, "partition": 0, "offset": number + 1}
        assert each["reason"] == reason
        assert (b64decode(record["key"]), b64decode(record["value"])) == (b"key-\xff-%d" % number, value)
        assert [(name, None if each is None else b64decode(each)) for name, each in record["headers"]] == OWN
        assert record["timestamp_ms"] == 1_424_730_535_111 + number
    (counted,) = dead_letters(kafka, names, "stats", "--format", "json").objects()
    assert {row["reason"]: row["letters"] for row in counted["reasons"]} == dict.fromkeys(NEVER_DELIVERED.values(), 1)


def groups(kafka: Cluster) -> set[str]:
    """Return the groups that the brokers know of."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    return {each.group_id for each in admin.list_consumer_groups().result(ANSWER_DEADLINE_S).valid}


def test_many_letters_are_counted_exactly_in_bounded_memory(kafka: Cluster, names: Names) -> None:
    """Every letter counts once, memory stays small, and the brokers know of no group that they did not know before."""
    kafka.create_topic(names.dead_letters, PARTITIONS)
    before = groups(kafka)
    write_letters(kafka, names.dead_letters, LETTERS, batched=True)
    told, _, _, peak_mib = count_letters(kafka, names.dead_letters)

    reasons = {row["reason"]: row["letters"] for row in told["reasons"]}
    assert told["letters"] == sum(reasons.values()) == LETTERS
    assert reasons.keys() == set(DeadLetterReason)
    assert max(reasons.values()) - min(reasons.values()) <= 3
    assert sum(row["letters"] for row in told["events"]) == LETTERS
    assert sum(each["letters"] for each in told["times"]["buckets"]) == LETTERS
    assert peak_mib < MAX_MIB
    assert groups(kafka) <= before


def test_reading_ends_where_the_topic_ended_at_the_start(kafka: Cluster, names: Names) -> None:
    """Letters that are written while others are read are not among them, so reading ends."""
    kafka.create_topic(names.dead_letters, PARTITIONS)
    write_letters(kafka, names.dead_letters, 1_000, batched=True)
    with TopicReader(for_all(settings_for(kafka, names.dead_letters))) as reader:
        batches = read_letters(reader, names.dead_letters, LetterFilter())
        first = next(batches)
        write_letters(kafka, names.dead_letters, 1_000, batched=True)
        rest = list(batches)

    assert (len(first.letters), first.left) == (0, 1_000)
    assert sum(len(each.letters) for each in rest) == 1_000
    assert rest[-1].left == 0


def test_only_letters_of_the_time_are_read(kafka: Cluster, names: Names) -> None:
    """What was written before --since is not even read; --until is the time before which a letter was written."""
    kafka.create_topic(names.dead_letters, PARTITIONS)
    write_letters(kafka, names.dead_letters, 500, batched=True)
    times = sorted(each.timestamp()[1] for each in read_all(kafka, names.dead_letters))
    middle = times[len(times) // 2]
    later = sum(each >= middle for each in times)
    with TopicReader(for_all(settings_for(kafka, names.dead_letters))) as reader:
        first, *rest = read_letters(reader, names.dead_letters, LetterFilter(since_ms=middle))
        nothing = list(read_letters(reader, names.dead_letters, LetterFilter(since_ms=times[-1] + 60_000)))
        before = list(read_letters(reader, names.dead_letters, LetterFilter(until_ms=middle)))

    assert sum(len(each.letters) for each in rest) == later
    assert later <= first.left <= len(times)
    assert [each.left for each in nothing] == [0]
    assert sum(len(each.letters) for each in before) == len(times) - later


def test_an_empty_topic_has_no_letters(kafka: Cluster, names: Names) -> None:
    """Of an empty topic, the commands say so."""
    kafka.create_topic(names.dead_letters, PARTITIONS)

    assert dead_letters(kafka, names, "stats").out == f"{names.dead_letters}: 0 dead letters\n"
    assert dead_letters(kafka, names, "list").out == ""


def expected(record: GeneratedRecord, was: DeadLetterReason) -> tuple[str, str, str | None]:
    """Return what the generator knows of a record that was dead-lettered for a reason of no meaning."""
    match record.expectation:
        case ExpectFiltered(reason):
            return was, "filtered", reason
        case ExpectDeadLettered(reason) if reason not in BY_FULLSTORY:
            return was, "dead-lettered", reason
    if was is DeadLetterReason.UNATTRIBUTED:
        return was, "repeated", None
    return was, "undecided" if was in BY_FULLSTORY else "delivered", None


def test_a_dry_run_over_many_letters_tells_the_truth(kafka: Cluster, names: Names) -> None:
    """Of all kinds of traffic, `redrive --dry-run` tells what the generator knows of each record, letter by letter."""
    kafka.create_topic(names.dead_letters, PARTITIONS)
    write_letters(kafka, names.dead_letters, DISTINCT, batched=True)
    truth = Counter(expected(record, was) for record, was in distinct(DISTINCT))
    done = run(
        "redrive", "--dry-run", "--format", "json", environment=environment_of(kafka, names, "http://127.0.0.1:1")
    )
    (told,) = done.objects()

    assert {(each["was"], each["fate"], each["reason"]): each["letters"] for each in told["outcomes"]} == truth
    assert told["letters"] == DISTINCT
