"""The next batch of one partition: when it may be formed, and who of it goes apart (`planning.lanes`).

It is formed when it is due (full, or its first record has lingered, or the journal's next range is here) and free:
fewer batches overlap than may, and it would not only wait. What would wait in the order of users is decided here:

| of its users, the partition waits for       | then                                                             |
|---------------------------------------------|------------------------------------------------------------------|
| none                                        | it goes                                                          |
| few, beside others                          | it goes; those few go apart, and nobody waits for them           |
| many, whose identifies are in one request   | it grows until that is complete; when it is full, it goes and    |
|                                             | waits, and those of them go apart that are sent one by one       |
"""

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from processor.engine.partition.common import Common
from processor.engine.partition.journal import Journal
from processor.engine.partition.journal_format import Plan
from processor.engine.partition.order import UserOrder
from processor.engine.partition.planning import new_plan, resume
from processor.engine.partition.range_queue import RangeQueue
from processor.events.framing import schema_ids
from processor.events.payload import WHOLE_RANGE, Item, Payload, PayloadBuilder, PayloadLimits
from processor.model.reasons import Kind
from processor.model.records import Record, TopicPartition

FEW = 32
"""As many users may go apart: each is a request of its own, and takes room in the journal."""
OTHERS_PER_USER = 16
"""So many items of others make it worth a request to let them pass one user."""


class Formed(NamedTuple):
    """What the next records become, and which requests carry it; without a plan nothing is sent."""

    payload: Payload
    plan: Plan | None
    sent_anew: int = 0
    """Records that were perhaps sent before, by the plan of another process, and will be once more."""


class NextBatch:
    """Owned by its partition; it grows while it may not be formed. `now` is monotonic."""

    def __init__(
        self, partition: TopicPartition, queue: RangeQueue, order: UserOrder, journal: Journal, common: Common
    ) -> None:
        self._partition = partition
        self._journal = journal
        self._queue = queue
        self._order = order
        self._common = common
        self._growing: PayloadBuilder | None = None
        self._grown_to = 0
        """How many of the buffered records were there when it was looked at last."""
        self.lacks_schema = False
        """Whether it could not be formed when that was last tried, because a schema is missing."""
        self._asked_to = 0
        """The schemas of all records before this offset were asked for."""

    def is_due(self, now: float) -> bool:
        """Say whether a batch may close: it is full, its first record has lingered, or the journal's next is here."""
        due_at = self._queue.due_at(self._common.settings.limits)
        return due_at is not None and due_at <= now

    @property
    def is_free(self) -> bool:
        """Whether one more batch may overlap those on their way, and would not only wait for its turn."""
        queue = self._queue
        is_held_up = queue.is_recovering or self._order.is_held_up or self.had_better_grow
        return not is_held_up and queue.open_ranges < self._common.settings.depth

    def form_planned(self, plan: Plan, wall_s: float) -> Formed | None:
        """Form what the journal tells of; None while a schema is missing."""
        queue, forming = self._queue, self._common.forming
        self.lacks_schema = not forming.has_schemas(schema_ids(queue.buffered()), self._partition)
        if self.lacks_schema:
            return None
        payload = forming.builder(queue.position, WHOLE_RANGE).build(queue.buffered())
        sent_anew = resume(plan, payload, wall_s, forming.nonce(), is_batch=self._common.is_batch)
        return Formed(payload, plan, sent_anew)

    def form(self, wall_s: float) -> Formed | None:
        """Form a batch of the oldest records; None while a schema is missing, or while it had better grow."""
        queue, common = self._queue, self._common
        ids = schema_ids(islice(queue.buffered(), common.settings.limits.max_records))
        self.lacks_schema = not common.forming.has_schemas(ids, self._partition)
        if self.lacks_schema:
            self._ask_ahead()
            return None
        self._growing = growing = self._growing or common.forming.builder(queue.position, self._payload_limits)
        payload = growing.build(queue.buffered())
        self._grown_to = queue.buffered_records
        if not queue.is_recovering and self.had_better_grow:
            return None
        self._growing = None
        plan = None
        if any(payload.items(kind) for kind in Kind):
            apart = _first_offsets(payload, self._apart(growing)[0])
            nonce = common.forming.nonce()
            plan = new_plan(payload, nonce, wall_s, apart, is_batch=common.is_batch)
            if not self._journal.holds(plan, queue.position):  # fewer requests need less of the brokers' metadata
                plan = new_plan(payload, nonce, wall_s, None, is_batch=common.is_batch)
        return Formed(payload, plan)

    def _ask_ahead(self) -> None:
        """Have the schemas of all that is buffered fetched, so that one wait is for all of them."""
        queue = self._queue
        start = max(self._asked_to, queue.position)
        self._asked_to = queue.arrived
        if ids := schema_ids(queue.buffered(start)):
            self._common.forming.ask_ahead(ids, self._partition)

    def rebuild(self, record: Record) -> Item:
        """Make the item of one identify anew, without merging."""
        builder = self._common.forming.builder(record.offset, self._payload_limits)
        return builder.build([record]).items(Kind.USER)[0]

    @property
    def had_better_grow(self) -> bool:
        """Whether the next batch could not be sent now but for waiting, and has room for more.

        What has come since it was looked at last may be of others, who need not wait.
        """
        growing, queue = self._growing, self._queue
        if growing is None or growing.is_full or queue.is_full(self._common.settings.limits):
            return False
        if queue.buffered_records > self._grown_to:
            return False
        return self._apart(growing)[1]

    def _apart(self, growing: PayloadBuilder) -> tuple[Sequence[str], bool]:
        """Say who of the batch goes apart, and whether the others would have to wait nevertheless."""
        users, events = growing.user_uids, growing.event_uids
        of_users, of_events = self._order.held(users), self._order.unaccepted(events)
        held = of_users | of_events
        if not held or not self._common.is_batch:  # sent one by one, each waits for itself in any case
            return (), False
        others = len(users) + len(events) + len(growing.deleted_uids) - len(users & held) - len(events & held)
        most = max(1, min(FEW, others // OTHERS_PER_USER)) if others else 0
        apart: list[str] = []
        for waiting in ((uid for uid in users if uid in of_users), (uid for uid in events if uid in of_events)):
            some, room = [uid for uid in waiting if uid not in apart], most - len(apart)
            apart += some if len(some) <= room else [uid for uid in some if self._order.is_slow(uid)][:room]
        return apart, not of_users <= set(apart)

    @property
    def _payload_limits(self) -> PayloadLimits:
        return PayloadLimits(self._common.settings.limits.max_records, self._common.body_size.max_bytes)


def _first_offsets(payload: Payload, uids: Sequence[str]) -> tuple[int, ...]:
    """Return the first offset of each of these users, of an identify where there is one."""
    first: dict[str, int] = dict.fromkeys(uids, -1)
    for item in (*payload.users, *payload.events) if uids else ():
        if first.get(item.uid) == -1:
            first[item.uid] = item.records[0]
    return tuple(first.values())
