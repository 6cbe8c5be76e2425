"""Records to the parts of a batch."""

from collections.abc import Iterable
from typing import Any

import orjson
import pytest

from processor.events.mapping import Mapping, MappingRules
from processor.events.payload import ENVELOPE_BYTES, Item, Payload, PayloadBuilder, PayloadLimits, request_body
from processor.model.reasons import DeadLetterReason, FilterReason, Kind, PropertyRule
from processor.model.records import OffsetRange, Record
from tests.properties.segment import KAFKA_TIMESTAMP_MS, as_json

Json = dict[str, Any]

ROOMY = PayloadLimits(max_records=1_000, max_bytes=1_000_000)
START = 40


def identify(uid: str, /, **traits: Any) -> Json:
    """Return an identify of one user."""
    return {"type": "identify", "userId": uid, "traits": traits}


def track(uid: str, event: str = "E") -> Json:
    """Return a track of one user."""
    return {"type": "track", "userId": uid, "event": event, "timestamp": KAFKA_TIMESTAMP_MS}


def records(messages: Iterable[Json | bytes | None]) -> list[Record]:
    """Return records with ascending offsets."""
    values = [as_json(each) if isinstance(each, dict) else each for each in messages]
    return [Record(START + index, KAFKA_TIMESTAMP_MS, None, value, None) for index, value in enumerate(values)]


def payload(*messages: Json | bytes | None, limits: PayloadLimits = ROOMY) -> Payload:
    """Return what one batch takes of these messages."""
    return PayloadBuilder(START, Mapping(MappingRules()), {}, limits).build(records(messages))


def taken(*messages: Json, limits: PayloadLimits = ROOMY) -> int:
    """Return how many of these messages one batch takes."""
    return payload(*messages, limits=limits).range.end - START


def merged(*messages: Json) -> Json:
    """Return the one user item that these messages become."""
    built = payload(*messages)
    assert built.range.end == START + len(messages)
    (item,) = built.users
    assert item.records == tuple(range(START, START + len(messages)))
    body: Json = orjson.loads(item.body)
    return body


def test_each_record_has_its_place() -> None:
    """Users and events keep their order, rejections have their offsets, filters and changes are counted."""
    built = payload(
        identify("a", plan="free"),
        track("a", "First"),
        None,
        track("b", "Second"),
        identify("b", **{"a b": None}),
        {"type": "page", "userId": "a"},
        {"type": "track", "userId": "a"},
        b"?",
    )

    assert built.range == OffsetRange(START, START + 8)
    assert built.items(Kind.USER) == [
        Item(b'{"uid":"a","properties":{"plan":"free"}}', (START,), "a"),
        Item(b'{"uid":"b","properties":{}}', (START + 4,), "b"),
    ]
    assert [(orjson.loads(item.body)["name"], item.records, item.uid) for item in built.items(Kind.EVENT)] == [
        ("First", (START + 1,), "a"),
        ("Second", (START + 3,), "b"),
    ]
    assert [(offset, rejected.reason) for offset, rejected in built.rejected] == [
        (START + 6, DeadLetterReason.MISSING_EVENT_NAME),
        (START + 7, DeadLetterReason.MALFORMED),
    ]
    assert built.filtered == {FilterReason.TOMBSTONE: 1, FilterReason.MESSAGE_TYPE: 1}
    assert built.changes == {PropertyRule.RENAMED: 1, PropertyRule.NULL_OMITTED: 1}


def test_nothing_makes_an_empty_payload() -> None:
    """A payload of no records is empty and ends where it begins."""
    built = payload()

    assert built == Payload(OffsetRange(START, START))


def test_the_range_spans_offsets_that_kafka_never_delivers() -> None:
    """The range ends one past the last record taken, across gaps of compaction and transactions."""
    sparse = [
        record._replace(offset=offset) for record, offset in zip(records([track("a")] * 3), (41, 47, 90), strict=True)
    ]
    built = PayloadBuilder(START, Mapping(MappingRules()), {}, PayloadLimits(2, 1_000)).build(sparse)

    assert built.range == OffsetRange(START, 48)


def test_identifies_of_one_user_become_one_item() -> None:
    """Merged identifies keep the latest value of each property, e-mail address and display name that was sent."""
    body = merged(
        identify("a", plan="free", seats=1, email="old@b.c", displayName="Old"),
        identify("a", plan="premium", email="new@b.c"),
        identify("a", logins=5, seats=None, email="x" * 200),
        identify("a", displayName="New"),
    )

    assert body == {
        "uid": "a",
        "display_name": "New",
        "email": "new@b.c",
        "properties": {"plan": "premium", "seats": 1, "logins": 5},
        "schema": {"properties": {"seats": "int", "logins": "int"}},
    }


