"""The generator of Segment traffic: repeatable, mixed as told, and right about what must become of its records."""

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import fastavro
import pytest

from processor.model.reasons import DeadLetterReason, FilterReason, Kind
from processor.workload import ExpectDeadLettered, ExpectDelivered, ExpectFiltered, GeneratedRecord, Mix, generate

SCHEMAS = Path(__file__).parents[2] / "schemas"
SEED = 7
COUNT = 20_000
TEXT_PARTS = ("context", "integrations", "properties", "traits")
GENERATED_REASONS = {
    DeadLetterReason.MALFORMED,
    DeadLetterReason.UNKNOWN_SCHEMA,
    DeadLetterReason.UNKNOWN_TYPE,
    DeadLetterReason.MISSING_USER,
    DeadLetterReason.UID_TOO_LONG,
    DeadLetterReason.MISSING_EVENT_NAME,
    DeadLetterReason.TOO_LARGE,
}


@pytest.fixture(scope="module")
def records() -> list[GeneratedRecord]:
    """Return a stream of the default mix, long enough for its shares to show."""
    return list(generate(SEED, COUNT))


@pytest.fixture(scope="module")
def schemas() -> dict[int, Any]:
    """Return the shipped schemas by id."""
    ids: dict[str, str] = json.loads((SCHEMAS / "ids.json").read_text(encoding="utf-8"))
    return {int(schema_id): fastavro.schema.load_schema(str(SCHEMAS / name)) for schema_id, name in ids.items()}


def is_json(record: GeneratedRecord) -> bool:
    """Tell whether the record's value is plain JSON."""
    return record.value is not None and record.value.startswith(b"{")


def decode(value: bytes, schemas: dict[int, Any]) -> dict[str, Any]:
    """Return the message that a value holds, its free-form parts parsed; fails for an Avro value with bytes left."""
    if value.startswith(b"{"):
        plain: dict[str, Any] = json.loads(value)
        return plain
    stream = io.BytesIO(value)
    assert stream.read(1) == b"\0"
    message = fastavro.schemaless_reader(stream, schemas[int.from_bytes(stream.read(4), "big")], None)
    assert isinstance(message, dict)
    assert not stream.read()
    return message | {part: json.loads(message[part]) for part in TEXT_PARTS if message.get(part) is not None}


def unique_in(message: dict[str, Any], expected: ExpectDelivered) -> bool:
    """Tell whether the message holds the expectation's unique string where the expectation says."""
    if expected.kind is Kind.USER:
        return message["traits"][expected.unique] is True
    return bool(message["properties"]["unique"] == expected.unique)


def test_the_same_seed_gives_the_same_records(records: list[GeneratedRecord]) -> None:
    """Seed, mix and start decide every byte, and a shorter stream is a beginning of a longer one."""
    assert list(generate(SEED, 1_000)) == records[:1_000]


def test_another_seed_gives_other_records(records: list[GeneratedRecord]) -> None:
    """No unique string of one seed occurs in another's records."""
    uniques = {r.expectation.unique for r in records if isinstance(r.expectation, ExpectDelivered)}

    others = {r.expectation.unique for r in generate(SEED + 1, COUNT) if isinstance(r.expectation, ExpectDelivered)}

    assert uniques.isdisjoint(others)


def test_a_stream_without_a_count_goes_on() -> None:
    """Without a count the stream is the same and has no end."""
    endless = generate(SEED)

    assert [next(endless) for _ in range(100)] == list(generate(SEED, 100))


def test_the_default_mix_is_kept(records: list[GeneratedRecord]) -> None:
    """Each share of the mix is found again in the records, within what chance allows."""
    mix = Mix()
    delivered = [r.expectation for r in records if isinstance(r.expectation, ExpectDelivered)]
    filtered = Counter(r.expectation.reason for r in records if isinstance(r.expectation, ExpectFiltered))
    dead = sum(isinstance(r.expectation, ExpectDeadLettered) for r in records)

    assert dead == pytest.approx(COUNT * mix.poison, rel=0.3)
    assert filtered[FilterReason.TOMBSTONE] == pytest.approx(COUNT * mix.tombstone, rel=0.3)
    assert filtered[FilterReason.MESSAGE_TYPE] == pytest.approx(COUNT * mix.other_type, rel=0.2)
    assert filtered[FilterReason.INTEGRATIONS] == pytest.approx(COUNT * mix.excluded, rel=0.2)
    assert sum(e.kind is Kind.USER for e in delivered) == pytest.approx(len(delivered) * mix.identify, rel=0.1)
    assert sum(e.uid.startswith("anon-") for e in delivered) == pytest.approx(len(delivered) * mix.anonymous, rel=0.1)
    assert sum(map(is_json, records)) == pytest.approx(COUNT * mix.plain_json, rel=0.1)
    assert sum(r.key is None for r in records) == pytest.approx((COUNT - len(delivered)) * mix.null_key, rel=0.2)


