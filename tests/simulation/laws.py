"""The laws of the worker, checked while it runs and when it has ended.

At every commit: nothing before the offset is without its end (laws 1 and 2). At every POST: its records are owned, it
keeps the limits, and the identifies before its events are accepted (laws 4, 6 and 11). Whenever the loop is idle: no
record waits without need, every record consumed is accounted for, what is held and in flight is bounded (laws 5, 7 and
12). In the end: what took effect did so in order and no more often than it may, nothing else was dead-lettered.
"""

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from processor.engine.partition import BYTES_PER_RECORD_BYTE, BatchLimits
from processor.model.reasons import Kind
from processor.model.records import TopicPartition
from processor.runtime.notices import Consumed, Notice, Redelivered, Released, Settled
from tests.fakes.dead_letters import coordinates
from tests.fakes.source import AHEAD_CHUNKS
from tests.simulation.records import Sent, mark, marks_of
from tests.simulation.wire import Post

if TYPE_CHECKING:
    from tests.simulation.world import Member, World


@dataclass(slots=True)
class Ledger:
    """An observer that adds up what became of records."""

    consumed: int = 0
    ended: int = 0
    released: int = 0
    redelivered: int = 0

    def __call__(self, notice: Notice) -> None:
        """Add one notice."""
        match notice:
            case Consumed():
                self.consumed += notice.records
            case Settled():
                self.ended += sum(each.total() for each in (notice.delivered, notice.filtered, notice.dead_lettered))
            case Released():
                self.released += notice.records
            case Redelivered():
                self.redelivered += notice.records
            case _:
                pass


ROUNDED_S = 0.02
"""A timer waits a millisecond at least, and the rate grows while it waits for the next request: it is a little late."""


