"""The `Source` port in memory: a broker that outlives workers, and one member of its group.

The member works through its commands one at a time, as the real consumer's thread does, so a revoke holds up commits
and fetches. What it hands over may be late (`handover_s`), also for a partition that went in the meantime. It counts
as violations what a worker must never ask of it.
"""

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from processor.engine.beginnings import Beginnings, GroupStart
from processor.engine.commits import FORGOTTEN, CommitFault
from processor.engine.partition.journal_format import METADATA_BYTES, JournalPlace, is_copied, owner_of
from processor.engine.partition.owner import Assignment
from processor.model.reasons import HaltReason
from processor.model.records import ClientFigures, Commit, Headers, Record, TopicPartition, held_bytes
from processor.runtime.ports import Fetched, SourceFault, SourceListener

CommitOutcome = Literal["ok", "failed", "unknown"]
"""`unknown`: the commit took effect, and an error is told."""

WALL_MS = 1_700_000_000_000
"""The timestamp of the first record; each one is a second younger."""

AHEAD_CHUNKS = 2
"""How far the member may run ahead of what it has handed over."""


class FakeBroker:
    """Topics with their records, and one group's committed offsets."""

    def __init__(self, partitions: Sequence[TopicPartition]) -> None:
        self.committed: dict[TopicPartition, int] = {}
        self.metadata: dict[TopicPartition, str] = {}
        """What was committed together with the offset."""
        self.start: GroupStart = "earliest"
        """Where the group begins, by its members' settings."""
        self.max_metadata = METADATA_BYTES
        self.keeps_metadata = True
        """Whether it gives back what was committed together with an offset: some take it and do not."""
        self.leaderless: set[TopicPartition] = set()
        """Partitions of which nobody can read at the moment; the group's coordinator goes on."""
        self.topic_ids: dict[TopicPartition, int] = dict.fromkeys(partitions, 0)
        """Of the topic that each partition is of; another one was created anew under its name."""
        self.ticks_per_ms = 1
        """Of the clock that stamps the records: a producer may take microseconds for milliseconds."""
        self.on_commit: Callable[[TopicPartition, int], None] = lambda _partition, _offset: None
        self.on_other_topic: Callable[[TopicPartition], None] = lambda _partition: None
        """Told when a member finds that a partition is of another topic than the group's position."""
        self.watchers: list[Callable[[], None]] = []
        self.available: dict[TopicPartition, tuple[int, int]] = dict.fromkeys(partitions, (0, 0))
        self.handed_to: dict[TopicPartition, int] = {}
        """Before which offset everything was handed over to some member: what one can know when it commits."""
        self._logs: dict[TopicPartition, list[Record]] = {each: [] for each in partitions}

    def add(self, partition: TopicPartition) -> None:
        """Add a partition, of which the group hears when it is assigned."""
        self.available[partition], self.topic_ids[partition] = (0, 0), 0
        self._logs[partition] = []

    def append(
        self,
        partition: TopicPartition,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Headers | None = None,
        skip: int = 0,
    ) -> Record:
        """Add a record after `skip` offsets that nobody will ever get."""
        first, end = self.available[partition]
        offset = end + skip
        record = Record(offset, (WALL_MS + offset * 1_000) * self.ticks_per_ms, key, value, headers)
        self._logs[partition].append(record)
        self.available[partition] = (first, offset + 1)
        for watcher in self.watchers:
            watcher()
        return record

    def mark(self, partition: TopicPartition, offsets: int = 1) -> None:
        """Add offsets that nobody will ever get at the end, as the markers of transactions are, and what they abort."""
        first, end = self.available[partition]
        self.available[partition] = (first, end + offsets)
        for watcher in self.watchers:
            watcher()

    def truncate(self, partition: TopicPartition, first: int) -> None:
        """Delete the records before `first`, as retention does."""
        self.available[partition] = (first, max(first, self.available[partition][1]))

    def recreate(self, partition: TopicPartition, *, keeps_offset: bool = False) -> None:
        """Delete the topic and create it anew; the group's offset goes with it, unless something brings it back."""
        self.topic_ids[partition] += 1
        self._logs[partition] = []
        self.available[partition] = (0, 0)
        self.handed_to.pop(partition, None)
        if not keeps_offset:
            self.committed.pop(partition, None)
            self.metadata.pop(partition, None)

    def place(self, partition: TopicPartition, topic_id: int | None = None) -> JournalPlace:
        """Return where a partition is, of the topic of today or of another one."""
        number = self.topic_ids[partition] if topic_id is None else topic_id
        return JournalPlace(f"{partition}/{number}", f"{partition}")

    def compact(self, partition: TopicPartition, *offsets: int) -> None:
        """Delete these records, as compaction does: the offsets go on."""
        self._logs[partition] = [record for record in self._logs[partition] if record.offset not in offsets]

    def read(self, partition: TopicPartition, position: int, most: int) -> list[Record]:
        """Return records from a position on."""
        log = self._logs[partition]
        at = bisect_left(log, position, key=lambda record: record.offset)
        return log[at : at + most]

    def is_committed(self) -> bool:
        """Say whether the group has committed the end of every partition that holds records, and of today's topics."""
        return all(
            end == self.committed.get(each, first) and self.is_of_today(each, unless_said=True)
            for each, (first, end) in self.available.items()
        )

    def is_of_today(self, partition: TopicPartition, *, unless_said: bool = False) -> bool:
        """Say whether the group's position is one of today's topic; `unless_said` where nothing tells."""
        owner = owner_of(self.metadata.get(partition, ""))
        return unless_said if owner is None else owner.place == self.place(partition)

    def store(self, commits: Mapping[TopicPartition, Commit]) -> list[TopicPartition]:
        """Take a commit; return the partitions whose metadata is too large, of which nothing is taken."""
        too_large = [each for each, commit in commits.items() if len(commit.metadata.encode()) > self.max_metadata]
        for each in commits.keys() - set(too_large):
            owner = owner_of(commits[each].metadata)
            if owner is None or owner.place == self.place(each):
                self.on_commit(each, commits[each].offset)
            self.committed[each] = commits[each].offset
            self.metadata[each] = commits[each].metadata if self.keeps_metadata else ""
        return too_large