def test_a_mix_without_faults_delivers_everything() -> None:
    """The shares can be set to nothing, for a bench that wants events alone."""
    mix = Mix(identify=0, poison=0, tombstone=0, other_type=0, excluded=0)

    kinds = {r.expectation.kind for r in generate(SEED, 1_000, mix) if isinstance(r.expectation, ExpectDelivered)}

    assert kinds == {Kind.EVENT}


def test_every_expectation_occurs(records: list[GeneratedRecord]) -> None:
    """The stream holds the records of every filter that needs no setting, and every fault of a record by itself."""
    filtered = {r.expectation.reason for r in records if isinstance(r.expectation, ExpectFiltered)}
    dead = Counter(r.expectation.reason for r in records if isinstance(r.expectation, ExpectDeadLettered))

    assert filtered == {FilterReason.TOMBSTONE, FilterReason.MESSAGE_TYPE, FilterReason.INTEGRATIONS}
    assert set(dead) == GENERATED_REASONS


def test_the_kinds_of_poison_are_even() -> None:
    """Ten kinds of poison take turns: three malformed, two without a user, the others each with its reason."""
    spoiled = generate(SEED, 100, Mix(poison=1, oversize_bytes=1_000))

    reasons = Counter(r.expectation.reason for r in spoiled if isinstance(r.expectation, ExpectDeadLettered))

    assert reasons == Counter(
        dict.fromkeys(GENERATED_REASONS, 10) | {DeadLetterReason.MALFORMED: 30, DeadLetterReason.MISSING_USER: 20}
    )


def test_delivered_records_hold_what_they_promise(records: list[GeneratedRecord], schemas: dict[int, Any]) -> None:
    """Each decodes to an identify or a track with the expected uid and unique string, under its own schema."""
    for record in records:
        if isinstance(record.expectation, ExpectDelivered) and record.value is not None:
            message = decode(record.value, schemas)

            assert (message["userId"] or message["anonymousId"]) == record.expectation.uid
            assert unique_in(message, record.expectation)
            assert message["type"] == ("identify" if record.expectation.kind is Kind.USER else "track")


def test_no_unique_string_occurs_twice(records: list[GeneratedRecord]) -> None:
    """Each record has a unique string, so that its arrival can be told from every other."""
    uniques = [r.expectation.unique for r in records if isinstance(r.expectation, ExpectDelivered)]

    assert len(uniques) == len(set(uniques))


def test_records_are_keyed_by_their_user(records: list[GeneratedRecord]) -> None:
    """A key is the uid's bytes, so that one user's records stay on one partition."""
    for record in records:
        if isinstance(record.expectation, ExpectDelivered):
            assert record.key == record.expectation.uid.encode()


def test_a_user_has_a_bounded_number_of_records() -> None:
    """Users make room for new ones, so that none collects ever more properties."""
    mix = Mix(users=20, events_per_user=50)

    per_user = Counter(record.key for record in generate(SEED, COUNT, mix) if record.key)

    assert len(per_user) > COUNT / mix.events_per_user
    assert max(per_user.values()) < 3 * mix.events_per_user


def test_skew_makes_a_few_users_busy() -> None:
    """With skew, one user has many times an even share of a short stretch."""
    even, skewed = (
        Counter(r.key for r in generate(SEED, 1_000, Mix(users=500, skew=skew, events_per_user=1_000_000)) if r.key)
        for skew in (1.0, 4.0)
    )

    assert max(skewed.values()) > 10 * max(even.values())


def test_an_oversized_record_is_as_large_as_told() -> None:
    """Its properties have the size asked for, in values that mapping keeps, below Kafka's own limit."""
    mix = Mix(poison=1)
    too_large = ExpectDeadLettered(DeadLetterReason.TOO_LARGE)

    record = next(r for r in generate(SEED, None, mix) if r.expectation == too_large)

    assert mix.oversize_bytes < len(record.value or b"") < 1_000_000


def test_times_rise_from_the_start() -> None:
    """Records follow each other by a millisecond from the start that the caller gives."""
    start_ms = 1_800_000_000_000

    assert [r.timestamp_ms for r in generate(SEED, 3, start_ms=start_ms)] == [start_ms, start_ms + 1, start_ms + 2]
