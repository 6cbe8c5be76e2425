"""When the owned partitions are committed, and what happens when the brokers do not take it.

A commit carries all that changed. It is made at once when a POST waits for it, else once a second, and one at a time:
while it is under way the next one gathers. A fault leaves its outcome unknown. The next commit tells everything anew,
and nothing is POSTed that is not acknowledged, so whichever of the two Kafka holds can be recovered from.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from processor.engine.causes import Causes
from processor.engine.limits import Limits
from processor.engine.partition.journal import JournalRoom
from processor.engine.partition.journal_format import METADATA_BYTES, RequestTally, signed
from processor.engine.partition.owner import Partition
from processor.model.records import Commit, TopicPartition

COMMIT_EVERY_S = 1.0
"""How long offsets and job ids wait for a commit when no POST waits for one."""

COMMIT_AGAIN_AFTER_S = (0.25, 0.5, 1.0, 2.0)
"""After the first failure in a row, the second and so on: normal while the group rebalances, for a second or so."""


TOO_LITTLE = "the brokers take too little metadata with a committed offset"
FORGOTTEN = "the brokers do not keep the metadata of a committed offset"


class _Pause(NamedTuple):
    """How often commits have failed in a row, and until when the next one waits."""

    failures: int = 0
    until: float = float("-inf")

    def longer(self, now: float) -> "_Pause":
        """Return the pause after one more failure."""
        again_after_s = COMMIT_AGAIN_AFTER_S[min(self.failures, len(COMMIT_AGAIN_AFTER_S) - 1)]
        return _Pause(self.failures + 1, now + again_after_s)


class CommitFault(NamedTuple):
    """Why it is not known whether a partition's commit took effect."""

    detail: str
    is_too_large: bool
    """Whether the broker refuses metadata of this size (`offset.metadata.max.bytes`)."""
    is_forgotten: bool = False
    """Whether the broker took the offset, and has other metadata with it than was committed."""


def why(faults: Iterable[CommitFault]) -> str:
    """Return why commits failed, in words."""
    causes = Causes()
    for each in faults:
        causes.add(each.detail)
    return str(causes)


class Commits:
    """For all partitions of one process; `now` is monotonic. By its name, if it has one, it tells what it has asked."""

    def __init__(self, room: JournalRoom, limits: Limits, process: str = "") -> None:
        self.refusal = ""
        """Why nothing may be sent: the brokers keep less metadata than must be told; empty while they keep enough."""
        self._room = room
        self._limits = limits
        self._process = process
        self._probe_at = float("-inf")
        self._asked: dict[TopicPartition, Partition] = {}
        self._due_at = float("-inf")
        self._pause = _Pause()
        self._pauses: dict[TopicPartition, _Pause] = {}
        """Of partitions that failed while others of the call did not: their topic was deleted, say, or is denied."""

    @property
    def is_refused(self) -> bool:
        """Whether nothing may be sent for what the brokers refuse to keep."""
        return bool(self.refusal)

    def next_at(self, partitions: Iterable[Partition], now: float) -> float | None:
        """Return when a commit is due that time alone brings; None when there is none, or an answer brings it."""
        if self._asked:
            return None
        pauses = {self._paused_until(each) for each in _moved(partitions)}
        moments = [at for until in pauses for at in (until, max(until, self._due_at)) if at > now]
        if self.is_refused:
            moments += [max(until, self._probe_at) for until in pauses]
        return min(moments, default=None)

    def due(self, partitions: Iterable[Partition], now: float) -> dict[TopicPartition, Commit]:
        """Return what is to be committed in one call by now; `answered` is to follow where that is anything."""
        if self._asked:
            return {}
        moved = [each for each in _moved(partitions) if now >= self._paused_until(each)]
        is_due = now >= self._due_at or (self.is_refused and now >= self._probe_at)
        if not is_due and not any(each.journal.acknowledged is None or each.awaiting_commit for each in moved):
            return {}
        commits: dict[TopicPartition, Commit] = {}
        for each in moved:
            is_new = each.journal.acknowledged is None
            if not each.is_recovered and not is_new:
                continue  # what its journal tells is not known yet
            if self.is_refused and now >= self._probe_at:  # somebody may have mended the brokers
                self._probe_at = now + self._limits.probe_interval_s
                self._room.metadata_bytes = METADATA_BYTES
            base, ranges = each.told
            written = each.journal.write(base, ranges)
            if written is None or (each.awaiting_commit and not written.plans):
                self._probe_at = self._probe_at if self.is_refused else now
                self.refusal = TOO_LITTLE
            elif each.awaits(written.plans) or is_new or (is_due and each.has_moved):
                each.journal.asked(base, written, now)
                self._asked[each.id] = each
                commits[each.id] = Commit(each.epoch, base, self._told(written.text))
        if commits:
            self._due_at = now + COMMIT_EVERY_S
        return commits

    def answered(
        self, commits: Mapping[TopicPartition, Commit], faults: Mapping[TopicPartition, CommitFault], now: float
    ) -> None:
        """Take note of the answer: `commits` are those that were made, where there is no fault they took effect."""
        asked, self._asked = self._asked, {}
        for each, partition in asked.items():
            if each in commits and each not in faults:
                self._pauses.pop(each, None)
                # A commit that tells of plans is as large as they come; any metadata shows that it is kept at all.
                is_kept = self.refusal == FORGOTTEN and bool(commits[each].metadata)
                if partition.journal.acknowledge() or is_kept:
                    self.refusal = ""
            else:
                partition.journal.fail()
        if any(each.is_forgotten for each in faults.values()):
            self.refusal = FORGOTTEN
        too_large = [len(commits[each].metadata) for each, fault in faults.items() if fault.is_too_large]
        if too_large:
            self._room.metadata_bytes = min(self._room.metadata_bytes, *too_large) // 2
            self._pause = self._pause._replace(failures=self._pause.failures + 1)
        elif not faults:
            self._pause = _Pause()
        elif faults.keys() < commits.keys() or faults.keys() <= self._pauses.keys():
            self._pauses |= {each: self._pauses.get(each, _Pause()).longer(now) for each in faults}
        else:
            self._pause = self._pause.longer(now)

    def _told(self, text: str) -> str:
        """Return what is committed: a journal, with a tally if one is wanted."""
        if not self._process:
            return text
        return signed(
            text, RequestTally(self._process, self._limits.taken, self._limits.refused), self._room.metadata_bytes
        )

    def _paused_until(self, partition: Partition) -> float:
        return max(self._pause.until, self._pauses.get(partition.id, self._pause).until)


def _moved(partitions: Iterable[Partition]) -> list[Partition]:
    """Return those with something to commit; one that goes is left to its last commit."""
    return [each for each in partitions if not each.is_going and (each.has_moved or each.awaiting_commit)]