@dataclass(slots=True, eq=False)
class _Holding:
    """A partition that the member owns."""

    epoch: int
    start: int
    position: int
    topic_id: int
    certain_to: int
    """What was handed over before this offset is of that topic."""
    known_to: int
    """What was committed with the start, by whomever, tells nothing of records from here on."""
    is_paused: bool = True
    is_going: bool = False
    """Whether it is being revoked."""
    has_gap: bool = False
    end_told: int | None = None
    """The position at which the end of the partition was told last."""


@dataclass(slots=True)
class _Handover:
    """What is on its way to the listener."""

    chunk: list[Fetched]
    ends: dict[TopicPartition, tuple[int, int]]
    """Epoch and offset of partitions that have no more."""


class FakeSource:
    """One member of the group; rebalances are the test's to call, and the fields may be changed at any time."""

    def __init__(self, broker: FakeBroker, drain_s: float) -> None:
        self.broker = broker
        self.max_records = 500
        self.commit_script: deque[CommitOutcome] = deque()
        self.commit_outcome: Callable[[], CommitOutcome] = lambda: "ok"
        self.commit_s: Callable[[], float] = lambda: 0.0
        self.handover_s: Callable[[], float] = lambda: 0.0
        self.violations: list[str] = []
        self.largest_chunk_bytes = 0
        """Of the chunks handed over, of one partition."""
        self.pauses = 0
        self.resumed: list[dict[TopicPartition, int]] = []
        """What it was asked to fetch again."""
        self.is_committing = False
        self.commit_failed_at = float("-inf")
        """When the listener was last told that a commit failed."""
        self.has_met_too_large = False
        """Whether the listener was ever told that metadata is too large."""
        self._is_kept = False
        """Whether metadata was read back as it was committed."""
        self.on_handover: Callable[[Fetched], None] = lambda _fetched: None
        """Told of records of epochs that go on, as the listener is."""
        self.on_acknowledged: Callable[[TopicPartition, int, float], None] = lambda _partition, _epoch, _asked_at: None
        """Told of commits that succeeded, and of when they were asked for, before the listener is."""
        self.is_cut_off = False
        """Whether the broker hears nothing of it any more, and it nothing of the group; it does not know."""
        self.moment: Callable[[str], None] = lambda _name: None
        """Told of moments at which the process may end: before a commit takes effect, and after."""
        self.holdings: dict[TopicPartition, _Holding] = {}
        self._beginnings = Beginnings(broker.start)
        self.tenures: dict[TopicPartition, _Holding] = {}
        """How each partition was held last."""
        self._lost_offsets: set[TopicPartition] = set()
        self._drain_s = drain_s
        self._last_epoch = 0
        self._revoked: set[int] = set()
        self._commands: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
        self._handovers: deque[_Handover] = deque()
        self._fetch_is_queued = False
        self._is_gone = False
        self._awaited: set[asyncio.Future[None]] = set()
        self._listener: SourceListener
        self._thread: asyncio.Task[None]

    # The port

    @property
    def figures(self) -> ClientFigures:
        """Nothing."""
        return ClientFigures()

    @property
    def polled_at(self) -> float:
        """Now: it never hangs."""
        return _now()

    def start(self, listener: SourceListener) -> None:
        """Begin to work through commands; partitions come by `assign`."""
        self._listener = listener
        self._beginnings.came(self.broker.available, self.broker.committed)
        for each in self._beginnings.to_commit:
            self.broker.committed[each] = self.broker.available[each][1]
        self._thread = asyncio.get_running_loop().create_task(self._work())
        self.broker.watchers.append(self._fetch_soon)

    def pause(self, epochs: Mapping[TopicPartition, int]) -> None:
        """Fetch no more of these."""
        self.pauses += 1
        self._commands.put_nowait(partial(self._set_paused, dict(epochs), is_paused=True))

    def resume(self, epochs: Mapping[TopicPartition, int]) -> None:
        """Fetch these again."""
        self.resumed.append(dict(epochs))
        self._commands.put_nowait(partial(self._set_paused, dict(epochs), is_paused=False))

    def seek(self, partition: TopicPartition, epoch: int, offset: int) -> None:
        """Go on from this offset."""
        self._commands.put_nowait(partial(self._seek, partition, epoch, offset))

    def commit(self, commits: Mapping[TopicPartition, Commit]) -> None:
        """Commit what is still owned in its epoch."""
        late = [str(each) for each, commit in commits.items() if commit.epoch in self._revoked]
        self.violations += [f"{each} is committed during or after its revoke" for each in late]
        if self.is_committing:
            self.violations.append("two commits at a time")
        self.is_committing = True
        self._commands.put_nowait(partial(self._commit, dict(commits), _now()))

    async def stop(self) -> None:
        """Leave the group, after a revoke of everything."""
        if not self._is_gone:
            await self._do(self._leave)

    # What happens to the member

    async def assign(self, *partitions: TopicPartition) -> None:
        """Give the member these partitions."""
        await self._do(partial(self._assign, partitions))

    async def revoke(self, *partitions: TopicPartition) -> None:
        """Take these away, as a rebalance does; returns when the last commit is made."""
        await self._do(partial(self._revoke, partitions))

    async def lose(self, *partitions: TopicPartition) -> None:
        """Take these away without a word, as after a session timeout."""
        await self._do(partial(self._lose, partitions))

    async def compare(self) -> None:
        """Look whether the topics are those that were assigned; the real one does so every ten seconds."""
        await self._do(self._compare)

    def die(self) -> None:
        """The process is killed: nothing is told, fetched or committed any more."""
        if self._is_gone:
            return
        self._is_gone = True
        self._thread.cancel()
        self.broker.watchers.remove(self._fetch_soon)
        for done in self._awaited:
            done.set_result(None)
        self._awaited.clear()

    # The consumer's thread

    async def _work(self) -> None:
        while not self._is_gone:
            command = await self._commands.get()
            await command()

    async def _do(self, command: Callable[[], Awaitable[None]]) -> None:
        if self._is_gone:
            return
        done = asyncio.get_running_loop().create_future()
        self._awaited.add(done)

        async def carry_out() -> None:
            try:
                await command()
            except Exception as error:  # noqa: BLE001 - the test that asked for it is to fail
                done.set_exception(error)
            else:
                done.set_result(None)
            self._awaited.remove(done)

        self._commands.put_nowait(carry_out)
        await done

    async def _compare(self) -> None:
        """Assign anew what is of another topic by now."""
        others = []
        for each, holding in self.holdings.items():
            if holding.topic_id != self.broker.topic_ids[each]:
                others.append(each)
            else:
                holding.certain_to = holding.position
        if others and not self.is_cut_off:
            for each in others:
                self.holdings[each].is_going = True
                self._revoked.add(self.holdings[each].epoch)
            await self._listener.revoking(others)
            for each in others:
                del self.holdings[each]
            await self._assign(others)

    async def _assign(self, partitions: Sequence[TopicPartition]) -> None:
        assignments = []
        for each in partitions:
            start, topic_id, before = (
                self.broker.committed.get(each),
                self.broker.topic_ids[each],
                self.tenures.get(each),
            )
            is_same = before is None or before.topic_id == topic_id
            if start is not None:
                self._beginnings.remember(each, str(topic_id))
            elif is_same and (self._beginnings.of(each) == "lost" or self._beginnings.remembers(each, str(topic_id))):
                self._lost_offsets.add(each)
                continue
            self._last_epoch += 1
            begin = self.broker.available[each][self._beginnings.of(each) == "end"] if start is None else start
            metadata = self.broker.metadata.get(each, "")
            known_to = self.broker.handed_to.get(each, begin) if ";" in metadata else begin
            known, perhaps_sent = "", 0
            if not is_same or not self.broker.is_of_today(each, unless_said=True):
                self.broker.on_other_topic(each)
            if before is not None and not is_same:
                known = self.broker.place(each, before.topic_id).exact
                first, end = self.broker.available[each]
                perhaps_sent = max(min(before.position, end) - max(before.certain_to, first), 0)
            holding = _Holding(self._last_epoch, begin, begin, topic_id, begin, known_to)
            self.holdings[each] = self.tenures[each] = holding
            place = self.broker.place(each)
            if is_copied(metadata, place):
                perhaps_sent = self.broker.available[each][1] - begin
            assignments.append(
                Assignment(each, self._last_epoch, begin, start is None, metadata, place, known, perhaps_sent)
            )
        self._listener.assigned(assignments, len(self.broker.available))
        if self._lost_offsets:
            self._tell_lost_offsets()
        self._fetch_soon()

    async def _revoke(self, partitions: Sequence[TopicPartition]) -> None:
        going = [each for each in partitions if each in self.holdings]
        begun = _now()
        for each in going:
            self.holdings[each].is_going = True
            self._revoked.add(self.holdings[each].epoch)
        commits = await self._listener.revoking(going)
        if _now() - begun > self._drain_s + 0.001:
            self.violations.append(f"a revoke took {_now() - begun} s")
        if not commits.keys() <= set(going):
            self.violations.append(f"of {going} the offsets {commits} were to be committed")
        if not self._is_gone and self._next_outcome() != "failed":
            self.broker.store(commits)
        for each in going:
            del self.holdings[each]
        self._let_lost_offsets_go(partitions)

    async def _lose(self, partitions: Sequence[TopicPartition]) -> None:
        going = [each for each in partitions if self.holdings.pop(each, None)]
        self._listener.lost(going)
        self._let_lost_offsets_go(partitions)

    def _let_lost_offsets_go(self, partitions: Sequence[TopicPartition]) -> None:
        if not self._lost_offsets.isdisjoint(partitions):
            self._lost_offsets.difference_update(partitions)
            self._tell_lost_offsets()

    def _tell_lost_offsets(self) -> None:
        lost = [SourceFault(f"the offset of {each} is gone", where=str(each)) for each in sorted(self._lost_offsets)]
        self._listener.faults({HaltReason.OFFSETS_LOST: lost} if lost else {})

    async def _leave(self) -> None:
        await self._revoke(list(self.holdings))
        self._is_gone = True
        self.broker.watchers.remove(self._fetch_soon)

    async def _set_paused(self, epochs: dict[TopicPartition, int], *, is_paused: bool) -> None:
        for each, epoch in epochs.items():
            holding = self.holdings.get(each)
            if holding is not None and holding.epoch == epoch:
                holding.is_paused = is_paused
        self._fetch_soon()

    async def _seek(self, partition: TopicPartition, epoch: int, offset: int) -> None:
        holding = self.holdings.get(partition)
        if holding is not None and holding.epoch == epoch:
            holding.position = offset
            holding.start = min(holding.start, offset)  # of a topic that was created anew
            holding.has_gap = False
            self._fetch_soon()

    # Commits

    async def _commit(self, wanted: dict[TopicPartition, Commit], asked_at: float) -> None:
        commits = {
            each: commit
            for each, commit in wanted.items()
            if each in self.holdings and self.holdings[each].epoch == commit.epoch
        }
        outcome = self._next_outcome() if commits else "ok"
        self.moment("commit")
        if self.is_cut_off or self._is_gone:
            outcome = "failed"
        too_large = self.broker.store(commits) if outcome != "failed" else []
        faults = {each: CommitFault("the metadata is too large", is_too_large=True) for each in too_large}
        if outcome == "ok" and not self._is_kept:
            faults |= self._find_forgotten({each: commits[each] for each in commits if each not in faults})
        self.moment("committed")
        if outcome != "ok":
            faults = dict.fromkeys(commits, CommitFault(f"the commit is {outcome}", is_too_large=False))
        asyncio.get_running_loop().call_later(self.commit_s(), self._answer_commit, commits, faults, asked_at)

    def _find_forgotten(self, commits: dict[TopicPartition, Commit]) -> dict[TopicPartition, CommitFault]:
        """Read the first metadata of the process back, as the real one does."""
        told = {each: commit.metadata for each, commit in commits.items() if commit.metadata}
        forgotten = [each for each in told if not self.broker.metadata[each]]
        self._is_kept = bool(told) and not forgotten
        return dict.fromkeys(forgotten, CommitFault(FORGOTTEN, is_too_large=False, is_forgotten=True))

    def _next_outcome(self) -> CommitOutcome:
        return self.commit_script.popleft() if self.commit_script else self.commit_outcome()

    def _answer_commit(
        self, commits: dict[TopicPartition, Commit], faults: dict[TopicPartition, CommitFault], asked_at: float
    ) -> None:
        self.is_committing = False
        if self._is_gone:
            return
        if faults:
            self.commit_failed_at = _now()
            self.has_met_too_large = self.has_met_too_large or any(fault.is_too_large for fault in faults.values())
        for each in commits.keys() - faults.keys():
            self._beginnings.remember(each, str(self.tenures[each].topic_id))
            self.on_acknowledged(each, commits[each].epoch, asked_at)
        self._listener.committed(commits, faults)

    # Fetches

    def _fetch_soon(self) -> None:
        if not self._fetch_is_queued:
            self._fetch_is_queued = True
            self._commands.put_nowait(self._fetch)

    async def _fetch(self) -> None:
        self._fetch_is_queued = False
        if len(self._handovers) >= AHEAD_CHUNKS:
            return
        chunk = [fetched for each, holding in self.holdings.items() if (fetched := self._fetch_of(each, holding))]
        ends = {
            each: (holding.epoch, holding.position)
            for each, holding in self.holdings.items()
            if self._ends(each, holding)
        }
        if chunk or ends:
            self._handovers.append(_Handover(chunk, ends))
            asyncio.get_running_loop().call_later(self.handover_s(), self._hand_over)
            self._fetch_soon()

    def _gives_nothing(self, partition: TopicPartition, holding: _Holding) -> bool:
        """Say whether neither records nor the end of the partition arrive."""
        return holding.is_paused or holding.has_gap or self.is_cut_off or partition in self.broker.leaderless

    def _ends(self, partition: TopicPartition, holding: _Holding) -> bool:
        """Say whether it is news that the partition holds no more."""
        if self._gives_nothing(partition, holding) or self.broker.read(partition, holding.position, 1):
            return False
        holding.position = max(holding.position, self.broker.available[partition][1])
        if holding.end_told == holding.position:
            return False
        holding.end_told = holding.position
        return True

    def _fetch_of(self, partition: TopicPartition, holding: _Holding) -> Fetched | None:
        if self._gives_nothing(partition, holding):
            return None
        first, end = self.broker.available[partition]
        if not first <= holding.position <= end:
            holding.has_gap = True
            if holding.topic_id != self.broker.topic_ids[partition]:
                self._commands.put_nowait(self._compare)
                return None
            self._listener.gap(partition, holding.position, (first, end))
            return None
        records = self.broker.read(partition, holding.position, self.max_records)
        if not records:
            return None
        holding.position = records[-1].offset + 1
        size = held_bytes(records)
        self.largest_chunk_bytes = max(self.largest_chunk_bytes, size)
        return Fetched(partition, holding.epoch, records, size)

    def _hand_over(self) -> None:
        """Hand over what was fetched first."""
        handover = self._handovers.popleft()
        if self._is_gone:
            return
        self._fetch_soon()
        for fetched in handover.chunk:
            holding = self.holdings.get(fetched.id)
            if holding is not None and holding.epoch == fetched.epoch:
                end = fetched.records[-1].offset + 1
                self.broker.handed_to[fetched.id] = max(end, self.broker.handed_to.get(fetched.id, 0))
                self.on_handover(fetched)
        if handover.chunk:
            self._listener.fetched(handover.chunk)
        goes_on = {each: holding.epoch for each, holding in self.holdings.items()}
        ends = {each: end for each, (epoch, end) in handover.ends.items() if goes_on.get(each) == epoch}
        if ends:
            self._listener.at_end(ends)


def _now() -> float:
    return asyncio.get_running_loop().time()