class Laws:
    """Watches one world; `broken` holds what was found wrong."""

    def __init__(self, world: "World") -> None:
        self.broken: list[str] = []
        self.repeats_allowed = 0
        """Effects beyond the first of a record that the test provokes on purpose."""
        self._world = world
        self._identifies: dict[tuple[int, str], list[Sent]] = defaultdict(list)
        self._accepted: set[str] = set()
        self._rewinds = 0
        self._rewind_of: dict[str, int] = {}
        self._done: set[str] = set()
        self._seen = 0
        self._letters_seen = 0
        self._checked: Counter[TopicPartition] = Counter()

    def sent(self, sent: Sent) -> None:
        """A record was put into the topic."""
        if sent.is_identify and sent.uid is not None:
            self._identifies[sent.partition.partition, sent.uid].append(sent)

    def rewound(self, partition: TopicPartition) -> None:
        """The group's offset was set back from outside, so that records are sent again on purpose."""
        self._rewinds += 1
        self._accepted.clear()
        offset = self._world.broker.committed[partition]
        self._checked[partition] = sum(sent.record.offset < offset for sent in self._world.records[partition])

    def at_commit(self, partition: TopicPartition, offset: int) -> None:
        """Laws 1 and 2: everything before a committed offset has met its end."""
        self._note_ends()
        before = self._world.broker.committed.get(partition, 0)
        if offset < before:
            self._break(f"{partition} goes back from {before} to {offset}")
        records = self._world.records[partition]
        while self._checked[partition] < len(records):
            sent = records[self._checked[partition]]
            if sent.record.offset >= offset:
                return
            self._checked[partition] += 1
            if sent.fate in ("delivered", "dead_lettered") and sent.mark not in self._done:
                self._break(f"{partition} is committed to {offset}, but {sent.record.offset} was never {sent.fate}")

    def at_post(self, member: "Member", post: Post) -> None:
        """Laws 4, 6 and 11, as far as a POST can break them."""
        world = self._world
        self._rewind_of.setdefault(post.key, self._rewinds)
        if member.cut_off_at is not None:
            self._check_lease(member, member.cut_off_at)
            return
        partitions = {number for number, _ in post.marks}
        if len(partitions) != 1:
            self._break(f"a request carries records of the partitions {partitions}")
        holding = member.source.holdings.get(world.partitions[partitions.pop()])
        if holding is None:
            self._break(f"{post.marks} are sent of a partition that is not owned")
            return
        limits = self._limits
        if len(post.items) > limits.max_records or (post.is_batch and post.size > limits.max_bytes):
            self._break(f"a request has {len(post.items)} items and {post.size} bytes")
        if member.limits.awaiting_answer > member.plan.limits.max_concurrency:
            self._break(f"{member.limits.awaiting_answer} requests await an answer")
        if post.kind is Kind.EVENT:
            self._check_identifies_before(member, post)

    def at_answer(self, post: Post) -> None:
        """Note what is accepted, or refused for good."""
        is_refused = len(post.marks) == 1 and not post.is_batch and post.status in (400, 413, 422)
        if post.status == 200 or is_refused:
            self._accepted |= {_mark(found) for found in post.marks}

    def at_idle(self) -> None:
        """Laws 5, 7 and 12, when all that can happen at this moment has happened."""
        member = self._world.member
        if member.is_running:
            self._check_conservation(member)
            self._check_linger(member)
            self._check_bounds(member)

    def at_end(self) -> None:
        """Everything that can be told only from the whole; raises when any law was broken."""
        self._note_ends()
        self._check_effects()
        self._check_letters()
        for member in self._world.members:
            self.broken += member.source.violations
        assert not self.broken, "\n".join(self.broken[:20])

    def _break(self, what: str) -> None:
        self.broken.append(f"{asyncio.get_running_loop().time():.3f}: {what}")

    def _note_ends(self) -> None:
        effects = self._world.fullstory.effects
        for effect in effects[self._seen :]:
            self._done |= {_mark(found) for found in marks_of(effect.item)}
        self._seen = len(effects)
        letters = self._world.letters.letters
        for letter in letters[self._letters_seen :]:
            topic, partition, offset = coordinates(letter)
            self._done.add(mark(TopicPartition(topic, partition), offset))
        self._letters_seen = len(letters)

    def _check_lease(self, member: "Member", since: float) -> None:
        """Law 4: who does not know that the group goes on without him POSTs for a lease's time at most."""
        if asyncio.get_running_loop().time() > since + member.settings.lease_s:
            self._break("a POST without a fresh lease")

    @property
    def _limits(self) -> BatchLimits:
        """The largest limits of all workers: what one of them planned, the next one sends."""
        each = [member.settings.limits for member in self._world.members]
        return BatchLimits(max(one.max_records for one in each), max(one.max_bytes for one in each))

    def _check_identifies_before(self, member: "Member", post: Post) -> None:
        """Law 11: an event is POSTed after the identifies before it were accepted, or refused for good."""
        for item in post.items:
            partition, offset = marks_of(item)[0]
            start = member.source.holdings[self._world.partitions[partition]].start
            for before in self._identifies[partition, item["user"]["uid"]]:
                if not start <= before.record.offset < offset or before.fate == "filtered":
                    continue
                if before.mark not in self._accepted:
                    self._break(f"the event {offset} is sent before the identify {before.record.offset} is accepted")

    def _check_conservation(self, member: "Member") -> None:
        """Law 12: consumed is delivered, filtered, dead-lettered, released or in flight."""
        state, ledger = member.worker.state(), member.ledger
        held = sum(each.buffered_records + each.in_flight_records for each in state.partitions)
        if ledger.consumed != ledger.ended + ledger.released + held:
            self._break(f"{ledger} and {held} held do not balance")

    def _check_linger(self, member: "Member") -> None:
        """Law 7: a record that could be sent does not wait longer than the linger."""
        worker, now = member.worker, asyncio.get_running_loop().time()
        waiting = sum(len(owned.lease.waiting) for owned in member.owned.values())
        if worker.state().is_draining or member.is_fetching_schemas or member.gate.room <= waiting:
            return
        if worker._timer is not None and worker._timer.when() <= now + ROUNDED_S:
            return
        for each, owned in member.owned.items():
            due_at = owned.partition.due_at(member.settings.limits)
            is_free = not owned.partition.is_recovering and owned.partition.open_ranges < member.settings.depth
            is_free = is_free and not owned.is_going and not owned.order.is_held_up
            is_free = is_free and not owned.had_better_grow(member.settings.limits)
            if is_free and due_at is not None and due_at <= now:
                self._break(f"{each} could send what is due since {due_at}")

    def _check_bounds(self, member: "Member") -> None:
        """Law 5, and the limits of what is in flight."""
        limits, settings = member.limits, member.settings
        if limits.jobs < 0 or limits.operations < 0 or limits.awaiting_answer < 0:
            self._break(f"in flight are {limits.jobs} jobs, {limits.operations} operations")
        chunks = 2 * AHEAD_CHUNKS * max(len(member.owned), 1)  # on their way, and fetched before a pause takes hold
        ahead = chunks * member.source.largest_chunk_bytes * BYTES_PER_RECORD_BYTE
        if member.worker.state().bytes_held > settings.held_budget_bytes + ahead:
            self._break(f"{member.worker.state().bytes_held} bytes are held")

    def _check_effects(self) -> None:
        """Law 11: one user's identifies take effect in order. Law 10: nothing takes effect twice, whatever happened."""
        last: dict[tuple[int, str, int], list[tuple[int, int]]] = {}
        times: Counter[tuple[tuple[int, int], int]] = Counter()
        for effect in self._world.fullstory.effects:
            found, rewinds = marks_of(effect.item), self._rewind_of[effect.key]
            times.update((each, rewinds) for each in found)
            if effect.kind is Kind.USER:
                at = (found[0][0], effect.item["uid"], rewinds)
                before = last.get(at)
                if before is not None and found != before and found[0] <= before[-1]:
                    self._break(f"the identifies {found} of {at[1]} take effect after {before}")
                last[at] = found
        redelivered = sum(member.ledger.redelivered for member in self._world.members)
        repeated = sum(count - 1 for count in times.values())
        if repeated > redelivered + self.repeats_allowed:
            twice = [f"{each}" for (each, _), count in times.items() if count > 1]
            self._break(f"{repeated} effects are repeated, {redelivered} records were redelivered: {twice[:5]}")

    def _check_letters(self) -> None:
        """Law 9: only what deserves it is dead-lettered, with its own bytes."""
        sent = {(*each.partition, each.record.offset): each for log in self._world.records.values() for each in log}
        for letter in self._world.letters.letters:
            origin = sent[coordinates(letter)]
            if origin.fate != "dead_lettered":
                self._break(f"{origin.mark} is dead-lettered: {letter.headers}")
            if (letter.key, letter.value) != (origin.record.key, origin.record.value):
                self._break(f"the letter of {origin.mark} differs from it")


def _mark(found: tuple[int, int]) -> str:
    return f"r{found[0]}x{found[1]}"
