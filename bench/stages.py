"""What each stage costs of CPU for one event, without Kafka and without a network: the best of several rounds."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as ReadMapping

import orjson

from bench.typed import SCHEMA, SCHEMA_ID, typed
from processor import shipped_folder
from processor.adapters.schemas.local import LocalSchemas
from processor.events.avro import Reader, decode, reader_of
from processor.events.framing import SchemaId, schema_ids
from processor.events.mapping import Mapping, MappingRules
from processor.events.payload import PayloadBuilder, PayloadLimits
from processor.model.outcomes import Mapped
from processor.model.records import Record, held_bytes
from processor.workload import Mix, generate

ROUNDS = 7
EVENTS = 20_000
CLEAN = Mix(poison=0, tombstone=0, other_type=0, excluded=0, plain_json=0, awkward=0)


def records(mix: Mix = CLEAN, count: int = EVENTS) -> list[Record]:
    """Return generated records as Kafka would give them."""
    return [
        Record(offset, each.timestamp_ms, each.key, each.value, each.headers)
        for offset, each in enumerate(generate(1, count, mix))
    ]


def _best_us(run: Callable[[], object], events: int) -> float:
    rounds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        run()
        rounds.append(time.process_time() - started)
    return min(rounds) / events * 1e6


def measure(family: str = "JSON text") -> Iterator[tuple[str, float]]:
    """Yield each stage with its cost in microseconds an event, in one of the `FAMILIES` of schemas."""
    given, readers = FAMILIES[family](EVENTS)
    mapping = Mapping(MappingRules())
    events = [event for record in given if isinstance(event := decode(record, readers), dict)]
    mapped = [item for event in events if isinstance(item := mapping.map(event, 0, _unnoted), Mapped)]

    yield "decode", _best_us(lambda: [decode(record, readers) for record in given], EVENTS)
    yield "map", _best_us(lambda: [mapping.map(event, 0, _unnoted) for event in events], EVENTS)
    yield "encode", _best_us(lambda: [orjson.dumps(item.body) for item in mapped], EVENTS)
    yield "count bytes held", _best_us(lambda: held_bytes(given), EVENTS)
    yield "payload (all of these)", _best_us(lambda: build(given, mapping, readers), EVENTS)


def _in_json_text(count: int) -> tuple[list[Record], dict[SchemaId, Reader]]:
    given = records(count=count)
    folder = LocalSchemas(shipped_folder())
    return given, {
        each: reader_of(found.text) for each in schema_ids(given) if (found := asyncio.run(folder.fetch(each)))
    }


def _in_typed_maps(count: int) -> tuple[list[Record], dict[SchemaId, Reader]]:
    return typed(records(count=count)), {SCHEMA_ID: reader_of(SCHEMA)}


FAMILIES = {"JSON text": _in_json_text, "typed maps": _in_typed_maps}
"""The shipped schemas, and one as people write their own: each gives so many records and what reads them."""


def build(given: Sequence[Record], mapping: Mapping, readers: ReadMapping[SchemaId, Reader]) -> None:
    """Make payloads of the records, batch by batch, as the worker does."""
    limits = PayloadLimits(1_000, 1_048_576)
    rest = list(given)
    while rest:
        payload = PayloadBuilder(rest[0].offset, mapping, readers, limits).build(rest)
        rest = rest[payload.range.end - rest[0].offset :]


def _unnoted(_rule: object, _path: str) -> None:
    """Note nothing."""
