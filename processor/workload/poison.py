"""Records that can never be delivered, one kind per fault."""

import itertools
from collections.abc import Callable, Iterator
from typing import final

from processor.model.reasons import DeadLetterReason
from processor.workload.encoding import AvroEncoder, Message, encode_json, json_text

UNKNOWN_SCHEMA_ID = 999_999
"""No registry of a test or a demo gets so far."""

_MAX_UID_CHARACTERS = 256
_OVERSIZE_NAMES = 400
"""So many values that each stays below 8,192 bytes: mapping keeps all of them."""


@final
class Poison:
    """Spoils good track messages, with every kind of fault in turn."""

    def __init__(self, avro: AvroEncoder, oversize_bytes: int) -> None:
        self._avro = avro
        value = "x" * (oversize_bytes // _OVERSIZE_NAMES)
        self._oversized_properties = json_text({f"filler_{n}": value for n in range(_OVERSIZE_NAMES)})
        self._kinds = itertools.cycle(self._every_kind())

    def spoil(self, message: Message) -> tuple[bytes, DeadLetterReason]:
        """Return a value made of this message, and why it must be dead-lettered."""
        make, reason = next(self._kinds)
        return make(message), reason

    def _every_kind(self) -> Iterator[tuple[Callable[[Message], bytes], DeadLetterReason]]:
        yield self._garbage, DeadLetterReason.MALFORMED
        yield self._cut_avro, DeadLetterReason.MALFORMED
        yield self._cut_json, DeadLetterReason.MALFORMED
        yield self._unknown_schema, DeadLetterReason.UNKNOWN_SCHEMA
        yield self._changed({"type": "sneeze"}), DeadLetterReason.UNKNOWN_TYPE
        yield self._changed({"userId": None, "anonymousId": None}), DeadLetterReason.MISSING_USER
        yield self._id_is_an_object, DeadLetterReason.MISSING_USER
        yield self._changed({"event": ""}), DeadLetterReason.MISSING_EVENT_NAME
        yield self._changed({"userId": "u" * (_MAX_UID_CHARACTERS + 1)}), DeadLetterReason.UID_TOO_LONG
        yield self._changed({"properties": self._oversized_properties}), DeadLetterReason.TOO_LARGE

    def _changed(self, fields: Message) -> Callable[[Message], bytes]:
        return lambda message: self._avro(message | fields)

    def _garbage(self, message: Message) -> bytes:
        return b"\xff\xfe" + str(message["messageId"]).encode()

    def _cut_avro(self, message: Message) -> bytes:
        value = self._avro(message)
        return value[: len(value) // 2]

    def _cut_json(self, message: Message) -> bytes:
        return encode_json(message)[:-1]

    def _unknown_schema(self, message: Message) -> bytes:
        return b"\0" + UNKNOWN_SCHEMA_ID.to_bytes(4, "big") + self._avro(message)[5:]

    def _id_is_an_object(self, message: Message) -> bytes:
        """Encode as JSON, for Avro cannot say this."""
        return encode_json(message | {"userId": {"id": 7}, "anonymousId": [7]})
