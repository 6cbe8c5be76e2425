"""Records to the parts of a batch: items of users, items of events, and deletions of users.

The bytes of every item are a pure function of its records and the settings: no clock, a fixed key order. Identifies of
one uid are merged in order, because FullStory promises no order inside a job (docs/fullstory-api.md#jobs). Where one
upsert could not do what two would, the user has several items, in order; they never share a request. A user who is
deleted has nothing else in the batch, which ends before that.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Mapping as ReadMapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import partial
from itertools import dropwhile, islice
from typing import Any, NamedTuple

import orjson

from processor.events.avro import Reader, decode
from processor.events.framing import SchemaId
from processor.events.mapping import Mapping
from processor.events.properties import MAX_NAMES, count_names
from processor.model.outcomes import Mapped, Note, Outcome, Rejected
from processor.model.reasons import FilterReason, Kind, PropertyRule
from processor.model.records import OffsetRange, Record

_EVENT, _USER = Kind.EVENT, Kind.USER  # an enum's members take ten times as long to look up
ENVELOPE_BYTES = len(b'{"requests":[]}')


class Item(NamedTuple):
    """One element of a request: `records` are the offsets it stands for, in order; more than one when merged."""

    body: bytes
    records: tuple[int, ...]
    uid: str


_new_item: Callable[[tuple[bytes, tuple[int, ...], str]], Item] = partial(tuple.__new__, Item)
"""As `new_record`."""


@dataclass(slots=True)
class Payload:
    """What a contiguous run of records becomes."""

    range: OffsetRange
    users: list[Item] = field(default_factory=list)
    events: list[Item] = field(default_factory=list)
    deletions: list[Item] = field(default_factory=list)
    event_times: list[str] = field(default_factory=list)
    """When each of the events happened, as it is sent."""
    rejected: list[tuple[int, Rejected]] = field(default_factory=list)
    filtered: Counter[FilterReason] = field(default_factory=Counter)
    changes: Counter[PropertyRule] = field(default_factory=Counter)

    @property
    def held_bytes(self) -> int:
        """What its bodies hold of memory: each stands by itself, and until FullStory takes it once more in a request.

        Once it is taken, the second half stands for what Python keeps beside the records and their items.
        """
        return 2 * sum(len(item.body) for kind in Kind for item in self.items(kind))

    def items(self, kind: Kind) -> list[Item]:
        """Return the items of one part."""
        match kind:
            case Kind.USER:
                return self.users
            case Kind.EVENT:
                return self.events
            case Kind.DELETION:
                return self.deletions


@dataclass(frozen=True, slots=True)
class PayloadLimits:
    """Where a batch ends; a lone record that is larger still makes a batch."""

    max_records: int
    max_bytes: int
    """Of the bodies of either part, so that no request grows beyond it."""


WHOLE_RANGE = PayloadLimits(sys.maxsize, sys.maxsize)
"""For a range that was planned: it is formed again as it was, whatever the limits are now."""


class _User:
    """The identifies of one uid within a batch, merged in order."""

    __slots__ = ("_body", "_encoded", "_offsets", "_uid")

    def __init__(self, mapped: Mapped, offset: int, encoded: bytes) -> None:
        self._uid = mapped.uid
        self._body = mapped.body
        self._encoded: bytes | None = encoded
        self._offsets = [offset]

    def absorb(self, later: dict[str, Any], offset: int) -> bool:
        """Merge a later identify; False, and nothing changed, when one upsert could not do what two would.

        A user with a uid and a visitor whose anonymousId is the same text never meet.
        """
        mine, theirs = self._body["properties"], later["properties"]
        if ("uid" in self._body) != ("uid" in later):
            return False
        if not all(_replaces(value, mine[name]) for name, value in theirs.items() if name in mine):
            return False
        merged = {**mine, **theirs}
        if count_names(merged) > MAX_NAMES:
            return False
        schema = self._body.get("schema")
        self._body = {**self._body, **later, "properties": merged}
        if schema is not None:
            self._body["schema"] = _merged_schema(schema, later)
        self._encoded = None
        self._offsets.append(offset)
        return True

    def item(self) -> Item:
        body = self._encoded or _encode(
            {name: self._body[name] for name in _USER_FIELDS if self._body.get(name) is not None}
        )
        return _new_item((body, tuple(self._offsets), self._uid))


def _replaces(later: object, earlier: object) -> bool:
    """Say whether a property ends alike when the earlier value is never sent.

    A property that is sent again has the last value (docs/fullstory-api.md#users). What happens inside of an object is
    not documented: FullStory may replace it as a whole, merge it path by path, or keep each path as a property of its
    own. Where every path of the earlier object stands in the later one, all three end alike: replaced, it is the later
    one; otherwise each path of the earlier one is overwritten, and no other is touched by it. What a null does to a
    value is not documented either, so it replaces nothing but a null; a value replaces it in any case.
    """
    if type(later) is dict and type(earlier) is dict:
        return all(name in later and _replaces(later[name], value) for name, value in earlier.items())
    if type(later) is dict or type(earlier) is dict:
        return False
    return later is not None or earlier is None


_USER_FIELDS = ("uid", "display_name", "email", "properties", "schema")
"""In the order of a single identify, so that merging never changes the order of what it does not change."""


def _merged_schema(earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any] | None:
    """Return the types of the merged properties: each goes with the value that won."""
    won = later["properties"]
    kept = {
        path: kind
        for path, kind in earlier["properties"].items()
        if path not in won and ("." not in path or path.partition(".")[0] not in won)
    }
    if "schema" in later:
        kept.update(later["schema"]["properties"])
    return {"properties": kept} if kept else None


class PayloadBuilder:
    """Builds the payload of one batch, record by record.

    `is_full` says whether the batch ended, as far as is known, because a record belongs to the next one.
    """

    def __init__(
        self, start: int, mapping: Mapping, readers: ReadMapping[SchemaId, Reader], limits: PayloadLimits
    ) -> None:
        self._mapping = mapping
        self._readers = readers
        self._limits = limits
        self._room = limits.max_records
        self.is_full = False
        self._payload = Payload(OffsetRange(start, start))
        self._users: dict[str, _User] = {}  # by uid, the last one where there are several
        self._merged: list[_User] = []
        self._event_uids: dict[str, None] = {}  # in order, so that nothing depends on the process's hashes
        self._deleted: set[str] = set()
        self._user_bytes = self._event_bytes = ENVELOPE_BYTES
        self._changes: list[PropertyRule] = []
        """Of the records that were taken since the payload was returned."""

    @property
    def user_uids(self) -> AbstractSet[str]:
        """Whom identifies are about."""
        return self._users.keys()

    @property
    def event_uids(self) -> AbstractSet[str]:
        """Whom events are about."""
        return self._event_uids.keys()

    @property
    def deleted_uids(self) -> AbstractSet[str]:
        """Who is to be deleted."""
        return self._deleted

    def build(self, records: Iterable[Record]) -> Payload:
        """Take records while they fit; `payload.range.end` tells how far. At least one is taken.

        It may be called again when there are more, with all of them or the later ones: the payload grows.
        """
        payload, note = self._payload, self._note
        start, begin = payload.range
        end = begin
        for record in islice(dropwhile(lambda record: record.offset < begin, records), self._room):
            noted = len(self._changes)
            if not self._add(record, note):
                del self._changes[noted:]
                self.is_full = True
                break
            end = record.offset + 1
            self._room -= 1
        self.is_full = self.is_full or self._room == 0
        payload.changes.update(self._changes)
        self._changes.clear()
        payload.range = OffsetRange(start, end)
        payload.users = [user.item() for user in self._merged]
        return payload

    def _note(self, rule: PropertyRule, _path: str) -> None:
        self._changes.append(rule)

    def _add(self, record: Record, note: Note) -> bool:
        """Take a record; False, and nothing changed, when it belongs to the next batch."""
        decoded = decode(record, self._readers, note)
        outcome: Outcome
        outcome = self._mapping.map(decoded, record.timestamp_ms, note) if isinstance(decoded, dict) else decoded
        if isinstance(outcome, Mapped):
            if outcome.uid in self._deleted:
                return False
            body = _encode(outcome.body)
            if outcome.kind is _EVENT:
                return self._add_event(outcome, record.offset, body)
            if outcome.kind is _USER:
                return self._add_user(outcome, record.offset, body)
            return self._add_deletion(outcome, record.offset, body)
        if isinstance(outcome, Rejected):
            self._payload.rejected.append((record.offset, outcome))
        else:
            self._payload.filtered[outcome.reason] += 1
        return True

    def _add_event(self, mapped: Mapped, offset: int, body: bytes) -> bool:
        if not self._has_room(self._event_bytes, len(body)):
            return False
        _, uid, given = mapped
        payload = self._payload
        payload.events.append(_new_item((body, (offset,), uid)))
        self._event_uids[uid] = None
        payload.event_times.append(given["timestamp"])
        self._event_bytes += len(body) + 1
        return True

    def _add_user(self, mapped: Mapped, offset: int, body: bytes) -> bool:
        if not self._has_room(self._user_bytes, len(body)):
            return False
        user = self._users.get(mapped.uid)
        if user is None or not user.absorb(mapped.body, offset):
            self._users[mapped.uid] = _User(mapped, offset, body)
            self._merged.append(self._users[mapped.uid])
        self._user_bytes += len(body) + 1  # a merged body is smaller than its two parts: this is the most it can be
        return True

    def _add_deletion(self, mapped: Mapped, offset: int, body: bytes) -> bool:
        if mapped.uid in self._users or mapped.uid in self._event_uids:
            return False
        self._payload.deletions.append(Item(body, (offset,), mapped.uid))
        self._deleted.add(mapped.uid)
        return True

    def _has_room(self, taken: int, size: int) -> bool:
        return taken + size <= self._limits.max_bytes or taken == ENVELOPE_BYTES


def _encode(body: dict[str, Any]) -> bytes:
    """Return JSON that takes no more memory than it is long: what orjson returns stands in a much larger block."""
    return b"".join((orjson.dumps(body), b""))


def request_body(items: Sequence[Item]) -> bytes:
    """Return the body of a batch request."""
    return b'{"requests":[' + b",".join([item.body for item in items]) + b"]}"
