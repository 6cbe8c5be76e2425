"""The dead-letter topic on a real Kafka: what is acknowledged, what is refused, and how that is called."""

import asyncio
import random
from bisect import bisect_left

import pytest
from confluent_kafka import Producer

from processor.adapters.kafka import dead_letters as module
from processor.adapters.kafka.dead_letters import KafkaDeadLetters
from processor.commands.check.cluster import LETTER_HEADERS_BYTES
from processor.events.dead_letters import Attempts, Stamp, dead_letter_headers
from processor.model.errors import DeadLetterError
from processor.model.outcomes import Rejected
from processor.model.reasons import DeadLetterReason
from processor.model.records import Headers, LetterPlace, Record, TopicPartition
from processor.runtime.ports import DeadLetter
from tests.kafka.cluster import Cluster, ExternalCluster, free_port
from tests.kafka.conftest import Names
from tests.kafka.members import DEADLINE_S, on_a_loop, settings_of, until
from tests.kafka.topics import read_all

SEED = 20_261_124


def letters_of(kafka: Cluster, names: Names, **properties: int) -> KafkaDeadLetters:
    """Return dead letters for the topic of these names; `properties` have `_` for the dot."""
    own = {name.replace("_", "."): value for name, value in properties.items()}
    return KafkaDeadLetters(settings_of(kafka, names, own))


def letter(value: bytes | None = b"value", key: bytes | None = b"key", headers: Headers | None = None) -> DeadLetter:
    """Return a dead letter."""
    return DeadLetter(key, value, headers or [])


async def fault_of(letters: KafkaDeadLetters, written: DeadLetter) -> str | None:
    """Write a letter; return how its fault is called, or None."""
    try:
        await letters.write(written)
    except DeadLetterError as error:
        return error.fault
    return None


async def written_at_last(letters: KafkaDeadLetters, written: DeadLetter) -> None:
    """Write a letter again and again, until it is acknowledged."""
    async with asyncio.timeout(DEADLINE_S):
        while await fault_of(letters, written) is not None:  # noqa: ASYNC110 - each turn is another try
            await asyncio.sleep(0.1)


@on_a_loop
async def test_an_acknowledged_letter_is_on_the_topic_byte_for_byte(kafka: Cluster, names: Names) -> None:
    """When `write` returns, the letter is on the topic byte for byte, null keys and values included."""
    kafka.create_topic(names.dead_letters)
    blob = random.Random(SEED).randbytes(1_000)
    headers: Headers = [("x", None), ("x", b""), ("\u00fc", b"\xff\x00"), ("traceparent", blob)]
    written = [letter(blob, None, headers), letter(None, blob), letter(b"", b"")]

    async with letters_of(kafka, names) as letters:
        for each in written:
            await letters.write(each)
        found = read_all(kafka, names.dead_letters)

    assert [(each.key(), each.value(), each.headers() or []) for each in found] == [
        (each.key, each.value, each.headers) for each in written
    ]


@on_a_loop
async def test_letters_of_one_key_stay_together(kafka: Cluster, names: Names) -> None:
    """All of many concurrent letters are acknowledged with their places, each key in one partition."""
    kafka.create_topic(names.dead_letters, 4)
    written = [letter(b"%d" % each, b"key-%d" % (each % 20)) for each in range(2_000)]

    async with letters_of(kafka, names) as letters:
        places = await asyncio.gather(*map(letters.write, written))
    found = read_all(kafka, names.dead_letters)
    values = {LetterPlace(each.partition() or 0, each.offset() or 0): each.value() for each in found}

    assert sorted((each.key(), each.value()) for each in found) == sorted((each.key, each.value) for each in written)
    assert [values[place] for place in places if place is not None] == [each.value for each in written]
    assert len({(each.key(), each.partition()) for each in found}) == 20
    assert len({each.partition() for each in found}) > 1


