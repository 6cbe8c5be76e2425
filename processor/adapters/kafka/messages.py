"""A client's message to a record: what cannot be read of one costs that record the part, and others nothing."""

from collections.abc import Callable, Sequence
from operator import methodcaller
from typing import Any

from processor.model.records import NO_TIME, UNREADABLE, Headers, Record, TopicPartition, new_record

_ask_headers: Callable[[Any], Headers | None] = methodcaller("headers")


def parted(messages: Sequence[Any]) -> tuple[dict[TopicPartition, list[Record]], list[Any]]:
    """Return the records that messages hold, by partition and in their order, and the messages that tell of an error.

    Neighbours are mostly of one partition, so each is compared with the one before it.
    """
    found: dict[TopicPartition, list[Record]] = {}
    others = []
    topic, number = "", -1
    records: list[Record] = []
    for message in messages:
        if message.error() is not None:
            others.append(message)
            continue
        if message.partition() != number or message.topic() != topic:
            topic, number = message.topic(), message.partition()
            records = found.setdefault(TopicPartition(topic, number), [])
        records.append(record_of(message))
    return found, others


def record_of(message: Any) -> Record:
    """Return the record that a message without an error holds; raises `MemoryError` alone.

    A part that the client cannot read is left out, and a header `UNREADABLE` in front of all others names it. The
    brokers take any bytes for a header's name. For those that are not UTF-8, `headers` of confluent-kafka (2.16.1,
    2026-11) returns a list with holes in it *and* sets an exception; whoever iterates over the list ends the process:

    - Python makes that a `SystemError` where C code calls the method. Where bytecode does, it forgets to look once it
      has specialised the call, which it does after a few (CPython 3.11). Hence `methodcaller`.
    - The message keeps the list, and gives it to whoever asks again. Hence nobody asks twice.

    A name with a zero byte ends there. The message is untyped because the stubs call everything optional that only
    error events lack.
    """
    headers: Headers | None = None
    missing = ["headers"]
    try:
        headers = _ask_headers(message)
        missing.clear()
        return new_record((message.offset(), message.timestamp()[1], message.key(), message.value(), headers))
    except MemoryError:
        raise  # a fault of this process, not of the record
    except Exception:  # noqa: BLE001 - what else the client may raise is documented nowhere
        return _of_parts(message, headers, missing)


def _of_parts(message: Any, headers: Headers | None, missing: list[str]) -> Record:
    """Return as much of the record as can be read."""

    def read(part: str, ask: Callable[[], Any], absent: Any) -> Any:
        try:
            return ask()
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - as above
            missing.append(part)
            return absent

    timestamp_ms = read("timestamp", lambda: message.timestamp()[1], NO_TIME)
    key, value = read("key", message.key, None), read("value", message.value, None)
    told = (UNREADABLE, ",".join(missing).encode())
    return Record(message.offset(), timestamp_ms, key, value, [told, *(headers or [])] if missing else headers)
