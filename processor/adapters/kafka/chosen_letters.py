"""A dead-letter topic as a source: of the letters that were chosen it gives the records that they are of, and no more.

To whoever reads it, each partition ends where the choice ends: what is written behind that is not read, and its offsets
are not committed. Letters in between that were not chosen are as if they had been compacted away.
"""

from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

from processor.adapters.kafka.offsets import Stored
from processor.engine.commits import CommitFault
from processor.engine.notices import WaitsFor
from processor.engine.partition.journal_format import SettledRange, decode, owner_of
from processor.engine.partition.owner import Assignment, End
from processor.events.letters import letter_of
from processor.model.reasons import HaltReason
from processor.model.records import ClientFigures, Commit, Record, TopicPartition, held_bytes
from processor.runtime.ports import Fetched, Source, SourceFault, SourceListener


@final
@dataclass(frozen=True, slots=True)
class ChosenLetters:
    """Those of one partition."""

    end: int
    """All of them lie before it."""
    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    """Ascending."""

    def __contains__(self, offset: int) -> bool:
        at = bisect_left(self.offsets, offset)
        return at < len(self.offsets) and self.offsets[at] == offset

    def count(self, start: int, end: int) -> int:
        """Count those of these offsets."""
        return bisect_left(self.offsets, end) - bisect_left(self.offsets, start)

    def behind(self, offset: int) -> "ChosenLetters":
        """Return those from this offset on."""
        return ChosenLetters(self.end, self.offsets[bisect_left(self.offsets, offset) :])

    def unsettled(self, stored: Stored) -> int:
        """Count those that are neither before a group's offset, nor settled by what was committed with it."""
        count = self.count(stored.offset, self.end)
        owner, start = owner_of(stored.metadata), stored.offset
        ranges = decode(stored.metadata, owner, start) if owner is not None else []
        for each in [] if isinstance(ranges, str) else ranges:
            if isinstance(each, SettledRange):
                count -= self.count(start, each.end)
            start = each.end
        return count


NONE = ChosenLetters(0)


def unsettled(chosen: Mapping[TopicPartition, ChosenLetters], stored: Mapping[TopicPartition, Stored]) -> int:
    """Count the chosen letters that have not settled, by what the selection's group has committed."""
    return sum(each.unsettled(stored[partition]) for partition, each in chosen.items())


@final
class LettersSource:
    """Stands between a source of a dead-letter topic and whoever listens to it: a `Source` and a `SourceListener`."""

    def __init__(self, source: Source, chosen: Mapping[TopicPartition, ChosenLetters]) -> None:
        self._source = source
        self._chosen = chosen
        self._ended: set[TopicPartition] = set()
        self._listener: SourceListener
        self.expired = 0
        """How many of the chosen letters were gone before they were read."""

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
        """Fetch these again."""
        self._source.resume(epochs)

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
        self._listener.assigned(assignments, partitions_in_topics)

    def fetched(self, chunk: Sequence[Fetched]) -> None:
        """Give the records of the chosen letters, and the end where it is reached."""
        given = [
            Fetched(part.id, part.epoch, records, held_bytes(records))
            for part in chunk
            if (records := self._records(part))
        ]
        if given:
            self._listener.fetched(given)
        reached = {part.id: part.records[-1].offset + 1 for part in chunk}
        ended = {each: end for each, at in reached.items() if at >= (end := self._end(each))}
        if new := {each: end for each, end in ended.items() if each not in self._ended}:
            self._ended |= new.keys()
            self._listener.at_end(new)

    def at_end(self, positions: Mapping[TopicPartition, int]) -> None:
        """Say that everything before these offsets was given, and that there is no more."""
        self._listener.at_end({each: min(position, self._end(each)) for each, position in positions.items()})

    async def revoking(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Commit]:
        """Finish what can be finished soon."""
        return await self._listener.revoking(partitions)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """The partitions belong to somebody else already."""
        self._listener.lost(partitions)

    def committed(self, commits: Mapping[TopicPartition, Commit], faults: Mapping[TopicPartition, CommitFault]) -> None:
        """A call of `commit` was answered."""
        self._listener.committed(commits, faults)

    def ends(self, ends: Mapping[TopicPartition, End | WaitsFor]) -> None:
        """Tell where the choice ends, or the partition, if that ends before; or what is missing."""
        self._listener.ends(
            {each: self._bounded(each, end) if isinstance(end, End) else end for each, end in ends.items()}
        )

    def gap(self, partition: TopicPartition, position: int, available: tuple[int, int]) -> None:
        """Letters were deleted before they were read."""
        self.expired += self._chosen.get(partition, NONE).count(position, available[0])
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

    def _records(self, part: Fetched) -> list[Record]:
        chosen = self._chosen.get(part.id, NONE)
        meant = [record for record in part.records if record.offset in chosen]
        return [letter.returned for record in meant if (letter := letter_of(record)) is not None]

    def _end(self, partition: TopicPartition) -> int:
        return self._chosen.get(partition, NONE).end

    def _bounded(self, partition: TopicPartition, end: End) -> End:
        last = self._end(partition)
        return End(min(end.offset, last), min(end.readable, last))