def test_a_merged_item_has_the_key_order_of_a_single_one() -> None:
    """A merged item's keys have their fixed order, whichever identify brought them first."""
    body = merged(identify("a", email="a@b.c", n=1), identify("a", displayName="J"), identify("a", plan="free"))

    assert list(body) == ["uid", "display_name", "email", "properties", "schema"]


@pytest.mark.parametrize(
    ("traits", "declared"),
    [
        ([{"a": 1}, {"b": "x"}], {"a": "int"}),
        ([{"a": 1}, {"a": 2}], {"a": "int"}),
        ([{"a": 1}, {"a": "x"}], None),
        ([{"a": 1}, {"a": [1]}], {"a": "ints"}),
        ([{"a": "x"}, {"a": 1}, {"b": 1.5}], {"a": "int"}),
        ([{"a": {"b": 1, "c": 1.5}}, {"a": {"b": 1.0, "c": 1.5}}], None),
        ([{"a": {"b": 1, "c": 1.5}, "ab": 1}, {"a": {"b": 1.0, "c": 1.5}}], {"ab": "int"}),
        ([{"a": {"b": 1.0}}, {"a": {"b": 1}}], {"a.b": "int"}),
    ],
)
def test_a_declared_type_goes_with_the_value_that_won(traits: list[Json], declared: Json | None) -> None:
    """A merged item declares each property's type as the identify did whose value won."""
    body = merged(*(identify("a", **each) for each in traits))

    assert body.get("schema") == (None if declared is None else {"properties": declared})


@pytest.mark.parametrize(
    ("first", "second", "are_merged"),
    [
        ({"x": 1}, {"x": None}, False),
        ({"x": None}, {"x": 1}, True),
        ({"x": None}, {"x": {"y": 1}}, False),
        ({"x": {"y": 1}}, {"x": {"y": None}}, False),
        ({"x": None}, {"x": None}, True),
        ({"x": None}, {"y": 1}, True),
    ],
)
def test_a_null_that_is_sent_replaces_no_value(first: Json, second: Json, *, are_merged: bool) -> None:
    """What a null does to a value is not documented; a value replaces a null whatever that did."""
    given = records(identify("a", **each) for each in (first, second))
    users = PayloadBuilder(START, Mapping(MappingRules(nulls="send")), {}, ROOMY).build(given).users

    assert [item.records for item in users] == ([(START, START + 1)] if are_merged else [(START,), (START + 1,)])


def test_visitors_without_a_uid_are_merged_only_with_themselves() -> None:
    """A visitor is merged neither with a user of the same id nor with another visitor."""
    mapping = Mapping(MappingRules(anonymous="property"))
    visits = [{"type": "identify", "anonymousId": each, "traits": {"t": each}} for each in ("a", "b", "a")]

    built = PayloadBuilder(START, mapping, {}, ROOMY).build(records([*visits, identify("a")]))

    assert [(orjson.loads(item.body), item.records) for item in built.users] == [
        ({"properties": {"t": "a", "segmentAnonymousId": "a"}}, (START, START + 2)),
        ({"properties": {"t": "b", "segmentAnonymousId": "b"}}, (START + 1,)),
        ({"uid": "a", "properties": {}}, (START + 3,)),
    ]


def test_users_are_merged_by_uid_wherever_it_came_from() -> None:
    """A visitor's anonymousId and an equal userId are one uid, and are merged."""
    assert merged({"type": "identify", "anonymousId": "a"}, identify("a", plan="free")) == {
        "uid": "a",
        "properties": {"plan": "free"},
    }


@pytest.mark.parametrize(
    ("first", "second", "are_merged"),
    [
        ({"x": {"y": 1}}, {"x": {"y": 1}}, True),
        ({"x": {"y": 1, "z": 2}}, {"x": {"z": 2, "y": 1}}, True),
        ({"x": {"y": 1}}, {"w": {"y": 2}}, True),
        ({"x": {"y": 1}}, {"x": {"y": 2}}, True),
        ({"x": {"y": 1}}, {"x": {"y": 2, "z": 1}}, True),
        ({"x": {"y": 1, "z": 1}}, {"x": {"y": 1}}, False),
        ({"x": {"y": 1}}, {"x": {"z": 1}}, False),
        ({"x": {"y": {"z": 1}}}, {"x": {"y": {"z": 2, "v": 3}}}, True),
        ({"x": {"y": {"z": 1}}}, {"x": {"y": 2}}, False),
        ({"x": {"y": 1}}, {"x": {"y": {"z": 1}}}, False),
        ({"x": {"y": 1}}, {"x": 1}, False),
        ({"x": 1}, {"x": {"y": 1}}, False),
        ({"x": 1}, {"x": [1]}, True),
        ({"x": "text"}, {"x": 1}, True),
    ],
)
def test_a_nested_object_is_replaced_by_one_that_has_all_its_paths(first: Json, second: Json, are_merged: bool) -> None:  # noqa: FBT001
    """How FullStory merges objects is not documented: what could end otherwise is an item of its own, and only that."""
    built = payload(identify("a", **first), identify("b"), identify("a", **second), identify("c"))

    assert [item.records for item in built.users] == (
        [(START, START + 2), (START + 1,), (START + 3,)]
        if are_merged
        else [(START,), (START + 1,), (START + 2,), (START + 3,)]
    )
    assert built.range.end == START + 4


