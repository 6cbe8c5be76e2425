"""The journals of the owned partitions: read when a partition comes, written with every commit.

A commit carries all that changed. It is made at once when a POST waits for it, else once a second, and one at a time:
while it is under way the next one gathers. A fault leaves its outcome unknown. The next commit tells everything anew,
and nothing is POSTed that is not acknowledged, so whichever of the two Kafka holds can be recovered from.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from processor.engine.journal import (
    JOB_ID_BYTES,
    METADATA_BYTES,
    Entry,
    Owner,
    Plan,
    Range,
    Settled,
    Unplanned,
    Written,
    decode,
    encode,
    has_room_for,
)
from processor.engine.limits import Cost
from processor.model.reasons import HaltReason
from processor.model.records import TopicPartition
from processor.runtime.gate import Gate
from processor.runtime.notices import Committed, JournalIgnored, JournalResumed, Observer, ResumedPart
from processor.runtime.owned import Owned
from processor.runtime.ports import Clock, Commit, CommitFault, Source

COMMIT_EVERY_S = 1.0
"""How long offsets and job ids wait for a commit when no POST waits for one."""

COMMIT_AGAIN_AFTER_S = (0.25, 0.5, 1.0, 2.0)
"""After the first failure in a row, the second and so on: normal while the group rebalances, for a second or so."""


class _Asked(NamedTuple):
    """A commit that awaits its answer."""

    owned: Owned
    commit: Commit
    plans: Sequence[tuple[Plan, int]]
    at: float


class Journals:
    """Commits offsets with their journals; owned by the event loop's thread.

    `wake` is called when `commit` should be called again.
    """

    def __init__(self, source: Source, gate: Gate, clock: Clock, observe: Observer, wake: Callable[[], None]) -> None:
        self._source = source
        self._gate = gate
        self._clock = clock
        self._observe = observe
        self._wake = wake
        self._destination: str | None = None
        self._asked: dict[TopicPartition, _Asked] = {}
        self._may_commit_at = self._due_at = float("-inf")
        self._failures = 0
        self._metadata_bytes = METADATA_BYTES
        self._job_id_bytes = JOB_ID_BYTES

    def open(self, destination: str) -> None:
        """Know whose journals to read: those that concern this destination, named by a digest."""
        self._destination = destination

    # Reading

    def recover(self, owned: Owned) -> None:
        """Take up what the journal of a partition tells, once the destination is known; only then is it consumed."""
        if self._destination is None:
            return
        partition = owned.partition
        found = decode(owned.metadata, self._owner(owned), partition.position)
        if isinstance(found, str):
            self._observe(JournalIgnored(partition.id, found))
            found = []
        for plan in (each for each in found if isinstance(each, Plan)):
            plan.acknowledged = plan.revision
            owned.adopted |= {entry for entry in plan.entries if entry.is_followed}
        for entry in owned.adopted:
            self._gate.limits.adopt(Cost.of_job(entry.items))
        if found:
            self._observe(JournalResumed(_parts(found)))
        partition.recover(found)
        owned.is_recovered = True

    # Writing

    def next_commit(self, partitions: Iterable[Owned], now: float) -> float | None:
        """Return when a commit is due that time alone brings; None when there is none."""
        if not any(owned.has_moved or owned.lease.waiting for owned in partitions):
            return None
        moments = [at for at in (self._may_commit_at, self._due_at) if at > now]
        return min(moments, default=None)

    def commit(self, partitions: Iterable[Owned], now: float) -> None:
        """Commit what moved, in one call, when a POST waits for it or it has waited long enough itself."""
        if self._asked or now < self._may_commit_at:
            return
        moved = [owned for owned in partitions if not owned.is_going and (owned.has_moved or owned.lease.waiting)]
        is_due = now >= self._due_at
        if not is_due and not any(owned.acknowledged is None or owned.lease.waiting for owned in moved):
            return
        for owned in moved:
            if not owned.is_recovered and owned.acknowledged is not None:
                continue  # what its journal tells is not known yet
            written = self._write(owned, owned.partition.ranges())
            if written is None or (owned.lease.waiting and not written.plans):
                self._halt()
                continue
            is_wanted = any(plan in written.plans for plan in owned.lease.waiting)
            if is_wanted or owned.acknowledged is None or (is_due and owned.has_moved):
                self._asked[owned.partition.id] = self._ask(owned, written, now)
        if self._asked:
            self._due_at = now + COMMIT_EVERY_S
            self._source.commit({each: asked.commit for each, asked in self._asked.items()})

    def committed(self, commits: Mapping[TopicPartition, Commit], faults: Mapping[TopicPartition, CommitFault]) -> None:
        """Take note of what the broker acknowledged."""
        asked, self._asked = self._asked, {}
        for outcome, partitions in (("ok", len(commits) - len(faults)), ("failed", len(faults))):
            if partitions:
                self._observe(Committed(outcome, partitions))
        for each, (owned, commit, plans, at) in asked.items():
            if each in commits and each not in faults:
                owned.acknowledged = (commit.offset, commit.metadata)
                owned.lease.acknowledge(plans, at)
                if plans:
                    self._gate.resume(HaltReason.OFFSET_METADATA)
            else:
                owned.lease.is_behind = True
        if too_large := [len(commits[each].metadata) for each, fault in faults.items() if fault.is_too_large]:
            self._metadata_bytes = min(self._metadata_bytes, *too_large) // 2
        elif faults:
            pause_s = COMMIT_AGAIN_AFTER_S[min(self._failures, len(COMMIT_AGAIN_AFTER_S) - 1)]
            self._may_commit_at = self._clock.monotonic() + pause_s
        self._failures = self._failures + 1 if faults else 0
        self._wake()

    def last_commit(self, owned: Owned) -> Commit | None:
        """Return what to commit of a partition that goes; what was never sent is left to its next owner."""
        if not owned.is_recovered:
            return None
        ranges = [
            Unplanned(each.end) if isinstance(each, Plan) and not each.acknowledged else each
            for each in owned.partition.ranges()
        ]
        written = self._write(owned, ranges)
        if written is None or (owned.partition.first_unsettled, written.text) == owned.acknowledged:
            return None
        return self._commit_of(owned, written)

    def has_room_for(self, owned: Owned, entries: Sequence[Entry]) -> bool:
        """Say whether the journal of a partition could tell of these entries, too."""
        base, ranges = owned.partition.first_unsettled, owned.partition.ranges()
        return has_room_for(entries, self._owner(owned), base, ranges, self._metadata_bytes, self._job_id_bytes)

    def _owner(self, owned: Owned) -> Owner:
        return Owner(owned.place, self._destination or "")

    def _ask(self, owned: Owned, written: Written, now: float) -> _Asked:
        owned.lease.is_behind = False
        return _Asked(owned, self._commit_of(owned, written), [(plan, plan.revision) for plan in written.plans], now)

    def _commit_of(self, owned: Owned, written: Written) -> Commit:
        return Commit(owned.partition.epoch, owned.partition.first_unsettled, written.text)

    def _write(self, owned: Owned, ranges: Iterable[Range]) -> Written | None:
        """Return the journal; None when the broker takes less than it has to tell."""
        known = list(ranges)
        ids = [entry.job_id for each in known if isinstance(each, Plan) for entry in each.entries if entry.job_id]
        self._job_id_bytes = max([self._job_id_bytes, *map(len, ids)])
        base = owned.partition.first_unsettled
        return encode(self._owner(owned), base, known, self._metadata_bytes, self._job_id_bytes)

    def _halt(self) -> None:
        """Nothing may be sent that the journal cannot tell of; try from time to time whether the broker takes more."""
        if HaltReason.OFFSET_METADATA not in self._gate.halts:
            self._gate.halt(HaltReason.OFFSET_METADATA, "the brokers take too little metadata with a committed offset")
            self._try_again()

    def _try_again(self) -> None:
        if HaltReason.OFFSET_METADATA in self._gate.halts:
            self._metadata_bytes = METADATA_BYTES
            asyncio.get_running_loop().call_later(self._gate.limits.probe_interval_s, self._try_again)
            self._wake()


def _parts(found: Sequence[Range]) -> Counter[ResumedPart]:
    """Count what a journal tells of."""
    parts: Counter[ResumedPart] = Counter()
    for each in found:
        if isinstance(each, Settled):
            parts["settled"] += 1
        elif isinstance(each, Plan):
            parts["job"] += sum(entry.is_followed for entry in each.entries)
            parts["request"] += sum(not entry.is_out for entry in each.entries)
    return parts
