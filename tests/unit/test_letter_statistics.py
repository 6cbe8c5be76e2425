"""The tables of `dead-letters stats`, the names of events in them, and how far reading is."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence

import pytest

from processor.commands.common.learned_readers import LearnedReaders
from processor.commands.common.reading_progress import line_of
from processor.commands.dead_letters.event_names import NAMING_FIELDS, UNREADABLE, event_name
from processor.commands.dead_letters.statistics import MAX_BUCKETS, MAX_CHARACTERS, MAX_ROWS, Buckets, LetterTable
from processor.model.records import Record
from processor.runtime.ports import SchemaIncompleteError
from tests.fakes.schemas import FakeSchemas
from tests.properties.segment import IDS, as_avro, as_json, shipped

NOW_MS = 1_795_964_347_486


def test_rows_are_exact_and_in_order_of_frequency() -> None:
    """Each row has its number of letters, and when the first and the last of them were written."""
    table = LetterTable()
    for number, value in enumerate("abbabc"):
        table.add(value, NOW_MS + number)

    found = [(name, row.letters, row.first_ms - NOW_MS, row.last_ms - NOW_MS) for name, row in table.by_frequency()]
    assert found == [("b", 3, 1, 4), ("a", 2, 0, 3), ("c", 1, 5, 5)]
    assert table.total == 6


def test_a_table_does_not_grow_with_what_it_counts() -> None:
    """Values for which there is no room are counted together, and those that have a row stay exact."""
    table = LetterTable()
    for number in range(3 * MAX_ROWS):
        table.add(f"name-{number}", NOW_MS)
        table.add("name-0", NOW_MS)

    rows = dict(table.by_frequency())
    assert len(rows) == MAX_ROWS
    assert rows["name-0"].letters == 3 * MAX_ROWS + 1
    assert table.others.letters == 2 * MAX_ROWS
    assert table.total == 6 * MAX_ROWS
    assert table.as_json("event")[-1]["event"] is None


def test_a_value_is_kept_up_to_a_length() -> None:
    """Of a value longer than the bound, the beginning is kept: what begins alike is one row."""
    table = LetterTable()
    table.add("x" * 10_000_000, NOW_MS)
    table.add("x" * MAX_CHARACTERS + "y", NOW_MS)

    assert [(len(name), row.letters) for name, row in table.by_frequency()] == [(MAX_CHARACTERS, 2)]


def test_buckets_become_wider_and_lose_nothing() -> None:
    """However long the time, there are few buckets, each with exactly the letters written in it."""
    chance = random.Random(20_261_129)
    buckets, times = Buckets(), [chance.randrange(0, NOW_MS) for _ in range(2_000)]
    for each in times:
        buckets.add(each)

    width_ms = buckets.width_s * 1_000
    expected = Counter(each // width_ms * buckets.width_s for each in times)
    assert dict(buckets.in_order()) == expected
    assert len(expected) <= MAX_BUCKETS


def test_an_hour_is_shown_by_the_minute() -> None:
    """Buckets are no wider than they have to be; a record without a time is in none."""
    buckets = Buckets()
    for minute in range(40):
        buckets.add(minute * 60_000)
    buckets.add(-1)

    assert buckets.width_s == 60
    assert buckets.in_order() == [(minute * 60, 1) for minute in range(40)]


def named(value: bytes | None, schemas: FakeSchemas) -> str:
    """Return what the event in a value is called."""
    return names_of([value], schemas)[0]


def names_of(values: Sequence[bytes | None], schemas: FakeSchemas) -> list[str]:
    """Return the same for several, which come one after the other."""
    learned = LearnedReaders(schemas, NAMING_FIELDS)
    found = []
    for value in values:
        record = Record(1, NOW_MS, None, value, None)
        asyncio.run(learned.learn([record]))
        found.append(event_name(record, learned.readers))
    return found


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ({"type": "track", "userId": "u", "event": "Signed Up"}, "Signed Up"),
        ({"type": "page", "userId": "u", "name": "Home"}, "Home"),
        ({"type": "identify", "userId": "u", "traits": {}}, "(identify)"),
        ({"type": "track", "userId": "u"}, "(track)"),
        ({"type": "track", "userId": "u", "event": 7}, "(track)"),
        ({"userId": "u"}, "(no type)"),
    ],
)
def test_an_event_is_named_as_it_was_sent(message: dict[str, object], name: str) -> None:
    """A track, a page or a screen has its name, any other message its type."""
    assert named(as_json(message), FakeSchemas({})) == name


def test_events_in_avro_are_named_by_one_question_per_schema() -> None:
    """Each schema is asked for once, also one that there is not."""
    schemas = FakeSchemas({int(number): shipped(file.removesuffix(".avsc")) for number, file in IDS.items()})
    avro = as_avro({"type": "track", "userId": "u", "event": "Signed Up", "properties": {}})

    assert names_of([avro, avro, b"\0\0\0\0\x63x", b"\0\0\0\0\x63x"], schemas) == ["Signed Up"] * 2 + [UNREADABLE] * 2
    assert schemas.asked == 2


def test_a_registry_that_does_not_answer_is_asked_once() -> None:
    """Without a registry, events in Avro have no name, those in JSON do, and nobody waits twice."""
    schemas = FakeSchemas({})
    schemas.is_out = True
    values = [b"\0\0\0\0\x63x", b"\0\0\0\0\x64x", b'{"type": "track", "userId": "u", "event": "E"}']

    assert names_of(values, schemas) == [UNREADABLE, UNREADABLE, "E"]
    assert schemas.asked == 1


def test_a_schema_that_is_incomplete_is_no_fault_of_the_registry() -> None:
    """A schema with a missing reference leaves its events without a name, and other schemas are asked for."""
    schemas = FakeSchemas({})
    schemas.faults[0x63] = SchemaIncompleteError("a reference is missing")

    assert names_of([b"\0\0\0\0\x63x", b"\0\0\0\0\x64x", None, b"no"], schemas) == [UNREADABLE] * 4
    assert schemas.asked == 2


def test_progress_tells_how_much_and_how_long() -> None:
    """The line tells the part that is read and the time that is left, as soon as it can be known."""
    assert line_of(250_000, 1_000_000, 5.0) == "reading  25% of 1,000,000 offsets, 15 s left"
    assert line_of(0, 10, 5.0) == "reading   0% of 10 offsets"