def test_a_user_has_no_more_names_in_one_item_than_it_may_have() -> None:
    """Identifies are merged up to 500 names, nested ones included, and not beyond."""
    first = identify("a", **{f"n{number}": 1 for number in range(496)})

    def items(*others: Json) -> int:
        return len(payload(first, *others).users)

    assert items(identify("a", n0=2, x={"y": {"z": 1}})) == 1
    assert items(identify("a", n0=2, x={"y": {"z": 1}}), identify("a", last=1)) == 1
    assert items(identify("a", n0=2, x={"y": {"z": 1}, "v": 2}), identify("a", last=1)) == 2


def test_a_record_that_is_left_to_the_next_batch_leaves_no_trace() -> None:
    """A record left to the next batch is neither merged nor counted in this one."""
    given = records([identify("a", x="1"), identify("b", x="2", **{"a b": None})])
    built = PayloadBuilder(START, Mapping(MappingRules()), {}, PayloadLimits(10, 1)).build(given)

    assert built.users == [Item(b'{"uid":"a","properties":{"x":"1"}}', (START,), "a")]
    assert built.changes == {}


def test_a_batch_closes_at_the_most_records() -> None:
    """A batch has at most its number of records, whatever becomes of them."""
    source = iter(records([track("a"), None, track("a"), track("a")]))
    built = PayloadBuilder(START, Mapping(MappingRules()), {}, PayloadLimits(3, 10**6)).build(source)

    assert built.range.end == START + 3
    assert next(source).offset == START + 3


@pytest.mark.parametrize("message", [track, identify])
def test_no_body_grows_beyond_the_most_bytes(message: Any) -> None:
    """Either part fills to its last byte, and the batch closes before an item too many."""
    size = len(
        request_body(payload(message("a"), message("b")).items(Kind.USER if message is identify else Kind.EVENT))
    )

    assert taken(message("a"), message("b"), message("c"), limits=PayloadLimits(10, size)) == 2
    assert taken(message("a"), message("b"), message("c"), limits=PayloadLimits(10, size - 1)) == 1


def test_the_parts_fill_up_on_their_own() -> None:
    """The users part and the events part have room of their own, because they are separate requests."""
    size = len(request_body(payload(track("a")).events))

    assert taken(track("a"), identify("a"), identify("b"), track("c"), limits=PayloadLimits(10, size)) == 3


@pytest.mark.parametrize("message", [track, identify])
def test_a_lone_record_is_taken_however_large_it_is(message: Any) -> None:
    """A lone record is taken whatever its size, so that its partition does not stand still."""
    assert taken(message("a"), message("b"), limits=PayloadLimits(10, 1)) == 1


def test_a_request_is_the_items_in_an_envelope() -> None:
    """A request's body is its items in their order, in an envelope without spaces."""
    items = [Item(b'{"uid":"a"}', (1,), "a"), Item(b'{"uid":"b"}', (2,), "b")]

    assert request_body(items) == b'{"requests":[{"uid":"a"},{"uid":"b"}]}'
    assert request_body([]) == b'{"requests":[]}'
    assert len(request_body([])) == ENVELOPE_BYTES


def delete(uid: str) -> Json:
    """Return a deletion of one user."""
    return {"type": "delete", "userId": uid}


@pytest.mark.parametrize(
    ("messages", "size"),
    [
        ([identify("a"), delete("a")], 1),
        ([track("a"), delete("b"), delete("a")], 2),
        ([delete("a"), track("b"), identify("a")], 2),
        ([delete("a"), delete("b"), delete("a")], 2),
        ([delete("a"), track("b"), delete("c")], 3),
    ],
)
def test_who_is_deleted_has_nothing_else_in_the_batch(messages: list[Json], size: int) -> None:
    """The batch ends before that; others share it."""
    mapping = Mapping(MappingRules(message_types=("identify", "track", "delete")))
    built = PayloadBuilder(START, mapping, {}, ROOMY).build(records(messages))
    assert built.range.end == START + size
    deleted = [(each["userId"], START + at) for at, each in enumerate(messages[:size]) if each["type"] == "delete"]
    assert [(item.uid, item.records[0]) for item in built.deletions] == deleted
