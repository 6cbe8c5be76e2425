"""Batches hold every record once, and merging identifies changes no effect."""

import random
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from processor.engine.partition.planning import lanes
from processor.events.mapping import Mapping, MappingRules
from processor.events.payload import Item, Payload, PayloadBuilder, PayloadLimits, request_body
from processor.model.reasons import Kind
from processor.model.records import Record
from tests.properties.limits import event_violations, user_violations
from tests.properties.messages import IDS, NAMES, messages
from tests.properties.segment import as_avro, as_json, shipped_readers

READERS = shipped_readers()
Json = dict[str, Any]

TRAITS = st.dictionaries(
    st.sampled_from(["a", "a b", "a-b", "b", "email", "displayName", "name"]) | NAMES,
    st.integers(0, 2)
    | st.text(max_size=3)
    | st.none()
    | st.sampled_from(["e" * 129, "d" * 257, "v" * 9_000])
    | st.recursive(
        st.integers(0, 1) | st.booleans(),
        lambda inner: st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
        max_leaves=4,
    ),
    max_size=4,
)
IDENTIFIES = st.builds(lambda uid, traits: {"type": "identify", "userId": uid, "traits": traits}, IDS, TRAITS)
CROWDS = st.builds(
    lambda uid, first, count: {"type": "identify", "userId": uid, "traits": {f"n{first + n}": n for n in range(count)}},
    IDS,
    st.integers(0, 500),
    st.integers(100, 400),
)
VALUES = (
    IDENTIFIES.map(as_json)
    | CROWDS.map(as_json)
    | messages().map(as_avro)
    | messages().map(as_json)
    | st.none()
    | st.binary(max_size=9)
    | st.just(as_json({"type": "page", "userId": "u1"}))
)
LIMITS = st.builds(PayloadLimits, st.integers(1, 9), st.integers(1, 20_000))


@st.composite
def partitions(draw: st.DrawFn) -> list[Record]:
    """Draw records of one partition, with gaps between their offsets."""
    offset = draw(st.integers(0, 2**62))
    records = []
    for value in draw(st.lists(VALUES, max_size=14)):
        offset += draw(st.integers(1, 3))
        records.append(Record(offset, draw(st.integers(-1, 2**41)), None, value, None))
    return records


def batches(records: list[Record], limits: PayloadLimits, mapping: Mapping | None = None) -> list[Payload]:
    """Cut records into batches as the worker does, each beginning where the one before ended."""
    built: list[Payload] = []
    rest, start = records, records[0].offset if records else 0
    while rest:
        payload = PayloadBuilder(start, mapping or Mapping(MappingRules()), READERS, limits).build(rest)
        assert payload.range.end > rest[0].offset, "every batch takes a record"
        built.append(payload)
        start = payload.range.end
        rest = [record for record in rest if record.offset >= start]
    return built


def alone(record: Record) -> Item:
    """Return the user item of one record by itself."""
    (item,) = batches([record], PayloadLimits(1, 1))[0].users
    return item


def upsert(users: dict[str, Json], body: Json) -> None:
    """Apply an upsert as FullStory documents it: given fields replace, the latest value of a property wins."""
    stored = _stored(users, body)
    _merge(stored["properties"], body["properties"])


def _stored(users: dict[str, Json], body: Json) -> Json:
    """Return the user with everything but the properties applied; a type goes with the value it was declared for."""
    stored = users.setdefault(body["uid"], {"properties": {}, "types": {}})
    stored |= {name: value for name, value in body.items() if name not in ("properties", "schema")}
    kept = {path: kind for path, kind in stored["types"].items() if path.split(".")[0] not in body["properties"]}
    stored["types"] = kept | body.get("schema", {"properties": {}})["properties"]
    return stored


def _merge(stored: Json, latest: Json) -> None:
    """Merge path by path: one of the readings of how nested objects meet."""
    for name, value in latest.items():
        if isinstance(value, dict) and isinstance(stored.get(name), dict):
            _merge(stored[name], value)
        else:
            stored[name] = deepcopy(value)


def replace(users: dict[str, Json], body: Json) -> None:
    """Apply an upsert by another reading: a nested object replaces the one before it."""
    _stored(users, body)["properties"] |= deepcopy(body["properties"])


def flatten(users: dict[str, Json], body: Json) -> None:
    """Apply an upsert by a third reading: each path of a nested object is a property of its own."""
    _stored(users, body)["properties"] |= dict(_paths(body["properties"]))


