"""Whatever a client makes of a message, or raises for it, concerns that record alone."""

import ast
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.adapters.kafka.messages import record_of
from processor.adapters.kafka.mock import MockCluster
from processor.events.avro import decode
from processor.events.dead_letters import Attempts, Stamp, dead_letter_headers
from processor.events.framing import schema_ids
from processor.events.letters import letter_of
from processor.model.outcomes import Filtered, Rejected
from processor.model.reasons import DeadLetterReason
from processor.model.records import NO_TIME, UNREADABLE, Headers, Record, TopicPartition, held_bytes, unreadable_parts
from tests.kafka.by_hand import RawRecord, produce_raw
from tests.properties.segment import as_avro, as_json, shipped_readers
from tests.test_house import MODULES

MESSAGE = {"type": "track", "userId": "u", "event": "E", "properties": {}}
READERS = shipped_readers()
FAULTS = (SystemError("returned a result with an exception set"), UnicodeDecodeError("utf-8", b"\xc3(", 0, 1, "no"))
FAULTS_OF_ANY_KIND = st.sampled_from((*FAULTS, TypeError(), KeyError(), OverflowError(), RuntimeError()))
BYTES = st.none() | st.binary(max_size=40)
VALUES = st.sampled_from((as_avro(MESSAGE), as_json(MESSAGE))) | BYTES
PARTS = ("timestamp", "key", "value", "headers")


class Message:
    """What a client gives for a message; a part that is an exception is raised. Headers may be asked for once."""

    def __init__(self, **parts: Any) -> None:
        self._parts = parts
        self.asked: Counter[str] = Counter()

    def offset(self) -> int:
        """Return where it is."""
        return 17

    def timestamp(self) -> tuple[int, int]:
        """Return kind and milliseconds."""
        return 1, self._part("timestamp")

    def key(self) -> bytes | None:
        """Return the key."""
        return self._part("key")  # type: ignore[no-any-return]

    def value(self) -> bytes | None:
        """Return the value."""
        return self._part("value")  # type: ignore[no-any-return]

    def headers(self) -> Any:
        """Return the headers."""
        return self._part("headers")

    def _part(self, name: str) -> Any:
        self.asked[name] += 1
        part = self._parts[name]
        if isinstance(part, BaseException):
            raise part
        return part


@given(
    timestamp=st.integers(-1, 2**63 - 1) | FAULTS_OF_ANY_KIND,
    key=BYTES | FAULTS_OF_ANY_KIND,
    value=VALUES | FAULTS_OF_ANY_KIND,
    headers=st.none() | st.lists(st.tuples(st.text(max_size=5), BYTES), max_size=3) | FAULTS_OF_ANY_KIND,
)
def test_what_cannot_be_read_of_a_message_is_left_out_noted_and_told(**parts: Any) -> None:
    """Each part may fail by itself: the rest stays, there is an outcome, and the dead letter says what is lost."""
    lost = {name for name, part in parts.items() if isinstance(part, Exception)}
    message = Message(**parts)
    record = record_of(message)

    assert message.asked["headers"] == 1, "asked again, the client ends the process"
    assert set(unreadable_parts(record)) == lost
    assert record.offset == 17
    assert record.timestamp_ms == (NO_TIME if "timestamp" in lost else parts["timestamp"])
    assert (record.key, record.value) == tuple(None if each in lost else parts[each] for each in ("key", "value"))
    own = (record.headers or [])[1:] if lost else record.headers
    assert own == ([] if lost and ("headers" in lost or parts["headers"] is None) else parts["headers"])
    assert held_bytes([record]) > 0
    assert isinstance(schema_ids([record]), set)

    noted: Counter[str] = Counter()
    outcome = decode(record, READERS, lambda rule, place: noted.update({f"{rule} {place}": 1}))
    assert {each for each in noted if each.startswith("unreadable")} == {f"unreadable {each}" for each in lost}
    if "value" in lost:
        assert outcome == Rejected(DeadLetterReason.MALFORMED, "Kafka's client cannot read the value")
    rejected = outcome if isinstance(outcome, Rejected) else Rejected(DeadLetterReason.REJECTED, "")
    letter = dead_letter_headers(Stamp("g", "1", "f"), TopicPartition("t", 0), record, rejected, Attempts(0, 1.0, 1.0))
    assert [value for name, value in letter if name == UNREADABLE][: len(lost)] == (
        [",".join(unreadable_parts(record)).encode()] if lost else []
    )
    assert letter_of(record._replace(headers=letter)) is not None


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("value", [as_avro(MESSAGE), as_json(MESSAGE)], ids=["avro", "json"])
def test_a_record_without_its_headers_is_read_by_its_value(value: bytes, fault: Exception) -> None:
    """If the headers cannot be read, the record is read as if it had none."""
    record = record_of(Message(timestamp=5, key=b"k", value=value, headers=fault))

    assert record == Record(17, 5, b"k", value, [(UNREADABLE, b"headers")])
    assert isinstance(decode(record, READERS), dict)


def test_a_value_whose_schema_stood_in_the_lost_headers_is_rejected_with_that() -> None:
    """Bare Avro without its header is malformed, and the detail says what may be the cause."""
    outcome = decode(record_of(Message(timestamp=5, key=b"k", value=as_avro(MESSAGE)[5:], headers=FAULTS[0])), READERS)

    assert isinstance(outcome, Rejected)
    assert outcome.detail.endswith("; its headers cannot be read, which may name a schema")


def test_a_tombstone_without_its_headers_is_a_tombstone() -> None:
    """A record of which the value is there and null is filtered, headers or not."""
    record = record_of(Message(timestamp=5, key=b"k", value=None, headers=FAULTS[0]))

    assert isinstance(decode(record, READERS), Filtered)


@pytest.mark.parametrize("part", PARTS)
def test_a_lack_of_memory_is_no_fault_of_the_record(part: str) -> None:
    """Only the process lacks memory: the record must not be rejected for it."""
    parts = {"timestamp": 5, "key": b"k", "value": b"v", "headers": None, part: MemoryError()}

    with pytest.raises(MemoryError):
        record_of(Message(**parts))


@given(
    names=st.lists(
        st.sampled_from((b"fine", b"\xc3\x28", b"\xff", b"", "ü".encode())) | st.binary(max_size=6), max_size=6
    ),
    value=BYTES,
)
@settings(max_examples=20)
def test_headers_of_any_bytes_can_be_written_and_are_read_or_left_out(names: list[bytes], value: bytes | None) -> None:
    """A real client's messages become records, however often that was done before: Python specialises such calls."""
    raw = RawRecord(b"v", b"k", [(name, value) for name in names])
    with MockCluster("t") as cluster:
        produce_raw(cluster.bootstrap_servers, "t", [raw] * 40)
        tail, records = cluster.tail("t"), list[Record]()
        while len(records) < 40:
            records += tail.read()

    expected: Headers | None = [(UNREADABLE, b"headers")]
    with suppress(UnicodeDecodeError):
        expected = [(name.partition(b"\0")[0].decode(), value) for name in names] or None
    assert [(each.key, each.value, each.headers) for each in records] == [(b"k", b"v", expected)] * 40


def test_one_function_asks_messages_for_what_they_hold() -> None:
    """Every reader uses the function that survives any message: no other module asks a message for its parts."""
    askers = {
        module
        for module, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in {"headers", "key", "value"}
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and call.func is node and not call.args
    }

    assert askers == {"processor.adapters.kafka.messages"}
