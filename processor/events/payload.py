"""Records to the two parts of a batch: a users request and an events request.

The bytes of every item are a pure function of its records and the settings: no clock, a fixed key order. Identifies of
one uid are merged in order, because FullStory promises no order inside a job (docs/fullstory-api.md#jobs), so one
users request never holds a uid twice.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as ReadMapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from processor.events.avro import Reader, SchemaId, decode
from processor.events.mapping import Mapping
from processor.events.properties import MAX_NAMES
from processor.model.outcomes import Mapped, Outcome, Rejected
from processor.model.reasons import FilterReason, Kind, PropertyRule
from processor.model.records import OffsetRange, Record

ENVELOPE_BYTES = len(b'{"requests":[]}')


class Item(NamedTuple):
    """One element of a request: `records` are the offsets it stands for, in order; more than one when merged."""

    body: bytes
    records: tuple[int, ...]
    uid: str


@dataclass(slots=True)
class Payload:
    """What a contiguous run of records becomes."""

    range: OffsetRange
    users: list[Item] = field(default_factory=list)
    events: list[Item] = field(default_factory=list)
    rejected: list[tuple[int, Rejected]] = field(default_factory=list)
    filtered: Counter[FilterReason] = field(default_factory=Counter)
    changes: Counter[PropertyRule] = field(default_factory=Counter)

    def items(self, kind: Kind) -> list[Item]:
        """Return the items of one part."""
        return self.users if kind is Kind.USER else self.events


@dataclass(frozen=True, slots=True)
class PayloadLimits:
    """Where a batch ends; a lone record that is larger still makes a batch."""

    max_records: int
    max_bytes: int
    """Of the bodies of either part, so that no request grows beyond it."""


class _User:
    """The identifies of one uid within a batch, merged in order."""

    __slots__ = ("_fields", "_single", "records")

    def __init__(self, fields: dict[str, Any], offset: int, encoded: bytes) -> None:
        self._fields = fields
        self._single: bytes | None = encoded
        self.records = [offset]

    def absorb(self, later: dict[str, Any], offset: int) -> bool:
        """Merge a later identify; False, and nothing changed, when one upsert could not do what two would.

        How FullStory merges a nested object with the one it holds is not documented, so two that differ never meet.
        """
        mine, theirs = self._fields["properties"], later["properties"]
        for name, value in theirs.items():
            if name in mine and dict in (type(value), type(mine[name])) and value != mine[name]:
                return False
        merged = {**mine, **theirs}
        if _count_names(merged) > MAX_NAMES:
            return False
        self._fields = {**self._fields, **later, "properties": merged}
        self._single = None
        self.records.append(offset)
        return True

    def encode(self) -> bytes:
        if self._single is not None:
            return self._single
        return orjson.dumps({name: self._fields[name] for name in _USER_FIELDS if name in self._fields})


def _count_names(properties: dict[str, Any]) -> int:
    return sum(_count_names(value) if type(value) is dict else 1 for value in properties.values())


_USER_FIELDS = ("uid", "display_name", "email", "properties")


class PayloadBuilder:
    """Builds the payload of one batch, record by record; used once."""

    def __init__(
        self, start: int, mapping: Mapping, readers: ReadMapping[SchemaId, Reader], limits: PayloadLimits
    ) -> None:
        self._mapping = mapping
        self._readers = readers
        self._limits = limits
        self._payload = Payload(OffsetRange(start, start))
        self._users: dict[str, _User] = {}
        self._bytes = {Kind.USER: ENVELOPE_BYTES, Kind.EVENT: ENVELOPE_BYTES}
        self._count = 0

    def build(self, records: Iterable[Record]) -> Payload:
        """Take records while they fit; `payload.range.end` tells how far. At least one is taken."""
        for record in records:
            if self._count >= self._limits.max_records or not self._add(record):
                break
            self._count += 1
            self._payload.range = OffsetRange(self._payload.range.start, record.offset + 1)
        self._payload.users = [Item(user.encode(), tuple(user.records), uid) for uid, user in self._users.items()]
        return self._payload

    def _add(self, record: Record) -> bool:
        changes: list[PropertyRule] = []
        decoded = decode(record, self._readers)
        outcome: Outcome
        if isinstance(decoded, dict):
            outcome = self._mapping.map(decoded, record.timestamp_ms, lambda rule, _path: changes.append(rule))
        else:
            outcome = decoded
        if isinstance(outcome, Mapped):
            body = orjson.dumps(outcome.body)
            if not self._has_room(outcome.kind, len(body)):
                return False
            if outcome.kind is Kind.EVENT:
                self._payload.events.append(Item(body, (record.offset,), outcome.uid))
            elif not self._add_user(outcome, record.offset, body):
                return False
            self._bytes[outcome.kind] += len(body) + 1
        elif isinstance(outcome, Rejected):
            self._payload.rejected.append((record.offset, outcome))
        else:
            self._payload.filtered[outcome.reason] += 1
        if changes:
            self._payload.changes.update(changes)
        return True

    def _has_room(self, kind: Kind, size: int) -> bool:
        return self._bytes[kind] + size <= self._limits.max_bytes or self._bytes[kind] == ENVELOPE_BYTES

    def _add_user(self, mapped: Mapped, offset: int, encoded: bytes) -> bool:
        user = self._users.get(mapped.uid)
        if user is not None:
            return user.absorb(mapped.body, offset)
        self._users[mapped.uid] = _User(mapped.body, offset, encoded)
        return True


def request_body(items: Sequence[Item]) -> bytes:
    """Return the body of a batch request."""
    return b'{"requests":[' + b",".join([item.body for item in items]) + b"]}"