@on_a_loop
async def test_a_missing_topic_refuses_until_it_is_there(kafka: Cluster, names: Names) -> None:
    """A missing topic refuses letters before they time out, and accepts them once it exists."""
    async with letters_of(kafka, names) as letters:
        faults = [await fault_of(letters, letter()) for _ in range(2)]
        kafka.create_topic(names.dead_letters)
        await written_at_last(letters, letter(b"at last"))

    assert faults == ["refused", "refused"]
    assert [each.value() for each in read_all(kafka, names.dead_letters)] == [b"at last"]


@on_a_loop
async def test_only_the_letter_that_is_too_large_is_refused_for_it(kafka: Cluster, names: Names) -> None:
    """A letter that is too large is refused, and those written at the same moment are not."""
    kafka.create_topic(names.dead_letters, config={"max.message.bytes": "10000"})
    chance = random.Random(SEED)
    sizes = [20_000 if each % 10 == 0 else 200 for each in range(50)]

    async with letters_of(kafka, names) as letters:
        faults = await asyncio.gather(*(fault_of(letters, letter(chance.randbytes(size))) for size in sizes))

    assert faults == ["too_large" if size == 20_000 else None for size in sizes]
    assert sorted(len(each.value() or b"") for each in read_all(kafka, names.dead_letters)) == [200] * 45


@on_a_loop
async def test_letters_that_find_no_room_are_to_be_written_again(
    kafka: Cluster, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Letters beyond the bound of bytes on their way are to be written again; a large one goes when it is alone."""
    monkeypatch.setattr(module, "ON_THEIR_WAY_BYTES", 1_000)
    kafka.create_topic(names.dead_letters)

    async with letters_of(kafka, names) as letters:
        together = await asyncio.gather(*(fault_of(letters, letter(b"x" * 500)) for _ in range(3)))
        alone = await fault_of(letters, letter(b"x" * 5_000))

    assert together == [None, "retry", "retry"]
    assert alone is None


@on_a_loop
async def test_a_full_queue_is_to_be_tried_again(kafka: Cluster, names: Names) -> None:
    """If the client's own queue is full, the letter is to be written again."""
    kafka.create_topic(names.dead_letters)

    async with letters_of(kafka, names, queue_buffering_max_messages=2) as letters:
        faults = await asyncio.gather(*(fault_of(letters, letter()) for _ in range(5)))

    assert set(faults) == {None, "retry"}


@on_a_loop
async def test_a_broken_producer_is_replaced(kafka: Cluster, names: Names) -> None:
    """After a fatal error, letters go to a new producer."""
    kafka.create_topic(names.dead_letters)

    async with letters_of(kafka, names) as letters:
        await letters.write(letter(b"first"))
        broken = letters._broken = letters._producer
        await until(lambda: letters._producer is not broken, "another producer is there")
        await letters.write(letter(b"second"))

    assert [each.value() for each in read_all(kafka, names.dead_letters)] == [b"first", b"second"]


@on_a_loop
async def test_what_a_broken_producer_held_is_to_be_written_again(names: Names) -> None:
    """Letters that a broken producer held fail at once and are to be written again."""
    nowhere = ExternalCluster(f"127.0.0.1:{free_port()}")

    async with letters_of(nowhere, names) as letters:
        writing = asyncio.ensure_future(fault_of(letters, letter()))
        await until(lambda: len(letters._producer) == 1, "the letter is on its way")
        letters._broken = letters._producer
        fault = await writing

    assert fault == "retry"


@on_a_loop
async def test_leaving_writes_what_is_on_its_way(kafka: Cluster, names: Names) -> None:
    """Closing flushes letters without an answer and ends the thread."""
    kafka.create_topic(names.dead_letters)

    async with letters_of(kafka, names) as letters:
        writing = [asyncio.ensure_future(letters.write(letter())) for _ in range(100)]
        await asyncio.sleep(0)
    await asyncio.gather(*writing)

    assert len(read_all(kafka, names.dead_letters)) == 100
    assert not letters._thread.is_alive()


@on_a_loop
async def test_more_replicas_in_sync_than_there_are_refuse_no_letter(kafka: Cluster, names: Names) -> None:
    """A letter is written where `min.insync.replicas` is above the topic's replicas, as check says of new brokers."""
    kafka.create_topic(names.dead_letters, config={"min.insync.replicas": "2"})

    async with letters_of(kafka, names) as letters:
        assert await fault_of(letters, letter()) is None


CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
LIMIT_BYTES = 30_000
"""`max.message.bytes` of a source topic."""


def largest(kafka: Cluster, topic: str, codec: str) -> bytes:
    """Append the largest record that the topic takes of a text, and return its value."""
    chance = random.Random(SEED)
    words = [b"%x" % chance.getrandbits(48) for _ in range(400)]
    text = b" ".join(chance.choices(words, k=100_000))
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "compression.type": codec, "linger.ms": 0})
    taken: list[int] = []

    def takes(size: int) -> bool:
        producer.produce(
            topic, text[:size], on_delivery=lambda fault, _message: taken.append(size) if fault is None else None
        )
        producer.flush(DEADLINE_S)
        return size in taken

    bisect_left(range(900_000), 1, lo=1, key=lambda size: not takes(size))
    return text[: max(taken)]


