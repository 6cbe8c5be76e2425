"""A topic as a source of what was selected of it, and no more: where a process delivers what is fixed when it begins.

To whoever reads it, each partition ends where the selection ends: what is written behind that is not read, and its
offsets are not committed. Records in between that are not meant are as if they had been compacted away.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, final

from processor.adapters.kafka.offsets import Stored
from processor.engine.commits import CommitFault
from processor.engine.notices import WaitsFor
from processor.engine.partition.journal_format import SettledRange, decode, owner_of
from processor.engine.partition.owner import Assignment, End
from processor.model.reasons import HaltReason
from processor.model.records import ClientFigures, Commit, OffsetRange, Record, TopicPartition, held_bytes
from processor.runtime.ports import Fetched, Source, SourceFault, SourceListener


class Selection(Protocol):
    """What is to be delivered of one partition."""

    @property
    def end(self) -> int:
        """All of it lies before this offset."""
        ...

    def count(self, within: OffsetRange) -> int:
        """Count what is to be delivered of these offsets."""
        ...

    def records_of(self, records: Sequence[Record]) -> list[Record]:
        """Return what is to be delivered of what was read."""
        ...


Selections = Mapping[TopicPartition, Selection]
"""Of the partitions of which anything is to be delivered."""


class SettledOffsets(NamedTuple):
    """Which offsets of a partition a group has settled, as its commit tells."""

    before: int
    beyond: Sequence[OffsetRange]
    """Ascending."""

    @classmethod
    def told_by(cls, stored: Stored) -> "SettledOffsets":
        """Read what was committed, with the journal in its metadata."""
        owner, start = owner_of(stored.metadata), stored.offset
        ranges = decode(stored.metadata, owner, start) if owner is not None else []
        beyond = list[OffsetRange]()
        for each in [] if isinstance(ranges, str) else ranges:
            if isinstance(each, SettledRange):
                beyond.append(OffsetRange(start, each.end))
            start = each.end
        return cls(stored.offset, beyond)

    def left(self, selection: Selection, within: OffsetRange) -> int:
        """Count what has not settled of these offsets."""
        start = max(within.start, self.before)
        settled = (OffsetRange(max(each.start, start), min(each.end, within.end)) for each in self.beyond)
        count = selection.count(OffsetRange(start, max(within.end, start)))
        return count - sum(selection.count(each) for each in settled if each.start < each.end)


def unsettled(selections: Selections, stored: Mapping[TopicPartition, Stored]) -> int:
    """Count what has not settled, by what the selection's group has committed."""
    return sum(
        SettledOffsets.told_by(stored[partition]).left(each, OffsetRange(0, each.end))
        for partition, each in selections.items()
    )


@final
class MissingOffsets:
    """What was selected and never came: of a compacted topic, markers of transactions, what retention deleted.

    Each offset is counted once, however often it is passed. It outlives sources that follow each other.
    """

    def __init__(self, selections: Selections) -> None:
        self._selections = selections
        self._passed: dict[TopicPartition, int] = {}
        self._holes: dict[TopicPartition, deque[OffsetRange]] = {}  # which nothing that is committed says to be settled
        self._settled = 0
        self.expired = 0
        """How much of what was selected was deleted before it was read."""

    def begin(self, partition: TopicPartition, start: int) -> None:
        """A partition is read from this offset on, unless it was read further before."""
        self._passed[partition] = max(self._passed.get(partition, start), start)

    def pass_records(self, partition: TopicPartition, records: Sequence[Record]) -> None:
        """These came, one behind the other."""
        at, end = self._passed.setdefault(partition, records[0].offset), records[-1].offset + 1
        if records[0].offset != at or end - at != len(records):
            for record in records:
                self.pass_to(partition, record.offset)
                self._passed[partition] = max(self._passed[partition], record.offset + 1)
        self._passed[partition] = max(at, end)

    def pass_to(self, partition: TopicPartition, offset: int) -> None:
        """Nothing more comes of what lies before this offset."""
        at = self._passed.get(partition, offset)
        selection = self._selections.get(partition)
        if offset <= at or selection is None:
            return
        self._passed[partition] = offset
        if selection.count(hole := OffsetRange(at, offset)):
            self._holes.setdefault(partition, deque()).append(hole)

    def expire(self, partition: TopicPartition, gap: OffsetRange) -> None:
        """These were deleted before they were read."""
        if (selection := self._selections.get(partition)) is not None:
            self.expired += selection.count(gap)
            self._passed[partition] = max(self._passed.get(partition, gap.end), gap.end)

    def settle(self, partition: TopicPartition, before: int) -> None:
        """The group has committed this offset."""
        holes = self._holes.get(partition, ())
        while holes and holes[0].end <= before:
            self._settled += self._selections[partition].count(holes.popleft())

    def settled(self, stored: Mapping[TopicPartition, Stored]) -> int:
        """Count what never came, of what has settled by what the group has committed; what expired is not in it."""
        count = self._settled
        for partition, holes in self._holes.items():
            told, selection = SettledOffsets.told_by(stored[partition]), self._selections[partition]
            count += sum(selection.count(each) - told.left(selection, each) for each in holes)
        return count


