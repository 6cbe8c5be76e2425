"""Which schemas the registry is asked for, in which order, and for how long in vain.

1. Few questions are open at once, and each partition has its turn: a topic of something else, where every record seems
   to name another schema, delays nobody's question by more than a few of its own.
2. A schema that the registry does not have is waited for, each one from the first such answer on and all at once. What
   is behind the next batch is asked for as soon as the partition waits anyway, so its time is over when its turn comes.
3. Silence and outages prove nothing, and a registry that has just come back may not have read all that it holds: the
   time begins anew after an outage.
4. An outage is of the registry, so one question at a time finds out whether it is over. One schema that cannot be had
   while others can is no outage.
5. A partition is told once, when all that its next batch names is known.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

from processor.engine.retry import Backoff, Chance
from processor.events.framing import SchemaId, kind_of, may_be_registered
from processor.model.records import TopicPartition

MAX_OPEN = 8
"""Questions that are open at once. More make no registry faster, and each takes about a millisecond of the loop."""

REPEATS_PER_S = 20.0
"""For all schemas together; a last question before a schema is given up comes in any case."""

MAX_WANTED = 50_000
"""What is behind the next batch is not asked for beyond this: it would only fill memory."""

BELIEVED_FOR_S = 60.0
"""A producer may register the schema later still: it is asked for again after this."""

MAX_REMEMBERED = 10_000
"""Absent schemas that are remembered when their records are gone; the oldest are forgotten first."""


@dataclass(slots=True, eq=False)
class _Wanted:
    """A schema that is asked for."""

    partitions: set[TopicPartition]
    tries: int = 0
    due_at: float = float("-inf")
    is_open: bool = False
    absent_since: float | None = None
    why: str = ""


@dataclass(slots=True, eq=False)
class _Waiting:
    """What one partition waits for."""

    needed: set[SchemaId] = field(default_factory=set)
    """Of its next batch, and not known yet."""
    wanted: set[SchemaId] = field(default_factory=set)
    """These, and those of the records behind."""
    absent: dict[SchemaId, str] = field(default_factory=dict)
    """Of what is wanted, what the registry does not have so far, and what it says of that beyond its absence."""
    given_up: set[SchemaId] = field(default_factory=set)
    """Waited for in vain; believed until its records are in a batch, however long others of that take."""


class SchemaSearch:
    """For one process; `now` is monotonic. `patience_s` is 0 where an absent schema can never appear."""

    def __init__(self, chance: Chance, patience_s: float) -> None:
        self._chance = chance
        self._patience_s = patience_s
        self._backoff = Backoff()
        self._wanted: dict[SchemaId, _Wanted] = {}
        self._waiting: dict[TopicPartition, _Waiting] = {}
        self._believed_until: dict[SchemaId, float] = {}
        self._first: list[tuple[int, int, SchemaId]] = []
        """Heap of first questions: the fewer its partition had before, the earlier."""
        self._again: list[tuple[float, int, SchemaId]] = []
        """Heap of repeats by time. Of a schema that is rescheduled or found, the old entry stays until it is due."""
        self._number = count()
        self._open = 0
        self._failed: set[SchemaId] = set()
        """Without an answer since the last answer to any."""
        self._failures = 0
        self._silent_until = float("-inf")
        self._outage_at = float("-inf")

    @property
    def is_over(self) -> bool:
        """Whether nothing is asked for."""
        return not self._wanted

    def is_wanted(self, schema_id: SchemaId) -> bool:
        """Say whether it is asked for."""
        return schema_id in self._wanted

    def partitions_of(self, schema_id: SchemaId) -> Collection[TopicPartition]:
        """Return which partitions wait for it."""
        return tuple(self._wanted[schema_id].partitions)

    @property
    def remembered(self) -> int:
        """How many schemas are remembered as absent."""
        return len(self._believed_until)

    def is_absent(self, schema_id: SchemaId, partition: TopicPartition, now: float) -> bool:
        """Say whether the schema was waited for in vain."""
        waiting = self._waiting.get(partition)
        return self._believed_until.get(schema_id, now) > now or (waiting is not None and schema_id in waiting.given_up)

    def need(self, ids: Collection[SchemaId], partition: TopicPartition, now: float) -> None:
        """Ask for what a partition's next batch names and nobody knows."""
        self._waiting.setdefault(partition, _Waiting()).needed.update(ids)
        self._want(ids, partition, now)

    def ask_ahead(self, ids: Iterable[SchemaId], partition: TopicPartition, now: float) -> None:
        """Ask for what records behind the next batch name and nobody knows."""
        room = MAX_WANTED - len(self._wanted)
        unknown = [each for each in ids if not self.is_absent(each, partition, now)]
        self._want(unknown[: max(room, 0)], partition, now)

    def begin(self, ids: Iterable[SchemaId], partition: TopicPartition) -> None:
        """A batch of records that name these begins."""
        if (waiting := self._waiting.get(partition)) is not None:
            waiting.given_up.difference_update(ids)
            if not waiting.given_up and not waiting.wanted:
                del self._waiting[partition]

    def forget(self, partition: TopicPartition) -> None:
        """The partition is another worker's now. What it waits for is asked for on: it may come back meanwhile."""
        if (waiting := self._waiting.pop(partition, None)) is not None:
            for each in waiting.wanted:
                self._wanted[each].partitions.discard(partition)

    def next(self, now: float) -> SchemaId | None:
        """Return what is to be asked for now, and count it as asked; None for nothing."""
        if now < self._silent_until or self._open >= (1 if self._is_out else MAX_OPEN):
            return None
        while self._first:
            _, _, schema_id = heappop(self._first)
            wanted = self._wanted.get(schema_id)
            if wanted is not None and not wanted.tries:
                return self._opened(schema_id, wanted)
        while self._again and self._again[0][0] <= now:
            due_at, _, schema_id = heappop(self._again)
            wanted = self._wanted.get(schema_id)
            if wanted is not None and not wanted.is_open and wanted.due_at == due_at:
                return self._opened(schema_id, wanted)
        return None

    def next_at(self, now: float) -> float | None:
        """Return when time alone gives something to ask; None when only an answer does, or nothing."""
        if self._open >= (1 if self._is_out else MAX_OPEN):
            return None
        due_at = now if self._first else self._again[0][0] if self._again else None
        return None if due_at is None else max(due_at, self._silent_until)

    def found(self, schema_id: SchemaId, now: float) -> bool:
        """The registry has it. Return whether a partition has all that it needs."""
        self._believed_until.pop(schema_id, None)
        self._answered(schema_id, now)
        return self._end(schema_id)

    def absent(self, schema_id: SchemaId, now: float, why: str = "") -> bool:
        """The registry does not have it, or `why` it cannot give it. Return whether a partition knows all it needs."""
        self._answered(schema_id, now)
        wanted = self._wanted[schema_id]
        if wanted.absent_since is None or wanted.absent_since <= self._outage_at:
            wanted.absent_since = now
        wanted.why = why
        is_known = schema_id in self._believed_until or not may_be_registered(schema_id)
        give_up_at = wanted.absent_since if is_known else wanted.absent_since + self._patience_s
        if now < give_up_at:
            for partition in wanted.partitions:
                self._waiting[partition].absent[schema_id] = why
            delay_s = max(self._backoff.delay_s(wanted.tries, self._chance), len(self._wanted) / REPEATS_PER_S)
            self._ask_again(schema_id, wanted, min(now + delay_s, give_up_at))
            return False
        self._believed_until.pop(schema_id, None)
        if len(self._believed_until) >= MAX_REMEMBERED:
            del self._believed_until[next(iter(self._believed_until))]
        self._believed_until[schema_id] = now + BELIEVED_FOR_S
        for partition in wanted.partitions:
            self._waiting[partition].given_up.add(schema_id)
        return self._end(schema_id)

    def refused(self, schema_id: SchemaId, now: float) -> None:
        """The registry answers, but not about this one, for a reason that is not the record's."""
        self._answered(schema_id, now)
        self._postpone(schema_id, now)

    def failed(self, schema_id: SchemaId, now: float, wait_s: float = 0.0) -> None:
        """There is no answer. `wait_s` is how long the registry, or what stands before it, asks to be left alone."""
        self._open -= 1
        self._wanted[schema_id].is_open = False
        self._failed.add(schema_id)
        if self._is_out:
            self._failures += 1
            self._outage_at = now
            wait_s = max(wait_s, self._backoff.delay_s(self._failures, self._chance))
        self._silent_until = max(self._silent_until, now + wait_s)
        self._postpone(schema_id, now)

    def absence(self, partition: TopicPartition) -> str | None:
        """Say which schema a partition waits for because the registry does not have it; None if for none."""
        waiting = self._waiting.get(partition)
        if waiting is None or not waiting.absent:
            return None
        schema_id, why = next(iter(waiting.absent.items()))
        others = f" (and {len(waiting.absent) - 1} others)" if len(waiting.absent) > 1 else ""
        cause = f"cannot give: {why}" if why else "does not have, or does not show to this login"
        return (
            f"{partition} holds records whose schema has the {kind_of(schema_id)} {schema_id}{others}, "
            f"which the registry {cause}; they are dead-lettered {self._patience_s:g} s after the first look"
        )

    @property
    def _is_out(self) -> bool:
        """Whether it is the registry that does not answer, as far as that can be known."""
        return len(self._failed) >= min(2, max(len(self._wanted), 1))

    def _want(self, ids: Iterable[SchemaId], partition: TopicPartition, now: float) -> None:
        waiting = self._waiting.setdefault(partition, _Waiting())
        for each in ids:
            if each in waiting.wanted:
                continue
            waiting.wanted.add(each)
            if (wanted := self._wanted.get(each)) is None:
                self._wanted[each] = wanted = _Wanted(set(), due_at=now)
                heappush(self._first, (len(waiting.wanted), next(self._number), each))
            wanted.partitions.add(partition)
            if wanted.absent_since is not None:
                waiting.absent[each] = wanted.why

    def _postpone(self, schema_id: SchemaId, now: float) -> None:
        wanted = self._wanted[schema_id]
        wanted.absent_since = None
        for partition in wanted.partitions:
            self._waiting[partition].absent.pop(schema_id, None)
        self._ask_again(schema_id, wanted, now + self._backoff.delay_s(wanted.tries, self._chance))

    def _opened(self, schema_id: SchemaId, wanted: _Wanted) -> SchemaId:
        self._open += 1
        wanted.is_open = True
        wanted.tries += 1
        return schema_id

    def _answered(self, schema_id: SchemaId, now: float) -> None:
        self._open -= 1
        self._wanted[schema_id].is_open = False
        if self._failures:  # those that failed meanwhile need not wait for their time: the registry is back
            self._failures = 0
            for each in self._failed & self._wanted.keys():
                if each != schema_id and not self._wanted[each].is_open:
                    self._ask_again(each, self._wanted[each], now)
        self._failed.clear()

    def _ask_again(self, schema_id: SchemaId, wanted: _Wanted, at: float) -> None:
        wanted.due_at = at
        heappush(self._again, (at, next(self._number), schema_id))

    def _end(self, schema_id: SchemaId) -> bool:
        """Nobody waits for it any longer; return whether a partition waits for nothing else."""
        is_one_ready = False
        for partition in self._wanted[schema_id].partitions:
            waiting = self._waiting[partition]
            waiting.wanted.discard(schema_id)
            waiting.absent.pop(schema_id, None)
            if schema_id in waiting.needed:
                waiting.needed.discard(schema_id)
                is_one_ready |= not waiting.needed
        del self._wanted[schema_id]
        return is_one_ready