@on_a_loop
async def test_the_letter_of_the_largest_record_fits_as_check_advises(kafka: Cluster, names: Names) -> None:
    """Whatever compressed a record as large as its topic takes, its letter fits where check finds nothing wrong."""
    kafka.create_topic(names.topic, config={"max.message.bytes": str(LIMIT_BYTES)})
    kafka.create_topic(names.dead_letters, config={"max.message.bytes": str(LIMIT_BYTES + LETTER_HEADERS_BYTES)})
    source = TopicPartition("t" * 249, 2**31 - 1)
    rejected = Rejected(DeadLetterReason.BLOCKED_BY_GATEWAY, "\U0001f600" * 1_000, 500, "j" * 128)
    stamp, attempts = Stamp("g" * 255, "1.0.0.dev123456789", "f" * 16), Attempts(999_999, 1e9, 2e9)
    faults = {}
    async with letters_of(kafka, names) as letters:
        for codec in CODECS:
            record = Record(2**63 - 1, 2**42, b"key", largest(kafka, names.topic, codec), None)
            headers = dead_letter_headers(stamp, source, record, rejected, attempts)
            faults[codec] = await fault_of(letters, letter(record.value, record.key, headers))

    assert faults == dict.fromkeys(CODECS)


def test_a_loop_that_has_closed_is_told_nothing(kafka: Cluster, names: Names) -> None:
    """A delivery report that comes after the loop has closed does no harm."""
    kafka.create_topic(names.dead_letters)
    letters = letters_of(kafka, names)

    async def abandon() -> None:
        await letters.__aenter__()
        writing = [asyncio.ensure_future(letters.write(letter())) for _ in range(100)]
        await asyncio.sleep(0)
        for each in writing:
            each.cancel()

    asyncio.run(abandon())
    letters._stopping.set()
    letters._thread.join(DEADLINE_S)

    assert not letters._thread.is_alive()
    assert len(read_all(kafka, names.dead_letters)) == 100


@on_a_loop
async def test_an_absent_broker_is_a_passing_fault(own_kafka: Cluster, names: Names) -> None:
    """If the broker is away, a letter times out, and the same producer writes once it is back."""
    own_kafka.create_topic(names.dead_letters)

    async with letters_of(own_kafka, names, message_timeout_ms=2_000) as letters:
        before = await fault_of(letters, letter(b"before"))
        own_kafka.kill()
        try:
            away = await fault_of(letters, letter(b"away"))
        finally:
            await asyncio.to_thread(own_kafka.restart)
        await written_at_last(letters, letter(b"back"))

    values = {each.value() for each in read_all(own_kafka, names.dead_letters)}
    assert (before, away) == (None, "retry")
    assert {b"before", b"back"} <= values  # what timed out may have been written all the same