@final
class SelectedSource:
    """Stands between a source and whoever listens to it: a `Source` and a `SourceListener`.

    A partition of which everything was given is paused: nobody fetches what lies behind.
    """

    def __init__(self, source: Source, selections: Selections, missing: MissingOffsets) -> None:
        self._source = source
        self._selections = selections
        self._missing = missing
        self._ended: set[TopicPartition] = set()
        self._listener: SourceListener

    # Source

    @property
    def figures(self) -> ClientFigures:
        """What the client last said of itself."""
        return self._source.figures

    @property
    def polled_at(self) -> float:
        """When the source last asked Kafka for anything."""
        return self._source.polled_at

    def start(self, listener: SourceListener) -> None:
        """Join the group and begin to tell the listener."""
        self.listen(listener)
        self._source.start(self)

    def listen(self, listener: SourceListener) -> None:
        """Tell the listener what is told from now on."""
        self._listener = listener

    def pause(self, epochs: Mapping[TopicPartition, int]) -> None:
        """Fetch no more of these until `resume`."""
        self._source.pause(epochs)

    def resume(self, epochs: Mapping[TopicPartition, int]) -> None:
        """Fetch these again, as far as there is more to give."""
        if going := {each: epoch for each, epoch in epochs.items() if each not in self._ended}:
            self._source.resume(going)

    def seek(self, partition: TopicPartition, epoch: int, offset: int) -> None:
        """Go on from this offset."""
        self._source.seek(partition, epoch, offset)

    def commit(self, commits: Mapping[TopicPartition, Commit]) -> None:
        """Commit."""
        self._source.commit(commits)

    async def stop(self) -> None:
        """Leave the group."""
        await self._source.stop()

    # SourceListener

    def assigned(self, assignments: Sequence[Assignment], partitions_in_topics: int) -> None:
        """Take over partitions."""
        self._ended.difference_update(each.id for each in assignments)
        for each in assignments:
            self._missing.begin(each.id, each.start)
        self._listener.assigned(assignments, partitions_in_topics)
        self._tell_ended({each.id: each.start for each in assignments})

    def fetched(self, chunk: Sequence[Fetched]) -> None:
        """Give what is selected of it, and the end where it is reached."""
        given = list[Fetched]()
        for part in chunk:
            selection = self._selections.get(part.id)
            if selection is not None:
                self._missing.pass_records(part.id, part.records)
                if records := selection.records_of(part.records):
                    given.append(Fetched(part.id, part.epoch, records, held_bytes(records)))
        if given:
            self._listener.fetched(given)
        reached = {part.id: part.records[-1].offset + 1 for part in chunk}
        if full := {part.id: part.epoch for part in chunk if reached[part.id] >= self._end(part.id)}:
            self._source.pause(full)
        self._tell_ended(reached)

    def at_end(self, positions: Mapping[TopicPartition, int]) -> None:
        """Say that everything before these offsets was given, and that there is no more."""
        bounded = {each: min(position, self._end(each)) for each, position in positions.items()}
        for each, position in bounded.items():
            self._missing.pass_to(each, position)
        self._listener.at_end(bounded)

    async def revoking(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Commit]:
        """Finish what can be finished soon."""
        return await self._listener.revoking(partitions)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """The partitions belong to somebody else already."""
        self._listener.lost(partitions)

    def committed(self, commits: Mapping[TopicPartition, Commit], faults: Mapping[TopicPartition, CommitFault]) -> None:
        """A call of `commit` was answered."""
        for each in commits.keys() - faults.keys():
            self._missing.settle(each, commits[each].offset)
        self._listener.committed(commits, faults)

    def ends(self, ends: Mapping[TopicPartition, End | WaitsFor]) -> None:
        """Tell where the selection ends, or the partition, if that ends before; or what is missing."""
        self._listener.ends(
            {each: self._bounded(each, end) if isinstance(end, End) else end for each, end in ends.items()}
        )

    def gap(self, partition: TopicPartition, position: int, available: tuple[int, int]) -> None:
        """Records were deleted before they were read."""
        self._missing.expire(partition, OffsetRange(position, max(available[0], position)))
        self._listener.gap(partition, position, available)

    def faults(self, faults: Mapping[HaltReason, Sequence[SourceFault]]) -> None:
        """Tell what keeps the source from reading."""
        self._listener.faults(faults)

    def trouble(self, detail: str) -> None:
        """Tell of a fault that passes by itself."""
        self._listener.trouble(detail)

    def failed(self, error: Exception) -> None:
        """The source cannot go on."""
        self._listener.failed(error)

    def _tell_ended(self, reached: Mapping[TopicPartition, int]) -> None:
        ended = {each: end for each, at in reached.items() if at >= (end := self._end(each))}
        if new := {each: end for each, end in ended.items() if each not in self._ended}:
            self._ended |= new.keys()
            self._listener.at_end(new)

    def _end(self, partition: TopicPartition) -> int:
        selection = self._selections.get(partition)
        return selection.end if selection is not None else 0

    def _bounded(self, partition: TopicPartition, end: End) -> End:
        last = self._end(partition)
        return End(min(end.offset, last), min(end.readable, last))
