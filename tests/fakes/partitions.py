"""A partition without anything around it, and records for it."""

from collections.abc import Sequence
from itertools import count

import orjson

from processor.engine.dead_letter_ratio import DeadLetterRatio
from processor.engine.limits import Limits, LimitSettings
from processor.engine.notices import Observer
from processor.engine.partition.actions import Post
from processor.engine.partition.common import Common, PartitionSettings
from processor.engine.partition.forming import Forming
from processor.engine.partition.journal_format import JournalPlace
from processor.engine.partition.owner import Assignment, Partition
from processor.engine.partition.request import Request
from processor.engine.retry import Retries
from processor.events.mapping import Mapping, MappingRules
from processor.model.records import Record, TopicPartition, held_bytes

DESTINATION = "destination"


def a_common(settings: PartitionSettings | None = None, observe: Observer = lambda _notice: None) -> Common:
    """Return what the partitions of one process share; each nonce is another one, and chance always the same."""
    nonces = (number.to_bytes(16, "big") for number in count(1))
    forming = Forming(
        Mapping(MappingRules()), {}, lambda _ids, _partition: True, lambda _ids, _partition: None, lambda: next(nonces)
    )
    limits = Limits(LimitSettings(), lambda: 0.5)
    limits.share(1, 1)
    return Common(settings or PartitionSettings(), forming, limits, Retries(lambda: 0.5), DeadLetterRatio(1.0), observe)


def a_partition(
    common: Common, number: int = 0, *, is_new: bool = False, is_recovered: bool = True, session_s: float | None = None
) -> Partition:
    """Return a partition from offset 0 on, committed before unless it `is_new`."""
    place = JournalPlace(f"place-{number}", f"lineage-{number}")
    text = "" if is_new else f"sf1,place-{number},{DESTINATION},0,lineage-{number}"
    assignment = Assignment(TopicPartition("t", number), 1, 0, is_new, text, place, session_s=session_s)
    partition = Partition(assignment, common)
    if is_recovered:
        partition.recover(DESTINATION)
    return partition


def identify(offset: int, uid: str = "u") -> Record:
    """Return a record that becomes a user's item."""
    return _record(offset, {"type": "identify", "userId": uid, "traits": {"plan": "a"}})


def track(offset: int, uid: str = "u") -> Record:
    """Return a record that becomes an event's item."""
    return _record(offset, {"type": "track", "event": "Seen", "userId": uid, "properties": {}})


def _record(offset: int, event: dict[str, object]) -> Record:
    return Record(offset, 1_700_000_000_000 + offset, b"key", orjson.dumps(event), None)


def form(partition: Partition, records: Sequence[Record], now: float) -> None:
    """Have one batch formed of these records."""
    partition.fetched(list(records), held_bytes(records), now)
    assert partition.form(now, now) is not None


def posts(partition: Partition, now: float) -> list[Request]:
    """Return the requests that the partition asks to POST by now."""
    return [action.request for action in partition.look(now) if isinstance(action, Post)]