def _paths(value: Json, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, each in value.items():
        if isinstance(each, dict):
            yield from _paths(each, (*path, name))
        else:
            yield "\0".join((*path, name)), each


@given(partitions(), LIMITS)
def test_each_record_is_in_one_batch_once(records: list[Record], limits: PayloadLimits) -> None:
    """Batches cover the records without gap or overlap, and each record becomes an item, a rejection or a filter."""
    found: list[int] = []
    filtered = 0
    end = records[0].offset if records else 0
    for payload in batches(records, limits):
        assert payload.range.start == end
        end = payload.range.end
        here = [offset for item in payload.users + payload.events for offset in item.records]
        here += [offset for offset, _ in payload.rejected]
        assert all(payload.range.start <= offset < end for offset in here)
        found += here
        filtered += payload.filtered.total()

    assert len(found) == len(set(found))
    assert set(found) <= {record.offset for record in records}
    assert len(found) + filtered == len(records)
    assert not records or end == records[-1].offset + 1


@given(partitions(), LIMITS, st.randoms(use_true_random=False))
def test_a_batch_that_grows_becomes_what_it_would_have_been(
    records: list[Record], limits: PayloadLimits, chance: random.Random
) -> None:
    """A batch is the same whether its records come at once or bit by bit."""
    if not records:
        return
    mapping = Mapping(MappingRules())
    start = records[0].offset
    growing = PayloadBuilder(start, mapping, READERS, limits)
    here = 0
    while here < len(records) and not growing.is_full:
        here += chance.randint(1, 5)
        grown = growing.build(records[:here])
    assert grown == PayloadBuilder(start, mapping, READERS, limits).build(records)


@given(partitions(), LIMITS)
def test_no_request_breaks_a_limit(records: list[Record], limits: PayloadLimits) -> None:
    """No request exceeds its records, its bytes, one item a user, or any limit of FullStory after merging."""
    for payload in batches(records, limits):
        taken = [record for record in records if payload.range.start <= record.offset < payload.range.end]
        assert len(taken) <= limits.max_records
        for items in (payload.users, payload.events):
            assert len(request_body(items)) <= limits.max_bytes or [len(item.records) for item in items] in ([], [1])
        for together in lanes(payload, ())[Kind.USER][:-1]:
            assert len({item.uid for item in together}) == len(together)
        for item in payload.users:
            assert user_violations(orjson.loads(item.body)) == []
            assert orjson.loads(item.body)["uid"] == item.uid
            assert list(item.records) == sorted(item.records)
        for item in payload.events:
            assert event_violations(orjson.loads(item.body), allows=["session"]) == []
            assert len(item.records) == 1


@given(partitions(), LIMITS)
def test_the_same_records_give_the_same_batches(records: list[Record], limits: PayloadLimits) -> None:
    """The same records form the same batches, byte for byte, in a new process and in one that has seen others."""
    seasoned = Mapping(MappingRules())
    first = batches(records, limits, seasoned)

    assert batches(records, limits, seasoned) == first == batches(records, limits)


@given(partitions(), LIMITS)
def test_merged_upserts_have_the_effect_of_all_in_order(records: list[Record], limits: PayloadLimits) -> None:
    """A merged upsert has the effect of its identifies in order, by each reading of nested objects."""
    by_offset = {record.offset: record for record in records}
    for apply in (upsert, replace, flatten):
        merged: dict[str, Json] = {}
        single: dict[str, Json] = {}
        for payload in batches(records, limits):
            for item in payload.users:
                apply(merged, orjson.loads(item.body))
                for offset in item.records:
                    apply(single, orjson.loads(alone(by_offset[offset]).body))
            assert _canonical(merged) == _canonical(single)


def _canonical(users: dict[str, Json]) -> bytes:
    return orjson.dumps(users, option=orjson.OPT_SORT_KEYS)


@given(partitions(), LIMITS)
def test_an_item_of_one_record_is_what_the_record_is_alone(records: list[Record], limits: PayloadLimits) -> None:
    """An item that is sent again record by record has the bytes of a batch of that record alone."""
    by_offset = {record.offset: record for record in records}
    for payload in batches(records, limits):
        for item in payload.users:
            if len(item.records) == 1:
                assert item == alone(by_offset[item.records[0]])
